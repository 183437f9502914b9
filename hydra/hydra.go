package hydra

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	client "github.com/ory/hydra-client-go/v2"
	"golang.org/x/sync/singleflight"

	"github.com/tokenos/tokenos/apikey"
)

// Config says where Hydra is and how it is called. Only AdminURL is required.
type Config struct {
	// AdminURL is the base of the admin API, for example
	// "http://127.0.0.1:4445". It has no credentials, query or fragment.
	AdminURL string
	// PublicURL is the base of the public API, from which [Hydra.TokenURL] is
	// made. Empty: there is no token URL to show, and [Hydra.Prove] cannot ask.
	PublicURL string
	// TLS is used for both if they are https (own CA, client certificate). Nil:
	// the system's roots.
	TLS *tls.Config

	// CallTimeout bounds one attempt of one call. A call that may be repeated
	// takes at most twice as long in all, every other call no longer. Zero: 5s.
	CallTimeout time.Duration
	// Retries is how often a call that is safe to repeat is sent again. Zero: 2;
	// negative: never.
	Retries int
	// MaxConcurrent bounds the calls under way; one more fails at once. Token
	// look-ups have as many places of their own, and so have checks of
	// credentials, so that a flood of bad ones cannot keep changes out. Zero: 32.
	MaxConcurrent int
	// TokenFresh is how long an introspected token is believed without asking
	// again. Zero: 5s; negative: ask each time.
	TokenFresh time.Duration
	// TokenCache bounds how many tokens are remembered. Zero: 10000.
	TokenCache int

	// Now is the clock for caches and expiry; deadlines run on the real one.
	// Nil: time.Now.
	Now func() time.Time
	// Log gets one warning per failed call and a debug line per retry, never a
	// body. Nil: discarded.
	Log *slog.Logger
	// Observe, if set, is called once after each call, from the goroutine that
	// made it. It must not block.
	Observe func(Observation)
}

// Observation is one finished call, for metrics.
type Observation struct {
	Operation string        // a constant, such as "create client"
	Status    int           // of the last answer; 0: there was none
	Attempts  int           // requests made; 0: the call never left
	Duration  time.Duration // from start to answer, waits included
	Err       error         // as the caller gets it; nil is success
}

// Hydra calls one Hydra. It is safe for concurrent use. Make it with [New].
type Hydra struct {
	admin  string // base URL without a trailing slash
	token  string
	api    client.OAuth2API
	http   *http.Client // for the admin API
	public *http.Client // for the token endpoint
	config Config
	log    *slog.Logger

	ready   readiness
	tokens  *otter.Cache[[32]byte, seen]
	flights singleflight.Group // one introspection per token, one probe of capabilities, one discovery
	asked   atomic.Uint64      // introspections begun so far

	probed       sync.Mutex
	capabilities apikey.HydraCapabilities
	capabilityAt time.Time
}

var (
	_ apikey.Clients = (*Hydra)(nil)
	_ apikey.Tokens  = (*Hydra)(nil)
)

// New checks the configuration and returns a Hydra. It makes no call.
func New(c Config) (*Hydra, error) {
	admin, err := baseURL(c.AdminURL)
	if err != nil {
		return nil, fmt.Errorf("hydra: admin url: %w", err)
	}
	h := &Hydra{admin: admin}
	if c.PublicURL != "" {
		public, err := baseURL(c.PublicURL)
		if err != nil {
			return nil, fmt.Errorf("hydra: public url: %w", err)
		}
		h.token = public + tokenPath
	}
	h.config = withDefaults(c)
	h.log = h.config.Log
	h.tokens, err = otter.New(&otter.Options[[32]byte, seen]{
		MaximumSize:      h.config.TokenCache,
		ExpiryCalculator: otter.ExpiryWritingFunc(h.untilExpiry),
	})
	if err != nil {
		return nil, fmt.Errorf("hydra: token cache: %w", err)
	}
	h.http = newClient(newTransport(h.config, h.unreached))
	// Another way to Hydra with places of its own: that it is shut says nothing
	// of the admin API.
	h.public = newClient(newTransport(h.config, func(error) {}))
	sdk := client.NewConfiguration()
	sdk.Servers = client.ServerConfigurations{{URL: admin}}
	sdk.HTTPClient = h.http
	sdk.UserAgent = userAgent
	h.api = client.NewAPIClient(sdk).OAuth2API
	return h, nil
}

// newClient follows no redirect: neither of the two APIs answers one here, so
// whoever does is not Hydra.
func newClient(t *transport) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

const (
	userAgent = "tokenos"
	tokenPath = "/oauth2/token"
)

// TokenURL is where keys buy access tokens, "" if no public URL is configured.
func (h *Hydra) TokenURL() string { return h.token }

// Close ends idle connections. Calls under way finish.
func (h *Hydra) Close() {
	h.http.CloseIdleConnections()
	h.public.CloseIdleConnections()
	h.tokens.StopAllGoroutines()
}

func withDefaults(c Config) Config {
	if c.CallTimeout <= 0 {
		c.CallTimeout = 5 * time.Second
	}
	if c.Retries == 0 {
		c.Retries = 2
	}
	c.Retries = max(c.Retries, 0)
	if c.MaxConcurrent <= 0 {
		c.MaxConcurrent = 32
	}
	if c.TokenFresh == 0 {
		c.TokenFresh = 5 * time.Second
	}
	if c.TokenCache <= 0 {
		c.TokenCache = 10_000
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(Observation) {}
	}
	return c
}

// baseURL checks a base and returns it without trailing slash. The error does
// not repeat the URL: one with a password in it is refused here.
func baseURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.New("is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return "", errors.New("must begin with http:// or https:// and name a host")
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return "", errors.New("must have no credentials, query or fragment")
	}
	return strings.TrimRight(u.String(), "/"), nil
}
