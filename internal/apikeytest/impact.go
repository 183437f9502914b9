package apikeytest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// A dry run answers what the real call then answers, refuses what it would
// refuse, and changes nothing.
func testDryRun(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	old, err := api.Create(ctx, apikey.CreateParams{Name: "dry", Owner: "dry run", Scopes: []string{"a", "b"}, Token: &apikey.TokenParams{Format: apikey.JWT, Lifetime: grace(time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	id := old.Key.ID
	r, err := api.Rotate(ctx, id, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := api.Get(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	compare := func(what string, dry, real apikey.Impact) {
		t.Helper()
		if !dry.DryRun || real.DryRun || dry.AccessEndsAt == nil || dry.AccessEndsAt.Offline == nil {
			t.Errorf("%s: dry run %+v, real %+v", what, dry, real)
			return
		}
		for _, times := range [][2]*time.Time{{dry.AccessEndsAt.Introspected, real.AccessEndsAt.Introspected}, {dry.AccessEndsAt.Offline, real.AccessEndsAt.Offline}} {
			if d := times[1].Sub(*times[0]); d < 0 || d > 5*time.Second {
				t.Errorf("%s: dry run says access ends %v, it ends %v", what, times[0], times[1])
			}
		}
		if d := cmp.Diff(dry.Others, real.Others); d != "" {
			t.Errorf("%s: others (-dry +real):\n%s", what, d)
		}
	}
	unchanged := func(what string) {
		t.Helper()
		if now, err := api.Get(ctx, id); err != nil || now.Revision != before.Revision || !slices.Equal(now.Flags, before.Flags) {
			t.Errorf("%s changed the key: %+v, %v", what, now, err)
		}
	}

	less := []string{"a"}
	dryCut, err := api.Update(ctx, id, apikey.UpdateParams{Scopes: &less, DryRun: true})
	if err != nil || dryCut.Impact == nil || len(dryCut.Scopes) != 2 {
		t.Fatalf("dry scope cut: %+v, %v", dryCut, err)
	}
	unchanged("a dry scope cut")
	cut, err := api.Update(ctx, id, apikey.UpdateParams{Scopes: &less})
	if err != nil || cut.Impact == nil {
		t.Fatalf("scope cut: %+v, %v", cut, err)
	}
	compare("scope cut", *dryCut.Impact, *cut.Impact)
	if len(cut.Impact.Others) != 1 || cut.Impact.Others[0].ID != r.Key.ID {
		t.Errorf("others: %+v", cut.Impact.Others)
	}
	before = cut.Key

	dry, err := api.Disable(ctx, id, apikey.DisableParams{DryRun: true, IdempotencyKey: "a-dry-run-of-disable"})
	if err != nil {
		t.Fatal(err)
	}
	unchanged("a dry disable")
	f.works(t, "after a dry disable", old.Key, old.Secret, nil, true)
	real, err := api.Disable(ctx, id, apikey.DisableParams{IdempotencyKey: "a-dry-run-of-disable"})
	if err != nil {
		t.Fatal(err)
	}
	compare("disable", dry.Impact, real.Impact)
	before = real.Key

	if dry, err = api.Revoke(ctx, id, apikey.RevokeParams{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	unchanged("a dry revoke")
	if real, err = api.Revoke(ctx, id, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	compare("revoke", dry.Impact, real.Impact)

	_, err = api.Disable(ctx, id, apikey.DisableParams{DryRun: true})
	wantErr(t, "dry disable of a revoked key", err, apikey.ErrRevoked)
	_, err = api.Rotate(ctx, id, apikey.RotateParams{DryRun: true})
	wantErr(t, "dry rotation of a revoked key", err, apikey.ErrRevoked)

	id = r.Key.ID
	if before, err = api.Get(ctx, id); err != nil {
		t.Fatal(err)
	}
	for _, period := range []time.Duration{time.Hour, 0} {
		p := apikey.RotateParams{GracePeriod: grace(period), DryRun: true}
		dry, err := api.Rotate(ctx, id, p)
		if err != nil || !dry.Secret.IsZero() || dry.VerifiedAt != nil || dry.PreviousEndsAt == nil {
			t.Fatalf("dry rotation: %+v, %v", dry, err)
		}
		unchanged("a dry rotation")
		p.DryRun = false
		real, err := api.Rotate(ctx, id, p)
		if err != nil || real.Mode != dry.Mode {
			t.Fatalf("rotation: %+v, %v; dry %+v", real, err, dry)
		}
		dry.Others, real.Others = nil, nil // the old key is among them only once it is the other
		compare("rotation", dry.Impact, real.Impact)
		id = real.Key.ID
		if _, err := api.CompleteRotation(ctx, id, apikey.ActionParams{}); err != nil {
			t.Fatal(err)
		}
		if before, err = api.Get(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
}

// A key is told to be expiring 30, 14, 7 and 1 days before, once each, whatever
// is changed beside, and to have expired, also while it is disabled. A new
// deadline has notices of its own.
func testNotices(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	ends := f.Clock.Now().Add(40 * rotationDay)
	issued, err := api.Create(ctx, apikey.CreateParams{Name: "notices", Owner: "notices", Scopes: []string{"a"}, ExpiresAt: apikey.SetTo(ends)})
	if err != nil {
		t.Fatal(err)
	}
	id := issued.Key.ID
	told := func() (days []float64) {
		events, err := api.KeyEvents(ctx, id, apikey.PageParams{Limit: 200})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range slices.Backward(events.Data) {
			switch e.Action {
			case apikey.ActionExpiring:
				n, _ := e.After["expires_in_days"].(float64)
				days = append(days, n)
			case apikey.ActionExpire:
				days = append(days, 0)
			}
		}
		return days
	}
	want := []float64{}
	step := func(ahead time.Duration, more ...float64) {
		t.Helper()
		f.Clock.Advance(ahead)
		want = append(want, more...)
		name := "n" + ahead.String()
		if _, err := api.Update(ctx, id, apikey.UpdateParams{Name: &name}); err != nil {
			t.Fatal(err)
		}
		Eventually(t, "the notices are told", func() bool { return len(told()) >= len(want) })
		if got := told(); !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	}
	step(time.Hour)
	step(10*rotationDay, 30)
	step(rotationDay)
	step(22*rotationDay+12*time.Hour, 14, 7)
	if _, err := api.Disable(ctx, id, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	step(6*rotationDay, 1)
	step(rotationDay, 0)
	if k, err := api.Get(ctx, id); err != nil || k.Status != apikey.StatusDisabled {
		t.Errorf("status %s, %v", k.Status, err)
	}
	if _, err := api.Update(ctx, id, apikey.UpdateParams{ExpiresAt: apikey.SetTo(f.Clock.Now().Add(10 * rotationDay))}); err != nil {
		t.Fatal(err)
	}
	step(time.Hour)
	step(3*rotationDay, 7)
	page, err := api.List(ctx, apikey.ListParams{Owner: "notices", ExpiresBefore: new(f.Clock.Now().Add(8 * rotationDay))})
	if err != nil || len(page.Data) != 1 || !has(page.Data[0], apikey.FlagExpiring) {
		t.Errorf("expires_before: %+v, %v", page, err)
	}
}
