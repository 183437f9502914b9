//go:build unix

package tokensource_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// While Hydra's database is away it refuses right credentials like wrong ones. No
// method then calls its credential wrong; the token of before is used on; and
// with the database back tokens are sold again.
func TestDatabaseDown(t *testing.T) {
	server := pgtest.New(t, pgtest.Config{})
	h := hydratest.New(t, hydradev.Config{DSN: server.URL(t)})
	w := apikeytest.NewWorld(t, apikeytest.Options{Hydra: h, Idle: true})
	proxy := hydratest.NewProxy(t, h.PublicURL())
	clock := &apikeytest.Clock{}
	fresh, holding := map[apikey.AuthMethod]*tokensource.Source{}, map[apikey.AuthMethod]*tokensource.Source{}
	tokens := map[apikey.AuthMethod]string{}
	for _, method := range methods {
		k := newKey(t, w, method, apikey.Opaque)
		with := func(c *tokensource.Config) { c.Now, c.Retries = clock.Now, 1 }
		fresh[method], holding[method] = newSource(t, k.config(), through(proxy), with), newSource(t, k.config(), through(proxy), with)
		token, err := holding[method].AccessToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tokens[method] = token
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "Hydra is not ready", func() bool {
		status, _ := get(t, http.DefaultClient, h.PublicURL()+"/health/ready")
		return status == http.StatusServiceUnavailable
	})
	for _, method := range methods {
		_, err := fresh[method].AccessToken(t.Context())
		refused(t, err, tokensource.ErrUnavailable)
		refused(t, holding[method].Revoke(t.Context(), "any"), tokensource.ErrUnavailable)
	}
	clock.Advance(13 * time.Minute) // past the refresh, before the end of 15 minutes
	for _, method := range methods {
		proxy.ResetCounts()
		if token, err := holding[method].AccessToken(t.Context()); err != nil || token != tokens[method] {
			t.Errorf("%s: the token of before is not used on: %v", method, err)
		}
		apikeytest.Eventually(t, "a refresh is tried", func() bool { return proxy.Received("POST", "/oauth2/token") > 0 })
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, method := range methods {
		for name, source := range map[string]*tokensource.Source{"fresh": fresh[method], "holding": holding[method]} {
			apikeytest.Eventually(t, name+" by "+string(method)+" buys a token", func() bool {
				clock.Advance(6 * time.Second) // past the longest pause
				token, err := source.AccessToken(t.Context())
				return err == nil && token != tokens[method]
			})
		}
	}
}
