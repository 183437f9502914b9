package web_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/web"
)

const verificationPath = "/activity/verification"

// An administrator has the record verified: by a form that leads to a page, and by
// a part that looks again until there is a result. An altered event is named.
func TestVerification(t *testing.T) {
	t.Parallel()
	ledger := apikeytest.SQLiteURL(t)
	s := newSite(t, apikeytest.Options{LedgerURL: ledger, Idle: true}, nil)
	s.done(t, apikey.CreateParams{Name: "worker", Owner: "acme", Scopes: []string{"a"}})
	b := s.as(t, web.RoleAdmin)
	if got := b.get("/activity"); got.text("#verification button[type=submit]") != "Verify the chain" || got.text("#verification-state") != "" || got.Find("#verification-state[hx-get]").Length() > 0 {
		t.Errorf("at first: %s", got.text("#verification"))
	}
	wantTo(t, "begun", b.post(verificationPath, nil), verificationPath)
	whole := b.get(verificationPath)
	wantClean(t, "under way", whole)
	if said := whole.text("[role=status]"); whole.text("h1") != "Verification" || !strings.Contains(said, "It has just begun. It goes on by itself") || whole.Find("[role=status] progress").Length() != 1 ||
		whole.Find(`.script-off a[href="`+verificationPath+`"]`).Length() != 1 || whole.Find("#verification-state").AttrOr("hx-get", "") != verificationPath+"?look=1" {
		t.Errorf("under way: %s", said)
	}
	if err := s.Service.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	part := b.get(verificationPath+"?look=1", htmx("div#verification-state")...)
	head := part.Find(".rules copy-text code").Text()
	if strings.Contains(part.body, "<html") || part.Find("[hx-get]").Length() > 0 || !strings.HasPrefix(head, "3:") || !strings.Contains(part.text(".state-title.ok"), "The record is as it was written") || part.Find("dd").First().Text() != "3, from the first on" {
		t.Errorf("intact: %s", part.body)
	}
	if got := b.get("/activity"); got.text("#verification-state") != part.text("#verification-state") || !strings.Contains(got.text("#verification details code"), "tokenos audit verify --head "+head) {
		t.Errorf("on the activity: %s", got.text("#verification"))
	}

	apikeytest.Alter(t, ledger, `UPDATE events SET payload = REPLACE(payload, 'user:ana', 'user:bob') WHERE id = 2`)
	s.Clock.Advance(5 * time.Second)
	part = b.post(verificationPath, nil, htmx("div#verification-state")...)
	if part.status != http.StatusOK || strings.Contains(part.body, "<html") || part.Find("#verification-state[hx-get]").Length() != 1 {
		t.Errorf("begun by the part: %d %s", part.status, part.body)
	}
	if err := s.Service.Turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := b.get(verificationPath)
	wantClean(t, "broken", got)
	if said := got.text(".alert.bad"); !strings.Contains(said, "It was altered, put elsewhere, or made by somebody without the server secret. The event before it is good.") || got.text(".alert.bad strong") != "Event 2" ||
		got.text(".alert-title") != "The record is not as it was written" ||
		got.Find("[role=status] ol li").Length() != 3 || strings.Contains(got.text("[role=status]"), "\u2713") {
		t.Errorf("broken: %s", got.text("[role=status]"))
	}
	at := b.get(got.Find(".alert.bad a").AttrOr("href", ""))
	if first := at.text(".event:first-of-type dl"); !strings.Contains(first, "user:bob") || !strings.Contains(first, "Event 2 ") {
		t.Errorf("the altered event: %s", first)
	}
}

// An event that cannot be read hides neither the overview nor that the record can be
// verified, and the log names it.
func TestUnreadableEvent(t *testing.T) {
	t.Parallel()
	ledger := apikeytest.SQLiteURL(t)
	var log bytes.Buffer
	s := newSite(t, apikeytest.Options{Idle: true, LedgerURL: ledger}, func(_ *site, c *web.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	s.done(t, apikey.CreateParams{Name: "one", Owner: "acme", Scopes: []string{"a"}})
	b := s.as(t, web.RoleAdmin)
	apikeytest.Alter(t, ledger, `UPDATE events SET payload = '<b>rubbish' WHERE id = 1`)
	for _, path := range []string{"/", "/activity", "/activity?before=2"} {
		got := b.get(path)
		wantStatus(t, path, got, http.StatusOK)
		if !strings.Contains(got.text(".alert.bad"), "These events cannot be read") || strings.Contains(got.body, "rubbish") || path != "/" && got.Find("#verification form").Length() == 0 {
			t.Errorf("%s: %s", path, got.text("main"))
		}
		if said := log.String(); strings.Count(said, "events cannot be read") != 1 || !strings.Contains(said, `events \"1\"`) || strings.Contains(said, "rubbish") {
			t.Errorf("%s: the log says %s", path, said)
		}
		log.Reset()
	}
}

// Who may not verify the record sees who can, and cannot.
func TestVerificationRights(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	for name, b := range map[string]*browser{"viewer": s.as(t, web.RoleViewer), "editor": s.as(t, web.RoleEditor), "bound admin": s.as(t, web.RoleAdmin, "acme")} {
		got := b.get("/activity")
		wantStatus(t, name, got, http.StatusOK)
		if got.Find("#verification form, #verification-state").Length() > 0 || !strings.Contains(got.text("#verification"), "An administrator who is not bound to owners can verify it here.") {
			t.Errorf("%s sees %s", name, got.text("#verification"))
		}
		wantStatus(t, name+" begins", b.post(verificationPath, nil), http.StatusForbidden)
		wantStatus(t, name+" looks", b.get(verificationPath), http.StatusForbidden)
	}
	other := s.as(t, web.RoleAdmin).get(verificationPath+"?look=3", htmx("div#verification-state")...)
	if other.Find("#verification-state").AttrOr("hx-get", "") != verificationPath+"?look=4" {
		t.Errorf("a look at a server that has begun none: %s", other.body)
	}
}

// Events show what their key is called now, with its id beside it; one whose
// record was deleted has its id alone.
func TestEventNames(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	ctx := apikey.WithCaller(t.Context(), apikey.Caller{Principal: "user:ana", Rights: []apikey.Right{apikey.Admin}})
	kept := s.done(t, apikey.CreateParams{Name: hostile[0], Owner: "acme", Scopes: []string{"a"}})
	gone := s.done(t, apikey.CreateParams{Name: "gone", Owner: "acme", Scopes: []string{"a"}})
	if _, err := s.Service.Revoke(ctx, gone.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Service.Delete(ctx, gone.ID); err != nil {
		t.Fatal(err)
	}
	short := kept.ID[:13] + "\u2026" + kept.ID[len(kept.ID)-5:]
	b := s.as(t, web.RoleViewer)
	for path, line := range map[string]string{"/activity": ".event", "/": `[aria-labelledby="recent-title"] li .check-line`} {
		got := b.get(path)
		wantClean(t, path, got)
		lines := got.Find(line)
		first, last := lines.First(), lines.Last()
		if name := first.Find(".key-name"); name.Length() > 0 || first.Find("code").First().Text() != gone.ID {
			t.Errorf("%s: of a deleted key: %s", path, first.Text())
		}
		link, code := last.Find("a.key-name"), last.Find("code").First()
		if last.Find(".key-name").First().Text() != "renamed "+hostile[0] || link.Text() != "renamed "+hostile[0] || link.AttrOr("href", "") != "/keys/"+kept.ID || code.Text() != short || code.AttrOr("title", "") != kept.ID {
			t.Errorf("%s: of a key: %s", path, last.Text())
		}
	}
}
