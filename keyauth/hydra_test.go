//go:build unix

package keyauth_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
	"github.com/tokenos/tokenos/keyauth"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(onPostgres{m})) }

// onPostgres is the package's tests with a shared Postgres around them.
type onPostgres struct{ m *testing.M }

func (o onPostgres) Run() int { return pgtest.Main(o.m) }

// hydraKey registers a key at Hydra as TokenOS does and buys tokens with it.
type hydraKey struct {
	server     *hydradev.Server
	id, secret string
}

func newHydraKey(t testing.TB, s *hydradev.Server, strategy string) hydraKey {
	t.Helper()
	k := hydraKey{s, "key_live_" + strings.ToLower(rand.Text()), "tos_" + rand.Text()}
	hydratest.Register(t, s.AdminURL(), map[string]any{"client_id": k.id, "client_secret": k.secret, "scope": "orders:read orders:write", "audience": []string{api, "https://other.example"},
		"grant_types": []string{"client_credentials"}, "response_types": []string{}, "token_endpoint_auth_method": "client_secret_basic", "access_token_strategy": strategy})
	return k
}

func (k hydraKey) buy(t testing.TB, audience string, scopes ...string) string {
	t.Helper()
	p := hydratest.Purchase{TokenURL: k.server.TokenURL(), ID: k.id, Secret: k.secret, Scopes: scopes}
	if audience != "" {
		p.Audiences = []string{audience}
	}
	return hydratest.MustBuy(t, p)
}

// hydraVerifier is the verifier of an API that looks opaque tokens up at Hydra
// itself.
func hydraVerifier(t testing.TB, s *hydradev.Server, edits ...func(*keyauth.Config)) *keyauth.Verifier {
	t.Helper()
	c := keyauth.Config{Audiences: []string{api}, Issuer: s.PublicURL(), InsecureHydraAdmin: s.AdminURL(), InsecureLoopback: true, StatusList: keyauth.StatusList{Off: true}}
	for _, edit := range edits {
		edit(&c)
	}
	v, err := keyauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// Tokens that Hydra issues are accepted in both formats, with their scopes, and
// refused without our audience.
func TestHydraTokens(t *testing.T) {
	s := hydratest.Shared(t)
	v := hydraVerifier(t, s)
	for _, strategy := range []string{"jwt", "opaque"} {
		k := newHydraKey(t, s, strategy)
		token := k.buy(t, api, "orders:read")
		who, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatalf("%s: %v", strategy, err)
		}
		want := keyauth.Identity{KeyID: k.id, Scopes: []string{"orders:read"}, Audience: []string{api}}
		if diff := cmp.Diff(want, who, cmpopts.IgnoreFields(keyauth.Identity{}, "ExpiresAt")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", strategy, diff)
		}
		if d := time.Until(who.ExpiresAt); d < 50*time.Minute || d > time.Hour {
			t.Errorf("%s: ends in %s", strategy, d)
		}
		if rec := ask(t, v, bearer(token), "orders:write"); rec.Code != http.StatusForbidden {
			t.Errorf("%s: without the scope: %d", strategy, rec.Code)
		}
		if got := reasonOf(t, v, k.buy(t, api)); got != "" {
			t.Errorf("%s: without scopes: %q", strategy, got)
		}
		for name, other := range map[string]string{"other audience": "https://other.example", "no audience": "", "a path below": api + "/orders"} {
			if got := reasonOf(t, v, k.buy(t, other, "orders:read")); got != keyauth.BadAudience {
				t.Errorf("%s: %s: %q", strategy, name, got)
			}
		}
	}
	if got := reasonOf(t, v, "ory_at_"+rand.Text()); got != keyauth.Inactive {
		t.Errorf("made up: %q", got)
	}
}

// A token that Hydra has ended is refused: an opaque one once it is no longer
// remembered.
func TestHydraRevokes(t *testing.T) {
	s := hydratest.Shared(t)
	v := hydraVerifier(t, s, func(c *keyauth.Config) { c.Introspection.Fresh = 100 * time.Millisecond })
	k := newHydraKey(t, s, "opaque")
	token := k.buy(t, api)
	if got := reasonOf(t, v, token); got != "" {
		t.Fatal(got)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.AdminURL()+"/admin/oauth2/tokens?client_id="+k.id, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	eventually(t, "it is inactive", func() bool { return reasonOf(t, v, token) == keyauth.Inactive })
}

// What our token hook adds arrives: at the top level of a JWT, under ext in Hydra's
// introspection. Names that a hook must not take are not read.
func TestHydraHook(t *testing.T) {
	claims := map[string]any{"root_id": "key_live_root", "owner": "acme", "env": "test", "key_expires_at": "2099-01-02T03:04:05Z",
		"client_id": "evil", "sub": "evil", "scp": []string{"admin"}, "aud": []string{"evil"}, "status": map[string]any{"status_list": map[string]any{"idx": 7, "uri": "https://keys.example.com/status/0"}}}
	hook := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		says("application/json", string(must(json.Marshal(map[string]any{"session": map[string]any{"access_token": claims}}))))(w, nil)
	})
	server := newWorld(t) // also publishes the status list
	server.breaks("/hook", hook)
	claims["status"] = place(999_999, server.URL+"/status/0")
	server.length = 1_000_000
	s := hydratest.New(t, hydradev.Config{TokenHook: &hydradev.TokenHook{URL: server.URL + "/hook"}})
	v := hydraVerifier(t, s, func(c *keyauth.Config) {
		c.StatusList = keyauth.StatusList{URL: server.URL + "/status/", Interval: 20 * time.Millisecond}
	})
	var tokens []string
	for _, strategy := range []string{"jwt", "opaque"} {
		k := newHydraKey(t, s, strategy)
		token := k.buy(t, api, "orders:read")
		tokens = append(tokens, token)
		who, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatalf("%s: %v", strategy, err)
		}
		want := keyauth.Identity{KeyID: k.id, RootID: "key_live_root", Owner: "acme", Env: "test", Scopes: []string{"orders:read"}, Audience: []string{api}, KeyExpiresAt: time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)}
		if diff := cmp.Diff(want, who, cmpopts.IgnoreFields(keyauth.Identity{}, "ExpiresAt")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", strategy, diff)
		}
	}
	server.setStatus(999_999, 2)
	for _, token := range tokens {
		eventually(t, "a disabled key's token is refused", func() bool { return reasonOf(t, v, token) == keyauth.KeyDisabled })
	}
}

// Hydra's ID tokens, signed by keys of the same set, open nothing, not even for an
// API whose name is the client's id.
func TestHydraIDToken(t *testing.T) {
	s := hydratest.New(t, hydradev.Config{Settings: map[string]any{"urls.login": "http://127.0.0.1:1/login", "urls.consent": "http://127.0.0.1:1/consent"}})
	id, access := signIn(t, s)
	v := hydraVerifier(t, s, func(c *keyauth.Config) { c.Audiences = []string{"web", api} })
	for name, token := range map[string]string{"ID token": id, "a person's access token": access} {
		if rec := ask(t, v, bearer(token)); rec.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, rec.Code)
		}
	}
	if got := reasonOf(t, v, id); got != keyauth.BadClaims {
		t.Errorf("ID token: %q", got)
	}
	if got := reasonOf(t, v, access); got != keyauth.NotAKey {
		t.Errorf("a person's access token: %q", got)
	}
	// Attacks that need a real signature of Hydra's.
	k := newHydraKey(t, s, "jwt")
	good := k.buy(t, api, "orders:read")
	if got := reasonOf(t, v, good); got != "" {
		t.Fatal(got)
	}
	for _, f := range mangled(good, k.buy(t, api, "orders:write")) {
		if rec := ask(t, v, "Bearer "+f.token); rec.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", f.name, rec.Code)
		}
	}
}

// signIn goes through Hydra's authorization code flow as the login and consent app
// would, and returns an ID token and a person's access token for our audience.
func signIn(t *testing.T, s *hydradev.Server) (id, access string) {
	t.Helper()
	const redirect = "http://127.0.0.1:1/callback"
	hydratest.Register(t, s.AdminURL(), map[string]any{"client_id": "web", "client_secret": "secret-of-web", "scope": "openid", "audience": []string{api}, "grant_types": []string{"authorization_code"},
		"response_types": []string{"code"}, "redirect_uris": []string{redirect}, "token_endpoint_auth_method": "client_secret_post", "access_token_strategy": "jwt"})
	jar := must(cookiejar.New(nil))
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	follow := func(address string) *url.URL {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil))
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		to, err := resp.Location()
		if err != nil {
			t.Fatalf("%s: %d %v", address, resp.StatusCode, err)
		}
		return to
	}
	accept := func(kind, challenge string, body map[string]any) string {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodPut, s.AdminURL()+"/admin/oauth2/auth/requests/"+kind+"/accept?"+kind+"_challenge="+url.QueryEscape(challenge), strings.NewReader(string(must(json.Marshal(body))))))
		r.Header.Set("Content-Type", "application/json")
		var said map[string]string
		do(t, r, &said)
		return said["redirect_to"]
	}
	login := follow(s.PublicURL() + "/oauth2/auth?" + url.Values{"client_id": {"web"}, "response_type": {"code"}, "scope": {"openid"}, "audience": {api}, "redirect_uri": {redirect}, "state": {rand.Text()}, "nonce": {rand.Text()}}.Encode())
	consent := follow(accept("login", login.Query().Get("login_challenge"), map[string]any{"subject": "ana"}))
	back := follow(accept("consent", consent.Query().Get("consent_challenge"), map[string]any{"grant_scope": []string{"openid"}, "grant_access_token_audience": []string{api}}))
	form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {redirect}, "client_id": {"web"}, "client_secret": {"secret-of-web"}}
	r := must(http.NewRequestWithContext(t.Context(), http.MethodPost, s.TokenURL(), strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var tokens struct {
		ID     string `json:"id_token"`
		Access string `json:"access_token"`
	}
	do(t, r, &tokens)
	if tokens.ID == "" || tokens.Access == "" {
		t.Fatal("Hydra gave no tokens")
	}
	return tokens.ID, tokens.Access
}

func do(t *testing.T, r *http.Request, into any) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", r.URL.Path, resp.StatusCode, err)
	}
}

// While Hydra's database is away no good token is called bad: an opaque one gets
// 503, a JWT goes on working, one by an unknown key gets 503. Afterwards all works
// again.
func TestOutage(t *testing.T) {
	database := pgtest.New(t, pgtest.Config{})
	s := hydratest.New(t, hydradev.Config{DSN: database.URL(t) + "&max_conns=50"})
	now := &world{}
	v := hydraVerifier(t, s, func(c *keyauth.Config) { c.Now = now.now; c.Introspection.Fresh = -1 })
	fresh := hydraVerifier(t, s, func(c *keyauth.Config) { c.Introspection.Fresh = -1 }) // knows no keys yet
	opaque, jwt := newHydraKey(t, s, "opaque").buy(t, api), newHydraKey(t, s, "jwt").buy(t, api)
	for _, token := range []string{opaque, jwt} {
		if got := reasonOf(t, v, token); got != "" {
			t.Fatal(got)
		}
	}
	if err := database.Stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Hydra calls a good token inactive", func() bool { return !hydratest.Introspect(t, s.AdminURL(), opaque) })
	now.advance(20 * time.Second)
	for range 20 {
		for name, rec := range map[string]int{
			"opaque": ask(t, v, bearer(opaque)).Code, "made up": ask(t, v, "Bearer ory_at_made.up").Code, "jwt, no keys yet": ask(t, fresh, bearer(jwt)).Code,
			"jwt, unknown key": ask(t, v, bearer(unknownKey(t, jwt))).Code,
		} {
			if rec != http.StatusServiceUnavailable {
				t.Errorf("%s: %d in an outage, want 503", name, rec)
			}
		}
		if rec := ask(t, v, bearer(jwt)); rec.Code != http.StatusOK {
			t.Errorf("jwt: %d in an outage, want 200", rec.Code)
		}
	}
	if err := database.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all works again", func() bool {
		return reasonOf(t, v, opaque) == "" && reasonOf(t, fresh, jwt) == "" && reasonOf(t, v, "ory_at_made.up") == keyauth.Inactive
	})
}

// unknownKey is the token with another kid.
func unknownKey(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	var h map[string]string
	if err := json.Unmarshal([]byte(must(decoded(parts[0]))), &h); err != nil {
		t.Fatal(err)
	}
	h["kid"] = "unknown"
	return b64(string(must(json.Marshal(h)))) + "." + parts[1] + "." + parts[2]
}
