package apikey_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// The completion of a rotation that there is none of ends nothing, also while it
// waits in line behind another change of the key: not for the hook, not in the
// status lists, not for introspection.
func TestCompleteWithoutRotationWaits(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) { c.Hook = true }})
	k := create(as(t), t, w.Service, apikey.CreateParams{})
	refresh := func() {
		t.Helper()
		if err := w.Service.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	token := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: k.Key.ID, Secret: k.Secret.Reveal()})
	// As if another process were updating the key.
	_, err := w.Ledger.Begin(t.Context(), apikey.Begin{Change: apikey.Change{Op: rand.Text(), KeyID: k.Key.ID, Action: apikey.ActionUpdate, At: w.Clock.Now()}, Lease: time.Minute,
		Plan: func(r apikey.Record, _ bool) (apikey.Planned, error) {
			return apikey.Planned{Target: r.Definition}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.Service.CompleteRotation(as(t), k.Key.ID, apikey.ActionParams{})
	if err != nil || !res.Pending {
		t.Fatalf("%+v, %v", res, err)
	}
	allowed := func(when string) {
		t.Helper()
		if d := w.Service.Decide(t.Context(), apikey.TokenRequest{ClientID: k.Key.ID}); d.Verdict != apikey.Allowed {
			t.Errorf("%s: %s", when, d.Denied)
		}
	}
	allowed("when it is accepted")
	refresh()
	allowed("when it is read")
	w.Clock.Advance(time.Second)
	if got := statusOf(t, w.Service).at(indexOf(t, w, k.Key.ID)); got != valid {
		t.Errorf("the status list says %d", got)
	}
	if !introspect(t, w.Service, token).Active {
		t.Error("its token is not active")
	}
}
