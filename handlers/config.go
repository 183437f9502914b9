package handlers

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/apikey"
)

// Config says what the handlers stand on. API, Authenticate are required.
type Config struct {
	// API does the work.
	API apikey.API
	// Authenticate tells who a bearer token belongs to. It fails with
	// apikey.ErrUnauthenticated for a token that is not good, and with
	// apikey.ErrUnavailable when that cannot be known now.
	Authenticate func(ctx context.Context, token string) (apikey.Caller, error)
	// Holder answers the holders of keys at /v1/self. Nil: those routes are not
	// there.
	Holder apikey.Holder
	// Introspector looks up tokens at /v1/introspect. Nil: that route is not there.
	Introspector apikey.Introspector
	// StatusLists are served at /status. Nil: those routes are not there.
	StatusLists apikey.StatusLists
	// Pages answers what is not the API's. It must set every header that a page
	// needs otherwise than an answer of the API. Nil: there is nothing.
	Pages func(w http.ResponseWriter, r *http.Request, v *Visit)
	// Ready are what /health/ready asks, by name, each within a second. The
	// names are public, the errors only logged. None: always ready.
	Ready map[string]func(context.Context) error
	// Log takes one line per request, and failures. Nil: nothing is logged.
	Log *slog.Logger
	// Observe, if set, is called once for each request, when it has been answered.
	// It must not block.
	Observe func(Observation)
	// TrustedProxies are the peers whose X-Forwarded-Proto, X-Forwarded-For
	// and X-Request-Id count. Empty: nobody's.
	TrustedProxies []netip.Prefix
	// InsecureLoopback serves plain HTTP from a loopback peer that asks for a
	// loopback host. For tokenos dev only.
	InsecureLoopback bool
	// MaxBodyBytes bounds a request's body. Zero means 64 KiB.
	MaxBodyBytes int64
	// RequestTimeout is how long a request may take. Zero means 30 seconds,
	// which leaves room for a call to Hydra and its confirmation.
	RequestTimeout time.Duration
	// Limits say how often whom is answered. Zero: no limits.
	Limits Limits
	// Now is the clock of the limits. Nil means time.Now.
	Now func() time.Time
	// Version of the program, for the OpenAPI document. Empty means "dev".
	Version string
	// TokenURL is Hydra's token endpoint, for the OpenAPI document. Empty
	// leaves the OAuth 2.0 scheme out of it; the bearer scheme stays.
	TokenURL string
}

const (
	defaultMaxBody        = 64 << 10
	defaultRequestTimeout = 30 * time.Second
)

// server is a Config with its defaults, and what is made of it once.
type server struct {
	Config
	bodies  shapes
	limits  *limiters
	health  *health
	openapi []byte
}

func newServer(c Config) *server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxBodyBytes == 0 {
		c.MaxBodyBytes = defaultMaxBody
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = defaultRequestTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.Observe == nil {
		c.Observe = func(Observation) {}
	}
	return &server{Config: c, health: &health{checks: c.Ready, log: c.Log}}
}

// New makes the handler of the whole REST API. It fails on a Config that lacks
// something.
func New(c Config) (http.Handler, error) {
	if c.API == nil || c.Authenticate == nil {
		return nil, errors.New("handlers: API and Authenticate are required")
	}
	if c.MaxBodyBytes < 0 || c.RequestTimeout < 0 {
		return nil, errors.New("handlers: MaxBodyBytes and RequestTimeout cannot be negative")
	}
	s := newServer(c)
	var err error
	if s.limits, err = newLimiters(c.Limits, s.Now); err != nil {
		return nil, err
	}
	engine := newEngine()
	engine.Use(s.open, s.recoverPanic, s.pages, s.limitAddress, s.requireHTTPS, s.authenticate, s.checkPath, s.readBody, s.readCredential)
	engine.NoRoute(s.noRoute)
	engine.NoMethod(s.noMethod)
	if err := s.routes(engine); err != nil {
		return nil, err
	}
	return headAsGet(engine), nil
}

// NewOps makes a handler of /health/alive and /health/ready alone, for a
// listener that only an orchestrator reaches: it asks for no TLS and no token.
// It uses Ready, Log, Observe and RequestTimeout of the Config.
func NewOps(c Config) http.Handler {
	s := newServer(c)
	engine := newEngine()
	engine.Use(s.open, s.recoverPanic)
	engine.NoRoute(s.noRoute)
	engine.NoMethod(s.noMethod)
	s.healthRoutes(newHuma(engine, s.Config))
	return headAsGet(engine)
}

// newEngine is a Gin that adds nothing by itself: no redirects, no log, no
// recovery, no trust in forwarding headers (Gin's defaults trust everybody's).
func newEngine() *gin.Engine {
	setGlobals()
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	e.UseEscapedPath = true // an owner in a path may hold a slash
	e.UnescapePathValues = false
	e.ForwardedByClientIP = false
	_ = e.SetTrustedProxies(nil) // nil cannot be malformed
	return e
}

// headAsGet answers HEAD as GET; net/http leaves the body out, because the
// request it knows is still a HEAD.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			get := *r
			get.Method = http.MethodGet
			r = &get
		}
		next.ServeHTTP(w, r)
	})
}
