package apikeytest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// Ended waits until an operation is no longer running and returns it.
func Ended(ctx context.Context, t *testing.T, api apikey.API, o apikey.Operation) apikey.Operation {
	t.Helper()
	Eventually(t, "the operation ends", func() bool {
		var err error
		if o, err = api.Operation(ctx, o.ID); err != nil {
			t.Fatal(err)
		}
		return o.State != apikey.OperationRunning
	})
	return o
}

// counts are the numbers of an operation: total, changed, unchanged, failed.
func counts(o apikey.Operation) []int { return []int{o.Total, o.Changed, o.Unchanged, o.Failed} }

func wantCounts(t *testing.T, what string, o apikey.Operation, state apikey.OperationState, want ...int) {
	t.Helper()
	if diff := cmp.Diff(want, counts(o)); diff != "" || o.State != state || o.Done != o.Changed+o.Unchanged+o.Failed || o.Waiting != 0 {
		t.Errorf("%s: %s, %d done, %d waiting; total, changed, unchanged, failed (-want +got):\n%s", what, o.State, o.Done, o.Waiting, diff)
	}
}

// The promises about everything of one owner.
func testOperations(t *testing.T, f Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"pause":      testOwnerPause,
		"revoke":     testOwnerRevoke,
		"tokens":     testOwnerTokens,
		"bounds":     testOwnerBounds,
		"management": testOwnerManagement,
		"replay":     testOwnerReplay,
		"expired":    testOwnerExpired,
		"two pauses": testTwoPauses,
	} {
		t.Run(name, func(t *testing.T) { test(t, f) })
	}
}

// Disable of an owner ends the access of every key, once each; enable brings
// back just those that were paused with it, unless it says all. A dry run tells
// the same numbers and changes nothing.
func testOwnerPause(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	const owner = "pausing owner/é 100%"
	running, leaked, gone := f.make(t, api, ctx, owner), f.make(t, api, ctx, owner), f.make(t, api, ctx, owner)
	token, err := f.Buy(t, running.Key, running.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Disable(ctx, leaked.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Revoke(ctx, gone.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	dry, err := api.DisableOwner(ctx, owner, apikey.DisableOwnerParams{DryRun: true})
	if err != nil || dry.ID != "" || !dry.DryRun || dry.AccessEndsAt == nil || dry.AccessEndsAt.Introspected == nil {
		t.Fatalf("dry run: %+v, %v", dry, err)
	}
	wantCounts(t, "dry run", dry, apikey.OperationPreview, 2, 1, 1, 0)
	if !f.Works(t, running.Key, running.Secret, nil) {
		t.Error("a dry run disabled a key")
	}
	o, err := api.DisableOwner(ctx, owner, apikey.DisableOwnerParams{})
	if err != nil || o.State != apikey.OperationRunning || o.Owner != owner || o.Action != apikey.ActionDisable {
		t.Fatalf("disable: %+v, %v", o, err)
	}
	o = Ended(ctx, t, api, o)
	wantCounts(t, "disable", o, apikey.OperationDone, 2, 1, 1, 0)
	if ends := o.AccessEndsAt; ends == nil || ends.Introspected == nil || ends.Offline == nil || o.FinishedAt == nil {
		t.Errorf("access ends %+v, finished %v", ends, o.FinishedAt)
	}
	if f.Works(t, running.Key, running.Secret, nil) || f.Active(t, token) {
		t.Error("a key of a disabled owner, or its token, still works")
	}
	if k, err := api.Get(ctx, running.Key.ID); err != nil || k.Status != apikey.StatusDisabled || !k.DisabledWithOwner || k.Revision != 2 {
		t.Errorf("key: %+v, %v", k, err)
	}
	page, err := api.KeyEvents(ctx, running.Key.ID, apikey.PageParams{})
	if err != nil || len(page.Data) != 2 || page.Data[0].Action != apikey.ActionDisable || page.Data[0].Principal != o.CreatedBy || page.Data[0].RequestID == "" {
		t.Errorf("events: %+v, %v", page.Data, err)
	}
	if o, err = api.EnableOwner(ctx, owner, apikey.EnableOwnerParams{}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "enable", Ended(ctx, t, api, o), apikey.OperationDone, 2, 1, 1, 0)
	if !f.Works(t, running.Key, running.Secret, nil) || f.Works(t, leaked.Key, leaked.Secret, nil) {
		t.Error("enable of the owner must bring back what it paused and nothing else")
	}
	if o, err = api.EnableOwner(ctx, owner, apikey.EnableOwnerParams{All: true}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "enable all", Ended(ctx, t, api, o), apikey.OperationDone, 2, 1, 1, 0)
	if !f.Works(t, leaked.Key, leaked.Secret, nil) || f.Works(t, gone.Key, gone.Secret, nil) {
		t.Error("enable all must bring back every disabled key, and no revoked one")
	}
}

// Revoke of an owner ends every key for good, with the reason, once each.
func testOwnerRevoke(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	keys := []apikey.Issued{f.make(t, api, ctx, "ending"), f.make(t, api, ctx, "ending")}
	o, err := api.RevokeOwner(ctx, "ending", apikey.RevokeOwnerParams{Reason: apikey.CessationOfOperation, Description: "left"})
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "revoke", Ended(ctx, t, api, o), apikey.OperationDone, 2, 2, 0, 0)
	for _, issued := range keys {
		k, err := api.Get(ctx, issued.Key.ID)
		if err != nil || k.Status != apikey.StatusRevoked || k.RevocationReason != apikey.CessationOfOperation || k.RevocationDescription != "left" {
			t.Errorf("key: %+v, %v", k, err)
		}
		if f.Works(t, issued.Key, issued.Secret, nil) {
			t.Error("a revoked key works")
		}
	}
	if o, err = api.RevokeOwner(ctx, "ending", apikey.RevokeOwnerParams{}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "revoke again", Ended(ctx, t, api, o), apikey.OperationDone, 0, 0, 0, 0)
	_, err = api.RevokeOwner(ctx, "ending", apikey.RevokeOwnerParams{Reason: "whim"})
	wantErr(t, "a reason that is none", err, apikey.ErrInvalid)
}

// Ending an owner's tokens leaves its keys working.
func testOwnerTokens(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	issued := f.make(t, api, ctx, "tokens of owner")
	token, err := f.Buy(t, issued.Key, issued.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := api.RevokeOwnerTokens(ctx, "tokens of owner", apikey.OwnerActionParams{})
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "tokens", Ended(ctx, t, api, o), apikey.OperationDone, 1, 1, 0, 0)
	if f.Active(t, token) || !f.Works(t, issued.Key, issued.Secret, nil) {
		t.Error("the token should be dead and the key alive")
	}
	page, err := api.KeyEvents(ctx, issued.Key.ID, apikey.PageParams{})
	if err != nil || len(page.Data) != 2 || page.Data[0].Action != apikey.ActionRevokeTokens {
		t.Errorf("events: %+v, %v", page.Data, err)
	}
}

// An owner that the caller does not see, one without keys and an operation that
// is not there are told in the same words; no operation touches or shows
// another owner's keys; each call needs its right.
func testOwnerBounds(t *testing.T, f Fixture) {
	all, actx := f.As(t, All)
	theirs := f.make(t, all, actx, "bounds-a")
	api, ctx := f.As(t, All, "bounds-b")
	mine := f.make(t, api, ctx, "bounds-b")
	seen, err := all.DisableOwner(actx, "bounds-a", apikey.DisableOwnerParams{DryRun: false})
	if err != nil {
		t.Fatal(err)
	}
	Ended(actx, t, all, seen)
	_, absent := api.Operation(ctx, "op_absent")
	for name, call := range map[string]func() error{
		"another's operation": func() error { _, err := api.Operation(ctx, seen.ID); return err },
		"disable":             func() error { _, err := api.DisableOwner(ctx, "bounds-a", apikey.DisableOwnerParams{}); return err },
		"enable":              func() error { _, err := api.EnableOwner(ctx, "bounds-a", apikey.EnableOwnerParams{}); return err },
		"revoke":              func() error { _, err := api.RevokeOwner(ctx, "bounds-a", apikey.RevokeOwnerParams{}); return err },
		"tokens": func() error {
			_, err := api.RevokeOwnerTokens(ctx, "bounds-a", apikey.OwnerActionParams{})
			return err
		},
		"dry run": func() error {
			_, err := api.DisableOwner(ctx, "bounds-a", apikey.DisableOwnerParams{DryRun: true})
			return err
		},
		"without keys": func() error { _, err := all.DisableOwner(actx, "bounds-c", apikey.DisableOwnerParams{}); return err },
		"too long": func() error {
			_, err := all.DisableOwner(actx, string(slices.Repeat([]byte("a"), 101)), apikey.DisableOwnerParams{})
			return err
		},
	} {
		err := call()
		wantErr(t, name, err, apikey.ErrNotFound)
		if got, want := detail(err), detail(absent); got != want {
			t.Errorf("%s: %q, an operation that is not there: %q", name, got, want)
		}
	}
	o, err := api.RevokeOwner(ctx, "bounds-b", apikey.RevokeOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "my owner", Ended(ctx, t, api, o), apikey.OperationDone, 1, 1, 0, 0)
	if k, err := all.Get(actx, theirs.Key.ID); err != nil || k.Status != apikey.StatusDisabled || k.Revision != 2 {
		t.Errorf("another owner's key: %s, %v", k.Status, err)
	}
	if f.Works(t, mine.Key, mine.Secret, nil) {
		t.Error("my revoked key works")
	}
	reader, rctx := f.As(t, []apikey.Right{apikey.KeysRead})
	_, err = reader.DisableOwner(rctx, "bounds-a", apikey.DisableOwnerParams{})
	wantErr(t, "disable without the right", err, apikey.ErrForbidden)
	if _, err := reader.Operation(rctx, o.ID); err != nil {
		t.Errorf("a reader reads an operation: %v", err)
	}
	writer, wctx := f.As(t, []apikey.Right{apikey.KeysWrite})
	_, err = writer.Operation(wctx, o.ID)
	wantErr(t, "read without the right", err, apikey.ErrForbidden)
}

// Management keys are part of an operation of those who may see them, and of no
// other; an operation with some is shown to nobody else.
func testOwnerManagement(t *testing.T, f Fixture) {
	admin, actx := f.As(t, []apikey.Right{apikey.Admin})
	const owner = "managed"
	plain := f.make(t, admin, actx, owner)
	manager, err := admin.Create(actx, apikey.CreateParams{Name: "m", Owner: owner, Kind: apikey.KindManagement, Scopes: []string{"keys:read"}, Owners: []string{owner}})
	if err != nil {
		t.Fatal(err)
	}
	writer, wctx := f.As(t, All)
	o, err := writer.DisableOwner(wctx, owner, apikey.DisableOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "by a writer", Ended(wctx, t, writer, o), apikey.OperationDone, 1, 1, 0, 0)
	if k, err := admin.Get(actx, manager.Key.ID); err != nil || k.Status != apikey.StatusActive {
		t.Errorf("the management key: %s, %v", k.Status, err)
	}
	if o, err = admin.DisableOwner(actx, owner, apikey.DisableOwnerParams{}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "by an admin", Ended(actx, t, admin, o), apikey.OperationDone, 2, 1, 1, 0)
	if k, err := admin.Get(actx, manager.Key.ID); err != nil || k.Status != apikey.StatusDisabled {
		t.Errorf("the management key: %s, %v", k.Status, err)
	}
	_, err = writer.Operation(wctx, o.ID)
	wantErr(t, "a writer looks at an admin's operation", err, apikey.ErrNotFound)
	bound, bctx := f.As(t, []apikey.Right{apikey.Admin}, owner)
	if _, err := bound.Operation(bctx, o.ID); err == nil {
		t.Error("a bound admin sees an operation that reached further")
	}
	if k, err := admin.Get(actx, plain.Key.ID); err != nil || k.Status != apikey.StatusDisabled {
		t.Errorf("the plain key: %s, %v", k.Status, err)
	}
}

// The same caller, Idempotency-Key and body get the same operation; another
// body is refused; a dry run takes no key for itself.
func testOwnerReplay(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	f.make(t, api, ctx, "replaying")
	p := apikey.OwnerActionParams{IdempotencyKey: "owner-tokens-twice-1", DryRun: true}
	if _, err := api.RevokeOwnerTokens(ctx, "replaying", p); err != nil {
		t.Fatal(err)
	}
	p.DryRun = false
	first, err := api.RevokeOwnerTokens(ctx, "replaying", p)
	if err != nil {
		t.Fatal(err)
	}
	Ended(ctx, t, api, first)
	again, err := api.RevokeOwnerTokens(ctx, "replaying", p)
	if err != nil || again.ID != first.ID || again.State != apikey.OperationDone {
		t.Errorf("again: %+v, %v; want %s", again, err, first.ID)
	}
	_, err = api.RevokeOwner(ctx, "replaying", apikey.RevokeOwnerParams{IdempotencyKey: p.IdempotencyKey})
	wantErr(t, "another request", err, apikey.ErrIdempotencyMismatch)
}

// An expired key cannot be enabled: the operation goes on, and names it.
func testOwnerExpired(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	const owner = "expired with owner"
	end := f.Clock.Now().Add(time.Hour)
	ends, err := api.Create(ctx, apikey.CreateParams{Name: "ends", Owner: owner, Scopes: []string{"a"}, ExpiresAt: apikey.SetTo(end)})
	if err != nil {
		t.Fatal(err)
	}
	stays := f.make(t, api, ctx, owner)
	o, err := api.DisableOwner(ctx, owner, apikey.DisableOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	Ended(ctx, t, api, o)
	f.Clock.Advance(2 * time.Hour)
	if o, err = api.EnableOwner(ctx, owner, apikey.EnableOwnerParams{}); err != nil {
		t.Fatal(err)
	}
	o = Ended(ctx, t, api, o)
	wantCounts(t, "enable", o, apikey.OperationDone, 2, 1, 0, 1)
	if diff := cmp.Diff([]apikey.KeyFailure{{KeyID: ends.Key.ID, Code: apikey.ErrExpired}}, o.Failures); diff != "" {
		t.Error(diff)
	}
	if !f.Works(t, stays.Key, stays.Secret, nil) {
		t.Error("the other key does not work")
	}
}

// A key paused by itself and with its owner is disabled while either holds.
func testTwoPauses(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	const owner = "two pauses"
	leaked, resting := f.make(t, api, ctx, owner), f.make(t, api, ctx, owner)
	until := f.Clock.Now().Add(time.Hour).UTC().Truncate(time.Second)
	if _, err := api.Disable(ctx, resting.Key.ID, apikey.DisableParams{Until: &until}); err != nil {
		t.Fatal(err)
	}
	o, err := api.DisableOwner(ctx, owner, apikey.DisableOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "disable", Ended(ctx, t, api, o), apikey.OperationDone, 2, 2, 0, 0)
	k, err := api.Get(ctx, resting.Key.ID)
	if err != nil || k.DisabledUntil != nil || !k.DisabledWithOwner || k.OwnDisabledUntil == nil || !k.OwnDisabledUntil.Equal(until) {
		t.Errorf("paused twice: %+v, %v", k.Definition, err)
	}
	res, err := api.Disable(ctx, leaked.Key.ID, apikey.DisableParams{})
	if err != nil || res.Key.DisabledWithOwner || res.Key.Revision != 3 {
		t.Errorf("a disable of its own on a key paused with its owner: %+v, %v", res.Key.Definition, err)
	}
	if o, err = api.EnableOwner(ctx, owner, apikey.EnableOwnerParams{}); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "enable", Ended(ctx, t, api, o), apikey.OperationDone, 2, 1, 1, 0)
	if f.Works(t, leaked.Key, leaked.Secret, nil) || f.Works(t, resting.Key, resting.Secret, nil) {
		t.Error("enable of the owner ended a pause of a key's own")
	}
	f.Clock.Advance(time.Hour + time.Second)
	Eventually(t, "the shorter pause ends by itself", func() bool { return f.Works(t, resting.Key, resting.Secret, nil) })
	if _, err := api.Enable(ctx, leaked.Key.ID, apikey.ActionParams{}); err != nil || !f.Works(t, leaked.Key, leaked.Secret, nil) {
		t.Errorf("enable of the key itself: %v", err)
	}
}

// detail is what an error says to people.
func detail(err error) string {
	if e, ok := errors.AsType[*apikey.Error](err); ok {
		return e.Detail
	}
	return ""
}
