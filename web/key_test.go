package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/web"
)

var errAway = errors.New("away")

// actionPaths are the ends of a key's pages that change it.
var actionPaths = []string{"/edit", "/disable", "/enable", "/revoke-tokens", "/revoke", "/delete"}

// fields are what a page's own form would send, with changes: a name, its value and
// so on.
func (a answer) fields(selector string, changes ...string) url.Values {
	out := url.Values{}
	a.Find(selector + " [name]").Each(func(_ int, e *goquery.Selection) {
		name := e.AttrOr("name", "")
		switch {
		case e.Is("textarea"):
			out.Set(name, e.Text())
		case e.Is("select"):
			out.Set(name, e.Find("option[selected]").AttrOr("value", e.Find("option").AttrOr("value", "")))
		case e.Is("[type=radio], [type=checkbox]"):
		default:
			out.Add(name, e.AttrOr("value", ""))
		}
	})
	for i := 0; i+1 < len(changes); i += 2 {
		out.Set(changes[i], changes[i+1])
	}
	return out
}

// real is a key that Hydra knows as well.
func (s *site) real(t *testing.T, p apikey.CreateParams) apikey.Key {
	t.Helper()
	if p.Owner == "" {
		p.Owner = "acme"
	}
	if p.Scopes == nil {
		p.Scopes = []string{"orders:read", "orders:write"}
	}
	issued, err := s.Service.Create(apikey.WithCaller(t.Context(), apikey.Caller{Principal: "user:test", Rights: []apikey.Right{apikey.Admin}}), p)
	if err != nil {
		t.Fatal(err)
	}
	return issued.Key
}

// now is the key as it is.
func (s *site) now(t *testing.T, id string) apikey.Key {
	t.Helper()
	k, err := s.Service.Get(apikey.WithCaller(t.Context(), apikey.Caller{Principal: "user:test", Rights: []apikey.Right{apikey.Admin}}), id)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// withTokenURL has the code say where tokens are bought.
func withTokenURL(c *apikey.Config) { c.TokenURL = "https://hydra.example.com/oauth2/token" }

// Every tab shows its part of the key, with whatever its texts are as text.
func TestKeyTabs(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: withTokenURL}, nil)
	text := hostile[0]
	k := s.key(t, apikey.CreateParams{Name: text, Owner: text, Description: text, Labels: map[string]string{"note": text}, Scopes: []string{"orders:read", "<b>"}})
	b := s.as(t, web.RoleAdmin)
	for tab, want := range map[string]string{"": k.ID, "overview": "note=" + text, "credentials": "...x7Qf", "usage": "never asked for", "events": "No events here", "code": "TOKENOS_CLIENT_SECRET", "danger": "Nothing undoes it"} {
		got := b.get("/keys/" + k.ID + "?tab=" + tab)
		wantStatus(t, tab, got, http.StatusOK)
		wantClean(t, tab, got)
		if got.Find("h1").Text() != text || !strings.Contains(got.text("main"), want) {
			t.Errorf("%s: %s", tab, got.text("main"))
		}
		if current := got.Find(".tabs [aria-current]"); current.Length() != 1 {
			t.Errorf("%s: %d tabs are current", tab, current.Length())
		}
	}
	for _, lang := range []string{"curl", "javascript", "go", "python"} {
		if got := b.get("/keys/" + k.ID + "?tab=code&lang=" + lang); !strings.Contains(got.text("pre code"), k.ID) {
			t.Errorf("%s code: %s", lang, got.text("main"))
		}
	}
	for _, end := range actionPaths {
		if end == "/enable" || end == "/delete" {
			continue
		}
		wantClean(t, end, b.get("/keys/"+k.ID+end))
	}
	for _, path := range []string{"?tab=nothing", "?tab=code&lang=cobol", "?tab=usage&span=1y"} {
		wantStatus(t, path, b.get("/keys/"+k.ID+path), http.StatusNotFound)
	}
	wantStatus(t, "a cursor of nowhere", b.get("/keys/"+k.ID+"?tab=events&cursor=x"), http.StatusUnprocessableEntity)
}

// Each state of a key is told in words.
func TestKeyStates(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleViewer)
	now := s.Clock.Now()
	soon, past := now.Add(48*time.Hour), now.Add(-time.Hour)
	for want, edit := range map[string]func(*apikey.Definition){
		"It ends soon":                 func(d *apikey.Definition) { d.ExpiresAt = &soon },
		"is then enabled by itself":    func(d *apikey.Definition) { d.DisabledAt, d.DisabledUntil = &past, &soon },
		"paused with all keys":         func(d *apikey.Definition) { d.DisabledAt, d.DisabledWithOwner = &past, true },
		"A later expiry makes it work": func(d *apikey.Definition) { d.ExpiresAt = &past },
		"Revoked for good": func(d *apikey.Definition) {
			d.RevokedAt, d.RevocationReason, d.RevocationDescription = &past, apikey.KeyCompromise, hostile[1]
		},
		"Nothing to prove itself with": func(d *apikey.Definition) { d.AuthMethod, d.Secret = apikey.PrivateKeyJWT, nil },
	} {
		k := s.key(t, apikey.CreateParams{Name: "state"}, edit)
		if got := b.get("/keys/" + k.ID); !strings.Contains(got.text(".alert"), want) {
			t.Errorf("want %q, got %q", want, got.text(".alert"))
		}
	}
}

// Every flag has words, so that none is shown unexplained.
func TestFlagsExplained(t *testing.T) {
	for _, f := range []apikey.Flag{apikey.FlagExpiring, apikey.FlagChanging, apikey.FlagDisabling, apikey.FlagRevoking, apikey.FlagUnconfirmed, apikey.FlagNoCredential,
		apikey.FlagDrifted, apikey.FlagRotating, apikey.FlagCredentialUnknown} {
		if title, text := web.FlagWords(f); title == "" || text == "" {
			t.Errorf("%s is not explained", f)
		}
	}
}

// Who may only look sees no way to change, and is refused; a key of another owner
// is not there at all.
func TestKeyRights(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	k := s.key(t, apikey.CreateParams{Name: "theirs", Owner: "globex", AuthMethod: apikey.PrivateKeyJWT})
	viewer, stranger := s.as(t, web.RoleViewer), s.as(t, web.RoleEditor, "acme")
	for _, path := range []string{"/keys", "/keys/" + k.ID, "/keys/" + k.ID + "?tab=credentials"} {
		got := viewer.get(path)
		if n := got.Find("main form:not([role=search]), .head-actions, [popover], main input[type=checkbox]").Length(); n > 0 || got.Find(`a[href*="danger"]`).Length() > 0 {
			t.Errorf("%s shows a viewer %d ways to change", path, n)
		}
	}
	wantStatus(t, "the danger zone", viewer.get("/keys/"+k.ID+"?tab=danger"), http.StatusForbidden)
	wantStatus(t, "a stranger's look", stranger.get("/keys/"+k.ID), http.StatusNotFound)
	for _, end := range append(actionPaths, "/public-keys", "/public-keys/x/remove") {
		form := url.Values{"revision": {"1"}, "name": {"mine"}, "confirm": {"theirs"}, "jwk": {"{}"}}
		wantStatus(t, "a viewer at "+end, viewer.post("/keys/"+k.ID+end, form), http.StatusForbidden)
		wantStatus(t, "a stranger at "+end, stranger.post("/keys/"+k.ID+end, form), http.StatusNotFound)
		if end != "/public-keys" {
			wantStatus(t, "a viewer's look at "+end, viewer.get("/keys/"+k.ID+end), http.StatusForbidden)
		}
	}
	wantStatus(t, "a viewer's disable of several", viewer.post("/keys/disable", url.Values{"id": {k.ID}, "confirmed": {"yes"}}), http.StatusForbidden)
	got := stranger.post("/keys/disable", url.Values{"id": {k.ID}, "confirmed": {"yes"}})
	if strings.Contains(got.text("main"), "theirs") || !strings.Contains(got.text("h1"), "0 of 1") {
		t.Errorf("a stranger disables: %s", got.text("main"))
	}
	if now := s.now(t, k.ID); now.Revision != k.Revision || now.Status != apikey.StatusActive {
		t.Errorf("the key is now %+v", now)
	}
}

// Two people of two owners, each in a browser of their own, see and change their
// own keys alone.
func TestKeyOwners(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	keys := map[string]apikey.Key{}
	for _, owner := range []string{"acme", "globex"} {
		keys[owner] = s.real(t, apikey.CreateParams{Name: owner + " worker", Owner: owner})
	}
	for owner, other := range map[string]string{"acme": "globex", "globex": "acme"} {
		b := s.as(t, web.RoleEditor, owner)
		if got := b.get("/keys").names(); !slices.Equal(got, []string{owner + " worker"}) {
			t.Errorf("%s sees %q", owner, got)
		}
		for _, tab := range []string{"overview", "credentials", "usage", "events", "code", "danger"} {
			wantStatus(t, owner+" at its own "+tab, b.get("/keys/"+keys[owner].ID+"?tab="+tab), http.StatusOK)
			got := b.get("/keys/" + keys[other].ID + "?tab=" + tab)
			if got.status != http.StatusNotFound || strings.Contains(got.body, other) {
				t.Errorf("%s at %s's %s: %d %s", owner, other, tab, got.status, got.text("main"))
			}
		}
		done := b.post("/keys/disable", url.Values{"id": {keys[owner].ID, keys[other].ID}, "confirmed": {"yes"}})
		if got := done.text("main"); !strings.Contains(got, "1 of 2 keys disabled") || strings.Contains(got, other) {
			t.Errorf("%s disables both: %s", owner, got)
		}
		if now := s.now(t, keys[owner].ID); now.Revision != 2 {
			t.Errorf("%s's key is at revision %d", owner, now.Revision)
		}
	}
}

// A key is disabled until a moment, enabled, its tokens are ended, it is revoked
// under its name and deleted; each page says first what it would do, and looking
// changes nothing.
func TestKeyLife(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{}, nil)
	k := s.real(t, apikey.CreateParams{Name: "  worker   " + hostile[1]})
	b := s.as(t, web.RoleEditor, "acme")
	at := "/keys/" + k.ID
	step := func(end string, want apikey.Status, changes ...string) {
		t.Helper()
		page := b.get(at + end)
		wantStatus(t, end, page, http.StatusOK)
		wantTo(t, end, b.post(at+end, page.fields("main form", changes...)), at)
		if got := s.now(t, k.ID).Status; got != want {
			t.Errorf("after %s the key is %s", end, got)
		}
	}
	if got := b.get(at + "/disable").text(".card"); !strings.Contains(got, "Verifiers that introspect refuse its tokens from") {
		t.Errorf("disable would do: %s", got)
	}
	until := s.Clock.Now().Add(72 * time.Hour).UTC()
	step("/disable", apikey.StatusDisabled, "until", until.Format("2006-01-02T15:04"))
	if got := s.now(t, k.ID).DisabledUntil; got == nil || !got.Equal(until.Truncate(time.Minute)) {
		t.Errorf("disabled until %v, want %v", got, until)
	}
	step("/enable", apikey.StatusActive)
	step("/revoke-tokens", apikey.StatusActive)
	wantStatus(t, "an end in the past", b.post(at+"/disable", b.get(at+"/disable").fields("main form", "until", "2001-01-01T00:00")), http.StatusUnprocessableEntity)
	wantStatus(t, "a moment that is none", b.post(at+"/disable", b.get(at+"/disable").fields("main form", "until", "tomorrow")), http.StatusUnprocessableEntity)
	wantStatus(t, "delete before revoke", b.get(at+"/delete"), http.StatusConflict)
	wantStatus(t, "delete before revoke, by force", b.post(at+"/delete", url.Values{"confirm": {k.Name}}), http.StatusConflict)

	wrong := b.post(at+"/revoke", b.get(at+"/revoke").fields("main form", "confirm", "worker", "description", "found in a log", "reason", "key_compromise"))
	if wrong.status != http.StatusUnprocessableEntity || wrong.Find("#description").Text() != "found in a log" || wrong.Find("#reason option[selected]").AttrOr("value", "") != "key_compromise" || s.now(t, k.ID).Status != apikey.StatusActive {
		t.Errorf("a wrong name: %d %s", wrong.status, wrong.text("main"))
	}
	step("/revoke", apikey.StatusRevoked, "confirm", " worker "+hostile[1], "reason", "key_compromise", "description", "found in a log")
	if now := s.now(t, k.ID); now.RevocationReason != apikey.KeyCompromise || now.RevocationDescription != "found in a log" {
		t.Errorf("revoked for %s: %s", now.RevocationReason, now.RevocationDescription)
	}
	for _, end := range []string{"/edit", "/disable", "/enable", "/revoke-tokens"} {
		wantStatus(t, end+" of a revoked key", b.get(at+end), http.StatusConflict)
	}
	events := b.get(at + "?tab=events")
	wantClean(t, "the events", events)
	if got := events.text(".key-event h2"); got != "Revoked Tokens ended Enabled Disabled Made" {
		t.Errorf("the events are %s", got)
	}
	if got := events.text(".key-event"); !strings.Contains(got, "user:ana-editor") || !strings.Contains(got, "192.0.2.9") || !strings.Contains(got, "req_test") || !strings.Contains(got, "found in a log") {
		t.Errorf("the events say %s", got)
	}
	wantTo(t, "delete", b.post(at+"/delete", b.get(at+"/delete").fields("main form", "confirm", k.Name)), "/keys")
	wantStatus(t, "after delete", b.get(at), http.StatusNotFound)
}

// Without Hydra a key can be looked at and, with words that it waits, disabled and
// revoked; what cannot be done is refused, and nothing typed is lost.
func TestKeyWithoutHydra(t *testing.T) {
	t.Parallel()
	own := hydratest.New(t, hydradev.Config{})
	proxy := hydratest.NewProxy(t, own.AdminURL())
	s := newSite(t, apikeytest.Options{Idle: true, Hydra: own, AdminURL: proxy.URL(), HydraWith: func(c *hydra.Config) { c.Retries = -1 }}, func(_ *site, c *web.Config) {
		c.Parts["hydra"] = func(context.Context) error { return errAway } // at once, whatever is remembered of Hydra
	})
	k := s.real(t, apikey.CreateParams{Name: "worker"})
	proxy.Refuse()
	b, at := s.as(t, web.RoleEditor), "/keys/"+k.ID
	for _, tab := range []string{"overview", "credentials", "usage", "events", "danger"} {
		wantStatus(t, tab, b.get(at+"?tab="+tab), http.StatusOK)
	}
	form := b.get(at + "/edit")
	if got := form.text(".alert.warn"); !strings.Contains(got, "refused until it answers") {
		t.Errorf("the form says %s", got)
	}
	refused := b.post(at+"/edit", form.fields("main form", "name", "renamed"))
	if refused.status != http.StatusServiceUnavailable || refused.Find("#name").AttrOr("value", "") != "renamed" || !strings.Contains(refused.text("[role=alert]"), "still here") {
		t.Errorf("save: %d %s", refused.status, refused.text("main"))
	}
	wantStatus(t, "end tokens", b.post(at+"/revoke-tokens", url.Values{}), http.StatusServiceUnavailable)
	page := b.get(at + "/disable")
	if got := page.text(".alert.warn"); !strings.Contains(got, "counts at once") {
		t.Errorf("disable says %s", got)
	}
	wantTo(t, "disable", b.post(at+"/disable", page.fields("main form")), at)
	after := b.get(at)
	other := s.key(t, apikey.CreateParams{Name: "another"})
	if got := b.post("/keys/disable", url.Values{"id": {other.ID}, "confirmed": {"yes"}}).text("main"); !strings.Contains(got, "1 of 1 key disabled") || !strings.Contains(got, "Hydra follows") {
		t.Errorf("several: %s", got)
	}
	if got := after.text("#toasts"); !strings.Contains(got, "counts as disabled") || !strings.Contains(after.text(".alert"), "Being disabled") {
		t.Errorf("afterwards: %s / %s", got, after.text(".alert"))
	}
}
