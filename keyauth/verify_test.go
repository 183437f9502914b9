package keyauth_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/keyauth"
)

func reason(t testing.TB, err error) keyauth.Reason {
	t.Helper()
	e, ok := errors.AsType[*keyauth.Error](err)
	if !ok {
		t.Fatalf("not an error of this package: %v", err)
	}
	return e.Reason
}

// A good token of either format says whose it is, what it may do and until when,
// also the second time, when it is remembered.
func TestVerify(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	end := w.now().Add(15 * time.Minute).Truncate(time.Second).UTC()
	c := w.claims()
	c["exp"], c["key_expires_at"] = end.Unix(), "2099-01-02T03:04:05Z"
	want := keyauth.Identity{KeyID: keyID, RootID: "key_live_root", Owner: "acme", Env: "live",
		Scopes: []string{"orders:read", "orders:write"}, Audience: []string{api}, ExpiresAt: end}
	forever := want
	want.KeyExpiresAt = time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)
	payload := string(must(json.Marshal(c)))
	for _, tt := range []struct {
		name, token string
		want        keyauth.Identity
	}{
		{"ES256", w.jwt(c), want},
		{"RS256", rs256(`{"alg":"RS256","kid":"rs","typ":"at+jwt"}`, payload, rsKey()), want},
		{"opaque", w.issue("ory_at_good.one", func(c map[string]any) { c["exp"] = end.Unix() }), forever},
	} {
		for _, time := range []string{"first", "second"} {
			got, err := v.Verify(t.Context(), tt.token)
			if err != nil {
				t.Errorf("%s, %s time: %v", tt.name, time, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s, %s time (-want +got):\n%s", tt.name, time, diff)
			}
			if len(got.Scopes) > 0 {
				got.Scopes[0], got.Audience[0] = "admin", "https://evil.example" // must not reach the next caller
			}
		}
	}
	if n := w.count("/v1/introspect"); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}
	if n := w.count("/.well-known/jwks.json"); n != 1 {
		t.Errorf("%d fetches of keys, want 1", n)
	}
}

// All forms that a good token may have are accepted.
func TestAccepted(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	with := func(edit func(map[string]any)) string {
		c := w.claims()
		edit(c)
		return w.jwt(c)
	}
	for name, token := range map[string]string{
		"aud is a string":            with(func(c map[string]any) { c["aud"] = api }),
		"aud has others, too":        with(func(c map[string]any) { c["aud"] = []string{"https://other.example", api} }),
		"scope is a string":          with(func(c map[string]any) { delete(c, "scp"); c["scope"] = "orders:read orders:write" }),
		"scp and scope say the same": with(func(c map[string]any) { c["scope"] = "orders:read orders:write" }),
		"no scopes":                  with(func(c map[string]any) { c["scp"] = []string{} }),
		"no claims of a hook":        with(func(c map[string]any) { delete(c, "root_id"); delete(c, "owner"); delete(c, "env") }),
		"no nbf":                     with(func(c map[string]any) { delete(c, "nbf") }),
		"no jti":                     with(func(c map[string]any) { delete(c, "jti") }),
		"exp with a fraction":        with(func(c map[string]any) { c["exp"] = float64(w.now().Unix()) + 900.5 }),
		"just expired": with(func(c map[string]any) {
			c["iat"], c["nbf"], c["exp"] = w.now().Unix()-900, w.now().Unix()-900, w.now().Unix()-20
		}),
		"issued by a clock ahead": with(func(c map[string]any) { c["iat"], c["nbf"] = w.now().Unix()+20, w.now().Unix()+20 }),
		"an ext that says what it likes": with(func(c map[string]any) {
			c["ext"] = map[string]any{"client_id": "evil", "aud": "x", "cnf": map[string]any{}}
		}),
	} {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Claims about the key count at the top level only: what a hook puts under ext has
// no effect.
func TestExtShadowsAreNotRead(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	shadow := map[string]any{"client_id": "evil", "sub": "evil", "owner": "evil", "root_id": "evil", "env": "evil", "scp": []string{"admin"}, "aud": []string{"evil"}, "exp": 1, "key_expires_at": "2001-01-01T00:00:00Z"}
	c := w.claims()
	delete(c, "owner")
	c["ext"] = shadow
	w.issue("shadowed", func(c map[string]any) { delete(c, "owner"); c["ext"] = shadow })
	for name, token := range map[string]string{"jwt": w.jwt(c), "opaque": "shadowed"} {
		who, err := v.Verify(t.Context(), token)
		if text := string(must(json.Marshal(who))); err != nil || strings.Contains(text, "evil") || strings.Contains(text, "admin") || who.Owner != "" || !who.KeyExpiresAt.IsZero() {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}

// A remembered token is judged anew: by its end, its key's end, its key's place in
// the issuer's set.
func TestRememberedTokensEnd(t *testing.T) {
	w := newWorld(t)
	opaqueEnds := func(c map[string]any) { c["exp"] = w.now().Unix() + 2 }
	for _, tt := range []struct {
		name  string
		token func() string
		after time.Duration
		want  keyauth.Reason
	}{
		{"jwt past exp and leeway", func() string { c := w.claims(); c["exp"] = w.now().Unix() + 10; return w.jwt(c) }, 41 * time.Second, keyauth.Expired},
		{"jwt past exp within leeway", func() string { c := w.claims(); c["exp"] = w.now().Unix() + 10; return w.jwt(c) }, 35 * time.Second, ""},
		{"key expired", func() string {
			c := w.claims()
			c["key_expires_at"] = w.now().Add(5 * time.Second).UTC().Format(time.RFC3339)
			return w.jwt(c)
		}, 6 * time.Second, keyauth.KeyExpired},
		{"opaque past exp and leeway", func() string { return w.issue("ends", opaqueEnds) }, 33 * time.Second, keyauth.Expired},
	} {
		v := w.verifier(t)
		token := tt.token()
		if got := reasonOf(t, v, token); got != "" {
			t.Fatalf("%s: refused at once: %s", tt.name, got)
		}
		w.advance(tt.after)
		if got := reasonOf(t, v, token); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A key that the issuer takes out of its set verifies nothing any more once the set
// is fetched anew, not even a token seen a moment before.
func TestRemovedKey(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	c := w.claims()
	c["exp"] = w.now().Add(time.Hour).Unix()
	token := w.jwt(c)
	if got := reasonOf(t, v, token); got != "" {
		t.Fatal(got)
	}
	w.setKeys(jose.JSONWebKey{Key: esOther.Public(), KeyID: "es", Algorithm: "ES256", Use: "sig"})
	w.advance(9*time.Minute + 45*time.Second)
	if got := reasonOf(t, v, w.jwt(c)); got != "" && got != keyauth.BadSignature { // fetches in the background
		t.Fatal(got)
	}
	eventually(t, "the set is fetched anew", func() bool { return w.count("/.well-known/jwks.json") == 2 })
	eventually(t, "the token is refused", func() bool { r := reasonOf(t, v, token); return r == keyauth.UnknownKey || r == keyauth.BadSignature })
}

// "Active" is believed for five seconds, "inactive" not at all.
func TestOpaqueIsRememberedBriefly(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	token := "ory_at_brief.one"
	for range 3 {
		if got := reasonOf(t, v, token); got != keyauth.Inactive {
			t.Fatalf("got %q", got)
		}
	}
	if n := w.count("/v1/introspect"); n != 3 {
		t.Errorf("%d introspections of an inactive token, want 3", n)
	}
	w.issue(token, nil)
	for range 3 {
		if got := reasonOf(t, v, token); got != "" {
			t.Fatalf("active at last, and refused: %q", got)
		}
	}
	w.revoke(token)
	w.advance(4 * time.Second)
	if got := reasonOf(t, v, token); got != "" {
		t.Errorf("after 4 seconds: %q", got)
	}
	w.advance(1100 * time.Millisecond)
	if got := reasonOf(t, v, token); got != keyauth.Inactive {
		t.Errorf("after 5 seconds: %q", got)
	}
	if n := w.count("/v1/introspect"); n != 5 {
		t.Errorf("%d introspections, want 5", n)
	}
}

// A token of a format that the API does not accept is refused without a call.
func TestFormatNotAccepted(t *testing.T) {
	w := newWorld(t)
	onlyJWT := w.verifier(t, func(c *keyauth.Config) {
		c.Introspection = keyauth.Introspection{}
		c.StatusList.Off = true
	})
	onlyOpaque := w.verifier(t, func(c *keyauth.Config) { c.Issuer = "" })
	w.issue("opaque", nil)
	if got := reasonOf(t, onlyJWT, "opaque"); got != keyauth.NotAccepted {
		t.Errorf("opaque: %q", got)
	}
	if got := reasonOf(t, onlyOpaque, w.jwt(w.claims())); got != keyauth.NotAccepted {
		t.Errorf("jwt: %q", got)
	}
	if got := reasonOf(t, onlyJWT, w.jwt(w.claims())) + reasonOf(t, onlyOpaque, "opaque"); got != "" {
		t.Errorf("accepted format: %q", got)
	}
	if n := w.count("/v1/introspect"); n != 1 {
		t.Errorf("%d introspections, want 1", n)
	}
}

// Whatever introspection answers, only true is active, and what is no answer is
// 503, never 401.
func TestIntrospectionAnswers(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, func(c *keyauth.Config) { c.CallTimeout = 300 * time.Millisecond })
	good := w.issue("token", nil)
	w.mu.Lock()
	base := w.active[good]
	w.mu.Unlock()
	changed := func(edit func(map[string]any)) http.HandlerFunc {
		c := maps.Clone(base)
		edit(c)
		return says("application/json", string(must(json.Marshal(c))))
	}
	raw := string(must(json.Marshal(base)))
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   keyauth.Reason
	}{
		{"as it should be", nil, ""},
		{"more members", changed(func(c map[string]any) { c["more"] = []int{1} }), ""},
		{"without scope", changed(func(c map[string]any) { delete(c, "scope") }), ""},
		{"charset", says("application/json; charset=UTF-8", raw), ""},
		{"inactive", says("application/json", `{"active":false}`), keyauth.Inactive},
		{"inactive with claims", changed(func(c map[string]any) { c["active"] = false }), keyauth.Inactive},
		{"other audience", changed(func(c map[string]any) { c["aud"] = []string{api + "/"} }), keyauth.BadAudience},
		{"no audience", changed(func(c map[string]any) { c["aud"] = []string{} }), keyauth.BadAudience},
		{"audience absent", changed(func(c map[string]any) { delete(c, "aud") }), keyauth.BadAudience},
		{"other issuer", changed(func(c map[string]any) { c["iss"] = "https://evil.example" }), keyauth.BadIssuer},
		{"a person's token", changed(func(c map[string]any) { c["sub"] = "ana" }), keyauth.NotAKey},
		{"no sub", changed(func(c map[string]any) { delete(c, "sub") }), keyauth.NotAKey},
		{"bound", changed(func(c map[string]any) { c["cnf"] = map[string]any{"jkt": "x"} }), keyauth.Bound},
		{"DPoP", changed(func(c map[string]any) { c["token_type"] = "DPoP" }), keyauth.Bound},
		{"past exp", changed(func(c map[string]any) { c["exp"] = w.now().Unix() - 100 }), keyauth.Expired},
		{"active is a string", changed(func(c map[string]any) { c["active"] = "true" }), keyauth.NoIntrospection},
		{"active is one", changed(func(c map[string]any) { c["active"] = 1 }), keyauth.NoIntrospection},
		{"active is missing", changed(func(c map[string]any) { delete(c, "active") }), keyauth.NoIntrospection},
		{"Active", says("application/json", `{"Active":true}`), keyauth.NoIntrospection},
		{"active twice", says("application/json", `{"active":false,`+raw[1:]), keyauth.NoIntrospection},
		{"no client", changed(func(c map[string]any) { delete(c, "client_id") }), keyauth.NoIntrospection},
		{"client is a list", changed(func(c map[string]any) { c["client_id"] = []string{keyID} }), keyauth.NoIntrospection},
		{"no exp", changed(func(c map[string]any) { delete(c, "exp") }), keyauth.NoIntrospection},
		{"exp is a string", changed(func(c map[string]any) { c["exp"] = "9999999999" }), keyauth.NoIntrospection},
		{"aud is a number", changed(func(c map[string]any) { c["aud"] = 1 }), keyauth.NoIntrospection},
		{"scope is a list", changed(func(c map[string]any) { c["scope"] = []string{"a"} }), keyauth.NoIntrospection},
		{"owner is a number", changed(func(c map[string]any) { c["owner"] = 1 }), keyauth.NoIntrospection},
		{"a page", says("text/html", "<p>It works"), keyauth.NoIntrospection},
		{"JSON called a page", says("text/html", raw), keyauth.NoIntrospection},
		{"no media type", says("", raw), keyauth.NoIntrospection},
		{"nothing", says("application/json", ""), keyauth.NoIntrospection},
		{"null", says("application/json", "null"), keyauth.NoIntrospection},
		{"a list", says("application/json", "[true]"), keyauth.NoIntrospection},
		{"two objects", says("application/json", raw+raw), keyauth.NoIntrospection},
		{"half", says("application/json", raw[:40]), keyauth.NoIntrospection},
		{"deep", says("application/json", strings.Repeat(`{"a":`, 9000)+"1"+strings.Repeat("}", 9000)), keyauth.NoIntrospection},
		{"ten megabytes", says("application/json", `{"active":true,"p":"`+strings.Repeat("x", 10<<20)+`"}`), keyauth.NoIntrospection},
		{"201", status(http.StatusCreated), keyauth.NoIntrospection},
		{"204", status(http.StatusNoContent), keyauth.NoIntrospection},
		{"redirect", func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, keyauth.NoIntrospection},
		{"401", status(http.StatusUnauthorized), keyauth.NoIntrospection},
		{"403", status(http.StatusForbidden), keyauth.NoIntrospection},
		{"404", status(http.StatusNotFound), keyauth.NoIntrospection},
		{"429", status(http.StatusTooManyRequests), keyauth.NoIntrospection},
		{"500", status(http.StatusInternalServerError), keyauth.NoIntrospection},
		{"503", status(http.StatusServiceUnavailable), keyauth.NoIntrospection},
		{"never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, keyauth.NoIntrospection},
		{"byte by byte", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				_, _ = rw.Write([]byte(" "))
				_ = http.NewResponseController(rw).Flush()
				<-time.After(10 * time.Millisecond)
			}
		}, keyauth.NoIntrospection},
		{"cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, keyauth.NoIntrospection},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.breaks("/v1/introspect", tt.answer)
			w.advance(10 * time.Second) // nothing is remembered
			if got := reasonOf(t, v, good); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			w.advance(10 * time.Second)
			want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[tt.want == ""]
			if tt.want == keyauth.NoIntrospection {
				want = http.StatusServiceUnavailable
			}
			if rec := ask(t, v, bearer(good)); rec.Code != want || (want == 503) != (rec.Header().Get("Retry-After") != "") {
				t.Errorf("status %d, want %d; headers %v", rec.Code, want, rec.Header())
			}
		})
	}
	if n := w.count("/elsewhere"); n != 0 {
		t.Error("a redirect was followed")
	}
}

// A remembered answer about an opaque token holds at most until its exp, which
// TokenOS takes from the key if that ends first: then the service is asked.
func TestOpaqueRememberedUntilExp(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	token := w.issue("ory_at_ends.soon", func(c map[string]any) { c["exp"] = w.now().Unix() + 3 })
	for range 2 {
		if got := reasonOf(t, v, token); got != "" {
			t.Fatal(got)
		}
	}
	w.revoke(token) // as TokenOS does by the clock
	w.advance(3 * time.Second)
	if got := reasonOf(t, v, token); got != keyauth.Inactive || w.count("/v1/introspect") != 2 {
		t.Errorf("%q, asked %d times", got, w.count("/v1/introspect"))
	}
}
