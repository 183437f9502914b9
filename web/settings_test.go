package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/web"
)

func rulesForTest(t *testing.T) apikey.Policies {
	t.Helper()
	p, err := apikey.ParsePolicies([]byte(`{"scopes": [{"name": "orders:read", "title": "Read orders"}, {"name": "orders:write"}],
		"live": {"max_lifetime": "90d", "default_lifetime": "30d", "max_keys": 5, "max_grace_period": "7d", "token": {"max_lifetime": "1h", "formats": ["opaque"]}},
		"owners": {"globex": {"live": {"auth_methods": ["private_key_jwt"]}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The settings show the installation, the rules in words and the keys that break
// them, for whoever may look at keys.
func TestSettings(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		c.Policies, c.TokenURL = rulesForTest(t), "https://hydra.example.com/oauth2/token"
	}}, nil)
	s.key(t, apikey.CreateParams{Name: "endless <b>"})
	end := s.Clock.Now().Add(24 * time.Hour)
	s.key(t, apikey.CreateParams{Name: "ends soon", Environment: apikey.Test, ExpiresAt: apikey.SetTo(end)})
	for role, checks := range map[web.Role]int{web.RoleViewer: 0, web.RoleEditor: 0, web.RoleAdmin: 1} {
		got := s.as(t, role).get("/settings")
		wantStatus(t, string(role), got, http.StatusOK)
		wantClean(t, string(role), got)
		if got.Find("#checks").Length() != checks {
			t.Errorf("%s sees the checks %d times", role, got.Find("#checks").Length())
		}
		if said := got.text("#rules"); !strings.Contains(said, "At most 90 days. If nothing is said: 30 days.") || !strings.Contains(said, "At most 5 for each owner") ||
			!strings.Contains(said, "orders:read Read orders") || !strings.Contains(said, "endless <b>") || strings.Contains(said, "ends soon") {
			t.Errorf("%s: the rules are %s", role, said)
		}
		if said := got.text("#installation"); !strings.Contains(said, "1 minute to 1 day") || got.Find("#installation copy-text code").First().Text() != s.Hydra.PublicURL() || got.Find("#installation copy-text").Length() != 2 {
			t.Errorf("%s: the installation is %s", role, said)
		}
	}
	if said := s.as(t, web.RoleViewer).get("/settings?owner=globex").text("#rules .columns div:first-child dl"); !strings.Contains(said, "Proof By Key pair.") {
		t.Errorf("the rules of another owner are %s", said)
	}
}

// Rules and breaches of owners that the person does not see stay hidden, and so
// does what doctor finds.
func TestSettingsOfOwners(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		c.Policies, c.TokenURL = rulesForTest(t), "https://hydra.example.com/oauth2/token"
	}}, nil)
	s.key(t, apikey.CreateParams{Name: "ours", Owner: "acme"})
	s.key(t, apikey.CreateParams{Name: "theirs", Owner: "globex"})
	b := s.as(t, web.RoleAdmin, "acme")
	got := b.get("/settings")
	if said := got.text("#rules"); !strings.Contains(said, "ours") || strings.Contains(said, "theirs") || got.Find("#checks").Length() > 0 {
		t.Errorf("a bound admin sees %s", got.text("main"))
	}
	got = b.get("/settings?owner=globex")
	if got.status != http.StatusOK || !strings.Contains(got.text("#rules .alert"), "may not see the rules") || strings.Contains(got.text("#rules"), "theirs") {
		t.Errorf("another owner's: %d %s", got.status, got.text("#rules"))
	}
	wantStatus(t, "the checks, bound", b.get("/settings/checks"), http.StatusForbidden)
	wantStatus(t, "the checks, as editor", s.as(t, web.RoleEditor).get("/settings/checks"), http.StatusForbidden)
	for _, query := range []string{"cursor=made-up", "owner=" + strings.Repeat("a", 200)} {
		if got := b.get("/settings?" + query); got.status != http.StatusOK || got.text("#rules .alert") == "" && strings.HasPrefix(query, "owner") {
			t.Errorf("%s: %d %s", query, got.status, got.text("#rules"))
		}
	}
	for _, text := range hostile {
		wantClean(t, text, b.get("/settings?"+url.Values{"owner": {text}, "cursor": {text}}.Encode()))
	}
}

func diagnosisForTest(context.Context) apikey.Diagnosis {
	return apikey.Diagnosis{Result: apikey.CheckFailed, Version: "1", Checks: []apikey.Check{
		{Name: "hydra_ready", Result: apikey.CheckPassed, Seen: "it answers"},
		{Name: "token_hook", Result: apikey.CheckFailed, Seen: "<b>nobody</b> asks", Why: "expiry", Fix: "set hook"},
	}}
}

// What doctor finds comes as a part for the settings and as a page of its own,
// what needs a look first.
func TestChecks(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) { c.Diagnose = diagnosisForTest }}, nil)
	b := s.as(t, web.RoleAdmin)
	whole, part := b.get("/settings/checks"), b.get("/settings/checks", htmx("section#checks")...)
	wantClean(t, "the checks", whole)
	if whole.text("h1") != "Checks" || strings.Contains(part.body, "<html") || whole.text("#checks") != part.text("#checks") {
		t.Errorf("whole %s, part %s", whole.text("main"), part.body)
	}
	if first := whole.text("#checks > ul li:first-child"); !strings.HasPrefix(first, "Token hook failed <b>nobody</b> asks.") || !strings.Contains(first, "set hook") {
		t.Errorf("first comes %s", first)
	}
	if folded := whole.text("#checks details"); !strings.HasPrefix(folded, "1 check with nothing to mend Hydra ready passed") {
		t.Errorf("folded is %s", folded)
	}
	if got := b.get("/settings/checks?brief"); got.text("h1") != "Checks" || got.text("#checks") != whole.text("#checks") {
		t.Errorf("what the overview asks for, as a page: %s", got.text("main"))
	}
}

// The overview asks for what doctor found once it is there, in a line each; checks
// that take longer than a page waits are a word, and no failure of the page.
func TestChecksInBrief(t *testing.T) {
	t.Parallel()
	diagnose := diagnosisForTest
	s := newSite(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		c.Diagnose = func(ctx context.Context) apikey.Diagnosis { return diagnose(ctx) }
	}}, nil)
	for _, b := range []*browser{s.as(t, web.RoleViewer), s.as(t, web.RoleEditor), s.as(t, web.RoleAdmin, "acme")} {
		if b.get("/").Find("#checks-brief").Length() != 0 {
			t.Error("whoever may not diagnose is told of checks")
		}
	}
	b := s.as(t, web.RoleAdmin)
	asked := b.get("/").Find("#checks-brief")
	if asked.AttrOr("hx-get", "") != "/settings/checks?brief" || asked.AttrOr("hx-trigger", "") != "load" || asked.Find(`.script-off a[href="/settings/checks"]`).Length() != 1 {
		t.Errorf("the overview asks by %v", asked.Nodes)
	}
	part := b.get("/settings/checks?brief", htmx("div#checks-brief")...)
	if said := part.text("#checks-brief"); !strings.HasPrefix(said, "Checks failed Token hook <b>nobody</b> asks Checked \u00b7 just now") || strings.Contains(part.body, "<html") || part.Find(`a[href="/settings#checks"]`).Length() != 2 {
		t.Errorf("the brief is %s", said)
	}
	diagnose = func(context.Context) apikey.Diagnosis {
		return apikey.Diagnosis{Result: apikey.CheckPassed, Checks: []apikey.Check{{Name: "ledger", Result: apikey.CheckPassed}, {Name: "policies", Result: apikey.CheckSkipped}}}
	}
	s.Clock.Advance(9 * time.Minute)
	if said := b.get("/settings/checks?brief", htmx("div#checks-brief")...).text("#checks-brief"); !strings.Contains(said, "9 min ago") {
		t.Errorf("findings of nine minutes ago: %s", said)
	}
	wantStatus(t, "the findings of before, bound", s.as(t, web.RoleAdmin, "acme").get("/settings/checks?brief"), http.StatusForbidden)
	s.Clock.Advance(time.Minute + time.Second)
	if said := b.get("/settings/checks?brief", htmx("div#checks-brief")...).text("#checks-brief"); !strings.HasPrefix(said, "Checks passed 2 checks, and nothing to mend.") {
		t.Errorf("with nothing to mend: %s", said)
	}
}

// Checks that are not done in time are no failure of the page that asked for them.
func TestChecksTakeLong(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, func(_ *site, c *web.Config) { c.API = slowDoctor{c.API} })
	b := s.as(t, web.RoleAdmin)
	for path, id := range map[string]string{"/settings/checks": "#checks", "/settings/checks?brief": "#checks-brief"} {
		got := b.get(path, htmx(id)...)
		if got.status != http.StatusOK || !strings.Contains(got.text(id), "still being made. Ask again") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		wantStatus(t, path+", whole", b.get(path), http.StatusServiceUnavailable)
	}
}

// slowDoctor does not come to an end.
type slowDoctor struct{ apikey.API }

func (slowDoctor) Doctor(context.Context) (apikey.Diagnosis, error) {
	return apikey.Diagnosis{}, apikey.ErrUnavailable
}

// A person ends sessions of their own, one by one, and nobody else's; the names in
// the page are not those that the ledger has.
func TestMySessions(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	one, two, other := s.as(t, web.RoleViewer), s.as(t, web.RoleViewer), s.as(t, web.RoleEditor)
	got := one.get("/settings")
	forms := got.Find("#sessions .session form")
	if got.Find("#sessions .session").Length() != 2 || forms.Length() != 1 || !strings.Contains(got.text("#sessions"), "this one") {
		t.Fatalf("sessions: %s", got.text("#sessions"))
	}
	kept, err := s.Ledger.SessionsOf(t.Context(), "user:ana-viewer", s.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kept {
		if strings.Contains(got.body, k.Hash) {
			t.Error("the page has a session's name")
		}
	}
	end := forms.AttrOr("action", "")
	wantTo(t, "ended by another", other.post(end, nil), "/settings#sessions")
	wantStatus(t, "still there", two.get("/settings"), http.StatusOK)
	wantTo(t, "ended", one.post(end, nil), "/settings#sessions")
	wantTo(t, "the session that ended", two.get("/settings"), "/sign-in?return=%2Fsettings")
	wantTo(t, "ended once more", one.post(end, nil), "/settings#sessions")
	wantStatus(t, "from another site", one.post(end, nil, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
}

// Single keys are switched off in this browser, and on again.
func TestShortcutsOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, apikeytest.Options{Idle: true}, nil)
	b := s.as(t, web.RoleViewer)
	for choice, want := range map[string]string{"off": "off", "<script>": "off", "on": ""} {
		wantTo(t, choice, b.post("/settings/shortcuts", url.Values{"shortcuts": {choice}}), "/settings#appearance")
		got := b.get("/settings")
		if is := got.Find("html").AttrOr("data-shortcuts", ""); is != want {
			t.Errorf("%s: %q, want %q", choice, is, want)
		}
		wantClean(t, choice, got)
	}
}
