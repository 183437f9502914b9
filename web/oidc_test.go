package web_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/web"
	"github.com/tokenos/tokenos/web/oidc"
)

// provider is a Hydra in the other of its parts: an OpenID Connect provider, with a
// client of the dashboard's. It is the test's own, because on SQLite Hydra fails
// where several sign in at once.
type provider struct {
	admin, public, client, secret string
}

func newProvider(t *testing.T, h *hydradev.Server, callback string) provider {
	t.Helper()
	p := provider{h.AdminURL(), h.PublicURL(), "dashboard-" + strings.ToLower(rand.Text()), rand.Text()}
	p.call(t, http.MethodPost, "/admin/clients", map[string]any{"client_id": p.client, "client_secret": p.secret, "grant_types": []string{"authorization_code"},
		"response_types": []string{"code"}, "scope": "openid profile email", "redirect_uris": []string{callback}, "token_endpoint_auth_method": "client_secret_basic"}, nil)
	return p
}

func (p provider) call(t *testing.T, method, path string, body, out any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, p.admin+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		t.Fatalf("%s %s: %d", method, path, res.StatusCode)
	}
	if out != nil {
		if err := json.NewDecoder(res.Body).Decode(out); err != nil {
			t.Fatal(err)
		}
	}
}

// withProvider lets a site sign in at the provider alone.
func withProvider(t *testing.T, p *provider) func(*site, *web.Config) {
	return func(s *site, c *web.Config) {
		*p = newProvider(t, s.Hydra, s.server.URL+web.CallbackPath)
		made, err := oidc.New(oidc.Config{Issuer: p.issuer(t), ClientID: p.client, ClientSecret: p.secret, RedirectURL: s.server.URL + web.CallbackPath, Scopes: []string{"openid", "profile"},
			Claims: oidc.Claims{Role: "realm.roles", Owners: "owners", AllOwners: "*", Roles: []oidc.Role{{Name: "admin", Values: []string{"ops"}}, {Name: "editor", Values: []string{"dev", "lead"}}, {Name: "viewer", Values: []string{"staff"}}}}})
		if err != nil {
			t.Fatal(err)
		}
		c.Links, c.Provider = nil, made
	}
}

// issuer is how the provider names itself.
func (p provider) issuer(t *testing.T) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.public+"/.well-known/openid-configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var found struct{ Issuer string }
	if err := json.NewDecoder(res.Body).Decode(&found); err != nil {
		t.Fatal(err)
	}
	return found.Issuer
}

// pass goes through sign-in and consent at the provider, as subject and with these
// claims, and returns the address that the browser is sent back to.
func (p provider) pass(b *browser, start, subject string, claims map[string]any) string {
	b.t.Helper()
	at := start
	for range 10 {
		u, err := url.Parse(at)
		if err != nil {
			b.t.Fatal(err)
		}
		var to struct {
			RedirectTo string `json:"redirect_to"`
		}
		switch q := u.Query(); {
		case strings.HasPrefix(at, b.site.server.URL):
			if q.Get("error") != "" {
				b.t.Logf("the provider says %s", u.RawQuery)
			}
			return strings.TrimPrefix(at, b.site.server.URL)
		case q.Get("login_challenge") != "":
			p.call(b.t, http.MethodPut, "/admin/oauth2/auth/requests/login/accept?login_challenge="+url.QueryEscape(q.Get("login_challenge")), map[string]any{"subject": subject}, &to)
			at = to.RedirectTo
		case q.Get("consent_challenge") != "":
			p.call(b.t, http.MethodPut, "/admin/oauth2/auth/requests/consent/accept?consent_challenge="+url.QueryEscape(q.Get("consent_challenge")),
				map[string]any{"grant_scope": []string{"openid", "profile"}, "session": map[string]any{"id_token": claims}}, &to)
			at = to.RedirectTo
		default:
			at = b.get(at).header.Get("Location")
		}
	}
	b.t.Fatalf("the provider leads in circles, last to %s", at)
	return ""
}

// begin starts at the sign-in page and returns where the provider is.
func (b *browser) begin(path string) string {
	b.t.Helper()
	got := b.get(path)
	start := b.get(got.header.Get("Location")).Find("main a.primary").AttrOr("href", "")
	return b.get(start).header.Get("Location")
}

// People sign in at the provider and come back to the page they wanted, with the
// role and the owners that its claims give.
func TestSignInAtProvider(t *testing.T) {
	t.Parallel()
	var p provider
	s := newSite(t, apikeytest.Options{Idle: true, Hydra: hydratest.New(t, hydradev.Config{})}, withProvider(t, &p))
	p.call(t, http.MethodDelete, "/admin/keys/hydra.openid.id-token", nil, nil) // it signs with RSA then, as most providers do
	for name, test := range map[string]struct {
		claims map[string]any
		says   string
		may    bool
	}{
		"viewer":           {map[string]any{"name": "Vi", "realm": map[string]any{"roles": []string{"staff"}}, "owners": []string{"acme", "globex"}}, "Vi viewer Sees keys of acme, globex", false},
		"editor":           {map[string]any{"preferred_username": "ed", "realm": map[string]any{"roles": []string{"staff", "lead"}}, "owners": "acme"}, "ed editor Sees keys of acme", true},
		"admin":            {map[string]any{"realm": map[string]any{"roles": "ops"}, "owners": []string{"*", "acme"}}, "sub-admin admin", true},
		"name with tricks": {map[string]any{"name": "a\u202eb", "email": "x@acme.test", "realm": map[string]any{"roles": "ops"}, "owners": "*"}, "x@acme.test admin", true},
	} {
		b := s.browser(t)
		back := p.pass(b, b.begin("/keys?status=active"), "sub-"+name, test.claims)
		wantTo(t, name, b.get(back), "/keys?status=active")
		got := b.get("/keys")
		if says := got.text(".menu-body"); !strings.Contains(says, test.says) || got.Find(`a[href="/keys/new"]`).Length() > 0 != test.may {
			t.Errorf("%s: the menu says %q, want %q", name, says, test.says)
		}
		wantStatus(t, name+", the answer again", b.get(back), http.StatusForbidden)
	}
}

// Whoever the provider's claims do not let in is told why, and has no session.
func TestNotLetIn(t *testing.T) {
	t.Parallel()
	var p provider
	s := newSite(t, apikeytest.Options{Idle: true, Hydra: hydratest.New(t, hydradev.Config{})}, withProvider(t, &p))
	p.call(t, http.MethodDelete, "/admin/keys/hydra.openid.id-token", nil, nil) // it signs with RSA then, as most providers do
	for name, test := range map[string]struct {
		claims map[string]any
		says   string
	}{
		"no role":        {map[string]any{"owners": "acme"}, "have no role here"},
		"another role":   {map[string]any{"realm": map[string]any{"roles": []string{"admin", "editor"}}, "owners": "acme"}, "have no role here"},
		"role elsewhere": {map[string]any{"roles": "ops", "owners": "acme"}, "have no role here"},
		"no owners":      {map[string]any{"realm": map[string]any{"roles": "ops"}}, "names no owner"},
		"empty owners":   {map[string]any{"realm": map[string]any{"roles": "ops"}, "owners": []string{""}}, "names no owner"},
		"odd owners":     {map[string]any{"realm": map[string]any{"roles": "ops"}, "owners": map[string]any{"a": 1}}, "names no owner"},
	} {
		b := s.browser(t)
		got := b.get(p.pass(b, b.begin("/keys"), "sub", test.claims))
		wantStatus(t, name, got, http.StatusForbidden)
		if !strings.Contains(got.text("main"), test.says) || b.cookie(sessionCookie) != "" {
			t.Errorf("%s: %s, session %q", name, got.text("main"), b.cookie(sessionCookie))
		}
		wantClean(t, name, got)
	}
}

// An answer counts only in the browser that asked, once, and as it was given.
func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	var p provider
	s := newSite(t, apikeytest.Options{Idle: true, Hydra: hydratest.New(t, hydradev.Config{})}, withProvider(t, &p))
	claims := map[string]any{"realm": map[string]any{"roles": "ops"}, "owners": "*"}
	for name, change := range map[string]func(url.Values){
		"another state": func(q url.Values) { q.Set("state", "x"+q.Get("state")) },
		"no state":      func(q url.Values) { q.Del("state") },
		"two states":    func(q url.Values) { q.Add("state", "x") },
		"another code":  func(q url.Values) { q.Set("code", q.Get("code")+"x") },
		"no code":       func(q url.Values) { q.Del("code") },
		"an error":      func(q url.Values) { q.Set("error", "<script>") },
	} {
		b := s.browser(t)
		back := p.pass(b, b.begin("/keys"), "sub", claims)
		path, query, _ := strings.Cut(back, "?")
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		change(q)
		got := b.get(path + "?" + q.Encode())
		wantStatus(t, name, got, http.StatusForbidden)
		if b.cookie(sessionCookie) != "" || strings.Contains(got.body, "<script>") {
			t.Errorf("%s: session %q, %s", name, b.cookie(sessionCookie), got.text("main"))
		}
		wantStatus(t, name+", then as it was", b.get(back), http.StatusForbidden)
	}
	mine := s.browser(t)
	mine.begin("/keys")
	theirs := s.browser(t)
	back := p.pass(theirs, theirs.begin("/keys"), "mallory", claims)
	wantStatus(t, "somebody else's answer", mine.get(back), http.StatusForbidden)
	if strings.Contains(s.log.String(), "code=") {
		t.Error("the log has an answer's code")
	}
}

// While the provider is away the page says so, and the next try asks anew.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, func(_ *site, c *web.Config) {
		made, err := oidc.New(oidc.Config{Issuer: "http://127.0.0.1:1/", ClientID: "x", RedirectURL: "https://keys.test/", Claims: oidc.Claims{Role: "roles"}})
		if err != nil {
			t.Fatal(err)
		}
		c.Provider = made
	})
	got := s.browser(t).get("/sign-in/start")
	wantStatus(t, "without the provider", got, http.StatusServiceUnavailable)
	if got.header.Get("Retry-After") == "" || !strings.Contains(got.text("main"), "provider that signs people in") {
		t.Errorf("got %v, %s", got.header, got.text("main"))
	}
}
