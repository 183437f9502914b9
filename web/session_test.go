package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/pgtest"
	"github.com/tokenos/tokenos/web"
)

const sessionCookie = "__Host-tokenos"

func (b *browser) cookie(name string) string {
	u, err := url.Parse(b.site.server.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// A link signs in once: looking at it does not use it up, a second use does
// nothing, and neither does a late one. Its token is not in the log.
func TestSignInByLink(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b, link := s.browser(t), s.links.New()
	wantTo(t, "before", b.get("/"), "/sign-in")
	for range 2 {
		got := b.get(link)
		wantStatus(t, "looking at the link", got, http.StatusOK)
		wantClean(t, "the link's page", got)
	}
	wantStatus(t, "a form of another site", b.post(link, nil, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
	got := b.post(link, nil)
	wantTo(t, "the link", got, "/")
	if c := strings.Join(got.header["Set-Cookie"], ";"); !strings.Contains(c, sessionCookie+"=") || !strings.Contains(c, "Secure") || !strings.Contains(c, "HttpOnly") || !strings.Contains(c, "SameSite=Lax") || !strings.Contains(c, "Path=/;") {
		t.Errorf("cookie %q", c)
	}
	wantStatus(t, "the overview", b.get("/"), http.StatusOK)
	wantStatus(t, "the link again", s.browser(t).post(link, nil), http.StatusGone)
	late := s.links.New()
	s.Clock.Advance(16 * time.Minute)
	wantStatus(t, "a late link", s.browser(t).post(late, nil), http.StatusGone)
	if strings.Contains(s.log.String(), link[len("/sign-in/once/"):]) {
		t.Error("the log has the link's token")
	}
}

// At sign-in the token is a new one: whoever knew the one before gets nothing.
func TestNewTokenAtSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.browser(t)
	planted := sessionCookie + "=planted-by-somebody-else"
	got := b.post(s.links.New(), nil, "Cookie", planted)
	wantTo(t, "the link", got, "/")
	if b.cookie(sessionCookie) == "planted-by-somebody-else" || b.cookie(sessionCookie) == "" {
		t.Errorf("the token is %q", b.cookie(sessionCookie))
	}
	before := b.cookie(sessionCookie)
	b.enter(web.Person{Subject: "bo", Role: web.RoleViewer})
	if b.cookie(sessionCookie) == before {
		t.Error("a second sign-in kept the token")
	}
	wantTo(t, "the token before", s.browser(t).get("/", "Cookie", sessionCookie+"="+before), "/sign-in")
}

// A session ends when nobody uses it, and at its longest; on both databases.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"SQLite": apikeytest.SQLiteURL, "Postgres": pgtest.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, times := range map[string][2]time.Duration{"idle": {10 * time.Minute, 12 * time.Hour}, "absolute": {time.Hour, 10 * time.Minute}} {
				s := newSite(t, apikeytest.Options{LedgerURL: url(t), Idle: true}, func(_ *site, c *web.Config) { c.Idle, c.Lifetime = times[0], times[1] })
				b := s.as(t, web.RoleViewer)
				wantStatus(t, what+", at once", b.get("/keys"), http.StatusOK)
				s.Clock.Advance(9 * time.Minute)
				wantStatus(t, what+", before the end", b.get("/keys"), http.StatusOK)
				s.Clock.Advance(3 * time.Minute)
				wantTo(t, what+", after the end", b.get("/keys"), "/sign-in?return=%2Fkeys")
			}
		})
	}
}

// Signing out ends this session, signing out everywhere all of the person's, and
// nobody else's. A restart keeps them.
func TestSignOut(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	one, two, other := s.as(t, web.RoleViewer), s.as(t, web.RoleViewer), s.as(t, web.RoleEditor)
	kept := one.cookie(sessionCookie)
	got := one.post("/sign-out", nil)
	wantTo(t, "sign out", got, "/sign-in?out=1")
	if !strings.Contains(got.header.Get("Clear-Site-Data"), "cache") || one.cookie(sessionCookie) != "" {
		t.Errorf("got %v, cookie %q", got.header, one.cookie(sessionCookie))
	}
	wantTo(t, "the token after", s.browser(t).get("/keys", "Cookie", sessionCookie+"="+kept), "/sign-in?return=%2Fkeys")
	wantStatus(t, "another session", two.get("/keys"), http.StatusOK)
	three := s.as(t, web.RoleViewer)
	wantTo(t, "sign out everywhere", three.post("/sign-out/everywhere", nil), "/sign-in?out=1")
	wantTo(t, "another session", two.get("/keys"), "/sign-in?return=%2Fkeys")
	wantStatus(t, "another person", other.get("/keys"), http.StatusOK)
}

// The ledger has no token of a session, and the session no secret.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleEditor, "acme")
	b.get("/keys", "User-Agent", "a browser")
	found, err := s.Ledger.SessionsOf(t.Context(), "user:ana-editor", s.Clock.Now())
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v", found, err)
	}
	if k := found[0]; k.Hash == b.cookie(sessionCookie) || strings.Contains(string(k.Data), b.cookie(sessionCookie)) || k.Address != "192.0.2.9" || k.UserAgent == "" {
		t.Errorf("kept %+v", k)
	}
}

// A form without a session is shown again with all that was typed, to be sent once
// more after signing in in another tab; one field cannot pose as another.
func TestSessionEndedKeepsTheForm(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.browser(t)
	form := url.Values{"name": {`"><script>alert(1)</script>`}, "scopes": {"a", "b"}, "note": {"two\nlines"}}
	got := b.post("/sign-out/everywhere?x=1", form)
	wantStatus(t, "the form", got, http.StatusUnauthorized)
	wantClean(t, "the form again", got)
	again := url.Values{}
	got.Find("main form input[type=hidden]").Each(func(_ int, e *goquery.Selection) {
		again.Add(e.AttrOr("name", ""), e.AttrOr("value", ""))
	})
	if again.Encode() != form.Encode() {
		t.Errorf("the form has %v, want %v", again, form)
	}
	if a := got.Find("main form").AttrOr("action", ""); a != "/sign-out/everywhere?x=1" {
		t.Errorf("it goes to %q", a)
	}
	got = b.post("/sign-out/everywhere", form, htmx("main")...)
	if got.status != http.StatusUnauthorized || got.header.Get("HX-Retarget") != "#main" || got.Find("html").Length() > 0 && strings.Contains(got.body, "<html") {
		t.Errorf("to a script: %d %v", got.status, got.header)
	}
}

// After sign-in people come back to where they were, and nowhere else.
func TestLocalPath(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/keys?q=a%20b&status=active": "/keys?q=a%20b&status=active", "/": "/", "/keys/a%2Fb": "/keys/a%2Fb", "/sign-in": "/", "/sign-in/once/x": "/",
		"": "/", "keys": "/", "//evil.test": "/", "///evil.test": "/", "/\\evil.test": "/", "/\t/evil.test": "/", "/\n/evil.test": "/", "https://evil.test": "/",
		"javascript:alert(1)": "/", "/%2F/evil.test": "/", "/@evil.test": "/@evil.test", "http:evil.test": "/", "/keys#x": "/keys", "/é": "/", "/%zz": "/",
		"/" + strings.Repeat("a", 3000): "/", "/.//evil.test": "/.//evil.test",
	} {
		if got := web.LocalPath(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// A theme is kept in a cookie of its own and is there from the first byte.
func TestTheme(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.browser(t)
	wantTo(t, "dark", b.post("/theme", url.Values{"theme": {"dark"}, "return": {"/keys?q=x"}}), "/keys?q=x")
	if got := b.get("/sign-in").Find("html").AttrOr("data-theme", ""); got != "dark" {
		t.Errorf("the theme is %q", got)
	}
	wantTo(t, "a wrong one", b.post("/theme", url.Values{"theme": {`"><script>`}, "return": {"//evil.test"}}), "/")
	if got := b.get("/sign-in").Find("html").AttrOr("data-theme", ""); got != "" {
		t.Errorf("the theme is %q", got)
	}
}
