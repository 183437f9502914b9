//go:build unix

package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/keyauth"
)

var formats = []apikey.TokenFormat{apikey.Opaque, apikey.JWT}

// onEach runs a test against an API on each framework, for each format.
func onEach(t *testing.T, p *product, edit func(*keyauth.Config, *guarded), test func(t *testing.T, g *guarded, format apikey.TokenFormat)) {
	for name, serve := range frameworks {
		for _, format := range formats {
			t.Run(name+" "+string(format), func(t *testing.T) {
				t.Parallel()
				test(t, p.guard(t, serve, edit), format)
			})
		}
	}
}

// keyauth, TokenOS and Hydra agree about who may: all three as people run them.
func TestKeyauth(t *testing.T) {
	p := newProduct(t, "")
	for name, test := range map[string]func(*testing.T, *product){"accepts": testAccepts, "ends": testEnds, "tokens revoked": testTokensRevoked, "disable meets buyers": testMeetsDisable, "example": testExample} {
		t.Run(name, func(t *testing.T) { test(t, p) })
	}
}

// An API that keyauth protects lets in whose token is for it and has the scope,
// knows whose it is, and refuses every other as RFC 6750 says.
func testAccepts(t *testing.T, p *product) {
	onEach(t, p, nil, func(t *testing.T, g *guarded, format apikey.TokenFormat) {
		k := p.key(t, format, func(c *apikey.CreateParams) { c.Environment = apikey.Test })
		token := p.buy(t, k)
		if got, want := g.ask(token), k.Key.ID+","+k.Key.ID+",e2e,test,"+scope; got.status != http.StatusOK || got.body != want {
			t.Errorf("got %+v, want 200 %s", got, want)
		}
		g.want("the same again", token, http.StatusOK)
		for what, c := range map[string]struct {
			audience, scope string
			status          int
			reason          keyauth.Reason
		}{
			"another scope":    {audience, "orders:write", http.StatusForbidden, keyauth.MissingScope},
			"another audience": {"https://other.example.com", scope, http.StatusUnauthorized, keyauth.BadAudience},
			"a path below":     {audience + "/orders", scope, http.StatusUnauthorized, keyauth.BadAudience},
		} {
			g.want(what, p.buyFor(t, k, c.audience, c.scope), c.status)
			g.because(what, c.reason)
		}
		if n := g.introspections.Load(); format == apikey.JWT && n != 0 {
			t.Errorf("%d introspections for JWTs", n)
		}
		g.want("a token that is none", token+"x", http.StatusUnauthorized)
		own, err := p.asker.token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		g.want("the API's own token", own, http.StatusUnauthorized)
	})
}

// A key's end reaches the API: opaque tokens are refused with the next request,
// JWTs once the status list was polled, without a question about the token. What
// was only paused comes back.
func testEnds(t *testing.T, p *product) {
	onEach(t, p, asking, func(t *testing.T, g *guarded, format apikey.TokenFormat) {
		// refused wants that the token is refused from now on.
		refused := func(what, token string, asJWT keyauth.Reason) {
			t.Helper()
			if format == apikey.Opaque {
				g.want(what, token, http.StatusUnauthorized)
				g.because(what, keyauth.Inactive)
				return
			}
			apikeytest.Eventually(t, what+" is refused", func() bool { return g.ask(token).status == http.StatusUnauthorized })
			g.because(what, asJWT)
			g.want(what+" again", token, http.StatusUnauthorized)
		}
		ctx := t.Context()
		paused, ended := p.key(t, format, nil), p.key(t, format, nil)
		first, other := p.buy(t, paused), p.buy(t, ended)
		g.want("before", first, http.StatusOK)
		g.want("before", other, http.StatusOK)

		if r, err := p.api.Disable(ctx, paused.Key.ID, apikey.DisableParams{}); err != nil || r.Pending {
			t.Fatalf("disable: %+v, %v", r, err)
		}
		refused("disabled", first, keyauth.KeyDisabled)
		g.want("another key", other, http.StatusOK)
		if token, err := p.tryBuy(t.Context(), paused, audience, scope); err == nil {
			t.Errorf("a disabled key buys a token: %t", token != "")
		}
		if _, err := p.api.Enable(ctx, paused.Key.ID, apikey.ActionParams{}); err != nil {
			t.Fatal(err)
		}
		apikeytest.Eventually(t, "a new token of an enabled key is accepted", func() bool { return g.ask(p.buy(t, paused)).status == http.StatusOK })
		if format == apikey.JWT {
			g.want("a JWT from before the pause", first, http.StatusOK)
		}

		if _, err := p.api.Revoke(ctx, ended.Key.ID, apikey.RevokeParams{}); err != nil {
			t.Fatal(err)
		}
		refused("revoked", other, keyauth.KeyRevoked)
		if err := p.api.Delete(ctx, ended.Key.ID); err != nil {
			t.Fatal(err)
		}
		refused("deleted", other, keyauth.KeyRevoked)

		later := p.key(t, format, nil)
		token := p.buy(t, later)
		g.want("before its end", token, http.StatusOK)
		if _, err := p.api.Update(ctx, later.Key.ID, apikey.UpdateParams{ExpiresAt: apikey.SetTo(time.Now().Add(3 * time.Second))}); err != nil {
			t.Fatal(err)
		}
		apikeytest.Eventually(t, "a key that ends by an earlier expires_at is refused", func() bool { return g.ask(token).status == http.StatusUnauthorized })

		soon := p.key(t, format, func(c *apikey.CreateParams) { c.ExpiresAt = apikey.SetTo(time.Now().Add(5 * time.Second)) })
		token = p.buy(t, soon)
		g.want("before its own end", token, http.StatusOK)
		apikeytest.Eventually(t, "an expired key is refused", func() bool { return g.ask(token).status == http.StatusUnauthorized })
		g.because("expired", keyauth.Inactive, keyauth.KeyExpired)

		if format == apikey.Opaque { // Hydra has ended it
			g.want("a token from before the pause", first, http.StatusUnauthorized)
		}
		if n := g.introspections.Load(); format == apikey.JWT && n != 0 {
			t.Errorf("%d introspections for JWTs", n)
		}
	})
}

// Ended tokens of a key that goes on: opaque ones are refused once nobody
// remembers them, JWTs live on, new ones are accepted.
func testTokensRevoked(t *testing.T, p *product) {
	onEach(t, p, nil, func(t *testing.T, g *guarded, format apikey.TokenFormat) {
		k := p.key(t, format, nil)
		token := p.buy(t, k)
		g.want("before", token, http.StatusOK)
		if _, err := p.api.RevokeTokens(t.Context(), k.Key.ID, apikey.ActionParams{}); err != nil {
			t.Fatal(err)
		}
		if format == apikey.Opaque {
			apikeytest.Eventually(t, "it is refused", func() bool { return g.ask(token).status == http.StatusUnauthorized })
		} else {
			g.want("a JWT", token, http.StatusOK)
		}
		g.want("a new one", p.buy(t, k), http.StatusOK)
	})
}

// The example of examples/api, set up as in production, agrees with TokenOS on
// either framework: a disabled key's token is refused once it is not remembered.
func testExample(t *testing.T, p *product) {
	binary := build(t, "examples/api")
	for _, framework := range []string{"-gin=false", "-gin=true"} {
		t.Run(framework, func(t *testing.T) {
			t.Parallel()
			url := runAPI(t, binary, []string{"SSL_CERT_FILE=" + p.cert, "TOKENOS_CLIENT_ID=" + p.asker.ID, "TOKENOS_CLIENT_SECRET=" + p.asker.Secret},
				framework, "-tokenos", p.url, "-issuer", p.hydra.PublicURL())
			for _, format := range formats {
				k := p.key(t, format, nil)
				token := p.buy(t, k)
				accept(t, url, k.Key, token)
				if _, err := p.api.Disable(t.Context(), k.Key.ID, apikey.DisableParams{}); err != nil {
					t.Fatal(err)
				}
				apikeytest.Eventually(t, "a disabled key's token is refused", func() bool {
					status, body := ask(t, url+"/orders", token)
					if status != http.StatusOK && status != http.StatusUnauthorized {
						t.Fatalf("%s: %d %s", format, status, body)
					}
					return status == http.StatusUnauthorized
				})
			}
		})
	}
}
