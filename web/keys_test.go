package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
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
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/web"
)

// names are those of the keys in the table, in order.
func (a answer) names() (out []string) {
	a.Find("#results tbody th a").Each(func(_ int, e *goquery.Selection) { out = append(out, e.Text()) })
	return out
}

// The list is searched, filtered and ordered by its address, says which filters are
// set, and each may be taken away.
func TestKeysList(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	end := s.Clock.Now().Add(10 * 24 * time.Hour)
	s.key(t, apikey.CreateParams{Name: "billing worker", Scopes: []string{"orders:read", "orders:write"}, ExpiresAt: apikey.SetTo(end)})
	s.key(t, apikey.CreateParams{Name: "search indexer", Environment: apikey.Test, Labels: map[string]string{"team": "search"}})
	s.key(t, apikey.CreateParams{Name: "globex gateway", Owner: "globex", AuthMethod: apikey.ClientSecretPost})
	b := s.as(t, web.RoleViewer)
	for query, want := range map[string][]string{
		"":                                {"globex gateway", "search indexer", "billing worker"},
		"?sort=name":                      {"billing worker", "globex gateway", "search indexer"},
		"?sort=-name":                     {"search indexer", "globex gateway", "billing worker"},
		"?q=billing":                      {"billing worker"},
		"?q=team":                         {"search indexer"},
		"?status=active&q=worker":         {"billing worker"},
		"?environment=test":               {"search indexer"},
		"?auth_method=client_secret_post": {"globex gateway"},
		"?expires=30d":                    {"billing worker"},
		"?expires=7d":                     nil,
		"?owner=globex":                   {"globex gateway"},
		"?scope=orders:write":             {"billing worker"},
		"?label=team:search":              {"search indexer"},
		"?status=revoked":                 nil,
		"?status=&q=&expires=":            {"globex gateway", "search indexer", "billing worker"},
	} {
		got := b.get("/keys" + query)
		wantStatus(t, query, got, http.StatusOK)
		if !slices.Equal(got.names(), want) && query != "" && query != "?status=&q=&expires=" || len(got.names()) != len(want) {
			t.Errorf("%s: got %q, want %q", query, got.names(), want)
		}
		wantClean(t, query, got)
	}
	got := b.get("/keys?q=x&status=disabled&expires=7d&sort=name")
	if got.text("#results .empty-title") != "No key matches" || got.Find(".chip").Length() != 3 {
		t.Errorf("no match: %s", got.text("#results"))
	}
	if without := got.Find(".chip a").Eq(1).AttrOr("href", ""); without != "/keys?expires=7d&q=x&sort=name" {
		t.Errorf("without the second filter: %q", without)
	}
	if got := b.get("/keys?sort=name").Find("th[aria-sort]"); got.Length() != 1 || got.AttrOr("aria-sort", "") != "ascending" || got.Find("a").AttrOr("href", "") != "/keys?sort=-name" {
		t.Errorf("the order is told as %s", got.Text())
	}
}

// Who has no keys is told what to do; who may not make any is not asked to.
func TestNoKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	for role, may := range map[web.Role]bool{web.RoleViewer: false, web.RoleEditor: true, web.RoleAdmin: true} {
		got := s.as(t, role).get("/keys")
		if got.text(".empty-title") != "No keys yet" || got.Find(`a[href="/keys/new"]`).Length() > 0 != may {
			t.Errorf("%s: %s", role, got.text("main"))
		}
	}
}

// Pages follow one another without a gap, and a cursor that is none is told.
func TestKeysPages(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	var records []apikey.Record
	for i := range 43 {
		r := ledgertest.Key(i)
		r.Name = fmt.Sprintf("worker %02d", i)
		records = append(records, r)
	}
	if err := s.Ledger.Import(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	b := s.as(t, web.RoleViewer)
	first := b.get("/keys?sort=name")
	next := first.Find(`.pager a[rel=next]`).AttrOr("href", "")
	second := b.get(next)
	all := append(first.names(), second.names()...)
	if len(all) != 43 || !slices.IsSorted(all) || second.Find(`.pager a[rel=next]`).Length() != 0 || second.Find(".pager a").AttrOr("href", "") != "/keys?sort=name" {
		t.Errorf("%d keys on two pages; the second leads to %s", len(all), second.text(".pager"))
	}
	got := b.get("/keys?cursor=made-up&status=wrong")
	if got.Find("#results .alert.bad li").Length() != 2 || strings.Contains(got.text("#results .alert"), "made-up") {
		t.Errorf("a wrong cursor: %s", got.text("#results"))
	}
}

// A script gets the results alone, with the address in its one form; on a failure
// it gets the page that tells of it.
func TestKeysInParts(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	s.key(t, apikey.CreateParams{Name: "billing worker"})
	b := s.as(t, web.RoleViewer)
	got := b.get("/keys?q=billing&status=&expires=", htmx("div#results")...)
	if strings.Contains(got.body, "<html") || got.Find("#results").Length() != 1 || len(got.names()) != 1 || got.header.Get("HX-Push-Url") != "/keys?q=billing" {
		t.Errorf("got %v\n%s", got.header, got.body)
	}
	got = s.browser(t).get("/keys?q=billing", htmx("div#results")...)
	if got.header.Get("HX-Redirect") != "/sign-in?return=%2Fkeys%3Fq%3Dbilling" {
		t.Errorf("without a session: %d %v", got.status, got.header)
	}
	got = b.get("/keys/", htmx("div#results")...)
	if got.status != http.StatusNotFound || got.header.Get("HX-Retarget") != "#main" || strings.Contains(got.body, "<html") {
		t.Errorf("where nothing is: %d %v", got.status, got.header)
	}
}

// hostile are texts that would do something if they were anything but text.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `</title><script>alert(1)</script>`, `{{constructor.constructor('alert(1)')()}}`,
	`<!--`, `]]>`, `&lt;b&gt;`, `javascript:alert(1)`, `<a href="https://evil.test">x</a>`, "`${alert(1)}`", `\u003cscript\u003e`, `hx-on:click=alert(1)`,
}

// Names, owners, labels and scopes are shown as the text they are.
func TestHostileText(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	for _, text := range hostile {
		s.key(t, apikey.CreateParams{Name: text, Owner: text, Description: text, Labels: map[string]string{"note": text}})
	}
	b := s.browser(t)
	b.enter(web.Person{Subject: hostile[0], Name: hostile[1], Role: web.RoleAdmin, Owners: []string{}})
	got := b.get("/keys")
	wantClean(t, "the list", got)
	for _, text := range hostile {
		if !slices.Contains(got.names(), text) {
			t.Errorf("%q is not among %q", text, got.names())
		}
		found := b.get("/keys?" + url.Values{"owner": {text}, "q": {text}}.Encode())
		wantClean(t, "the list of "+text, found)
		wantClean(t, "the page after "+text, s.browser(t).get("/sign-in?"+url.Values{"return": {text}}.Encode()))
	}
}

// A person who is bound to owners sees their keys and figures, and no others'.
func TestOwners(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	s.key(t, apikey.CreateParams{Name: "ours", Owner: "acme"})
	s.key(t, apikey.CreateParams{Name: "theirs", Owner: "globex"})
	s.key(t, apikey.CreateParams{Name: "theirs too", Owner: "globex"})
	b := s.as(t, web.RoleEditor, "acme")
	for _, path := range []string{"/keys", "/keys?owner=globex", "/keys?q=theirs", "/"} {
		if got := b.get(path); slices.ContainsFunc(got.names(), func(n string) bool { return strings.HasPrefix(n, "theirs") }) || got.Find(`a[href*="globex"]`).Length() > 0 && path == "/" {
			t.Errorf("%s shows %s", path, got.text("main"))
		}
	}
	if got := b.get("/").text(".figure-count"); !strings.HasPrefix(got, "1 ") {
		t.Errorf("the figures are %s", got)
	}
	if got := s.as(t, web.RoleEditor).get("/").text(".figure-count"); !strings.HasPrefix(got, "3 ") {
		t.Errorf("the figures of whoever is not bound are %s", got)
	}
}

// Each figure is the length of the list that it leads to.
func TestOverview(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleAdmin)
	if got := b.get("/"); got.Find(".checklist li.done").Length() != 1 || got.Find(`.checklist a[href="/keys/new"]`).Length() != 1 {
		t.Errorf("first steps: %s", got.text(".checklist"))
	}
	s.key(t, apikey.CreateParams{Name: "a", ExpiresAt: apikey.SetTo(s.Clock.Now().Add(24 * time.Hour))})
	s.key(t, apikey.CreateParams{Name: "b"})
	s.key(t, apikey.CreateParams{Name: "c"}, func(d *apikey.Definition) { d.DisabledAt = &d.CreatedAt })
	got := b.get("/")
	wantClean(t, "the overview", got)
	if figures := got.text(".figure-count"); figures != "2 1 0 1" {
		t.Errorf("the figures are %s", figures)
	}
	got.Find(".figure").Each(func(_ int, e *goquery.Selection) {
		path := e.AttrOr("href", "")
		if n := len(b.get(path).names()); fmt.Sprint(n) != e.Find(".figure-count").Text() {
			t.Errorf("%s lists %d keys, the figure says %s", path, n, e.Find(".figure-count").Text())
		}
	})
	if got.Find(".checklist li.done").Length() != 2 || got.text(".banner") != "" {
		t.Errorf("got %s", got.text("main"))
	}
}

// Figures that are not there in time are asked for by the page's script.
func TestFiguresLater(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	s.key(t, apikey.CreateParams{Name: "a"})
	s.dashboard.SetFigureTime(0)
	b := s.as(t, web.RoleViewer)
	got := b.get("/")
	wantStatus(t, "the overview", got, http.StatusOK)
	if list := got.Find("#figures"); list.AttrOr("hx-get", "") != "/" || list.AttrOr("hx-trigger", "") != "load" || !strings.Contains(got.text(".figure-count"), "being counted") {
		t.Errorf("got %s", got.text("#figures"))
	}
	part := b.get("/", htmx("ul#figures")...)
	if part.Find("#figures").AttrOr("hx-get", "none") != "none" || part.text(".figure-count") != "1 0 0 0" || part.Find("h1").Length() != 0 {
		t.Errorf("the part is %s", part.body)
	}
}

// Without Hydra keys are still shown, and every page says what that means.
func TestHydraAway(t *testing.T) {
	t.Parallel()
	own := hydratest.New(t, hydradev.Config{})
	proxy := hydratest.NewProxy(t, own.AdminURL())
	s := newSite(t, apikeytest.Options{Idle: true, Hydra: own, AdminURL: proxy.URL(), HydraWith: func(c *hydra.Config) { c.Retries = -1 }}, nil)
	if err := s.Ledger.Import(t.Context(), []apikey.Record{ledgertest.Key(0)}); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	b := s.as(t, web.RoleAdmin)
	got := b.get("/keys")
	if len(got.names()) != 1 || !regexp.MustCompile(`what Hydra did after \d\d:\d\d UTC is not in it.*Hydra does not answer`).MatchString(got.text(".banner")) {
		t.Errorf("the list says %s", got.text("body"))
	}
	if got := b.get("/"); !strings.Contains(got.text(".facts"), "Hydra does not answer") {
		t.Errorf("the overview says %s", got.text(".facts"))
	}
}
