package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/web"
)

// done makes a key and changes it, through the API and so with events.
func (s *site) done(t *testing.T, p apikey.CreateParams) apikey.Key {
	t.Helper()
	ctx := apikey.WithCaller(t.Context(), apikey.Caller{Principal: "user:ana", Rights: []apikey.Right{apikey.Admin}, Address: "192.0.2.9", UserAgent: hostile[0], RequestID: "req_1"})
	issued, err := s.Service.Create(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	name := "renamed " + p.Name
	if _, err := s.Service.Update(ctx, issued.Key.ID, apikey.UpdateParams{Name: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Service.Disable(ctx, issued.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	return issued.Key
}

// actions are those of the events on the page, in order.
func (a answer) actions() string { return a.text(".event > summary .badge") }

// The activity is shown newest first, narrowed by its address, with what changed.
func TestActivity(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{}, nil)
	b := s.as(t, web.RoleViewer)
	if got := b.get("/activity").text(".empty-title"); got != "Nothing has happened yet" {
		t.Errorf("at first: %s", got)
	}
	k := s.done(t, apikey.CreateParams{Name: hostile[1], Owner: "acme", Scopes: []string{"a"}, Labels: map[string]string{"x": hostile[3]}})
	other := s.done(t, apikey.CreateParams{Name: "theirs", Owner: "globex", Scopes: []string{"a"}})
	const three = "Key disabled Key changed Key made"
	for query, want := range map[string]string{
		"":                                    three + " " + three,
		"?key=" + k.ID:                        three,
		"?action=key.updated":                 "Key changed Key changed",
		"?action=key.updated&key=" + other.ID: "Key changed",
		"?who=user:ana&since=24h":             three + " " + three,
		"?who=user:bo":                        "",
		"?action=key.revoked":                 "",
		"?before=4":                           three,
		"?action=&key=&who=&since=":           three + " " + three,
	} {
		got := b.get("/activity" + query)
		wantStatus(t, query, got, http.StatusOK)
		wantClean(t, query, got)
		if got.actions() != want {
			t.Errorf("%s: got %s, want %s", query, got.actions(), want)
		}
	}
	got := b.get("/activity?key=" + k.ID)
	changed := got.Find(".event").Eq(1).Find("tbody td").Map(func(_ int, e *goquery.Selection) string { return strings.TrimSpace(e.Text()) })
	if len(changed) != 2 || changed[0] != hostile[1] || changed[1] != "renamed "+hostile[1] {
		t.Errorf("what changed is %q", changed)
	}
	if all := got.text("main"); strings.Contains(all, "tos_") || !strings.Contains(all, "req_1") || !strings.Contains(all, "192.0.2.9") {
		t.Errorf("the details are %s", all)
	}
	if part := b.get("/activity?action=key.updated&who=", htmx("div#results")...); strings.Contains(part.body, "<html") || part.header.Get("HX-Push-Url") != "/activity?action=key.updated" {
		t.Errorf("the part: %v %s", part.header, part.body)
	}
	if got := b.get("/").text(`[aria-labelledby="recent-title"] .badge`); got != three+" "+three {
		t.Errorf("the overview tells %s", got)
	}
	for _, path := range []string{"/activity", "/activity?key=" + other.ID, "/"} {
		if got := s.as(t, web.RoleAdmin, "acme").get(path); strings.Contains(got.body, other.ID) && path != "/activity?key="+other.ID || got.Find(".event").Length() > 3 {
			t.Errorf("%s shows another owner's: %s", path, got.text("main"))
		}
	}
}

// What the address cannot mean is told, and is text.
func TestActivityWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleViewer)
	for _, text := range append(hostile, "-1", "99999999999999999999") {
		got := b.get("/activity?" + url.Values{"action": {text}, "key": {text}, "who": {text}, "since": {text}, "before": {text}}.Encode())
		wantStatus(t, text, got, http.StatusOK)
		wantClean(t, text, got)
		if got.Find("#results .alert.bad li").Length() < 2 {
			t.Errorf("%s: %s", text, got.text("#results"))
		}
	}
}
