package web_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/web"
)

// The keys that sign are Hydra's: which one signs, since when, until when an older
// one is needed, and the command for what is to be done. Without Hydra that is said,
// and whoever may not diagnose sees none of it.
func TestSigningKeys(t *testing.T) {
	t.Parallel()
	own := hydratest.New(t, hydradev.Config{})
	proxy := hydratest.NewProxy(t, own.AdminURL())
	s := newSite(t, apikeytest.Options{Idle: true, Hydra: own, AdminURL: proxy.URL(), HydraWith: func(c *hydra.Config) { c.Retries = -1 }}, nil)
	b := s.as(t, web.RoleAdmin)
	provider{admin: own.AdminURL()}.call(t, http.MethodPost, "/admin/keys/hydra.jwt.access-token", map[string]any{"kid": hostile[0], "alg": "RS256", "use": "sig"}, nil)
	made := func(age time.Duration, random string) string {
		kid := hydra.NewSigningKeyID(s.Clock.Now().Add(-age), random)
		if err := s.Clients.CreateSigningKey(t.Context(), kid, "ES256"); err != nil {
			t.Fatal(err)
		}
		return kid
	}
	over := made(2*365*24*time.Hour, "over")
	got := b.get("/settings/signing-keys")
	wantClean(t, "an old key", got)
	if got.text("h1") != "Signing keys" || !strings.Contains(got.Find(".alert").Text(), "more than a year.Mend it: tokenos signing-keys rotate.") || got.text("#signing-keys li:first-child .badge") != "signs new tokens" {
		t.Errorf("an old key: %s", got.Find("main").Text())
	}

	needed, signs := made(26*time.Hour, "needed"), made(time.Hour, "signs")
	s.Clock.Advance(10 * time.Second)
	wantClean(t, "the keys", b.get("/settings/signing-keys"))
	got = b.get("/settings/signing-keys", htmx("section#signing-keys")...)
	for i, want := range []string{
		signs + " signs new tokens ES256 with 256 bits \u00b7 made 1 hour ago",
		needed + " published ES256 with 256 bits \u00b7 made 1 day ago Replaced 1 hour ago \u00b7 the last token that it signed ends in 23 hours",
		over + " may be retired ES256 with 256 bits \u00b7 made 2 years ago Replaced 1 day ago \u00b7 the last token that it signed ended 1 hour ago tokenos signing-keys retire " + over + " Copy",
		hostile[0] + " may be retired RS256 with 4096 bits \u00b7 it is not known when it was made Replaced 2 years ago \u00b7 the last token that it signed ended 1 year ago",
		hydradev.SigningKeyID + " published ES256 with 256 bits \u00b7 it is not known when it was made It is not known when it was replaced. If that was longer ago than its longest token lives: tokenos signing-keys retire " + hydradev.SigningKeyID + " --force Copy",
	} {
		line := got.Find("#signing-keys .lines li").Eq(i)
		if said := strings.Join(strings.Fields(line.Text()), ""); said != strings.ReplaceAll(want, " ", "") {
			t.Errorf("key %d: got  %s\nwant %s", i, line.Text(), want)
		}
	}
	if got.Find(".alert").Length() != 0 || !strings.Contains(got.text("#signing-keys .facts"), "tokenos signing-keys rotate") || strings.Contains(got.body, "<html") || strings.Contains(got.body, `"d"`) {
		t.Errorf("the part is %s", got.body)
	}

	proxy.Refuse()
	s.Clock.Advance(10 * time.Second)
	got = b.get("/settings/signing-keys", htmx("section#signing-keys")...)
	wantStatus(t, "without Hydra", got, http.StatusOK)
	if got.text("#signing-keys .alert-title") != "Hydra does not tell its keys at the moment" || got.Find("#signing-keys li").Length() != 0 {
		t.Errorf("without Hydra: %s", got.text("#signing-keys"))
	}
	for _, other := range []*browser{s.as(t, web.RoleViewer), s.as(t, web.RoleEditor), s.as(t, web.RoleAdmin, "acme")} {
		wantStatus(t, "without the right", other.get("/settings/signing-keys"), http.StatusForbidden)
		if other.get("/settings").Find("#signing-keys").Length() != 0 {
			t.Error("the settings speak of them")
		}
	}
}
