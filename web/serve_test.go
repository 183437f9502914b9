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

// Every answer, of a page, a file or a failure, forbids what a page of ours never
// does, and pages are kept nowhere.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleAdmin)
	asset, _ := b.get("/").Find("link[rel=stylesheet]").Attr("href")
	for _, path := range []string{"/", "/keys", "/keys?cursor=x", "/sign-in", "/nothing", "/assets/nothing", "/sign-in/once/x", "/sign-in/callback", asset} {
		got := b.get(path)
		policy := got.header.Get("Content-Security-Policy")
		for _, must := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "form-action 'self';", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, must) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, must)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000"} {
			if got.header.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, got.header.Get(name))
			}
		}
		if kept := path == asset; got.header.Get("Cache-Control") == "no-store" == kept {
			t.Errorf("%s: Cache-Control %q", path, got.header.Get("Cache-Control"))
		}
	}
}

// wantClean checks that a page holds nothing that the policy forbids: it would be
// dead at best.
func wantClean(t *testing.T, what string, got answer) {
	t.Helper()
	if n := got.Find("style, [style], iframe, object, embed, base, script:not([src])").Length(); n > 0 {
		t.Errorf("%s has %d inline elements", what, n)
	}
	got.Find("*").Each(func(_ int, e *goquery.Selection) {
		for _, a := range e.Nodes[0].Attr {
			if strings.HasPrefix(a.Key, "on") || strings.HasPrefix(a.Key, "hx-on") {
				t.Errorf("%s has an attribute %s=%q", what, a.Key, a.Val)
			}
			local := strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "//") || strings.HasPrefix(a.Val, "#")
			if (a.Key == "src" || a.Key == "href" || a.Key == "action") && !local {
				t.Errorf("%s leads elsewhere: %s=%q", what, a.Key, a.Val)
			}
		}
	})
	if got.Find("h1").Length() != 1 || got.Find("title").Text() == "" || got.Find("html[lang]").Length() != 1 || got.Find("main#main").Length() != 1 {
		t.Errorf("%s lacks a heading, a title, a language or a main part", what)
	}
}

// A form that another site sent is not acted on, however it is sent; one of our own
// is.
func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleAdmin)
	for name, headers := range map[string][]string{
		"form of another site":           {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.test"},
		"form of a sibling site":         {"Sec-Fetch-Site", "same-site", "Origin", "https://other.keys.test"},
		"fetch without cors":             {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Origin", "https://evil.test", "Content-Type", "text/plain"},
		"multipart":                      {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.test", "Content-Type", "multipart/form-data; boundary=x"},
		"JSON by a beacon":               {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.test", "Content-Type", "application/json"},
		"sandboxed":                      {"Sec-Fetch-Site", "cross-site", "Origin", "null"},
		"old browser, sandboxed":         {"Sec-Fetch-Site", "", "Origin", "null"},
		"old browser, another site":      {"Sec-Fetch-Site", "", "Origin", "https://evil.test"},
		"old browser, another port":      {"Sec-Fetch-Site", "", "Origin", "https://127.0.0.1:1"},
		"claiming to be htmx":            {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.test", "HX-Request", "true"},
		"with a method in the form":      {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.test", "X-HTTP-Method-Override", "GET"},
		"a made-up value of Fetch's own": {"Sec-Fetch-Site", "same-origin, cross-site", "Origin", "https://evil.test"},
	} {
		wantStatus(t, name, b.post("/sign-out/everywhere", url.Values{"_method": {"DELETE"}}, headers...), http.StatusForbidden)
		wantStatus(t, "the session after "+name, b.get("/keys"), http.StatusOK)
	}
	wantTo(t, "our own form", b.post("/sign-out/everywhere", nil), "/sign-in?out=1")
	wantTo(t, "afterwards", b.get("/keys"), "/sign-in?return=%2Fkeys")
}

// A reading request changes nothing, whatever it says.
func TestReadsChangeNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleAdmin)
	for _, path := range []string{"/sign-out", "/sign-out/everywhere?_method=POST", "/theme?theme=dark", "/sign-in/link"} {
		got := b.get(path, "X-HTTP-Method-Override", "POST")
		wantStatus(t, path, got, http.StatusMethodNotAllowed)
		if got.header.Get("Allow") != "POST" {
			t.Errorf("%s: Allow %q", path, got.header.Get("Allow"))
		}
	}
	wantStatus(t, "the session", b.get("/keys"), http.StatusOK)
}

// What must be refused before it is looked at is told on a plain page: over HTTP
// where HTTPS is, without leading there.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleAdmin)
	got := b.get("/keys", "Test-Refused", string(apikey.ErrHTTPSRequired))
	wantStatus(t, "in clear", got, http.StatusForbidden)
	if !strings.Contains(got.text("main"), "https://") || got.header.Get("Location") != "" || strings.Contains(got.body, "Ana") || len(got.header["Set-Cookie"]) != 0 {
		t.Errorf("got %v, %s", got.header, got.text("body"))
	}
	wantClean(t, "in clear", got)
	got = b.get("/keys", "Test-Refused", string(apikey.ErrRateLimited))
	wantStatus(t, "over the limit", got, http.StatusTooManyRequests)
	if got.header.Get("Retry-After") == "" {
		t.Error("it does not say when to come back")
	}
}

// The log and the metrics hear which page it was and who asked, and nothing that
// somebody made up.
func TestVisitTells(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleViewer)
	b.get("/keys?q=canary")
	b.get("/canary")
	b.post(s.links.New(), nil)
	want := []web.Visit{{Route: "/keys", Principal: "user:ana-viewer"}, {Principal: "user:ana-viewer"}, {Route: "/sign-in/once/{token}", Principal: "user:dev"}}
	for i, w := range want {
		if got := s.visits[i]; got.Route != w.Route || got.Principal != w.Principal {
			t.Errorf("visit %d: got %q by %q, want %q by %q", i, got.Route, got.Principal, w.Route, w.Principal)
		}
	}
}

// While the ledger is away nobody is signed out: a page says so and when to come
// back.
func TestLedgerAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleViewer)
	if err := s.Ledger.Close(); err != nil {
		t.Fatal(err)
	}
	got := b.get("/keys")
	wantStatus(t, "without the ledger", got, http.StatusServiceUnavailable)
	if got.header.Get("Retry-After") == "" || len(got.header["Set-Cookie"]) != 0 || got.Find("h1").Length() != 1 {
		t.Errorf("got %v, %s", got.header, got.body)
	}
}
