package keyauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// request is one call to a service.
type request struct {
	method, url string
	form        url.Values // sent, if there is one
	bearer      string     // token to authenticate with, or ""
	etag        string     // for If-None-Match, or ""
	accepts     []string   // media types that count as an answer
	limit       int64      // bytes of the answer
}

// answer is what a service said, read to its end.
type answer struct {
	status int
	etag   string
	body   []byte
}

// strange is an answer that is none; the text says what one would be.
func strange(want string) error { return errors.New("the answer is not such that " + want) }

// call makes one call within Config.CallTimeout. An answer of another media type
// or size is an error; its status is the caller's to judge.
func (v *Verifier) call(ctx context.Context, r request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, v.config.CallTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, strings.NewReader(r.form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if r.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	if r.etag != "" {
		req.Header.Set("If-None-Match", r.etag)
	}
	req.Header.Set("Accept", strings.Join(r.accepts, ", "))
	req.Header.Set("User-Agent", "tokenos-keyauth")
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}
	defer resp.Body.Close()
	return r.read(resp)
}

func (r request) read(resp *http.Response) (*answer, error) {
	a := &answer{status: resp.StatusCode, etag: resp.Header.Get("ETag")}
	if resp.StatusCode != http.StatusOK {
		return a, nil // nobody reads what else it says
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(r.accepts, kind) {
		return nil, strange("its media type is " + strings.Join(r.accepts, " or "))
	}
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, r.limit+1)); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(a.body)) > r.limit {
		return nil, strange("its size is within the limit")
	}
	return a, nil
}

// newClient is given, or one of our own, without redirects: a service that sends
// us elsewhere must not choose where a token goes.
func newClient(given *http.Client) (client *http.Client, closeIdle func()) {
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if given != nil {
		c := *given
		c.CheckRedirect = refuse
		return &c, func() {}
	}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSHandshakeTimeout: longestTimeout,
		MaxIdleConnsPerHost: 32, MaxIdleConns: 64, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{Transport: t, CheckRedirect: refuse}, t.CloseIdleConnections
}
