package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/tokenos/tokenos/apikey"
)

const (
	// maxAnswer bounds an answer, in bytes. The longest page, 200 of the
	// largest keys, stays below it.
	maxAnswer = 32 << 20

	defaultRetries = 3
	firstDelay     = 200 * time.Millisecond
	longest        = 5 * time.Second // also of what Retry-After asks
)

// call is one request to make.
type call struct {
	method string
	path   string // below the base, escaped
	query  url.Values
	body   any               // nil: none
	header map[string]string // beside the usual

	form url.Values // instead of body
	own  bool       // the call brings its own credential, perhaps in header
	once bool       // a POST without Idempotency-Key
	read bool       // a POST that changes nothing
}

// answer is what came back, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// retryable reports whether a call may be made twice: a read, or a POST, which
// has an Idempotency-Key unless it says once.
func (c call) retryable() bool {
	return !c.once && (c.method == http.MethodGet || c.method == http.MethodPost)
}

// changes reports whether the call may have changed something once it has left.
func (c call) changes() bool { return c.method != http.MethodGet && !c.read }

// do makes the call and decodes a success into out, which may be nil.
func (c *Client) do(ctx context.Context, what call, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := encode(what)
	if err != nil {
		return &apikey.Error{Kind: apikey.ErrInternal, Detail: "the request cannot be written", Cause: err}
	}
	lost := false // did an attempt leave this machine, and its outcome stay unknown
	attempt := func() (*answer, error) {
		a, err := c.attempt(ctx, what, body)
		lost = lost || err != nil && sent(err) || err == nil && unsettled(a)
		return a, err
	}
	var got *answer
	if what.retryable() && c.again != nil {
		got, err = c.again.WithContext(ctx).Get(attempt)
	} else {
		got, err = attempt()
	}
	if err != nil {
		return unanswered(ctx, err, lost && what.changes())
	}
	if got.status < 200 || got.status > 299 {
		return refused(got, lost && what.changes())
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(got.body, out); err != nil {
		return &apikey.Error{Kind: apikey.ErrInternal, Detail: "the server's answer cannot be read", Pending: what.changes(), Cause: errNotOurs}
	}
	return nil
}

// errNotOurs stands in for a JSON error, which would quote the answer, and
// with it perhaps a secret.
var errNotOurs = errors.New("not JSON of this API")

func encode(what call) ([]byte, error) {
	switch {
	case what.form != nil:
		return []byte(what.form.Encode()), nil
	case what.body == nil:
		return nil, nil
	}
	return json.Marshal(what.body)
}

// retries tries again what failed on the way, was answered 503, or came too
// soon for a rate limit that has room again within longest. It waits twice the
// delay each time or what Retry-After says, with jitter, so that many clients
// do not come back as one.
func retries(most int) retrypolicy.RetryPolicy[*answer] {
	return retrypolicy.NewBuilder[*answer]().
		HandleIf(func(a *answer, err error) bool {
			if err != nil {
				return transient(err)
			}
			return a.status == http.StatusServiceUnavailable || passing(a)
		}).
		WithMaxRetries(most).
		WithBackoff(firstDelay, longest).
		WithJitterFactor(0.25).
		WithDelayFunc(func(exec failsafe.ExecutionAttempt[*answer]) time.Duration {
			if a := exec.LastResult(); a != nil {
				if after := min(retryAfter(a.header), longest); after > 0 {
					return after + after/3 // a quarter of jitter never makes it less than asked
				}
			}
			return -1 // the backoff's own
		}).
		ReturnLastFailure().
		Build()
}

// passing reports whether a is our server's 429, and to wait for its end is
// worth while. The request was not processed. A proxy's 429 may mean anything.
func passing(a *answer) bool {
	return a.status == http.StatusTooManyRequests && retryAfter(a.header) <= longest && errors.Is(failure(a), apikey.ErrRateLimited)
}

// retryAfter reads the header's seconds, at most an hour; -1 without one.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return -1
	}
	return time.Duration(min(n, 3600)) * time.Second
}

// transient reports whether a failure without an answer may pass: not a wrong
// certificate, not a token that could not be had, not the caller's own end.
func transient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*tokenError](err); ok {
		return false
	}
	return !errors.Is(err, errTooLong)
}

// sent reports whether the request may have reached the server: not if there
// never was a connection.
func sent(err error) bool {
	if _, ok := errors.AsType[*tokenError](err); ok {
		return false
	}
	op, ok := errors.AsType[*net.OpError](err)
	return !ok || op.Op != "dial"
}

// tokenError is a failure of Config.Token.
type tokenError struct{ cause error }

func (e *tokenError) Error() string { return "client: token: " + e.cause.Error() }
func (e *tokenError) Unwrap() error { return e.cause }

var errTooLong = errors.New("client: the answer is longer than any of this API")

// attempt sends the request once and reads the answer.
func (c *Client) attempt(ctx context.Context, what call, body []byte) (*answer, error) {
	req, err := c.request(ctx, what, body)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	read, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(read) > maxAnswer {
		return nil, errTooLong
	}
	return &answer{res.StatusCode, res.Header, read}, nil
}

func (c *Client) request(ctx context.Context, what call, body []byte) (*http.Request, error) {
	target := c.base + what.path
	if len(what.query) > 0 {
		target += "?" + what.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, what.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if !what.own {
		token, err := c.token(ctx)
		if err != nil {
			return nil, &tokenError{err}
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", c.userAgent)
	switch {
	case what.form != nil:
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case body != nil:
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range what.header {
		req.Header.Set(name, value)
	}
	return req, nil
}

// idempotent gives the header for a POST: the caller's key, or a new one that
// all attempts share.
func idempotent(key string) map[string]string {
	if key == "" {
		key = "auto-" + rand.Text()
	}
	return map[string]string{"Idempotency-Key": key}
}
