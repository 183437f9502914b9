package apikey_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// keysOf makes some keys of an owner.
func keysOf(ctx context.Context, t *testing.T, w *apikeytest.World, owner string, n int) []apikey.Issued {
	t.Helper()
	out := make([]apikey.Issued, n)
	var wg sync.WaitGroup
	hands := make(chan struct{}, 8) // more at once would be turned away
	for i := range out {
		wg.Go(func() {
			hands <- struct{}{}
			defer func() { <-hands }()
			var err error
			if out[i], err = w.Service.Create(ctx, apikey.CreateParams{Name: "n", Owner: owner, Scopes: []string{"a"}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return out
}

// wantKeys checks each key at Hydra's door, and that it has one event.
func wantKeys(ctx context.Context, t *testing.T, w *apikeytest.World, keys []apikey.Issued, a apikey.Action, works bool) {
	t.Helper()
	for _, k := range keys {
		if n := happened(ctx, t, w.Service, k.Key.ID, a); n != 1 {
			t.Errorf("%d events %s of one key", n, a)
		}
		if got := w.Fixture().Works(t, k.Key, k.Secret, nil); got != works {
			t.Errorf("after %s: a key works: %v", a, got)
		}
	}
}

// until polls an operation.
func until(ctx context.Context, t *testing.T, w *apikeytest.World, id, what string, ok func(apikey.Operation) bool) apikey.Operation {
	t.Helper()
	var o apikey.Operation
	apikeytest.Eventually(t, what, func() bool {
		var err error
		if o, err = w.Service.Operation(ctx, id); err != nil {
			t.Fatal(err)
		}
		if o.Waiting > o.Changed {
			t.Errorf("%s: %d of %d keys wait", what, o.Waiting, o.Changed)
		}
		return ok(o)
	})
	return o
}

// While Hydra is down a disable of an owner reaches every key and counts at
// once; it is done when Hydra is back and has followed.
func TestOwnerDisableWhileHydraIsDown(t *testing.T) {
	own := hydratest.New(t, hydradev.Config{Memory: true})
	w, _ := toothed(t, apikeytest.Options{Hydra: own})
	ctx, admin := as(t), apikey.WithCaller(t.Context(), apikey.System("test"))
	keys := keysOf(ctx, t, w, "down", 40)
	manager, err := w.Service.Create(admin, apikey.CreateParams{Name: "m", Owner: "down", Kind: apikey.KindManagement, Scopes: []string{"keys:read"}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.Fixture().Buy(t, manager.Key, manager.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Authenticate(ctx, token); err != nil {
		t.Fatal(err)
	}
	if err := own.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "the outage is noticed", func() bool { return w.Clients.Ready(ctx) != nil })
	o, err := w.Service.DisableOwner(admin, "down", apikey.DisableOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	o = until(admin, t, w, o.ID, "every key is reached", func(o apikey.Operation) bool { return o.Done == 41 })
	if o.State != apikey.OperationRunning || o.Waiting != 41 || o.Failed != 0 || o.AccessEndsAt == nil || o.AccessEndsAt.Introspected != nil {
		t.Errorf("while Hydra is down: %+v", o)
	}
	if _, err := w.Service.Authenticate(ctx, token); !errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("a token of the owner's management key: %v", err)
	}
	if err := own.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	o = until(admin, t, w, o.ID, "it is done", func(o apikey.Operation) bool { return o.State == apikey.OperationDone })
	if o.Changed != 41 || o.Waiting != 0 || o.AccessEndsAt.Introspected == nil {
		t.Errorf("after the outage: %+v", o)
	}
	wantKeys(admin, t, w, append(keys, manager), apikey.ActionDisable, false)
}

// An enable of an owner that is asked for while the disable before it waits for
// Hydra comes after that one at every key.
func TestOwnerEnableBehindAcceptedDisable(t *testing.T) {
	own := hydratest.New(t, hydradev.Config{Memory: true})
	w, _ := toothed(t, apikeytest.Options{Hydra: own})
	ctx := as(t)
	keys := keysOf(ctx, t, w, "behind", 40)
	if err := own.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "the outage is noticed", func() bool { return w.Clients.Ready(ctx) != nil })
	first, err := w.Service.DisableOwner(ctx, "behind", apikey.DisableOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	until(ctx, t, w, first.ID, "every key is reached", func(o apikey.Operation) bool { return o.Done == 40 })
	var second apikey.Operation
	apikeytest.Eventually(t, "the enable begins", func() bool {
		second, err = w.Service.EnableOwner(ctx, "behind", apikey.EnableOwnerParams{})
		return err == nil
	})
	if err := own.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{first.ID, second.ID} {
		o := until(ctx, t, w, id, "it is done", func(o apikey.Operation) bool { return o.State == apikey.OperationDone })
		if o.Changed != 40 {
			t.Errorf("%+v; want all changed", o)
		}
	}
	wantKeys(ctx, t, w, keys, apikey.ActionEnable, true)
}

// An outage in the midst of an enable holds it up; it goes on by itself, and
// nothing counts as failed. The same goes for ending tokens.
func TestOwnerEnableThroughOutage(t *testing.T) {
	own := hydratest.New(t, hydradev.Config{Memory: true})
	w, proxy := toothed(t, apikeytest.Options{Hydra: own})
	ctx := as(t)
	keys := keysOf(ctx, t, w, "through", 60)
	o, err := w.Service.DisableOwner(ctx, "through", apikey.DisableOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	apikeytest.Ended(ctx, t, w.Service, o)
	proxy.Inject(hydratest.DelayAnswer(100*time.Millisecond).On("PUT", "/admin/clients"))
	if o, err = w.Service.EnableOwner(ctx, "through", apikey.EnableOwnerParams{}); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, w, o.ID, "it is in the midst", func(o apikey.Operation) bool { return o.Done > 0 })
	if err := own.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "the outage is noticed", func() bool { return w.Clients.Ready(ctx) != nil })
	tokens, err := w.Service.RevokeOwnerTokens(ctx, "through", apikey.OwnerActionParams{})
	if err != nil {
		t.Fatal(err)
	}
	held := until(ctx, t, w, o.ID, "it is held up", func(o apikey.Operation) bool { return o.State == apikey.OperationRunning })
	if held.Done >= 60 {
		t.Fatal("the outage came too late")
	}
	proxy.Clear()
	if err := own.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{o.ID, tokens.ID} {
		end := until(ctx, t, w, id, "it is done", func(o apikey.Operation) bool { return o.State == apikey.OperationDone })
		if end.Changed != 60 || end.Failed != 0 {
			t.Errorf("%s: %+v", end.Action, end)
		}
	}
	wantKeys(ctx, t, w, keys, apikey.ActionEnable, true)
	wantKeys(ctx, t, w, keys, apikey.ActionRevokeTokens, true)
}

// A disable or revoke of an owner ends a running enable, and no key that it has
// reached is enabled after it; an enable has to wait for them.
func TestNarrowingEndsEnable(t *testing.T) {
	for name, narrow := range map[string]func(context.Context, *apikey.Service) (apikey.Operation, error){
		"disable": func(ctx context.Context, s *apikey.Service) (apikey.Operation, error) {
			return s.DisableOwner(ctx, "contested", apikey.DisableOwnerParams{})
		},
		"revoke": func(ctx context.Context, s *apikey.Service) (apikey.Operation, error) {
			return s.RevokeOwner(ctx, "contested", apikey.RevokeOwnerParams{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, proxy := toothed(t, apikeytest.Options{})
			ctx := as(t)
			keys := keysOf(ctx, t, w, "contested", 50)
			o, err := w.Service.DisableOwner(ctx, "contested", apikey.DisableOwnerParams{})
			if err != nil {
				t.Fatal(err)
			}
			apikeytest.Ended(ctx, t, w.Service, o)
			proxy.Inject(hydratest.DelayAnswer(50*time.Millisecond).On("PUT", "/admin/clients"))
			enable, err := w.Service.EnableOwner(ctx, "contested", apikey.EnableOwnerParams{})
			if err != nil {
				t.Fatal(err)
			}
			until(ctx, t, w, enable.ID, "it is in the midst", func(o apikey.Operation) bool { return o.Done > 0 })
			if o, err = narrow(ctx, w.Service); err != nil {
				t.Fatal(err)
			}
			_, err = w.Service.EnableOwner(ctx, "contested", apikey.EnableOwnerParams{})
			if e, ok := errors.AsType[*apikey.Error](err); !ok || e.Kind != apikey.ErrBusy || e.RetryAfter == 0 {
				t.Errorf("an enable beside it: %v", err)
			}
			if o = apikeytest.Ended(ctx, t, w.Service, o); o.State != apikey.OperationDone || o.Failed != 0 || o.Done != 50 {
				t.Errorf("%+v", o)
			}
			apikeytest.Eventually(t, "nothing is changing", func() bool {
				for _, k := range keys {
					if !quiet(ctx, t, w.Service, k.Key.ID) {
						return false
					}
				}
				return true
			})
			ended := apikeytest.Ended(ctx, t, w.Service, enable)
			if ended.State != apikey.OperationSuperseded || ended.FinishedAt == nil || ended.Done == 0 || ended.Done >= 50 {
				t.Errorf("the enable: %+v", ended)
			}
			for _, k := range keys {
				if w.Fixture().Works(t, k.Key, k.Secret, nil) {
					t.Error("a key of the contested owner works")
				}
			}
		})
	}
}

// Two disables of one owner go one after the other, so that the newer until
// holds for every key.
func TestNewerDisableHolds(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
	ctx := as(t)
	keys := keysOf(ctx, t, w, "twice", 20)
	later := w.Clock.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
	first, err := w.Service.DisableOwner(ctx, "twice", apikey.DisableOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.Service.DisableOwner(ctx, "twice", apikey.DisableOwnerParams{Until: &later})
	if err != nil {
		t.Fatal(err)
	}
	free, err := w.Ledger.FreeOperations(ctx, false, 10)
	if err != nil || len(free) != 1 || free[0].ID != first.ID {
		t.Errorf("free: %d, %v; want the first alone", len(free), err)
	}
	for _, o := range []apikey.Operation{first, second} {
		if o = turnUntilDone(ctx, t, w, o.ID); o.Changed != 20 {
			t.Errorf("%+v", o)
		}
	}
	for _, k := range keys {
		got, err := w.Service.Get(ctx, k.Key.ID)
		if err != nil || got.DisabledUntil == nil || !got.DisabledUntil.Equal(later) {
			t.Errorf("disabled until %v, %v", got.DisabledUntil, err)
		}
	}
}

// A key that Hydra refuses is named; the others are done.
func TestOwnerOperationPassesAPoisonedKey(t *testing.T) {
	w, proxy := toothed(t, apikeytest.Options{})
	ctx := as(t)
	keys := keysOf(ctx, t, w, "poisoned", 3)
	o, err := w.Service.DisableOwner(ctx, "poisoned", apikey.DisableOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	apikeytest.Ended(ctx, t, w.Service, o)
	proxy.Inject(hydratest.StatusBefore(400, 0).On("PUT", "/admin/clients/"+keys[1].Key.ID))
	if o, err = w.Service.EnableOwner(ctx, "poisoned", apikey.EnableOwnerParams{}); err != nil {
		t.Fatal(err)
	}
	o = apikeytest.Ended(ctx, t, w.Service, o)
	if o.Changed != 2 || o.Failed != 1 || len(o.Failures) != 1 || o.Failures[0].KeyID != keys[1].Key.ID || o.Failures[0].Code != apikey.ErrInternal {
		t.Errorf("%+v", o)
	}
	if !w.Fixture().Works(t, keys[0].Key, keys[0].Secret, nil) || !w.Fixture().Works(t, keys[2].Key, keys[2].Secret, nil) {
		t.Error("the other keys do not work")
	}
}

// The caller may be ended by its own operation: it goes on all the same, with
// the rights that it had, and its events name the caller.
func TestOperationEndsItsCaller(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	admin := apikey.WithCaller(t.Context(), apikey.System("test"))
	keysOf(admin, t, w, "own end", 20)
	manager, err := w.Service.Create(admin, apikey.CreateParams{Name: "m", Owner: "own end", Kind: apikey.KindManagement, Scopes: []string{"admin"}, Owners: []string{"own end"}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.Fixture().Buy(t, manager.Key, manager.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := w.Service.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	caller.Address, caller.RequestID = "192.0.2.77", "req_own_end"
	o, err := w.Service.RevokeOwner(apikey.WithCaller(t.Context(), caller), "own end", apikey.RevokeOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	if o = apikeytest.Ended(admin, t, w.Service, o); o.Changed != 21 {
		t.Errorf("%+v", o)
	}
	if _, err := w.Service.Authenticate(t.Context(), token); !errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("the caller's token: %v", err)
	}
	page, err := w.Service.KeyEvents(admin, manager.Key.ID, apikey.PageParams{})
	if err != nil || page.Data[0].Principal != "key:"+manager.Key.RootID || page.Data[0].Address != "192.0.2.77" || page.Data[0].RequestID != "req_own_end" {
		t.Errorf("event: %+v, %v", page.Data, err)
	}
}

// A key that Hydra does not take although it is ready is tried again, for a
// while, with the others of its batch done once; then it is named.
func TestOwnerOperationTriesAgain(t *testing.T) {
	w, proxy := toothed(t, apikeytest.Options{Idle: true})
	ctx := as(t)
	keys := keysOf(ctx, t, w, "tried", 3)
	o, err := w.Service.DisableOwner(ctx, "tried", apikey.DisableOwnerParams{})
	if err != nil {
		t.Fatal(err)
	}
	turnUntilDone(ctx, t, w, o.ID)
	bad := keys[1].Key.ID
	proxy.Inject(hydratest.Reset().On("PUT", "/admin/clients/"+bad))
	if o, err = w.Service.EnableOwner(ctx, "tried", apikey.EnableOwnerParams{}); err != nil {
		t.Fatal(err)
	}
	tries := 0
	for ; o.State == apikey.OperationRunning && tries < 30; tries++ {
		if err := w.Service.Turn(ctx); err != nil {
			t.Log(err)
		}
		r, err := w.Ledger.Operation(ctx, o.ID, apikey.View{})
		if err != nil {
			t.Fatal(err)
		}
		if o = r.Operation; o.State == apikey.OperationRunning {
			if o.Failed != 0 {
				t.Fatalf("failed at once: %+v", o)
			}
			if _, err := w.Ledger.SaveOperation(ctx, r, 0); err != nil { // no waiting between tries
				t.Fatal(err)
			}
		}
	}
	if o.State != apikey.OperationDone || o.Changed != 2 || len(o.Failures) != 1 || o.Failures[0] != (apikey.KeyFailure{KeyID: bad, Code: apikey.ErrUnavailable}) || tries < 5 {
		t.Errorf("after %d turns: %+v", tries, o)
	}
	wantKeys(ctx, t, w, []apikey.Issued{keys[0], keys[2]}, apikey.ActionEnable, true)
}
