package apikey_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// The steps of an operation, beside those of its changes, after which a process
// can be made to die.
const (
	afterBegin = "after the operation was stored, before the answer"
	afterTake  = "after the operation was taken"
	beforeSave = "after a batch, before it was noted"
	afterSave  = "after a batch was noted"
)

// doomed is the ledger of a process that dies at the n-th coming to a step: from
// then on nothing it does reaches the ledger.
type doomed struct {
	apikey.Ledger
	step  string
	after atomic.Int64 // how often the step may still be passed
	dead  atomic.Bool
}

// at lets the process die if its step has come.
func (d *doomed) at(step string) {
	if step == d.step && d.after.Add(-1) < 0 {
		d.dead.Store(true)
	}
	if d.dead.Load() {
		runtime.Goexit()
	}
}

func (d *doomed) BeginOperation(ctx context.Context, b apikey.OperationBegin) error {
	d.at("")
	err := d.Ledger.BeginOperation(ctx, b)
	d.at(afterBegin)
	return err
}

func (d *doomed) TakeOperation(ctx context.Context, id string, attempt int, lease time.Duration) (bool, error) {
	d.at("")
	mine, err := d.Ledger.TakeOperation(ctx, id, attempt, lease)
	d.at(afterTake)
	return mine, err
}

func (d *doomed) SaveOperation(ctx context.Context, o apikey.OperationRecord, lease time.Duration) (apikey.OperationState, error) {
	d.at(beforeSave)
	state, err := d.Ledger.SaveOperation(ctx, o, lease)
	d.at(afterSave)
	return state, err
}

func (d *doomed) Begin(ctx context.Context, b apikey.Begin) (apikey.Begun, error) {
	d.at("")
	begun, err := d.Ledger.Begin(ctx, b)
	d.at(afterT1)
	return begun, err
}

func (d *doomed) Finish(ctx context.Context, f apikey.Finish) error {
	d.at(beforeT2)
	err := d.Ledger.Finish(ctx, f)
	d.at(afterT2)
	return err
}

func (d *doomed) Release(ctx context.Context, op string, attempt int, wait time.Duration) error {
	d.at("")
	return d.Ledger.Release(ctx, op, attempt, wait)
}

func (d *doomed) Abandon(ctx context.Context, op string, attempt int, recheck time.Time) error {
	d.at("")
	return d.Ledger.Abandon(ctx, op, attempt, recheck)
}

// ownerDeed is an operation during which a process dies.
type ownerDeed struct {
	action apikey.Action
	before func(ctx context.Context, t *testing.T, w *apikeytest.World, owner string)
	begin  func(ctx context.Context, a apikey.API, owner string) (apikey.Operation, error)
	works  bool // the keys, afterwards
}

var ownerDeeds = map[string]ownerDeed{
	"disable": {action: apikey.ActionDisable, begin: func(ctx context.Context, a apikey.API, owner string) (apikey.Operation, error) {
		return a.DisableOwner(ctx, owner, apikey.DisableOwnerParams{})
	}},
	"enable": {action: apikey.ActionEnable, works: true, before: func(ctx context.Context, t *testing.T, w *apikeytest.World, owner string) {
		o, err := w.Service.DisableOwner(ctx, owner, apikey.DisableOwnerParams{})
		if err != nil {
			t.Fatal(err)
		}
		turnUntilDone(ctx, t, w, o.ID)
	}, begin: func(ctx context.Context, a apikey.API, owner string) (apikey.Operation, error) {
		return a.EnableOwner(ctx, owner, apikey.EnableOwnerParams{})
	}},
	"revoke": {action: apikey.ActionRevoke, begin: func(ctx context.Context, a apikey.API, owner string) (apikey.Operation, error) {
		return a.RevokeOwner(ctx, owner, apikey.RevokeOwnerParams{})
	}},
	"tokens": {action: apikey.ActionRevokeTokens, works: true, begin: func(ctx context.Context, a apikey.API, owner string) (apikey.Operation, error) {
		return a.RevokeOwnerTokens(ctx, owner, apikey.OwnerActionParams{})
	}},
}

func turnUntilDone(ctx context.Context, t *testing.T, w *apikeytest.World, id string) apikey.Operation {
	t.Helper()
	var o apikey.Operation
	apikeytest.Eventually(t, "the operation is done", func() bool {
		if err := w.Service.Turn(ctx); err != nil {
			t.Log(err)
		}
		var err error
		if o, err = w.Service.Operation(ctx, id); err != nil {
			t.Fatal(err)
		}
		return o.State == apikey.OperationDone
	})
	return o
}

// A process may die anywhere in an operation: another brings it to its end, with
// every key as it should be at Hydra's own door and exactly one event each.
func TestProcessDiesInOperation(t *testing.T) {
	const keys = 20 // more than a batch
	for database, url := range map[string]func(testing.TB) string{"SQLite": apikeytest.SQLiteURL, "Postgres": pgtest.URL} {
		for name, deed := range ownerDeeds {
			if database == "Postgres" && (name == "enable" || name == "revoke") {
				continue // what differs there, the leases, does not depend on the action
			}
			for step, passes := range map[string]int64{afterBegin: 0, afterTake: 0, afterT1: 5, beforeT2: 5, afterT2: 5, beforeSave: 0, afterSave: 0} {
				t.Run(database+" "+name+" "+step, func(t *testing.T) {
					t.Parallel() // it mostly waits for leases to end
					dieInOperation(as(t), t, apikeytest.Options{LedgerURL: url(t), Idle: true}, deed, name+" "+step, step, passes, keys)
				})
			}
		}
	}
}

func dieInOperation(ctx context.Context, t *testing.T, o apikeytest.Options, deed ownerDeed, owner, step string, passes int64, keys int) {
	t.Helper()
	d := &doomed{step: "none"}
	o.Config = func(c *apikey.Config) {
		shortLease(c)
		d.Ledger, c.Ledger = c.Ledger, d
	}
	patient := o // the others have little time for a change, which a busy machine needs more of
	patient.Config = nil
	maker := apikeytest.NewWorld(t, patient)
	issued := make([]apikey.Issued, keys)
	for i := range issued {
		issued[i] = create(ctx, t, maker.Service, apikey.CreateParams{Owner: owner})
	}
	if deed.before != nil {
		deed.before(ctx, t, maker, owner)
	}
	maker.Close()
	first := apikeytest.NewWorld(t, o)
	f := first.Fixture()
	tokens := make([]string, keys)
	for i := 0; i < keys && deed.action != apikey.ActionEnable; i += 6 {
		var err error
		if tokens[i], err = f.Buy(t, issued[i].Key, issued[i].Secret, nil); err != nil {
			t.Fatal(err)
		}
	}
	d.after.Store(passes)
	d.step = step
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _ = deed.begin(ctx, first.Service, owner)
		_ = first.Service.Turn(ctx)
	}()
	<-asked
	if !d.dead.Load() {
		t.Fatalf("%s: the step did not come", owner)
	}
	first.Close()
	o.Config = shortLease
	heir := apikeytest.NewWorld(t, o)
	defer heir.Close()
	id := operationOf(ctx, t, heir, owner)
	end := turnUntilDone(ctx, t, heir, id)
	if end.Changed != keys || end.Total != keys || end.Unchanged+end.Failed != 0 {
		t.Errorf("%s: %+v", owner, end)
	}
	for i, k := range issued {
		if n := happened(ctx, t, heir.Service, k.Key.ID, deed.action); n != 1 {
			t.Errorf("%s: %d events %s of one key", owner, n, deed.action)
		}
		if works := f.Works(t, k.Key, k.Secret, nil); works != deed.works {
			t.Errorf("%s: a key works: %v", owner, works)
		}
		if tokens[i] != "" && f.Active(t, tokens[i]) {
			t.Errorf("%s: a token is still active", owner)
		}
	}
}

// operationOf finds the running operation of an owner.
func operationOf(ctx context.Context, t *testing.T, w *apikeytest.World, owner string) string {
	t.Helper()
	var id string
	apikeytest.Eventually(t, "the operation is free again", func() bool {
		free, err := w.Ledger.FreeOperations(ctx, false, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range free {
			if o.Owner == owner {
				id = o.ID
			}
		}
		return id != ""
	})
	return id
}

// Two replicas at work on one operation come to no key twice, and both work.
func TestOperationOnTwoReplicas(t *testing.T) {
	url := pgtest.URL(t)
	var worlds []*apikeytest.World
	var begun [2]atomic.Int64
	for i := range 2 {
		worlds = append(worlds, apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Config: func(c *apikey.Config) {
			c.Ledger = counting{c.Ledger, &begun[i]}
		}}))
	}
	ctx, w := as(t), worlds[0]
	const owners, keys = 4, 30
	var wg sync.WaitGroup
	var ids [owners][keys]apikey.Issued
	for i := range owners {
		wg.Go(func() {
			for j := range keys {
				ids[i][j] = create(ctx, t, w.Service, apikey.CreateParams{Owner: owner(i)})
			}
		})
	}
	wg.Wait()
	for i := range owners { // both at once: neither comes to a key that the other has
		for _, w := range worlds {
			wg.Go(func() {
				o, err := w.Service.DisableOwner(ctx, owner(i), apikey.DisableOwnerParams{})
				if err != nil {
					t.Error(err)
					return
				}
				o = apikeytest.Ended(ctx, t, w.Service, o)
				if o.State != apikey.OperationDone || o.Done != keys || o.Failed != 0 {
					t.Errorf("%+v", o)
				}
			})
		}
	}
	wg.Wait()
	for i := range owners {
		for _, k := range ids[i] {
			if n := happened(ctx, t, w.Service, k.Key.ID, apikey.ActionDisable); n != 1 {
				t.Errorf("%d events of one key", n)
			}
			if w.Fixture().Works(t, k.Key, k.Secret, nil) {
				t.Error("a key works")
			}
		}
	}
	if begun[0].Load() == 0 || begun[1].Load() == 0 {
		t.Errorf("took %d and %d operations: not both replicas worked", begun[0].Load(), begun[1].Load())
	}
}

func owner(i int) string { return "replicated " + string(rune('a'+i)) }

// counting counts the operations that a process takes.
type counting struct {
	apikey.Ledger
	taken *atomic.Int64
}

func (c counting) TakeOperation(ctx context.Context, id string, attempt int, lease time.Duration) (bool, error) {
	mine, err := c.Ledger.TakeOperation(ctx, id, attempt, lease)
	if mine {
		c.taken.Add(1)
	}
	return mine, err
}

// A process that was stopped for longer than its lease, and goes on, changes
// nothing more: each key still has one event.
func TestStoppedProcessAndItsHeir(t *testing.T) {
	url := pgtest.URL(t)
	stop := &stopping{resume: make(chan struct{}), stopped: make(chan struct{})}
	first := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Idle: true, Config: func(c *apikey.Config) {
		shortLease(c)
		stop.Ledger, c.Ledger = c.Ledger, stop
	}})
	ctx := as(t)
	var ids []string
	for range 24 {
		ids = append(ids, create(ctx, t, first.Service, apikey.CreateParams{Owner: "stopped"}).Key.ID)
	}
	o, err := first.Service.RevokeOwnerTokens(ctx, "stopped", apikey.OwnerActionParams{})
	if err != nil {
		t.Fatal(err)
	}
	stop.armed.Store(true)
	done := make(chan error, 1)
	go func() { done <- first.Service.Turn(ctx) }()
	<-stop.stopped
	heir := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Config: shortLease})
	o = apikeytest.Ended(ctx, t, heir.Service, o)
	close(stop.resume)
	if err := <-done; err != nil {
		t.Log(err)
	}
	if o.Changed != len(ids) || o.State != apikey.OperationDone {
		t.Errorf("%+v", o)
	}
	for _, id := range ids {
		if n := happened(ctx, t, heir.Service, id, apikey.ActionRevokeTokens); n != 1 {
			t.Errorf("%d events of one key", n)
		}
	}
	after, err := heir.Service.Operation(ctx, o.ID)
	if err != nil || after.Done != o.Done || after.State != o.State {
		t.Errorf("the stopped process changed the operation to %+v, %v", after, err)
	}
}

// stopping stops at the first key of an operation, until it may resume.
type stopping struct {
	apikey.Ledger
	armed           atomic.Bool
	stopped, resume chan struct{}
}

func (s *stopping) Begin(ctx context.Context, b apikey.Begin) (apikey.Begun, error) {
	if b.Operation.ID != "" && s.armed.CompareAndSwap(true, false) {
		close(s.stopped)
		<-s.resume
		ctx = context.WithoutCancel(ctx) // what stopped a process stops its clock as well
	}
	return s.Ledger.Begin(ctx, b)
}
