package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// What the clock does to a key whose client is gone from Hydra is recorded
// once, and not tried again at each turn.
func TestDueKeyWithoutClient(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: proxy.URL()})
	ctx, hour := as(t), time.Now().Add(time.Hour)
	paused := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
	if _, err := w.Service.Disable(ctx, paused, apikey.DisableParams{Until: &hour}); err != nil {
		t.Fatal(err)
	}
	pair, pair2 := apikeytest.NewPair(t, "ES256"), apikeytest.NewPair(t, "ES256")
	paired := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT,
		PublicKeys: []apikey.PublicKeyInput{{JWK: pair.Public, ExpiresAt: &hour}, {JWK: pair2.Public}}}).Key.ID
	for _, id := range []string{paused, paired} {
		if err := w.Clients.Delete(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	w.Clock.Advance(2 * time.Hour)
	if err := w.Service.Turn(ctx); err != nil {
		t.Error(err)
	}
	proxy.ResetCounts()
	for range 5 {
		if err := w.Service.Turn(ctx); err != nil {
			t.Error(err)
		}
	}
	if n := proxy.Received("PUT", "/admin/clients"); n > 2 {
		t.Errorf("%d more PUTs for two keys without clients", n)
	}
	for id, a := range map[string]apikey.Action{paused: apikey.ActionEnable, paired: apikey.ActionExpirePublicKey} {
		k, err := w.Service.Get(ctx, id)
		if err != nil || !slices.Contains(k.Flags, apikey.FlagDrifted) {
			t.Errorf("%s: %v, %v; want drifted", a, k.Flags, err)
		}
		if n := happened(ctx, t, w.Service, id, a); n != 1 {
			t.Errorf("%d events %s, want one", n, a)
		}
	}
}

// Keys that Hydra refuses to take do not keep the others from their expiry, and
// are not tried at each turn.
func TestRefusedKeysDoNotStarveOthers(t *testing.T) {
	const stuck = 250
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: proxy.URL()})
	ctx, hour := as(t), time.Now().Add(time.Hour)
	good := create(ctx, t, w.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(hour)})
	model, err := w.Ledger.Key(ctx, good.Key.ID, apikey.View{})
	if err != nil {
		t.Fatal(err)
	}
	var records []apikey.Record
	for i := range stuck {
		r := model
		r.ID = fmt.Sprintf("stuck_%03d", i)
		r.RootID, r.StatusIndex = r.ID, 0
		past := r.ExpiresAt.Add(-time.Minute)
		r.ExpiresAt, r.DueAt = &past, past
		records = append(records, r)
	}
	if err := w.Ledger.Import(ctx, records); err != nil {
		t.Fatal(err)
	}
	proxy.Inject(hydratest.StatusBefore(400, 0).On("PUT", "/admin/clients/stuck_"))
	w.Clock.Advance(2 * time.Hour)
	start := time.Now()
	for range 6 {
		_ = w.Service.Turn(ctx)
	}
	tries := 1 // and again after 1, 2, 4 ... seconds, on a machine that takes so long
	for wait := time.Second; wait <= time.Since(start); wait *= 2 {
		tries++
	}
	if n := proxy.Received("PUT", "/admin/clients"); n > tries*stuck+2 { // the good key is closed and swept
		t.Errorf("%d PUTs in six turns for %d keys that Hydra refuses, want %d tries of each", n, stuck, tries)
	}
	if w.Fixture().Works(t, good.Key, good.Secret, nil) {
		t.Error("an expired key works because others are stuck")
	}
}

// The end of a pause is an event of its own, also if another change finds the
// pause over before the clock's work does.
func TestPauseEndsDuringAnotherChange(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
	ctx, hour := as(t), time.Now().Add(time.Hour)
	id := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
	if _, err := w.Service.Disable(ctx, id, apikey.DisableParams{Until: &hour}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Hour)
	if _, err := w.Service.Update(ctx, id, apikey.UpdateParams{Description: ptr("x")}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		turns(ctx, t, w, id)
	}
	k, err := w.Service.Get(ctx, id)
	if err != nil || k.DisabledAt != nil || k.DisabledUntil != nil {
		t.Errorf("disabled at %v until %v, %v", k.DisabledAt, k.DisabledUntil, err)
	}
	if n := happened(ctx, t, w.Service, id, apikey.ActionEnable); n != 1 {
		t.Errorf("%d events of the end of the pause", n)
	}
}

// A key whose client has come back to Hydra is no longer called drifted once it
// was written there.
func TestDriftEnds(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{})
	id := issued.Key.ID
	if err := w.Clients.Delete(ctx, id); err != nil {
		t.Fatal(err)
	}
	res, err := w.Service.Disable(ctx, id, apikey.DisableParams{})
	if err != nil || !slices.Contains(res.Key.Flags, apikey.FlagDrifted) {
		t.Fatalf("%v, %v; want drifted", res.Key.Flags, err)
	}
	r, err := w.Ledger.Key(ctx, id, apikey.View{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Clients.Create(ctx, apikey.ClientWrite{Definition: r.Definition, Op: r.Op, Ledger: w.Ledger.Installation(), Secret: issued.Secret}); err != nil {
		t.Fatal(err)
	}
	res, err = w.Service.Enable(ctx, id, apikey.ActionParams{})
	if err != nil || slices.Contains(res.Key.Flags, apikey.FlagDrifted) || !w.Fixture().Works(t, issued.Key, issued.Secret, nil) {
		t.Errorf("%v, %v", res.Key.Flags, err)
	}
}

// A public key that was not accepted is free for another key.
func TestPublicKeyOfFailedChangeIsFree(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: proxy.URL()})
	ctx := as(t)
	make := func() string {
		return create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT,
			PublicKeys: []apikey.PublicKeyInput{{JWK: apikeytest.NewPair(t, "ES256").Public}}}).Key.ID
	}
	one, other := make(), make()
	p := apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: apikeytest.NewPair(t, "ES256").Public}}
	proxy.Inject(hydratest.StatusBefore(403, 0).On("PUT", "/admin/clients").Times(1))
	if _, err := w.Service.AddPublicKey(ctx, one, p); err == nil {
		t.Fatal("added")
	}
	if _, err := w.Service.AddPublicKey(ctx, other, p); err != nil {
		t.Errorf("a public key that no key has: %v", err)
	}
	if _, err := w.Service.AddPublicKey(ctx, one, p); !errors.Is(err, apikey.ErrPublicKeyInUse) {
		t.Errorf("a public key that another key has: %v", err)
	}
}

// Another change that comes just after the clock has done something, and before
// the background work, neither hides it from Hydra nor from the audit.
func TestChangeJustAfterTheClock(t *testing.T) {
	for name, change := range map[string]func(context.Context, apikey.API, string) error{
		"patch": func(ctx context.Context, a apikey.API, id string) error {
			_, err := a.Update(ctx, id, apikey.UpdateParams{Description: ptr("x")})
			return err
		},
		"revocation of tokens": func(ctx context.Context, a apikey.API, id string) error {
			_, err := a.RevokeTokens(ctx, id, apikey.ActionParams{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
			ctx := as(t)
			var victims []*victim
			for _, which := range []string{"expiry", "end of a pause", "end of a public key"} {
				victims = append(victims, prepare(ctx, t, w, deeds[which]))
			}
			w.Clock.Advance(2 * time.Hour)
			for _, v := range victims {
				if err := change(ctx, w.Service, v.Key.ID); err != nil {
					t.Fatal(err)
				}
				turns(ctx, t, w, v.Key.ID)
				if n := happened(ctx, t, w.Service, v.Key.ID, v.action); n != 1 {
					t.Errorf("%d events %s, want one", n, v.action)
				}
				if works := w.Fixture().Works(t, v.Key, v.Secret, v.first); works != v.works {
					t.Errorf("%s: works %v", v.action, works)
				}
				if v.pair && w.Fixture().Works(t, v.Key, v.Secret, v.second) {
					t.Error("a public key works after its end")
				}
			}
		})
	}
}
