package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/web"
)

// Everybody may decode a token in the browser; only who may introspect is offered
// to look it up, and nobody else can.
func TestTools(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	for role, may := range map[web.Role]bool{web.RoleViewer: false, web.RoleEditor: false, web.RoleAdmin: true} {
		b := s.as(t, role)
		got := b.get("/tools")
		wantStatus(t, string(role), got, http.StatusOK)
		wantClean(t, string(role), got)
		if got.Find("token-inspector textarea").Length() != 1 || got.Find("token-inspector button").Length() > 0 != may || got.Find(`script[src$="/inspect.js"]`).Length() != 1 {
			t.Errorf("%s: %s", role, got.text("main"))
		}
		looked := b.post("/tools/look-up", url.Values{"token": {"ory_at_made-up.token"}})
		switch {
		case !may:
			wantStatus(t, string(role)+" looks up", looked, http.StatusForbidden)
		case looked.status != http.StatusOK || looked.text("#found-title + .badge") != "not active":
			t.Errorf("%s: %d %s", role, looked.status, looked.text("main"))
		}
	}
	none := newSite(t, apikeytest.Options{Idle: true}, func(_ *site, c *web.Config) { c.Introspector = nil })
	wantStatus(t, "where nobody can", none.as(t, web.RoleAdmin).post("/tools/look-up", url.Values{"token": {"x"}}), http.StatusNotFound)
}

// A token that is looked up is not shown again, not logged and in no address.
func TestLookUpLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleAdmin)
	const token = "ory_at_canary-0123456789.abcdef"
	for _, text := range []string{token, "Bearer " + token, `{"access_token": "` + token + `", "expires_in": 3600}`, "Authorization: Bearer " + token} {
		got := b.post("/tools/look-up", url.Values{"token": {text}})
		wantStatus(t, text, got, http.StatusOK)
		wantClean(t, text, got)
		if strings.Contains(got.body, "canary") || strings.Contains(s.log.String(), "canary") {
			t.Errorf("%s is shown or logged", text)
		}
	}
	for _, text := range append(hostile, "", "   ", "two words", strings.Repeat("x", 40_000), `{"access_token": 1}`) {
		got := b.post("/tools/look-up", url.Values{"token": {text}})
		if got.status != http.StatusUnprocessableEntity && got.status != http.StatusOK || len(text) > 100 && strings.Contains(got.body, text) {
			t.Errorf("%.40q: %d %s", text, got.status, got.text("main"))
		}
		wantClean(t, text, got)
	}
	wantStatus(t, "from another site", b.post("/tools/look-up", url.Values{"token": {token}}, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
}
