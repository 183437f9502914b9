package web_test

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/web"
)

// use adds to the ledger what a key was used for.
func (s *site) use(t *testing.T, u apikey.KeyUsage) {
	t.Helper()
	if err := s.Ledger.AddUsage(t.Context(), apikey.UsageBatch{Writer: rand.Text(), Number: 1, At: s.Clock.Now(), Keys: []apikey.KeyUsage{u}}); err != nil {
		t.Fatal(err)
	}
}

// The page waits for a token as long as there is none, not for ever, and then tells
// what came: a token, one without scopes, or a refusal and why.
func TestFirstToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: withCode(apikey.Policies{})}, nil)
	k := s.key(t, apikey.CreateParams{Name: "new", Audiences: []string{"https://api.example.com"}}, func(d *apikey.Definition) { d.Audiences = nil })
	path := "/keys/" + k.ID + "/first-token"
	b := s.as(t, web.RoleViewer)
	got := b.get(path)
	wantClean(t, "waiting", got)
	if p := got.Find("#first-token"); p.AttrOr("hx-get", "") != path+"?look=1" || p.AttrOr("hx-trigger", "") != "load delay:2s" || !strings.Contains(got.text("#first-token"), "aud is empty") {
		t.Errorf("got %s", got.text("#first-token"))
	}
	part := b.get(path+"?look=40", htmx("div#first-token")...)
	if p := part.Find("#first-token"); p.AttrOr("hx-get", "") != path+"?look=41" || part.Find("h1").Length() != 0 || p.AttrOr("hx-trigger", "") != "load delay:5s" {
		t.Errorf("after a while: %s", part.body)
	}
	last := b.get(path+"?look=90", htmx("div#first-token")...)
	if _, again := last.Find("#first-token").Attr("hx-get"); again || !strings.Contains(last.text("main, #first-token"), "stopped looking") {
		t.Errorf("at the end: %s", last.body)
	}
	at := s.Clock.Now().UTC().Truncate(time.Second)
	s.use(t, apikey.KeyUsage{ID: k.ID, LastDenial: &apikey.LastDenial{Reason: apikey.DeniedDisabled, At: at}})
	if got := b.get(path).text("#first-token"); !strings.Contains(got, "Waiting") || !strings.Contains(got, "The key is disabled") {
		t.Errorf("refused: %s", got)
	}
	at = at.Add(time.Second)
	s.use(t, apikey.KeyUsage{ID: k.ID, LastUsedAt: at})
	if got := b.get(path + "?look=7").text("#first-token"); !strings.Contains(got, "Hydra issued a token") || !strings.Contains(got, "No scope asked") || strings.Contains(got, "refused") {
		t.Errorf("issued without a scope: %s", got)
	}
	s.use(t, apikey.KeyUsage{ID: k.ID, LastUsedAt: at, Asked: []apikey.ScopeUsage{{Scope: "orders:read", LastAskedAt: &at}}})
	got = b.get(path)
	if _, again := got.Find("#first-token").Attr("hx-get"); again || strings.Contains(got.text("#first-token"), "No scope asked") {
		t.Errorf("issued: %s", got.text("#first-token"))
	}
	wantStatus(t, "another owner's key", s.as(t, web.RoleViewer, "globex").get(path), http.StatusNotFound)
}

// A rotation is shown before it is done; then both credentials work, another is held
// back, and the older one ends when somebody says so.
func TestRotate(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Config: withCode(apikey.Policies{})}, nil)
	caller := apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.Admin}))
	made, err := s.Service.Create(caller, apikey.CreateParams{Name: "rotates", Owner: "acme", Scopes: []string{"orders:read"}})
	if err != nil {
		t.Fatal(err)
	}
	b := s.as(t, web.RoleEditor, "acme")
	path := "/keys/" + made.Key.ID + "/rotate"
	got := b.get(path)
	wantClean(t, "the form", got)
	if c := got.checked("grace_period"); len(c) != 1 || c[0] != "24h" || got.checked("auth_method")[0] != "client_secret_basic" || !strings.Contains(got.text("#rotate"), "Not known to have been used") || got.Find("[name=sure]").Length() != 0 {
		t.Errorf("the form is %s", got.text("main"))
	}
	got = b.post(path, got.sendable("#rotate"))
	wantStatus(t, "the impact", got, http.StatusOK)
	wantClean(t, "the impact", got)
	if !strings.Contains(got.text("main"), "A new key, with an id of its own") || got.Find("[data-part=secret]").Length() != 0 {
		t.Errorf("the impact is %s", got.text("main"))
	}
	if k, err := s.Service.Get(caller, made.Key.ID); err != nil || k.Revision != made.Key.Revision {
		t.Errorf("looking at it changed the key: %+v, %v", k, err)
	}
	sure := got.sendable("form:has([name=sure])")
	got = b.post(path, sure)
	secret, id := got.text("[data-part=secret]"), got.text("[data-part=id]")
	if !apikey.ValidSecret(secret) || id == made.Key.ID || !strings.Contains(got.text("main"), "Hydra was seen to take the new secret") {
		t.Fatalf("rotated: %s", got.text("main"))
	}
	for id, secret := range map[string]string{made.Key.ID: made.Secret.Reveal(), id: secret} {
		hydratest.MustBuy(t, hydratest.Purchase{TokenURL: s.Hydra.TokenURL(), ID: id, Secret: secret, Scopes: []string{"orders:read"}})
	}
	s.Clock.Advance(time.Minute)
	if again := b.post(path, sure); strings.Contains(again.body, secret) || again.Find("h1").Text() != "Shown once" {
		t.Errorf("a reload shows %s", again.text("main"))
	}
	s.testPending(t, b, made.Key.ID, id)
}

func (s *site) testPending(t *testing.T, b *browser, older, newer string) {
	t.Helper()
	got := b.get("/keys/" + older + "/rotate")
	if got.Find("#rotate").Length() != 0 || got.Find(`a[href="/keys/`+newer+`/rotate"]`).Length() != 1 || !strings.Contains(got.text(".rows"), "Older") {
		t.Errorf("the replaced key: %s", got.text("main"))
	}
	path := "/keys/" + newer + "/rotate"
	got = b.get(path)
	if got.Find("[name=force]").Length() != 1 || got.Find(`form[action="`+path+`/complete"]`).Length() != 1 {
		t.Errorf("its successor: %s", got.text("main"))
	}
	form := got.sendable("#rotate")
	got = b.post(path, form)
	wantStatus(t, "a rotation before the last is over", got, http.StatusConflict)
	if got.Find(`.alert a[href="#force"]`).Length() != 1 {
		t.Errorf("got %s", got.text(".alert"))
	}
	form.Set("force", "yes")
	wantStatus(t, "the same by force", b.post(path, form), http.StatusOK)
	got = b.post(path+"/complete", url.Values{})
	wantStatus(t, "completing unconfirmed", got, http.StatusUnprocessableEntity)
	wantTo(t, "completing", b.post(path+"/complete", url.Values{"sure": {"yes"}}), path)
	got = b.get(path)
	if !strings.Contains(got.text("#toasts"), "has ended") || got.Find(`form[action$="/complete"]`).Length() != 0 || !strings.Contains(got.text(".rows"), "expired") {
		t.Errorf("afterwards: %s", got.text("body"))
	}
}

// A key may go over to a key pair at once, and what cannot be rotated says why.
func TestRotateMethod(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Config: withCode(apikey.Policies{Live: apikey.Policy{MaxGracePeriod: new(apikey.Duration(2 * time.Hour))}})}, nil)
	caller := apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.Admin}))
	made, err := s.Service.Create(caller, apikey.CreateParams{Name: "moves", Owner: "acme", Scopes: []string{"orders:read"}})
	if err != nil {
		t.Fatal(err)
	}
	b := s.as(t, web.RoleEditor)
	path := "/keys/" + made.Key.ID + "/rotate"
	form := b.get(path).sendable("#rotate")
	if g := form.Get("grace_period"); g != "2h" {
		t.Errorf("the grace period begins with %q", g)
	}
	private, jwk := pair(t)
	form.Set("grace_period", "0s")
	form.Set("auth_method", "private_key_jwt")
	wantStatus(t, "no public key", b.post(path, form), http.StatusUnprocessableEntity)
	form.Set("public_key", jwk)
	got := b.post(path, form)
	if !strings.Contains(got.text("main"), "keeps its id") || got.Find("button.danger").Length() != 1 {
		t.Errorf("the impact is %s", got.text("main"))
	}
	wantTo(t, "rotate", b.post(path, got.sendable("form:has([name=sure])")), path)
	hydratest.MustBuy(t, hydratest.Purchase{TokenURL: s.Hydra.TokenURL(), Method: string(apikey.PrivateKeyJWT), ID: made.Key.ID, Key: private, Scopes: []string{"orders:read"}})
	if got := b.get(path); !strings.Contains(got.text(".rows"), "Public key ES256") {
		t.Errorf("its credentials are %s", got.text(".rows"))
	}
	form.Set("grace_period", "30d")
	got = b.post(path, form)
	wantStatus(t, "longer than the rules allow", got, http.StatusUnprocessableEntity)
	if got.Find(`.alert a[href="#grace_period"]`).Length() != 1 {
		t.Errorf("got %s", got.text(".alert"))
	}
	gone := s.key(t, apikey.CreateParams{Name: "gone"}, func(d *apikey.Definition) { d.RevokedAt = &d.CreatedAt })
	if got := b.get("/keys/" + gone.ID + "/rotate"); got.status != http.StatusOK || got.Find("form#rotate").Length() != 0 || !strings.Contains(got.text("main"), "The key is revoked") {
		t.Errorf("a revoked key: %d %s", got.status, got.text("main"))
	}
	wantStatus(t, "a revoked key's form", b.post("/keys/"+gone.ID+"/rotate", form), http.StatusConflict)
	wantStatus(t, "another owner's key", s.as(t, web.RoleEditor, "globex").get(path), http.StatusNotFound)
}

// Names and what was typed are the text they are on these pages, too.
func TestHostileTextInForms(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: withCode(apikey.Policies{})}, nil)
	b := s.as(t, web.RoleEditor)
	for _, text := range hostile {
		k := s.key(t, apikey.CreateParams{Name: text, Owner: text, Labels: map[string]string{"note": text}})
		wantClean(t, "the first token of "+text, b.get("/keys/"+k.ID+"/first-token"))
		wantClean(t, "the rotation of "+text, b.get("/keys/"+k.ID+"/rotate"))
		form := url.Values{}
		for _, name := range []string{"name", "owner", "description", "labels", "scopes", "audiences", "expires", "expires_on", "lifetime", "format", "auth_method", "public_key", "environment", "once", "opened", "rules"} {
			form.Set(name, text)
		}
		got := b.post("/keys/new", form)
		wantStatus(t, text, got, http.StatusUnprocessableEntity)
		wantClean(t, "the form with "+text, got)
		if got.Find("#name").AttrOr("value", "") != text {
			t.Errorf("%q became %q", text, got.Find("#name").AttrOr("value", ""))
		}
	}
}
