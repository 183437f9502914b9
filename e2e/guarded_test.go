//go:build unix

package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/keyauth"
	"github.com/tokenos/tokenos/keyauth/ginauth"
)

// guarded is an API that keyauth protects, and what keyauth did for it.
type guarded struct {
	t              testing.TB
	url            string
	ahead          atomic.Int64 // of its clock, in nanoseconds
	introspections atomic.Int64
	refusal        atomic.Value // keyauth.Reason of the last refusal
}

// frameworks serve GET /orders, for which the scope of the same name is needed,
// and tell who called.
var frameworks = map[string]func(v *keyauth.Verifier) http.Handler{
	"net/http": func(v *keyauth.Verifier) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /orders", v.Require(scope)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, _ := keyauth.FromContext(r.Context())
			_, _ = io.WriteString(w, told(who))
		})))
		return mux
	},
	"Gin": func(v *keyauth.Verifier) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.GET("/orders", ginauth.Require(v, scope), func(c *gin.Context) {
			who, _ := keyauth.FromContext(c.Request.Context())
			c.String(http.StatusOK, told(who))
		})
		return r
	},
}

// told is what the API answers to a key that may.
func told(who keyauth.Identity) string {
	return strings.Join([]string{who.KeyID, who.RootID, who.Owner, who.Env, strings.Join(who.Scopes, " ")}, ",")
}

// guard serves the API as long as the test. Its verifier asks the product and
// polls its status lists ten times a second; edit may change that.
func (p *product) guard(t testing.TB, serve func(*keyauth.Verifier) http.Handler, edit func(*keyauth.Config, *guarded)) *guarded {
	t.Helper()
	g := &guarded{t: t}
	c := keyauth.Config{Audiences: []string{audience}, Issuer: p.hydra.PublicURL(), HTTPClient: p.https,
		Introspection:    keyauth.Introspection{URL: p.url + "/v1/introspect", Token: p.asker.token, MaxConcurrent: 100},
		StatusList:       keyauth.StatusList{Interval: 100 * time.Millisecond},
		InsecureLoopback: true, // this API and Hydra; TokenOS has TLS
		CallTimeout:      20 * time.Second,
		Now:              func() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) },
		Observe: func(o keyauth.Observation) {
			switch {
			case o.Operation == keyauth.OpIntrospect:
				g.introspections.Add(1)
			case o.Operation == keyauth.OpRequest && o.Reason != "":
				g.refusal.Store(o.Reason)
			}
		}}
	if edit != nil {
		edit(&c, g)
	}
	v, err := keyauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	s := httptest.NewServer(serve(v))
	t.Cleanup(s.Close)
	g.url = s.URL + "/orders"
	return g
}

// asking is for a verifier that remembers no opaque token.
func asking(c *keyauth.Config, _ *guarded) { c.Introspection.Fresh = -1 }

// reply is what the API answers to a token.
type reply struct {
	status          int
	challenge, body string
	retry           string // Retry-After
}

func (g *guarded) ask(token string) reply {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.url, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		g.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header.Get("WWW-Authenticate"), string(body), resp.Header.Get("Retry-After")}
}

// want wants a status, and the challenge or Retry-After that belongs to it.
func (g *guarded) want(what, token string, status int) {
	g.t.Helper()
	got := g.ask(token)
	belongs := map[int]bool{
		http.StatusOK: got.challenge == "", http.StatusUnauthorized: strings.HasSuffix(got.challenge, `, error="invalid_token"`),
		http.StatusForbidden:          strings.HasSuffix(got.challenge, `, error="insufficient_scope", scope="`+scope+`"`),
		http.StatusServiceUnavailable: got.challenge == "" && got.retry != "",
	}
	if got.status != status || !belongs[status] {
		g.t.Errorf("%s: got %+v, want %d", what, got, status)
	}
}

// because wants that the last refusal was for one of the reasons.
func (g *guarded) because(what string, reasons ...keyauth.Reason) {
	g.t.Helper()
	for _, r := range reasons {
		if g.refusal.Load() == r {
			return
		}
	}
	g.t.Errorf("%s: refused for %v, want %v", what, g.refusal.Load(), reasons)
}
