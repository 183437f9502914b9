package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// operation is a new operation of the owner.
func operation(id string, a apikey.Action, owner string) apikey.OperationBegin {
	return apikey.OperationBegin{Operation: apikey.OperationRecord{Operation: apikey.Operation{ID: id, Owner: owner, Action: a, State: apikey.OperationRunning,
		Total: 3, Failures: []apikey.KeyFailure{}, CreatedAt: start, CreatedBy: "user:test"}, Actor: apikey.System("test"), Order: apikey.Order{Owner: owner}}}
}

func beginOperation(t *testing.T, db *ledger.DB, b apikey.OperationBegin) apikey.OperationRecord {
	t.Helper()
	if err := db.BeginOperation(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return must[apikey.OperationRecord](t)(db.Operation(t.Context(), b.Operation.ID, apikey.View{}))
}

func free(t *testing.T, db *ledger.DB, narrowing bool) (ids []string) {
	t.Helper()
	for _, o := range must[[]apikey.OperationRecord](t)(db.FreeOperations(t.Context(), narrowing, 100)) {
		ids = append(ids, o.ID)
	}
	return ids
}

func wantOver(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, apikey.ErrOperationOver) {
		t.Errorf("%s: %v, want that the operation is over", what, err)
	}
}

// An operation is kept as it was written, for those who see its owner, and
// carried on by one holder at a time, whose attempt tells it apart.
func TestOperationLease(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx, b := t.Context(), operation("op1", apikey.ActionDisable, "acme")
		got := beginOperation(t, db, b)
		if diff := cmp.Diff(b.Operation, got); diff != "" {
			t.Error(diff)
		}
		_, err := db.Operation(ctx, "op1", apikey.View{Owners: []string{"zeta"}})
		wantError(t, "another owner's", err, apikey.ErrNotFound)
		take := func(attempt int) bool { return must[bool](t)(db.TakeOperation(ctx, "op1", attempt, time.Minute)) }
		if !take(0) || take(0) || take(1) {
			t.Error("taken by none, or by two")
		}
		if ids := free(t, db, false); len(ids) != 0 {
			t.Errorf("free while it is held: %v", ids)
		}
		got.Attempt, got.Done, got.Changed, got.Walked = 1, 2, 2, true
		got.Cursor = apikey.OperationCursor{Kind: apikey.KindAPI, After: &apikey.Position{Number: 7, ID: "k"}}
		if state := must[apikey.OperationState](t)(db.SaveOperation(ctx, got, 0)); state != apikey.OperationRunning {
			t.Errorf("state %s", state)
		}
		if diff := cmp.Diff(got, must[apikey.OperationRecord](t)(db.Operation(ctx, "op1", apikey.View{Owners: []string{"acme"}}))); diff != "" {
			t.Error(diff)
		}
		if !take(1) {
			t.Error("not free after its lease was let go")
		}
		_, err = db.SaveOperation(ctx, got, time.Minute)
		wantOver(t, "saved by who held it before", err)
		got.Attempt, got.State, got.FinishedAt = 2, apikey.OperationDone, &start
		must[apikey.OperationState](t)(db.SaveOperation(ctx, got, 0))
		_, err = db.SaveOperation(ctx, got, 0)
		wantOver(t, "saved after its end", err)
		if after := must[apikey.OperationRecord](t)(db.Operation(ctx, "op1", apikey.View{})); after.State != apikey.OperationDone || after.FinishedAt == nil || take(2) {
			t.Errorf("after its end: %+v", after)
		}
	})
}

// Of the running operations those that narrow come first, then in order; only
// the oldest of a line is free, until it has walked to its end.
func TestFreeOperations(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		lined := func(id string) apikey.OperationBegin {
			b := operation(id, apikey.ActionDisable, "acme")
			b.Operation.Line = "disable acme"
			return b
		}
		beginOperation(t, db, operation("tokens", apikey.ActionRevokeTokens, "acme"))
		beginOperation(t, db, lined("first"))
		beginOperation(t, db, lined("second"))
		beginOperation(t, db, operation("revoke", apikey.ActionRevoke, "acme"))
		if got, want := free(t, db, false), []string{"first", "revoke", "tokens"}; !slices.Equal(got, want) {
			t.Errorf("free %v, want %v", got, want)
		}
		if got, want := free(t, db, true), []string{"first", "revoke"}; !slices.Equal(got, want) {
			t.Errorf("free that narrow %v, want %v", got, want)
		}
		if !must[bool](t)(db.TakeOperation(t.Context(), "first", 0, time.Minute)) {
			t.Fatal("not taken")
		}
		first := must[apikey.OperationRecord](t)(db.Operation(t.Context(), "first", apikey.View{}))
		if got := free(t, db, true); slices.Contains(got, "second") {
			t.Error("the second of a line is free while the first is held")
		}
		first.Walked = true
		must[apikey.OperationState](t)(db.SaveOperation(t.Context(), first, 0))
		if got, want := free(t, db, true), []string{"second", "revoke", "first"}; !slices.Equal(got, want) {
			t.Errorf("free once the first has walked %v, want %v", got, want)
		}
	})
}

// However many operations one owner has, those of others are among the first,
// also those that widen.
func TestFreeOperationsOfManyOwners(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		for i := range 8 {
			beginOperation(t, db, operation(fmt.Sprint("flood", i), apikey.ActionRevoke, "many"))
		}
		beginOperation(t, db, operation("widen", apikey.ActionEnable, "acme"))
		beginOperation(t, db, operation("first", apikey.ActionRevoke, "acme"))
		beginOperation(t, db, operation("second", apikey.ActionRevoke, "acme"))
		beginOperation(t, db, operation("other", apikey.ActionRevokeTokens, "zeta"))
		listed := func(limit int) (ids []string) {
			for _, o := range must[[]apikey.OperationRecord](t)(db.FreeOperations(t.Context(), false, limit)) {
				ids = append(ids, o.ID)
			}
			return ids
		}
		if got, want := listed(4), []string{"flood0", "first", "flood1", "second", "widen", "other"}; !slices.Equal(got, want) {
			t.Errorf("free %v, want %v", got, want)
		}
		must[bool](t)(db.TakeOperation(t.Context(), "flood0", 0, time.Minute))
		if got, want := listed(1), []string{"first", "widen"}; !slices.Equal(got, want) {
			t.Errorf("free while the oldest is held %v, want %v", got, want)
		}
	})
}

// A new operation ends running ones of its owner, waits for others by being
// refused, and is bounded; two that begin at once see each other.
func TestOperationsBesideEachOther(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx := t.Context()
		enable := operation("enable", apikey.ActionEnable, "acme")
		held := beginOperation(t, db, enable)
		beginOperation(t, db, operation("elsewhere", apikey.ActionEnable, "zeta"))
		must[bool](t)(db.TakeOperation(ctx, "enable", 0, time.Minute))
		disable := operation("disable", apikey.ActionDisable, "acme")
		disable.Ends = []apikey.Action{apikey.ActionEnable}
		beginOperation(t, db, disable)
		held.Attempt, held.Done, held.Changed = 1, 1, 1
		if state := must[apikey.OperationState](t)(db.SaveOperation(ctx, held, time.Minute)); state != apikey.OperationSuperseded {
			t.Errorf("its holder is told %s", state)
		}
		got := must[apikey.OperationRecord](t)(db.Operation(ctx, "enable", apikey.View{}))
		if got.State != apikey.OperationSuperseded || got.FinishedAt == nil || !got.FinishedAt.Equal(start) || got.Done != 1 {
			t.Errorf("the ended one: %+v", got)
		}
		if ids := free(t, db, false); !slices.Equal(ids, []string{"disable", "elsewhere"}) {
			t.Errorf("free: %v", ids)
		}
		again := operation("again", apikey.ActionEnable, "acme")
		again.After = []apikey.Action{apikey.ActionDisable}
		wantError(t, "an enable beside a disable", db.BeginOperation(ctx, again), apikey.ErrBusy)
		var wg sync.WaitGroup
		var mu sync.Mutex
		busy := 0
		for i := range 12 {
			wg.Go(func() {
				b := operation(fmt.Sprint("tokens", i), apikey.ActionRevokeTokens, "acme")
				b.Most = 5
				if err := db.BeginOperation(ctx, b); errors.Is(err, apikey.ErrBusy) {
					mu.Lock()
					defer mu.Unlock()
					busy++
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if busy != 7 {
			t.Errorf("%d of 12 refused, want 7", busy)
		}
	})
}

// A request's Idempotency-Key is stored with its operation, or neither is.
func TestOperationReplay(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx := t.Context()
		with := func(id string) apikey.OperationBegin {
			b := operation(id, apikey.ActionRevokeTokens, "acme")
			b.Replay = &apikey.Replay{Hash: []byte("hash"), Request: []byte("request"), Salt: salt, ServerKey: "k1"}
			return b
		}
		refused := with("refused")
		beginOperation(t, db, operation("other", apikey.ActionDisable, "acme"))
		refused.After = []apikey.Action{apikey.ActionDisable}
		wantError(t, "refused", db.BeginOperation(ctx, refused), apikey.ErrBusy)
		_, err := db.Replay(ctx, []byte("hash"))
		wantError(t, "the replay of a refused request", err, apikey.ErrNotFound)
		beginOperation(t, db, with("first"))
		wantError(t, "a twin", db.BeginOperation(ctx, with("twin")), apikey.ErrIdempotencyRunning)
		_, err = db.Operation(ctx, "twin", apikey.View{})
		wantError(t, "the twin's operation", err, apikey.ErrNotFound)
		if r := must[apikey.Replay](t)(db.Replay(ctx, []byte("hash"))); r.Op != "first" || r.State != apikey.ChangeDone || r.Answer == nil {
			t.Errorf("replay: %+v", r)
		}
	})
}

// A change is part of an operation only while that is held, and of each key
// there is one; it is kept as long as the operation runs.
func TestChangesUnderOperation(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx, d, other := t.Context(), created(t, db, nil), created(t, db, nil)
		record := beginOperation(t, db, operation("op1", apikey.ActionRevokeTokens, "acme"))
		under := func(d apikey.Definition, attempt int) apikey.Begin {
			b := asking(apikey.ActionRevokeTokens, d)
			b.Operation = apikey.OperationHold{ID: "op1", Attempt: attempt}
			return b
		}
		_, err := db.Begin(ctx, under(d, 1))
		wantOver(t, "a change before it is held", err)
		must[bool](t)(db.TakeOperation(ctx, "op1", 0, time.Minute))
		abandoned := begin(t, db, under(d, 1))
		if n := must[apikey.OperationRecord](t)(db.Operation(ctx, "op1", apikey.View{})).Waiting; n != 1 {
			t.Errorf("%d waiting, want 1", n)
		}
		if err := db.Abandon(ctx, abandoned.Change.Op, 0, time.Time{}); err != nil {
			t.Fatal(err)
		}
		ids := []string{d.ID, other.ID, "absent"}
		if made := must[[]string](t)(db.ChangesUnder(ctx, "op1", ids)); len(made) != 0 {
			t.Errorf("changes under it after the only one was given up: %v", made)
		}
		done := begin(t, db, under(d, 1))
		if err := db.Finish(ctx, finishing(done.Change)); err != nil {
			t.Fatal(err)
		}
		if made := must[[]string](t)(db.ChangesUnder(ctx, "op1", ids)); !slices.Equal(made, []string{d.ID}) {
			t.Errorf("changes under it: %v", made)
		}
		_, err = db.Begin(ctx, under(d, 1))
		wantError(t, "a second change of the key", err, apikey.ErrBusy)
		must[apikey.OperationState](t)(db.SaveOperation(ctx, apikey.OperationRecord{Operation: record.Operation, Attempt: 1}, 0))
		must[bool](t)(db.TakeOperation(ctx, "op1", 1, time.Minute))
		_, err = db.Begin(ctx, under(other, 1))
		wantOver(t, "a change of who held it before", err)

		late := start.Add(365 * 24 * time.Hour)
		if err := errors.Join(db.Prune(ctx, late, late), db.PruneOperations(ctx, late)); err != nil {
			t.Fatal(err)
		}
		if made := must[[]string](t)(db.ChangesUnder(ctx, "op1", ids)); !slices.Equal(made, []string{d.ID}) {
			t.Errorf("changes under a running operation after a prune: %v", made)
		}
		record.Attempt, record.State, record.FinishedAt = 2, apikey.OperationDone, &start
		must[apikey.OperationState](t)(db.SaveOperation(ctx, record, 0))
		if err := errors.Join(db.Prune(ctx, late, late), db.PruneOperations(ctx, start)); err != nil {
			t.Fatal(err)
		}
		if made := must[[]string](t)(db.ChangesUnder(ctx, "op1", ids)); len(made) != 0 {
			t.Errorf("changes under a finished operation after a prune: %v", made)
		}
		must[apikey.OperationRecord](t)(db.Operation(ctx, "op1", apikey.View{}))
		if err := db.PruneOperations(ctx, late); err != nil {
			t.Fatal(err)
		}
		_, err = db.Operation(ctx, "op1", apikey.View{})
		wantError(t, "a pruned operation", err, apikey.ErrNotFound)
	})
}

// On SQLite a start ends all leases: nobody else can hold them.
func TestOperationLeaseEndsAtStart(t *testing.T) {
	url := sqliteURL(t)
	db := open(t, ledger.Config{URL: url})
	beginOperation(t, db, operation("op1", apikey.ActionDisable, "acme"))
	must[bool](t)(db.TakeOperation(t.Context(), "op1", 0, time.Hour))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if ids := free(t, open(t, ledger.Config{URL: url}), false); !slices.Equal(ids, []string{"op1"}) {
		t.Errorf("free after a start: %v", ids)
	}
}
