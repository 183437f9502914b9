//go:build unix

package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
	"github.com/tokenos/tokenos/keyauth"
)

// outage is an API in an outage: with a verifier that remembers no opaque token,
// and one that does for as long as it does by itself, by a clock that stands still
// unless the test sets it.
type outage struct {
	t                  *testing.T
	asks, remembers    *guarded
	opaque, jwt, ended string // tokens; the last of a key that was disabled before
}

func stopped(c *keyauth.Config, g *guarded) {
	at := time.Now()
	c.Now = func() time.Time { return at.Add(time.Duration(g.ahead.Load())) }
}

// holds wants what holds while opaque tokens cannot be looked up: no good token is
// called bad, one that is remembered, here or at TokenOS, goes on for a while, and
// JWTs are verified as ever.
func (o outage) holds(what string) {
	o.t.Helper()
	o.remembers.want(what+": a remembered opaque token", o.opaque, http.StatusOK)
	apikeytest.Eventually(o.t, what+": nobody remembers an opaque token", func() bool {
		got := o.asks.ask(o.opaque).status
		if got != http.StatusOK && got != http.StatusServiceUnavailable {
			o.t.Fatalf("%s: an opaque token gets %d", what, got)
		}
		return got != http.StatusOK
	})
	for range 5 {
		o.asks.want(what+": an opaque token", o.opaque, http.StatusServiceUnavailable)
		o.asks.want(what+": a made-up one", "ory_at_made.up", http.StatusServiceUnavailable)
		o.asks.want(what+": a JWT", o.jwt, http.StatusOK)
		o.asks.want(what+": a disabled key's JWT", o.ended, http.StatusUnauthorized)
	}
	o.remembers.ahead.Add(int64(6 * time.Second))
	o.remembers.want(what+": an opaque token, no longer remembered", o.opaque, http.StatusServiceUnavailable)
}

// over wants that all is as before, and lets the opaque token be remembered.
func (o outage) over(what string) {
	o.t.Helper()
	apikeytest.Eventually(o.t, what+": all works again", func() bool {
		return o.asks.ask(o.opaque).status == http.StatusOK && o.asks.ask(o.jwt).status == http.StatusOK && o.asks.ask("ory_at_made.up").status == http.StatusUnauthorized
	})
	o.asks.want(what+", over: a disabled key's JWT", o.ended, http.StatusUnauthorized)
	o.remembers.want(what+", over", o.opaque, http.StatusOK)
}

// While Hydra's database, Hydra, or TokenOS is away no good token is called bad:
// opaque ones get 503, JWTs are verified, and a key that is disabled meanwhile is
// refused. Without TokenOS that holds until the last status list ends.
func TestKeyauthOutages(t *testing.T) {
	database := pgtest.New(t, pgtest.Config{})
	p := newProduct(t, database.URL(t)+"&max_conns=50")
	opaque, jwt, ended, late := p.key(t, apikey.Opaque, nil), p.key(t, apikey.JWT, nil), p.key(t, apikey.JWT, nil), p.key(t, apikey.JWT, nil)
	lateToken := p.buy(t, late)
	all := outages{}
	for _, serve := range frameworks {
		o := outage{t: t, opaque: p.buy(t, opaque), jwt: p.buy(t, jwt), ended: p.buy(t, ended)}
		o.asks, o.remembers = p.guard(t, serve, asking), p.guard(t, serve, stopped)
		all = append(all, o)
	}
	if _, err := p.api.Disable(t.Context(), ended.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		o.asks.want("before", lateToken, http.StatusOK)
	}
	all.over("before")

	if err := database.Stop(); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "Hydra calls a good token inactive", func() bool { return !hydratest.Introspect(t, p.hydra.AdminURL(), all[0].opaque) })
	all.hold("Hydra's database is away")
	if r, err := p.api.Disable(t.Context(), late.Key.ID, apikey.DisableParams{}); err != nil || !r.Pending {
		t.Fatalf("disable in the outage: %+v, %v", r, err)
	}
	for _, o := range all {
		apikeytest.Eventually(t, "a JWT of a key that was disabled in the outage is refused", func() bool { return o.asks.ask(lateToken).status == http.StatusUnauthorized })
	}
	if err := database.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.over("Hydra's database")

	if err := p.hydra.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.hold("Hydra is away")
	if err := p.hydra.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.over("Hydra")

	p.kill()
	all.hold("TokenOS is away")
	for _, o := range all {
		o.asks.ahead.Add(int64(4 * time.Minute)) // a list lives for two; the tokens for fifteen
		o.asks.want("after the last status list: a JWT", o.jwt, http.StatusServiceUnavailable)
		o.asks.because("after the last status list", keyauth.NoStatusList)
		o.asks.ahead.Store(0)
	}
	p.start()
	all.over("TokenOS")
}

// outages are that of each framework.
type outages []outage

func (all outages) hold(what string) {
	for _, o := range all {
		o.holds(what)
	}
}

func (all outages) over(what string) {
	for _, o := range all {
		o.over(what)
	}
}
