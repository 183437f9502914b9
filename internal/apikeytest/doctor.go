package apikeytest

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// suiteDiagnosis is what a world that says nothing of checks finds; its version
// is how often it looked.
func suiteDiagnosis() func(context.Context) apikey.Diagnosis {
	var looks atomic.Int64
	return func(ctx context.Context) apikey.Diagnosis {
		seen := "without a deadline"
		if _, ok := ctx.Deadline(); ok {
			seen = "within a deadline"
		}
		return apikey.Diagnosis{Result: apikey.CheckWarned, Version: strconv.FormatInt(looks.Add(1), 10), Checks: []apikey.Check{
			{Name: "ledger", Result: apikey.CheckPassed, Seen: seen, Why: "it holds the keys"},
			{Name: "policies", Result: apikey.CheckWarned, Seen: "2 keys", Why: "they stay", Fix: "end them"}}}
	}
}

// A diagnosis is one look for all who ask within half a minute, and not for
// callers who are bound to owners.
func testDoctor(t *testing.T, f Fixture) {
	api, ctx := f.As(t, []apikey.Right{apikey.Admin})
	f.Clock.Advance(31 * time.Second)
	first, err := api.Doctor(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := apikey.Diagnosis{Result: apikey.CheckWarned, Version: first.Version, CheckedAt: f.Clock.Now().UTC().Truncate(time.Second), Checks: []apikey.Check{
		{Name: "ledger", Result: apikey.CheckPassed, Seen: "within a deadline", Why: "it holds the keys"},
		{Name: "policies", Result: apikey.CheckWarned, Seen: "2 keys", Why: "they stay", Fix: "end them"}}}
	if age := want.CheckedAt.Sub(first.CheckedAt); age < 0 || age > Within {
		t.Errorf("checked at %v, now %v", first.CheckedAt, want.CheckedAt)
	}
	want.CheckedAt = first.CheckedAt
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("diagnosis (-want +got):\n%s", diff)
	}
	f.Clock.Advance(15 * time.Second)
	again, err := api.Doctor(ctx)
	if err != nil || again.Version != first.Version || again.CheckedAt != first.CheckedAt {
		t.Errorf("soon after: %+v, %v; want the look of before", again, err)
	}
	f.Clock.Advance(16 * time.Second)
	var together sync.WaitGroup
	looks := make([]string, 8)
	for i := range looks {
		together.Go(func() {
			d, err := api.Doctor(ctx)
			if err != nil {
				t.Error(err)
			}
			looks[i] = d.Version
		})
	}
	together.Wait()
	for _, version := range looks {
		if version != looks[0] || version == first.Version {
			t.Errorf("looks %v after look %s, want one more", looks, first.Version)
		}
	}
	bound, bctx := f.As(t, []apikey.Right{apikey.Admin}, "doctor")
	_, err = bound.Doctor(bctx)
	wantErr(t, "an admin bound to an owner", err, apikey.ErrForbidden)
}
