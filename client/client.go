// Package client calls a TokenOS keys server from Go. [Client] satisfies
// [apikey.API], so code written against the interface works on the service
// itself and over HTTP alike, and errors.Is finds the same kinds of errors on
// both sides of the wire:
//
//	keys, err := client.New(client.Config{
//		BaseURL: "https://keys.example.com",
//		Token:   client.StaticToken(token), // or a function that buys one
//	})
//	...
//	issued, err := keys.Create(ctx, apikey.CreateParams{Name: "billing worker", Scopes: []string{"orders:read"}})
//	if errors.Is(err, apikey.ErrInvalid) { ... }
//	use(issued.Key.ID, issued.Secret.Reveal())
//
// Reads, and changes by POST, are tried again when the server or the way to it
// fails for a moment, or a rate limit asks to wait for a few seconds: every
// POST carries an Idempotency-Key, so it is done once and answers the same
// secret. PATCH and DELETE are tried once.
//
// It imports apikey and nothing else of ours.
package client

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go"

	"github.com/tokenos/tokenos/apikey"
)

// Config says where the server is and who calls. BaseURL and Token are
// required.
type Config struct {
	// BaseURL is the server's address, https://host[:port][/path]. Plain http
	// is taken for a loopback host only, where tokenos dev listens.
	BaseURL string
	// Token gives the access token of a management key for each attempt. It
	// should keep it while it is valid: AccessToken of a client/tokensource does.
	// Its errors end the call.
	Token func(ctx context.Context) (string, error)
	// HTTPClient sends the requests; its CheckRedirect is not used, since
	// redirects are never followed. Nil means one of its own.
	HTTPClient *http.Client
	// UserAgent names the program. Empty means "tokenos-client".
	UserAgent string
	// Timeout bounds a call with all its attempts, beside the context's
	// deadline. Zero means 30 seconds.
	Timeout time.Duration
	// Retries is how often a call that is safe to repeat is made again. Zero
	// means 3; negative: never.
	Retries int
}

const defaultTimeout = 30 * time.Second

// StaticToken is a Token function for one access token.
func StaticToken(token string) func(context.Context) (string, error) {
	secret := apikey.NewSecret(token) // does not print, wherever the function ends up
	return func(context.Context) (string, error) { return secret.Reveal(), nil }
}

// Client calls one server. It is safe for concurrent use.
type Client struct {
	base      string
	token     func(context.Context) (string, error)
	http      *http.Client
	userAgent string
	timeout   time.Duration
	again     failsafe.Executor[*answer] // tries again; nil: never
}

var _ apikey.API = (*Client)(nil)

// New makes a client. It fails on a Config that lacks something or whose
// BaseURL would send the token in clear; it calls nobody.
func New(c Config) (*Client, error) {
	base, err := checkBase(c.BaseURL)
	if err != nil {
		return nil, err
	}
	if c.Token == nil {
		return nil, errors.New("client: Token is required")
	}
	if c.Timeout < 0 {
		return nil, errors.New("client: Timeout cannot be negative")
	}
	h := http.Client{Transport: ownTransport()}
	if c.HTTPClient != nil {
		h = *c.HTTPClient
	}
	// A redirect would carry the token, or the secret in the answer, to
	// wherever it points; this API has none.
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	out := &Client{base: base, token: c.Token, http: &h, userAgent: c.UserAgent, timeout: c.Timeout}
	if out.userAgent == "" {
		out.userAgent = "tokenos-client"
	}
	if out.timeout == 0 {
		out.timeout = defaultTimeout
	}
	if n := cmp.Or(c.Retries, defaultRetries); n > 0 {
		out.again = failsafe.With(retries(n))
	}
	return out, nil
}

// ownTransport is net/http's default with more connections kept for the one
// server: two would make concurrent callers connect anew all the time.
func ownTransport() http.RoundTripper {
	shared, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	own := shared.Clone()
	own.MaxIdleConnsPerHost = 64
	return own
}

// checkBase returns the address without a slash at its end.
func checkBase(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return "", errors.New("client: BaseURL must be like https://keys.example.com, without credentials or query")
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && loopback(u.Hostname()):
	case u.Scheme == "http":
		return "", errors.New("client: BaseURL must begin with https://: plain HTTP would show the token to everybody on the way")
	default:
		return "", errors.New("client: BaseURL must begin with https://")
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/"), nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
