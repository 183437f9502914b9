package apikey_test

import (
	"context"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// A disable that was accepted while a change of the owner was stuck is done,
// although its caller then no longer sees the key.
func TestNarrowingBehindChangeOfOwner(t *testing.T) {
	url := apikeytest.SQLiteURL(t)
	w, m := mortalWorld(t, apikeytest.Options{LedgerURL: url})
	admin := apikey.WithCaller(t.Context(), apikey.System("test"))
	mine := apikey.WithCaller(t.Context(), apikeytest.Caller(apikeytest.All, "before"))
	issued := create(mine, t, w.Service, apikey.CreateParams{Owner: "before"})
	if answered, err := m.die(afterT1, func() error {
		_, err := w.Service.Update(admin, issued.Key.ID, apikey.UpdateParams{Owner: ptr("after")})
		return err
	}); answered {
		t.Fatal(err)
	}
	res, err := w.Service.Disable(mine, issued.Key.ID, apikey.DisableParams{})
	if err != nil || !res.Pending {
		t.Fatalf("%+v, %v; want pending", res, err)
	}
	turns(admin, t, w, issued.Key.ID)
	k, err := w.Service.Get(admin, issued.Key.ID)
	if err != nil || k.Owner != "after" || k.Status != apikey.StatusDisabled {
		t.Errorf("owner %s, %s, %v; the disable was accepted", k.Owner, k.Status, err)
	}
	if w.Fixture().Works(t, issued.Key, issued.Secret, nil) {
		t.Error("the key still works")
	}
}

// Recovery that applies an interrupted enable does not open the key at Hydra
// when a disable was accepted meanwhile.
func TestRecoveryDoesNotOpenNarrowedKey(t *testing.T) {
	w, m := mortalWorld(t, apikeytest.Options{})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{})
	id := issued.Key.ID
	if _, err := w.Service.Disable(ctx, id, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	if answered, err := m.die(afterT1, func() error {
		_, err := w.Service.Enable(ctx, id, apikey.ActionParams{})
		return err
	}); answered {
		t.Fatal(err)
	}
	waiting, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	if res, err := w.Service.Disable(waiting, id, apikey.DisableParams{}); err != nil || !res.Pending {
		t.Fatalf("%+v, %v; want pending", res, err)
	}
	apikeytest.Eventually(t, "nothing is changing", func() bool {
		_ = w.Service.Turn(ctx)
		if w.Fixture().Works(t, issued.Key, issued.Secret, nil) {
			t.Fatal("the key works after its disable was accepted")
		}
		return quiet(ctx, t, w.Service, id)
	})
	k, err := w.Service.Get(ctx, id)
	if err != nil || k.Status != apikey.StatusDisabled {
		t.Errorf("%s, %v", k.Status, err)
	}
	if _, err := w.Service.Enable(ctx, id, apikey.ActionParams{}); err != nil || !w.Fixture().Works(t, issued.Key, issued.Secret, nil) {
		t.Errorf("enabled again it does not work: %v", err)
	}
}

// A disable that is asked for again and again while it waits for Hydra stays
// one change in line.
func TestRepeatedNarrowingDoesNotPileUp(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: proxy.URL()})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{})
	id := issued.Key.ID
	proxy.Refuse()
	ask := func(ctx context.Context, p apikey.DisableParams) {
		t.Helper()
		ctx, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		if res, err := w.Service.Disable(ctx, id, p); err != nil || !res.Pending {
			t.Fatalf("%+v, %v; want pending", res, err)
		}
	}
	until := time.Now().Add(time.Hour)
	ask(ctx, apikey.DisableParams{})
	for range 5 {
		ask(ctx, apikey.DisableParams{})
	}
	ask(ctx, apikey.DisableParams{Until: &until})
	ask(ctx, apikey.DisableParams{IdempotencyKey: "piles-up-not-0001"})
	ask(ctx, apikey.DisableParams{IdempotencyKey: "piles-up-not-0001"})
	r, err := w.Ledger.Key(ctx, id, apikey.View{})
	if err != nil || len(r.Pending) != 4 {
		t.Errorf("%d changes pending, %v; want the one that is stuck and behind it disable, disable until, disable", len(r.Pending), err)
	}
	if err := proxy.Accept(); err != nil {
		t.Fatal(err)
	}
	turns(ctx, t, w, id)
	k, err := w.Service.Get(ctx, id)
	if err != nil || k.Status != apikey.StatusDisabled || k.DisabledUntil != nil {
		t.Errorf("%s until %v, %v; the last asked for no end", k.Status, k.DisabledUntil, err)
	}
	if res, err := w.Service.Disable(ctx, id, apikey.DisableParams{IdempotencyKey: "piles-up-not-0001"}); err != nil || res.Pending {
		t.Errorf("the same request afterwards: %+v, %v", res, err)
	}
}
