package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/oidc"
)

// Config says what the pages stand on. API, Sessions and a way to sign in are
// required.
type Config struct {
	// API does the work.
	API apikey.API
	// Sessions keep people signed in.
	Sessions apikey.Sessions
	// Introspector looks up access tokens for whoever may. Nil: nobody can.
	Introspector apikey.Introspector
	// Provider signs people in. Nil: only links do.
	Provider *oidc.Provider
	// Links sign in whoever has one. Nil: only the provider does.
	Links *Links
	// NewLink, if set, gives the operator a new link at the terminal; people may
	// ask for it on the sign-in page.
	NewLink func()
	// Idle is how long a session lasts without a request. Zero means 30 minutes.
	Idle time.Duration
	// Lifetime is how long it lasts at most. Zero means 12 hours.
	Lifetime time.Duration
	// CookieName is for plain HTTP on loopback, which has no secure cookies. Empty
	// means __Host-tokenos, for HTTPS.
	CookieName string
	// Parts are what the pages stand on, by name ("hydra", "ledger"): nil while it
	// answers. Each must heed its context.
	Parts map[string]func(context.Context) error
	// NoReference leaves out the API's reference at /docs.
	NoReference bool
	// Environment is shown beside the brand, such as "dev". Empty: nothing.
	Environment string
	// Log takes failures. Nil: nothing is logged.
	Log *slog.Logger
	// Now is the clock of what pages show. Nil means time.Now.
	Now func() time.Time
}

const (
	defaultIdle     = 30 * time.Minute
	defaultLifetime = 12 * time.Hour
	secureCookie    = "__Host-tokenos"
)

// Dashboard answers requests for pages.
type Dashboard struct {
	Config
	sessions    *scs.SessionManager
	crossOrigin *http.CrossOriginProtection
	mux         *http.ServeMux
	health      health
	diagnosis   atomic.Pointer[apikey.Diagnosis] // the last that a page showed
	figureTime  time.Duration                    // how long the overview waits for its figures
	bulkTime    time.Duration                    // how long keys chosen together are begun
}

// New makes the dashboard. It fails on a Config that lacks something.
func New(c Config) (*Dashboard, error) {
	if c.API == nil || c.Sessions == nil || c.Provider == nil && c.Links == nil {
		return nil, errors.New("web: API, Sessions and one of Provider and Links are required")
	}
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	if c.Lifetime == 0 {
		c.Lifetime = defaultLifetime
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &Dashboard{Config: c, crossOrigin: http.NewCrossOriginProtection(), figureTime: figureTime, bulkTime: bulkTime}
	d.sessions = d.newSessions()
	d.mux = d.routes()
	return d, nil
}

// secure reports whether we are served over HTTPS: everywhere but in development.
func (d *Dashboard) secure() bool { return d.CookieName == "" }
