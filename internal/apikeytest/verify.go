package apikeytest

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
)

// verified waits for the end of the verification under way.
func verified(t *testing.T, api apikey.API, ctx context.Context) apikey.Verification {
	t.Helper()
	var v apikey.Verification
	Eventually(t, "the end of the verification", func() bool {
		var err error
		if v, err = api.Verification(ctx); err != nil {
			t.Fatal(err)
		}
		return v.State != apikey.VerificationRunning
	})
	return v
}

// begunVerification begins one, once results of before serve no longer.
func begunVerification(t *testing.T, f Fixture, api apikey.API, ctx context.Context) apikey.Verification {
	t.Helper()
	var v apikey.Verification
	Eventually(t, "the beginning of a verification", func() bool {
		verified(t, api, ctx)
		f.Clock.Advance(Within)
		var err error
		if v, err = api.VerifyEvents(ctx); err != nil {
			t.Fatal(err)
		}
		return v.State == apikey.VerificationRunning
	})
	return v
}

// A verification is one for all who ask, tells its result for a while, and finds
// the record as it was written. Callers who are bound to owners get neither.
func testVerify(t *testing.T, f Fixture) {
	api, ctx := f.As(t, []apikey.Right{apikey.Admin})
	f.make(t, api, ctx, "verify")
	begun := begunVerification(t, f, api, ctx)
	if begun.BegunAt == nil || begun.EndedAt != nil || begun.Head != "" {
		t.Fatalf("begun: %+v", begun)
	}
	got := verified(t, api, ctx)
	id, mac, _ := strings.Cut(got.Head, ":")
	last, err := strconv.ParseInt(id, 10, 64)
	if got.State != apikey.VerificationIntact || err != nil || last != got.Checked || got.Total < 1 || got.Total > got.Checked || len(mac) != 64 ||
		!got.BegunAt.Equal(*begun.BegunAt) || got.EndedAt == nil || got.FirstWrong != 0 || got.Reason != "" {
		t.Errorf("found: %+v", got)
	}
	if again, err := api.VerifyEvents(ctx); err != nil || again.State != apikey.VerificationIntact || again.Head != got.Head || !again.BegunAt.Equal(*got.BegunAt) {
		t.Errorf("at once again: %+v, %v; want the result of before", again, err)
	}
	if again := begunVerification(t, f, api, ctx); !again.BegunAt.After(*got.BegunAt) {
		t.Errorf("a while after: %+v; want another", again)
	}
	verified(t, api, ctx)
	bound, bctx := f.As(t, []apikey.Right{apikey.Admin}, "verify")
	_, err = bound.VerifyEvents(bctx)
	wantErr(t, "begun by an admin bound to an owner", err, apikey.ErrForbidden)
	_, err = bound.Verification(bctx)
	wantErr(t, "seen by an admin bound to an owner", err, apikey.ErrForbidden)
}

// Events tell what their key is called now, for as long as its record is there
// and the caller sees it.
func testKeyNames(t *testing.T, f Fixture) {
	admin, actx := f.As(t, []apikey.Right{apikey.Admin})
	mine, mctx := f.As(t, All, "names-a")
	start := lastEvent(t, f)
	kept, given, gone := f.make(t, admin, actx, "names-a").Key.ID, f.make(t, admin, actx, "names-a").Key.ID, f.make(t, admin, actx, "names-a").Key.ID
	name, owner := "<b>renamed</b>", "names-b"
	for id, p := range map[string]apikey.UpdateParams{kept: {Name: &name}, given: {Owner: &owner}} {
		if _, err := admin.Update(actx, id, p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := admin.Revoke(actx, gone, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	if err := admin.Delete(actx, gone); err != nil {
		t.Fatal(err)
	}
	stays, err := admin.Get(actx, given)
	if err != nil {
		t.Fatal(err)
	}
	check := func(who string, api apikey.API, ctx context.Context, want map[string]string) {
		page, err := api.Events(ctx, apikey.FeedParams{After: start, Limit: 200})
		if err != nil || len(page.Data) < 4 {
			t.Fatalf("%s: %d events, %v", who, len(page.Data), err)
		}
		for _, e := range page.Data {
			if e.KeyName != want[e.KeyID] {
				t.Errorf("%s: event %d, %s of %s, names its key %q, want %q", who, e.ID, e.Action, e.KeyID, e.KeyName, want[e.KeyID])
			}
		}
		for id, want := range want {
			page, err := api.KeyEvents(ctx, id, apikey.PageParams{})
			if err != nil || len(page.Data) == 0 || page.Data[0].KeyName != want {
				t.Errorf("%s: events of %s: %+v, %v; want the name %q", who, id, page.Data, err, want)
			}
		}
	}
	check("an admin", admin, actx, map[string]string{kept: name, given: stays.Name, gone: ""})
	check("the owner before", mine, mctx, map[string]string{kept: name, given: "", gone: ""})
}
