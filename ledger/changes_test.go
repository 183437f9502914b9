package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// wantError checks the kind of a failure.
func wantError(t *testing.T, what string, err error, kind apikey.ErrorKind) {
	t.Helper()
	var typed *apikey.Error
	if !errors.Is(err, kind) || !errors.As(err, &typed) {
		t.Errorf("%s: got %v, want %v as *apikey.Error", what, err, kind)
	}
}

func record(t *testing.T, db *ledger.DB, id string) apikey.Record {
	t.Helper()
	r, err := db.Key(t.Context(), id, apikey.View{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ops(list []apikey.Change) (out []string) {
	for _, c := range list {
		out = append(out, c.Op)
	}
	return out
}

// must passes a value on and stops the test on an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A key exists from T2 of its create until T2 of its delete, exactly as it was
// written, upkeep included; outside the view it does not exist.
func TestKeyFromCreateToDelete(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		end := start.Add(time.Hour)
		d := definition(func(d *apikey.Definition) {
			d.Name, d.ExpiresAt = `O'Brien "x" \ ?0 $1`, &end
		})
		begun := begin(t, db, asking(apikey.ActionCreate, d))
		_, err := db.Key(t.Context(), d.ID, apikey.View{})
		wantError(t, "a key that is being created", err, apikey.ErrNotFound)

		f := finishing(begun.Change)
		f.Upkeep = apikey.Upkeep{Op: begun.Change.Op, Open: true, Drifted: true, SweepAt: start, ConfirmAt: end, TokensEndBy: start.Add(3 * time.Hour), TokensEndedAt: start.Add(4 * time.Hour), DueAt: start.Add(time.Minute), StatusIndex: 1}
		if err := db.Finish(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(apikey.Record{Definition: d, Upkeep: f.Upkeep}, record(t, db, d.ID)); diff != "" {
			t.Error(diff)
		}
		wantError(t, "a change finished twice", db.Finish(t.Context(), f), apikey.ErrNotFound)
		if _, err := db.Key(t.Context(), d.ID, apikey.View{Owners: []string{"zeta", "acme"}}); err != nil {
			t.Error(err)
		}
		_, err = db.Key(t.Context(), d.ID, apikey.View{Owners: []string{"zeta"}})
		wantError(t, "another owner's key", err, apikey.ErrNotFound)

		apply(t, db, apikey.ActionDelete, d)
		_, err = db.Key(t.Context(), d.ID, apikey.View{})
		wantError(t, "a deleted key", err, apikey.ErrNotFound)
		found, _, err := db.Keys(t.Context(), apikey.Query{Kind: apikey.KindAPI, Words: []string{"brien"}, Limit: 10})
		if err != nil || len(found) != 0 {
			t.Errorf("search after delete: got %v, %v", found, err)
		}
	})
}

// A begun change is the key's lock: another is refused, or queued if it may
// wait, and the queue is served in order, nobody overtaking.
func TestLockAndQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx, d := t.Context(), created(t, db, nil)
		first := begin(t, db, asking(apikey.ActionUpdate, d))
		_, err := db.Begin(ctx, asking(apikey.ActionUpdate, d))
		wantError(t, "a second change", err, apikey.ErrBusy)

		wait := func(a apikey.Action) apikey.Begun {
			b := asking(a, d)
			b.Wait, b.Plan = true, nil // it must not run yet
			b.Change.Order = apikey.Order{Reason: apikey.Superseded}
			return begin(t, db, b)
		}
		disable, revoke := wait(apikey.ActionDisable), wait(apikey.ActionRevoke)
		if disable.Change.State != apikey.ChangeQueued {
			t.Fatalf("got %q, want queued", disable.Change.State)
		}
		want := []apikey.PendingChange{{Op: first.Change.Op, Action: apikey.ActionUpdate, State: apikey.ChangeBegun},
			{Op: disable.Change.Op, Action: apikey.ActionDisable, State: apikey.ChangeQueued}, {Op: revoke.Change.Op, Action: apikey.ActionRevoke, State: apikey.ChangeQueued}}
		if diff := cmp.Diff(want, record(t, db, d.ID).Pending); diff != "" {
			t.Error(diff)
		}
		if queued := must[[]apikey.Change](t)(db.Queued(ctx, 10)); len(queued) != 0 {
			t.Errorf("queued changes of a held key: got %v, want none", ops(queued))
		}
		plan := asking("", d).Plan
		_, err = db.Promote(ctx, disable.Change.Op, time.Minute, plan)
		wantError(t, "promote on a held key", err, apikey.ErrBusy)

		if err := db.Finish(ctx, finishing(first.Change)); err != nil {
			t.Fatal(err)
		}
		_, err = db.Begin(ctx, asking(apikey.ActionEnable, d))
		wantError(t, "a change that would overtake the queue", err, apikey.ErrBusy)
		_, err = db.Promote(ctx, revoke.Change.Op, time.Minute, plan)
		wantError(t, "promote of the second in line", err, apikey.ErrBusy)
		if diff := cmp.Diff([]string{disable.Change.Op}, ops(must[[]apikey.Change](t)(db.Queued(ctx, 10)))); diff != "" {
			t.Error(diff)
		}
		begun, err := db.Promote(ctx, disable.Change.Op, time.Minute, plan)
		if err != nil || begun.Change.State != apikey.ChangeBegun || begun.Record.ID != d.ID || begun.Change.Order.Reason != apikey.Superseded || begun.Change.Target.ID != d.ID {
			t.Errorf("promote: got %+v, %v", begun, err)
		}
		_, err = db.Promote(ctx, disable.Change.Op, time.Minute, plan)
		wantError(t, "promote twice", err, apikey.ErrNotFound)
		if err := db.Finish(ctx, finishing(begun.Change)); err != nil {
			t.Fatal(err)
		}
		idle, err := db.Promote(ctx, revoke.Change.Op, time.Minute, func(apikey.Record, bool) (apikey.Planned, error) { return apikey.Planned{Unchanged: true}, nil })
		if err != nil || !idle.Unchanged || len(record(t, db, d.ID).Pending) != 0 {
			t.Errorf("promote of a change with nothing to do: got %+v, %v", idle, err)
		}
	})
}

// A plan's error comes back as it is and leaves nothing of T1, nor does a failed
// T2 leave anything.
func TestUndone(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		refused := errors.New("refused")
		b := withReplay(asking(apikey.ActionCreate, definition(nil)), "undone")
		good := b.Plan
		b.Plan = func(apikey.Record, bool) (apikey.Planned, error) { return apikey.Planned{}, refused }
		if _, err := db.Begin(t.Context(), b); err != refused { //nolint:errorlint // exactly this one
			t.Errorf("got %v, want the plan's error", err)
		}
		_, err := db.Replay(t.Context(), b.Change.Replay.Hash)
		wantError(t, "the replay of an undone change", err, apikey.ErrNotFound)

		b.Plan = good
		begun := begin(t, db, b)
		f := finishing(begun.Change)
		if err := db.Exec(t.Context(), "UPDATE chain SET mac = 'broken'"); err != nil { // fails the last statement of T2
			t.Fatal(err)
		}
		if err := db.Finish(t.Context(), f); err == nil {
			t.Fatal("finished on a broken chain")
		}
		_, err = db.Key(t.Context(), f.Target.ID, apikey.View{})
		wantError(t, "the key of an undone T2", err, apikey.ErrNotFound)
		if r, err := db.Replay(t.Context(), b.Change.Replay.Hash); err != nil || r.State != apikey.ChangeBegun || r.Answer != nil {
			t.Errorf("replay after an undone T2: got %+v, %v", r, err)
		}
	})
}

// A lease that has ended lets exactly one take the change; until then, and
// after a release for as long as it says, nobody.
func TestLease(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx := t.Context()
		begun := begin(t, db, asking(apikey.ActionCreate, definition(nil)))
		op := begun.Change.Op
		taken := func() bool { return must[bool](t)(db.Take(ctx, op, 0, time.Minute)) }
		if stale := must[[]apikey.Change](t)(db.Stale(ctx, 10)); len(stale) != 0 || taken() {
			t.Errorf("a change within its lease was stale: %v", ops(stale))
		}
		if err := db.Release(ctx, op, 0, time.Hour); err != nil || taken() {
			t.Errorf("a released change was taken before its time (%v)", err)
		}
		if err := db.Release(ctx, op, 0, 0); err != nil {
			t.Fatal(err)
		}
		stale := must[[]apikey.Change](t)(db.Stale(ctx, 10))
		begun.Change.Replay = nil
		if diff := cmp.Diff([]apikey.Change{begun.Change}, stale); diff != "" {
			t.Error(diff)
		}
		if !taken() || taken() {
			t.Error("want the change taken once")
		}
		late := apikey.Finish{Op: op, Target: begun.Change.Target}
		wantError(t, "release by who had it before", db.Release(ctx, op, 0, 0), apikey.ErrNotFound)
		wantError(t, "give-up by who had it before", db.Abandon(ctx, op, 0, time.Time{}), apikey.ErrNotFound)
		wantError(t, "finish by who had it before", db.Finish(ctx, late), apikey.ErrNotFound)
		if err := db.Release(ctx, op, 1, 0); err != nil {
			t.Fatal(err)
		}
		if again := must[[]apikey.Change](t)(db.Stale(ctx, 10)); len(again) != 1 || again[0].Attempt != 1 {
			t.Errorf("got %+v, want attempt 1", again)
		}
		wantError(t, "release of an unknown change", db.Release(ctx, "nope", 0, 0), apikey.ErrNotFound)
	})
}

// An abandoned change frees its key, is named again when its recheck is due, and
// no longer once that is done.
func TestAbandonAndRecheck(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx, d := t.Context(), created(t, db, nil)
		op := begin(t, db, asking(apikey.ActionUpdate, d)).Change.Op
		if err := db.Abandon(ctx, op, 0, start.Add(30*time.Second)); err != nil {
			t.Fatal(err)
		}
		wantError(t, "abandon twice", db.Abandon(ctx, op, 0, time.Time{}), apikey.ErrNotFound)
		apply(t, db, apikey.ActionUpdate, d)
		at := func(s time.Duration) []string {
			return ops(must[[]apikey.Change](t)(db.Rechecks(ctx, start.Add(s), 10)))
		}
		if early := at(29 * time.Second); len(early) != 0 {
			t.Errorf("rechecks before their time: %v", early)
		}
		if diff := cmp.Diff([]string{op}, at(30*time.Second)); diff != "" {
			t.Error(diff)
		}
		if err := db.Prune(ctx, start.Add(time.Hour), start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{op}, at(time.Hour)); diff != "" {
			t.Errorf("prune took a change that is to be rechecked: %s", diff)
		}
		if err := db.Rechecked(ctx, op); err != nil || len(at(time.Hour)) != 0 {
			t.Errorf("named again after its recheck (%v)", err)
		}
	})
}

// Keys are due at their moment, in its order, unless a change holds them.
func TestDue(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx := t.Context()
		var ids []string
		for i := range 3 {
			begun := begin(t, db, asking(apikey.ActionCreate, definition(nil)))
			f := finishing(begun.Change)
			f.Upkeep.DueAt = start.Add(time.Duration(3-i) * time.Minute)
			if err := db.Finish(ctx, f); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, f.Target.ID)
		}
		created(t, db, nil) // never due
		due := func(at time.Duration) []string { return must[[]string](t)(db.Due(ctx, start.Add(at), 10)) }
		if diff := cmp.Diff([]string{ids[2], ids[1]}, due(2*time.Minute)); diff != "" {
			t.Error(diff)
		}
		begin(t, db, asking(apikey.ActionUpdate, record(t, db, ids[1]).Definition))
		if diff := cmp.Diff([]string{ids[2], ids[0]}, due(time.Hour)); diff != "" {
			t.Error(diff)
		}
	})
}

// A public key belongs to the first key that has it, until that key's record is
// deleted or never comes to be; the same key may have it again.
func TestPublicKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx := t.Context()
		with := func(kids ...string) func(*apikey.Definition) {
			return func(d *apikey.Definition) {
				d.AuthMethod = apikey.PrivateKeyJWT
				for _, kid := range kids {
					d.PublicKeys = append(d.PublicKeys, apikey.PublicKey{KID: kid, Alg: "ES256", JWK: apikey.JWK{"kty": "EC"}, CreatedAt: start})
				}
			}
		}
		first := created(t, db, with("a", "b"))
		second := asking(apikey.ActionCreate, definition(with("c", "b")))
		_, err := db.Begin(ctx, second)
		wantError(t, "another key with the same public key", err, apikey.ErrPublicKeyInUse)

		first.PublicKeys = first.PublicKeys[:1]
		apply(t, db, apikey.ActionRemovePublicKey, first)
		_, err = db.Begin(ctx, second)
		wantError(t, "a public key that was removed", err, apikey.ErrPublicKeyInUse)
		with("b")(&first)
		apply(t, db, apikey.ActionAddPublicKey, first)

		apply(t, db, apikey.ActionDelete, first)
		begun := begin(t, db, second)
		if err := db.Abandon(ctx, begun.Change.Op, 0, time.Time{}); err != nil {
			t.Fatal(err)
		}
		created(t, db, with("b"))
	})
}

// A call that is given no time fails as unavailable, like every other failure of
// the database.
func TestDeadline(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		_, err := db.Begin(ctx, asking(apikey.ActionCreate, definition(nil)))
		wantError(t, "begin", err, apikey.ErrUnavailable)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline as cause", err)
		}
		_, _, err = db.Keys(ctx, apikey.Query{Kind: apikey.KindAPI, Limit: 1})
		wantError(t, "keys", err, apikey.ErrUnavailable)
		wantError(t, "ping", db.Ping(ctx), apikey.ErrUnavailable)
	})
}
