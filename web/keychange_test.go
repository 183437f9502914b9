package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/web"
)

// Sent twice, a form acts once: the second time, too, it leads to the key.
func TestActionTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	k := s.real(t, apikey.CreateParams{Name: "twice"})
	b := s.as(t, web.RoleEditor)
	form := b.get("/keys/" + k.ID + "/disable").fields("main form")
	for range 2 {
		wantTo(t, "disable", b.post("/keys/"+k.ID+"/disable", form), "/keys/"+k.ID)
	}
	if now := s.now(t, k.ID); now.Revision != k.Revision+1 {
		t.Errorf("the key is at revision %d", now.Revision)
	}
}

// Only what was changed is sent; what ends something is shown first; of what
// somebody else changed meanwhile both values are shown.
func TestKeyEdit(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	end := s.Clock.Now().Add(200 * 24 * time.Hour).UTC().Truncate(time.Second)
	k := s.real(t, apikey.CreateParams{Name: "worker", Labels: map[string]string{"team": "billing", "old": "yes"}, ExpiresAt: apikey.SetTo(end)})
	b, at := s.as(t, web.RoleEditor, "acme"), "/keys/"+k.ID+"/edit"
	opened := b.get(at)
	wantClean(t, "the form", opened)
	wantTo(t, "nothing changed", b.post(at, opened.fields("main form")), "/keys/"+k.ID)
	if s.now(t, k.ID).Revision != k.Revision {
		t.Error("nothing was changed, and the revision grew")
	}
	bad := b.post(at, opened.fields("main form", "name", "", "labels", "no equals sign", "lifetime", "soon", "expires", "never"))
	if got := bad.Find(".alert.bad li"); bad.status != http.StatusUnprocessableEntity || got.Length() != 3 || bad.Find("#labels").Text() != "no equals sign" || bad.Find("[aria-invalid]").Length() != 3 {
		t.Errorf("what cannot be read: %d %s", bad.status, bad.text("main"))
	}
	wantStatus(t, "no name", b.post(at, opened.fields("main form", "name", "")), http.StatusUnprocessableEntity)
	wantStatus(t, "no revision", b.post(at, opened.fields("main form", "revision", "x", "name", "y")), http.StatusBadRequest)

	wantTo(t, "save", b.post(at, opened.fields("main form", "name", hostile[2], "labels", "team=search\r\nnote="+hostile[0]+"\r\n", "lifetime", "30m", "expires", "")), "/keys/"+k.ID)
	now := s.now(t, k.ID)
	if now.Name != hostile[2] || fmt.Sprint(now.Labels) != fmt.Sprint(map[string]string{"team": "search", "note": hostile[0]}) || now.Token.Lifetime.String() != "30m" || now.ExpiresAt != nil || len(now.Scopes) != 2 {
		t.Errorf("saved %+v", now)
	}

	// opened shows the key as it was two changes ago.
	cut := b.post(at, b.get(at).fields("main form", "scopes", "orders:read"))
	if got := cut.text("main"); cut.status != http.StatusOK || !strings.Contains(got, "Scopes that go orders:write") || len(s.now(t, k.ID).Scopes) != 2 {
		t.Errorf("a scope is taken away: %d %s", cut.status, got)
	}
	wantClean(t, "the impact", cut)
	wantTo(t, "agreed", b.post(at, cut.fields("main form")), "/keys/"+k.ID)
	if now := s.now(t, k.ID); !slices.Equal(now.Scopes, []string{"orders:read"}) || now.Name != hostile[2] {
		t.Errorf("saved %+v", now)
	}

	stale := b.post(at, opened.fields("main form", "name", "mine", "description", "mine too"))
	if got := stale.text("main"); stale.status != http.StatusPreconditionFailed || !strings.Contains(got, hostile[2]) || !strings.Contains(got, "user:ana-editor") || stale.Find("input[type=radio]").Length() != 2 {
		t.Errorf("a stale form: %d %s", stale.status, got)
	}
	wantClean(t, "the comparison", stale)
	wantTo(t, "chosen", b.post(at, stale.fields("main form", "pick-name", "theirs")), "/keys/"+k.ID)
	if now := s.now(t, k.ID); now.Name != hostile[2] || now.Description != "mine too" || len(now.Scopes) != 1 || now.Labels["team"] != "search" {
		t.Errorf("after the choice: %+v", now)
	}
}

// A public key is added and removed; the last one is not, and a private one is
// neither taken nor shown again.
func TestPublicKeyForms(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: withTokenURL}, nil)
	first, second := apikeytest.NewPair(t, "ES256"), apikeytest.NewPair(t, "ES256")
	k := s.real(t, apikey.CreateParams{Name: "pair", AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: first.Public}}})
	b, at := s.as(t, web.RoleEditor), "/keys/"+k.ID
	add := func(text string) answer {
		return b.post(at+"/public-keys", b.get(at+"?tab=credentials").fields("main form", "jwk", text))
	}
	wantStatus(t, "no JSON", add("ssh-rsa AAAA"), http.StatusUnprocessableEntity)
	private := add(`{"kty":"EC","crv":"P-256","x":"x","y":"y","d":"do-not-show-me"}`)
	if private.status != http.StatusUnprocessableEntity || strings.Contains(private.body, "do-not-show-me") || !strings.Contains(private.text(".alert"), "burnt") {
		t.Errorf("a private key: %d %s", private.status, private.text("main"))
	}
	raw, err := json.Marshal(second.Public)
	if err != nil {
		t.Fatal(err)
	}
	wantTo(t, "add", add(string(raw)), at+"?tab=credentials")
	if n := len(s.now(t, k.ID).PublicKeys); n != 2 {
		t.Fatalf("the key has %d public keys", n)
	}
	if got := b.get(at + "?tab=code&lang=go"); !strings.Contains(got.text("pre"), s.now(t, k.ID).PublicKeys[1].KID) {
		t.Error("the code is not of the newest public key")
	}
	remove := at + "/public-keys/" + k.PublicKeys[0].KID + "/remove"
	wantClean(t, "the question", b.get(remove))
	wantTo(t, "remove", b.post(remove, nil), at+"?tab=credentials")
	wantStatus(t, "once more", b.post(remove, nil), http.StatusNotFound)
	last := at + "/public-keys/" + s.now(t, k.ID).PublicKeys[0].KID + "/remove"
	wantStatus(t, "the last", b.post(last, nil), http.StatusConflict)
}

// Several keys are disabled after a question, and each one's result is told.
func TestBulkDisable(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	a, c := s.real(t, apikey.CreateParams{Name: "first"}), s.real(t, apikey.CreateParams{Name: "second"})
	gone := s.key(t, apikey.CreateParams{Name: "gone"}, func(d *apikey.Definition) { d.RevokedAt = &d.CreatedAt })
	b := s.as(t, web.RoleEditor)
	list := b.get("/keys")
	if n := list.Find(`tbody input[type=checkbox][form=bulk]`).Length(); n != 3 || list.Find("[popover] a").Length() < 9 {
		t.Errorf("%d keys can be picked", n)
	}
	wantTo(t, "none picked", b.post("/keys/disable", url.Values{}), "/keys")
	ask := b.post("/keys/disable", url.Values{"id": {a.ID, c.ID, gone.ID, a.ID, hostile[0]}})
	wantClean(t, "the question", ask)
	if got := ask.text("h1"); got != "Disable 4 keys?" || s.now(t, a.ID).Status != apikey.StatusActive {
		t.Errorf("asked: %s", got)
	}
	form := ask.fields("main form")
	for range 2 { // sent twice, it answers twice
		done := b.post("/keys/disable", form)
		if got := done.text("h1"); got != "2 of 4 keys disabled" || !strings.Contains(done.text(".alert li"), "gone: The key has been revoked") {
			t.Errorf("done: %s", done.text("main"))
		}
		wantClean(t, "the result", done)
	}
	if now := s.now(t, c.ID); now.Status != apikey.StatusDisabled || now.Revision != c.Revision+1 {
		t.Errorf("the key is %s at revision %d", now.Status, now.Revision)
	}
	s.dashboard.SetBulkTime(-1)
	late := s.key(t, apikey.CreateParams{Name: "late"})
	if got := b.post("/keys/disable", url.Values{"id": {late.ID}, "confirmed": {"yes"}}).text("main"); !strings.Contains(got, "0 of 1 key disabled") || !strings.Contains(got, "select it again") || s.now(t, late.ID).Status != apikey.StatusActive {
		t.Errorf("out of time: %s", got)
	}
	many := url.Values{}
	for i := range 51 {
		many.Add("id", fmt.Sprint("key_live_", i))
	}
	wantStatus(t, "too many", b.post("/keys/disable", many), http.StatusUnprocessableEntity)
}
