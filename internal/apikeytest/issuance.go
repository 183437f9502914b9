package apikeytest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// RunHooked runs what holds only where Hydra asks the service before it issues a
// token.
func RunHooked(t *testing.T, f Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"claims":       testClaims,
		"states":       testIssuanceStates,
		"replaced":     testIssuanceReplaced,
		"foreign":      testForeign,
		"lastDenial":   testLastDenial,
		"denialEvents": testDenialEvents,
	} {
		t.Run(name, func(t *testing.T) { test(t, f) })
	}
}

// refusedByHook wants Hydra to refuse the key because its hook said so.
func (f Fixture) refusedByHook(t *testing.T, what string, k apikey.Key, secret apikey.Secret) {
	t.Helper()
	_, err := f.Buy(t, k, secret, nil)
	if r, ok := err.(*hydratest.Refused); !ok || r.Status != http.StatusForbidden || r.Code != "access_denied" { //nolint:errorlint // as Buy returns it
		t.Errorf("%s: %v; want 403 access_denied", what, err)
	}
}

// Introspection is the whole answer of Hydra.
func (f Fixture) introspection(t *testing.T, token string) (out map[string]any) {
	t.Helper()
	r, err := http.PostForm(f.AdminURL+"/admin/oauth2/introspect", url.Values{"token": {token}}) //nolint:noctx // a test's own Hydra
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A token says whose it is: at the top level of a JWT, and under ext in
// introspection. The end of the key is a text.
func testClaims(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	end := f.Clock.Now().Add(1000 * time.Hour).UTC().Truncate(time.Second)
	for _, format := range []apikey.TokenFormat{apikey.Opaque, apikey.JWT} {
		for _, env := range []apikey.Environment{apikey.Live, apikey.Test} {
			p := apikey.CreateParams{Name: "x", Owner: "claims", Environment: env, Scopes: []string{"a"}, Token: &apikey.TokenParams{Format: format}}
			if env == apikey.Live {
				p.ExpiresAt = apikey.SetTo(end)
			}
			issued, err := api.Create(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			token, err := f.Buy(t, issued.Key, issued.Secret, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]any{"root_id": issued.Key.ID, "owner": "claims", "env": string(env)}
			if env == apikey.Live {
				want["key_expires_at"] = end.Format(time.RFC3339)
			}
			f.wantClaims(t, string(format)+" "+string(env), token, format, want)
		}
	}
}

var claimNames = []string{"root_id", "owner", "env", "key_expires_at"}

func (f Fixture) wantClaims(t *testing.T, what, token string, format apikey.TokenFormat, want map[string]any) {
	t.Helper()
	only := func(m map[string]any) map[string]any {
		out := map[string]any{}
		for _, name := range claimNames {
			if v, found := m[name]; found {
				out[name] = v
			}
		}
		return out
	}
	answer := f.introspection(t, token)
	ext, _ := answer["ext"].(map[string]any)
	if d := cmp.Diff(want, only(ext)); d != "" || answer["active"] != true {
		t.Errorf("%s, introspected: %v; ext (-want +got):\n%s", what, answer["active"], d)
	}
	if format != apikey.JWT {
		return
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, only(claims)); d != "" {
		t.Errorf("%s, top level (-want +got):\n%s", what, d)
	}
}

// A key gets tokens exactly while it is active, to the second, whatever Hydra
// itself has heard by then; what widens counts at once as well.
func testIssuanceStates(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	make := func(p apikey.CreateParams) apikey.Issued {
		t.Helper()
		p.Name, p.Owner, p.Scopes = "x", "states", []string{"a"}
		issued, err := api.Create(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Buy(t, issued.Key, issued.Secret, nil); err != nil {
			t.Errorf("a new key: %v", err)
		}
		return issued
	}
	end := f.Clock.Now().Add(time.Hour).Truncate(time.Second)
	paused, ends, ended := make(apikey.CreateParams{}), make(apikey.CreateParams{ExpiresAt: apikey.SetTo(end)}), make(apikey.CreateParams{})
	if _, err := api.Disable(ctx, paused.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	f.refusedByHook(t, "disabled", paused.Key, paused.Secret)
	if _, err := api.Enable(ctx, paused.Key.ID, apikey.ActionParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Buy(t, paused.Key, paused.Secret, nil); err != nil {
		t.Errorf("enabled: %v", err)
	}
	until := f.Clock.Now().Add(30 * time.Minute)
	if _, err := api.Disable(ctx, paused.Key.ID, apikey.DisableParams{Until: &until}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Revoke(ctx, ended.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	if f.Works(t, ended.Key, ended.Secret, nil) {
		t.Error("revoked: there was a token")
	}
	f.Clock.Advance(end.Sub(f.Clock.Now()) + time.Second)
	f.refusedByHook(t, "expired a second ago", ends.Key, ends.Secret)
	Eventually(t, "the pause is over", func() bool { return f.Works(t, paused.Key, paused.Secret, nil) })
	later := f.Clock.Now().Add(time.Hour)
	if _, err := api.Update(ctx, ends.Key.ID, apikey.UpdateParams{ExpiresAt: apikey.SetTo(later)}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Buy(t, ends.Key, ends.Secret, nil); err != nil {
		t.Errorf("with a later end: %v", err)
	}
}

// After a rotation both keys get tokens that name the same root, until the
// deadline of the old one, to the second; completed, at once.
func testIssuanceReplaced(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	old := f.make(t, api, ctx, "replaced")
	hour := apikey.Duration(time.Hour)
	r, err := api.Rotate(ctx, old.Key.ID, apikey.RotateParams{GracePeriod: &hour})
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]apikey.Issued{"old": old, "new": {Key: r.Key, Secret: r.Secret}} {
		token, err := f.Buy(t, k.Key, k.Secret, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := map[string]any{"root_id": old.Key.ID, "owner": "replaced", "env": "live"}
		if name == "old" {
			want["key_expires_at"] = r.PreviousEndsAt.UTC().Format(time.RFC3339)
		}
		f.wantClaims(t, name, token, apikey.Opaque, want)
	}
	f.Clock.Advance(time.Hour + time.Second)
	f.refusedByHook(t, "past its deadline", old.Key, old.Secret)
	again, err := api.Rotate(ctx, r.Key.ID, apikey.RotateParams{GracePeriod: &hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.CompleteRotation(ctx, again.Key.ID, apikey.ActionParams{}); err != nil {
		t.Fatal(err)
	}
	f.refusedByHook(t, "completed", r.Key, r.Secret)
	if _, err := f.Buy(t, again.Key, again.Secret, nil); err != nil {
		t.Errorf("the newest: %v", err)
	}
}

// Clients that are none of our keys get their tokens as without us. One whose id
// looks like a key's, and is none, is refused.
func testForeign(t *testing.T, f Fixture) {
	client := func(id string) map[string]any {
		return map[string]any{"client_id": id, "client_secret": "not-one-of-ours-0123456789", "owner": "foreign", "scope": "read",
			"grant_types": []string{"client_credentials"}, "access_token_strategy": "jwt"}
	}
	for id, want := range map[string]int{
		"foreign-client": 200, "9b2f6b0e-1d1f-4c2a-9a54-0d6f0c5a3c11": 200, "key_live_mine": 200, "KEY_LIVE_01k9x2mc4q8r7s5t3v1w0y9z8a": 200,
		"x key_live_01k9x2mc4q8r7s5t3v1w0y9z8a":               200,
		apikey.NewID(apikey.Live, f.Clock.Now()):              403,
		"key_test_01k9x2mc4q8r7s5t3v1w0y9z8a" /* checksum */ : 403,
	} {
		hydratest.Register(t, f.AdminURL, client(id))
		purchase := hydratest.Purchase{TokenURL: f.TokenURL, ID: id, Secret: "not-one-of-ours-0123456789", Scopes: []string{"read"}}
		token, err := hydratest.Buy(t.Context(), purchase)
		for range 3 { // Hydra on SQLite fails some of those who write at once
			if hydratest.Status(err) == 500 {
				token, err = hydratest.Buy(t.Context(), purchase)
			}
		}
		if hydratest.Status(err) != want {
			t.Errorf("%s: %v; want %d", id, err, want)
			continue
		}
		if err == nil && f.introspection(t, token)["ext"] != nil {
			t.Errorf("%s: its token says something of ours", id)
		}
	}
}

// The holder of a key is told why it was last refused, which Hydra does not say.
func testLastDenial(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	issued := f.make(t, api, ctx, "denied")
	ways := f.By(t, issued.Key, issued.Secret, nil)
	last := func() *apikey.LastDenial {
		t.Helper()
		self, err := holder(t, api).Self(context.WithoutCancel(ctx), ways["client_secret_post"]())
		if err != nil {
			t.Fatal(err)
		}
		return self.LastDenial
	}
	if got := last(); got != nil {
		t.Errorf("never refused: %+v", got)
	}
	if _, err := api.Disable(ctx, issued.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	f.refusedByHook(t, "disabled", issued.Key, issued.Secret)
	Eventually(t, "it is written down", func() bool { return last() != nil })
	if got := last(); got.Reason != apikey.DeniedDisabled || f.Clock.Now().Sub(got.At).Abs() > time.Minute {
		t.Errorf("refused while disabled: %+v", got)
	}
}

// Refused tokens are in the record of the key and in the feed: the first for a
// reason in an hour, with how many came after the one told before.
func testDenialEvents(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	issued := f.make(t, api, ctx, "refused")
	if _, err := api.Disable(ctx, issued.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	told := func() (out []apikey.Event) {
		t.Helper()
		page, err := api.KeyEvents(ctx, issued.Key.ID, apikey.PageParams{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Data {
			if e.Action == apikey.ActionDeny {
				out = append(out, e)
			}
		}
		return out
	}
	denied := func() int64 {
		t.Helper()
		u, err := api.Usage(ctx, issued.Key.ID, apikey.UsageParams{})
		if err != nil {
			t.Fatal(err)
		}
		return u.Totals.Denied
	}
	now := f.Clock.Now()
	f.Clock.Advance(now.Truncate(time.Hour).Add(61 * time.Minute).Sub(now)) // nothing of this lies in two hours
	f.refusedByHook(t, "disabled", issued.Key, issued.Secret)
	Eventually(t, "the first is told", func() bool { return len(told()) == 1 })
	for range 3 {
		f.refusedByHook(t, "disabled", issued.Key, issued.Secret)
	}
	Eventually(t, "they are counted", func() bool { return denied() == 4 })
	f.Clock.Advance(time.Hour)
	f.refusedByHook(t, "an hour later", issued.Key, issued.Secret)
	Eventually(t, "the next is told", func() bool { return len(told()) != 1 })
	k, events := issued.Key, told()
	want := apikey.Event{Action: apikey.ActionDeny, KeyID: k.ID, RootID: k.RootID, Owner: k.Owner, Kind: apikey.KindAPI, Revision: 2, Principal: "system:hook", KeyName: k.Name, Before: map[string]any{}}
	for i, n := range []int{4, 1} { // newest first
		want.ID, want.At = events[i].ID, events[i].At
		want.After = map[string]any{"reason": "disabled", "denied": float64(n)}
		if d := cmp.Diff(want, events[i]); d != "" || f.Clock.Now().Sub(want.At) > 2*time.Hour {
			t.Errorf("%d refusals, told at %v (-want +got):\n%s", n, want.At, d)
		}
	}
	feed, err := api.Events(ctx, apikey.FeedParams{After: events[0].ID - 1, Limit: 1})
	if err != nil || len(feed.Data) != 1 || cmp.Diff(events[0], feed.Data[0]) != "" {
		t.Errorf("the feed: %+v, %v", feed.Data, err)
	}
}
