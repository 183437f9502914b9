package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/web"
)

const day = 24 * time.Hour

// withCode gives the service what the code in pages needs, and its rules.
func withCode(p apikey.Policies) func(*apikey.Config) {
	return func(c *apikey.Config) { c.TokenURL, c.Policies = "https://hydra.test/oauth2/token", p }
}

// checked are the values of the boxes and buttons of one name that are on.
func (a answer) checked(name string) (out []string) {
	a.Find(`input[name="` + name + `"][checked]`).Each(func(_ int, e *goquery.Selection) { out = append(out, e.AttrOr("value", "")) })
	return out
}

// values are those of all boxes and buttons of one name.
func (a answer) values(name string) (out []string) {
	a.Find(`input[name="` + name + `"]`).Each(func(_ int, e *goquery.Selection) { out = append(out, e.AttrOr("value", "")) })
	return out
}

// sendable is the form of a page as a browser would send it.
func (a answer) sendable(form string) url.Values {
	out := url.Values{}
	f := a.Find(form)
	f.Find("input[name]").Each(func(_ int, e *goquery.Selection) {
		_, on := e.Attr("checked")
		if kind := e.AttrOr("type", "text"); on || kind != "radio" && kind != "checkbox" {
			out.Add(e.AttrOr("name", ""), e.AttrOr("value", ""))
		}
	})
	f.Find("textarea[name]").Each(func(_ int, e *goquery.Selection) { out.Add(e.AttrOr("name", ""), e.Text()) })
	f.Find("select[name]").Each(func(_ int, e *goquery.Selection) {
		out.Add(e.AttrOr("name", ""), e.Find("option[selected]").AttrOr("value", ""))
	})
	return out
}

// Who may write gets the form, with an owner that fits who they are; who may not is
// told which right is missing.
func TestNewKeyForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: withCode(apikey.Policies{})}, nil)
	for _, path := range []string{"/keys/new", "/keys/x/rotate"} {
		got := s.as(t, web.RoleViewer).get(path)
		wantStatus(t, path, got, http.StatusForbidden)
		if !strings.Contains(got.text("main"), "keys:write") {
			t.Errorf("%s says %s", path, got.text("main"))
		}
	}
	got := s.as(t, web.RoleEditor).get("/keys/new")
	wantClean(t, "the form", got)
	if got.Find(`input#owner[type="text"]`).Length() != 1 || got.Find("#code pre").Length() != 4 || !strings.Contains(got.text("#code"), "YOUR_KEY_ID") {
		t.Errorf("the form is %s", got.text("main"))
	}
	if c := got.checked("auth_method"); !slices.Equal(c, []string{"client_secret_basic"}) || !slices.Equal(got.checked("expires"), []string{"90d"}) || got.Find("#lifetime option[selected]").AttrOr("value", "") != "15m" {
		t.Errorf("it begins with %q, %q", c, got.checked("expires"))
	}
	if got := s.as(t, web.RoleEditor, "acme").get("/keys/new"); got.Find("[name=owner]").Length() != 0 || got.text("#owner dd") != "acme" {
		t.Errorf("bound to one owner: %s", got.text("#owner"))
	}
	if got := s.as(t, web.RoleAdmin, "acme", "globex").get("/keys/new"); got.text("select#owner option") != "Choose acme globex" {
		t.Errorf("bound to two owners: %s", got.text("#owner"))
	}
}

func ruledPolicies() apikey.Policies {
	return apikey.Policies{
		Scopes: []apikey.ScopeInfo{{Name: "orders:read", Title: "Read orders", Description: "All of them."}, {Name: "orders:write"}},
		Live:   apikey.Policy{MaxLifetime: new(apikey.Duration(60 * day)), DefaultLifetime: new(apikey.Duration(14 * day)), Audiences: []string{}},
		Test:   apikey.Policy{AuthMethods: []apikey.AuthMethod{apikey.PrivateKeyJWT, apikey.ClientSecretPost}, Audiences: []string{"https://test.example.com"}},
		Owners: map[string]apikey.OwnerPolicy{"globex": {Live: apikey.Policy{Scopes: []string{"orders:read"}, MaxLifetime: new(apikey.Duration(7 * day)),
			Token: apikey.TokenPolicy{MaxLifetime: new(apikey.Duration(10 * time.Minute)), Formats: []apikey.TokenFormat{apikey.JWT}}}}},
	}
}

// The form offers what the rules allow and begins with what they choose; a script
// gets other fields only where other rules hold.
func TestNewKeyRules(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: withCode(ruledPolicies())}, nil)
	b := s.as(t, web.RoleEditor)
	got := b.get("/keys/new")
	if v := got.values("expires"); !slices.Equal(v, []string{"14d", "30d", "60d", "date"}) || !slices.Equal(got.checked("expires"), []string{"14d"}) {
		t.Errorf("expiry %q, %q chosen", v, got.checked("expires"))
	}
	if got.text("#scopes") != "Scopes A program should have no more than it needs. Read orders orders:read All of them. orders:write" || got.Find("[name=audiences]").Length() != 0 {
		t.Errorf("scopes are %s", got.text("#scopes"))
	}
	form := got.sendable("#new-key")
	form.Set("owner", "acme")
	if got := b.post("/keys/new/code", form, htmx("div#rules")...); got.status != http.StatusNoContent {
		t.Errorf("the same rules: status %d", got.status)
	}
	form.Set("owner", "globex")
	got = b.post("/keys/new/code", form, htmx("div#rules")...)
	if !slices.Equal(got.values("scopes"), []string{"orders:read"}) || !slices.Equal(got.values("expires"), []string{"7d", "date"}) || !slices.Equal(got.checked("expires"), []string{"7d"}) ||
		got.text("#lifetime") != "5 minutes 10 minutes" || !slices.Equal(got.values("format"), []string{"jwt"}) || got.Find("h1").Length() != 0 {
		t.Errorf("another owner's: %s", got.text("#rules"))
	}
	form.Set("environment", "test")
	got = b.post("/keys/new/code", form, htmx("div#rules")...)
	if !slices.Equal(got.values("auth_method"), []string{"client_secret_post", "private_key_jwt"}) || !slices.Equal(got.values("audiences"), []string{"https://test.example.com"}) || !slices.Contains(got.values("expires"), "never") {
		t.Errorf("another environment's: %s", got.text("#rules"))
	}
	for _, owner := range []string{"no such", strings.Repeat("x", 200), "\x00"} {
		form.Set("owner", owner)
		wantStatus(t, "an odd owner", s.as(t, web.RoleEditor, "acme", "globex").post("/keys/new/code", form), http.StatusOK)
	}
}

// The code follows the form.
func TestNewKeyCode(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: withCode(apikey.Policies{})}, nil)
	b := s.as(t, web.RoleEditor)
	got := b.post("/keys/new/code", url.Values{"scopes": {"a:b c:d"}, "audiences": {"https://x.example.com"}, "auth_method": {"client_secret_post"}}, htmx("aside#code")...)
	if text := got.text("#code"); !strings.Contains(text, "a:b c:d") || !strings.Contains(text, "https://x.example.com") || !strings.Contains(text, "client_secret@-") || got.Find("h1").Length() != 0 {
		t.Errorf("the code is %s", text)
	}
	if got := b.post("/keys/new/code", url.Values{"scopes": {`a"b`}}, htmx("aside#code")...); got.Find("pre").Length() != 0 || !strings.Contains(got.text("#code"), "comes back") {
		t.Errorf("of what cannot be read: %s", got.text("#code"))
	}
	_, jwk := pair(t)
	got = b.post("/keys/new/code", url.Values{"scopes": {"a"}, "auth_method": {"private_key_jwt"}, "public_key": {jwk}}, htmx("aside#code")...)
	if text := got.text("#code"); strings.Contains(text, "YOUR_KEY_PAIR") || !strings.Contains(text, "TOKENOS_PRIVATE_KEY_FILE") {
		t.Errorf("with a key pair: %s", text)
	}
	if got := b.post("/keys/new/code", url.Values{"name": {"kept"}}); got.Find("h1").Text() != "New key" || got.Find("#name").AttrOr("value", "") != "kept" {
		t.Errorf("without a script: %s", got.text("main"))
	}
}

// pair is a new key pair, and its public half as a JWK.
func pair(t *testing.T) (private *ecdsa.PrivateKey, jwk string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(jose.JSONWebKey{Key: private.Public()})
	if err != nil {
		t.Fatal(err)
	}
	return private, string(raw)
}

// A new key's secret stands in the answer to its form alone, and is not repeated
// there once it was shown.
func TestRevealOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: withCode(apikey.Policies{})}, nil)
	b := s.as(t, web.RoleEditor, "acme")
	form := b.get("/keys/new").sendable("#new-key")
	form.Set("name", `worker "1"`)
	form.Set("scopes", "orders:read\r\norders:write")
	form.Set("audiences", "https://api.example.com")
	form.Set("labels", "team=billing\r\n\r\nstage = a=b")
	form.Set("description", "two\r\nlines")
	got := b.post("/keys/new", form)
	wantStatus(t, "create", got, http.StatusOK)
	wantClean(t, "reveal", got)
	secret, id := got.text("[data-part=secret]"), got.text("[data-part=id]")
	if !apikey.ValidSecret(secret) || strings.Count(got.body, secret) != 1 || got.header.Get("Cache-Control") != "no-store" || !strings.Contains(got.text("code-tabs"), id) {
		t.Fatalf("got %v %s", got.header, got.text("main"))
	}
	hydratest.MustBuy(t, hydratest.Purchase{TokenURL: s.Hydra.TokenURL(), ID: id, Secret: secret, Scopes: []string{"orders:write"}})
	k, err := s.Service.Get(apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.Admin})), id)
	if err != nil || k.Owner != "acme" || k.CreatedBy != "user:ana-editor" || k.Description != "two\nlines" || len(k.Labels) != 2 || k.Labels["stage"] != "a=b" ||
		k.ExpiresAt == nil || k.ExpiresAt.Sub(k.CreatedAt) > 90*day || k.ExpiresAt.Sub(k.CreatedAt) < 90*day-time.Minute {
		t.Errorf("made %+v, %v", k, err)
	}
	if again := b.post("/keys/new", form); again.text("[data-part=secret]") != secret {
		t.Error("a button that was pressed twice makes two keys, or shows none")
	}
	s.Clock.Advance(time.Minute)
	again := b.post("/keys/new", form)
	if strings.Contains(again.body, secret) || again.Find("h1").Text() != "Shown once" || again.Find(`a[href="/keys/`+id+`/rotate"]`).Length() != 1 {
		t.Errorf("a reload a minute later shows %s", again.text("main"))
	}
	for _, path := range []string{"/keys", "/keys/new", "/keys/" + id + "/first-token", "/keys/" + id + "/rotate"} {
		if got := b.get(path); got.status != http.StatusOK || strings.Contains(got.body, secret) {
			t.Errorf("%s: %d, with the secret in it: %v", path, got.status, strings.Contains(got.body, secret))
		}
	}
	if strings.Contains(s.log.String(), secret) {
		t.Error("the secret is in the log")
	}
}

// A key with a public key has no secret, and its page waits for the first token.
func TestCreateWithPublicKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: withCode(apikey.Policies{})}, nil)
	b := s.as(t, web.RoleEditor, "acme")
	private, jwk := pair(t)
	form := b.get("/keys/new").sendable("#new-key")
	form.Set("name", "signs")
	form.Set("scopes", "orders:read")
	form.Set("auth_method", "private_key_jwt")
	got := b.post("/keys/new", form)
	wantStatus(t, "without a public key", got, http.StatusUnprocessableEntity)
	if got.Find("#public_key-error").Length() != 1 {
		t.Errorf("got %s", got.text(".alert"))
	}
	form.Set("public_key", jwk)
	got = b.post("/keys/new", form)
	id := strings.Split(got.header.Get("Location")+"///", "/")[2]
	wantTo(t, "create", got, "/keys/"+id+"/first-token")
	kid := b.get("/keys/" + id + "/first-token").text("code-tabs")
	if !strings.Contains(kid, id) || !strings.Contains(kid, "ES256") {
		t.Errorf("the code is %s", kid)
	}
	hydratest.MustBuy(t, hydratest.Purchase{TokenURL: s.Hydra.TokenURL(), Method: string(apikey.PrivateKeyJWT), ID: id, Key: private, Scopes: []string{"orders:read"}})
	form.Set("name", "changed since")
	got = b.post("/keys/new", form)
	wantStatus(t, "changed after it was sent", got, http.StatusConflict)
	if once := got.Find("[name=once]").AttrOr("value", ""); once == form.Get("once") || once == "" || got.Find("#name").AttrOr("value", "") != "changed since" {
		t.Errorf("got %s", got.text("main"))
	}
	form.Set("once", "another-form-of-this-person")
	got = b.post("/keys/new", form)
	wantStatus(t, "the same public key again", got, http.StatusUnprocessableEntity)
	if !strings.Contains(got.text("#public_key-error"), "Another key has this public key") {
		t.Errorf("got %s", got.text(".alert"))
	}
}

// All that is wrong is told at once, above and at each field; nothing else that was
// typed is lost, and a private key is not repeated.
func TestCreateErrors(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: withCode(ruledPolicies())}, nil)
	b := s.as(t, web.RoleEditor)
	private, _ := pair(t)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	form := url.Values{"name": {" "}, "owner": {""}, "scopes": {"no:such"}, "audiences": {"https://api.example.com"}, "labels": {"=x"}, "expires": {"date"}, "expires_on": {"soon"},
		"lifetime": {"long"}, "format": {"opaque"}, "auth_method": {"private_key_jwt"}, "public_key": {secret}, "description": {"kept"}, "once": {"0123456789abcdef"}}
	got := b.post("/keys/new", form)
	wantStatus(t, "much that is wrong", got, http.StatusUnprocessableEntity)
	wantClean(t, "much that is wrong", got)
	for _, id := range []string{"name", "owner", "scopes", "expires", "lifetime", "labels", "public_key"} {
		if got.Find(`.alert a[href="#`+id+`"]`).Length() == 0 || got.Find("#"+id).Length() != 1 || got.Find("#"+id).Closest(".field").Find(".error").Length() != 1 {
			t.Errorf("%s is not told: %s", id, got.text(".alert"))
		}
	}
	if strings.Contains(got.body, strings.Split(secret, "\n")[1]) || got.Find("#description").Text() != "kept" || got.Find("[name=once]").AttrOr("value", "") != "0123456789abcdef" {
		t.Error("the private key is repeated, or what was typed is lost")
	}
	got = s.as(t, web.RoleEditor, "acme", "globex").post("/keys/new", url.Values{"name": {"x"}, "owner": {"initech"}, "scopes": {"orders:read"}})
	wantStatus(t, "an owner that is not theirs", got, http.StatusForbidden)
	wantStatus(t, "a viewer's form", s.as(t, web.RoleViewer).post("/keys/new", form), http.StatusForbidden)
}

// While Hydra is away the form stays as it was typed, and acts once when it is sent
// again.
func TestCreateWithoutHydra(t *testing.T) {
	t.Parallel()
	own := hydratest.New(t, hydradev.Config{})
	proxy := hydratest.NewProxy(t, own.AdminURL())
	s := newSite(t, apikeytest.Options{Hydra: own, AdminURL: proxy.URL(), HydraWith: func(c *hydra.Config) { c.Retries = -1 }, Config: withCode(apikey.Policies{})}, nil)
	b := s.as(t, web.RoleEditor, "acme")
	form := b.get("/keys/new").sendable("#new-key")
	form.Set("name", "typed once")
	form.Set("scopes", "orders:read")
	proxy.Refuse()
	got := b.post("/keys/new", form)
	wantStatus(t, "without Hydra", got, http.StatusServiceUnavailable)
	if got.Find("#name").AttrOr("value", "") != "typed once" || got.Find("[name=once]").AttrOr("value", "") != form.Get("once") || !strings.Contains(got.text(".alert.bad"), "Nothing you typed is lost") {
		t.Errorf("got %s", got.text("main"))
	}
}

// Public keys are read in the forms that tools write.
func TestPasted(t *testing.T) {
	t.Parallel()
	private, jwk := pair(t)
	spki, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	block := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	for text, want := range map[string]int{"": 0, jwk: 1, " " + jwk + "\n": 1, `{"keys":[` + jwk + `,` + jwk + `]}`: 2, block: 1, block + "\n" + block: 2, strings.ReplaceAll(block, "\n", "\r\n"): 1} {
		keys, err := web.Pasted(text)
		if err != nil || len(keys) != want {
			t.Errorf("%q: %d keys, %v", text, len(keys), err)
		}
		for _, k := range keys {
			if _, fault := apikey.ParsePublicKey(k.JWK, ""); fault != nil {
				t.Errorf("%q: %v", text, fault)
			}
		}
	}
	many := `{"keys":[` + strings.Repeat(jwk+",", 10) + jwk + `]}`
	for _, text := range []string{"x", "null", "[]", `{"keys":[]}`, `{"keys":{}}`, `"text"`, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "-----BEGIN", many, strings.Repeat(block, 12),
		`{"kty":"EC","d":"secret"}`, `{"keys":[{"kty":"oct","k":"secret"}]}`, "-----BEGIN RSA PRIVATE KEY-----"} {
		if keys, err := web.Pasted(text); err == nil || len(keys) > 0 || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.60q: %d keys, %v", text, len(keys), err)
		}
	}
}
