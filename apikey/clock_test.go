package apikey_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// promised is how late the clock's doings may be; busyMachine is allowed on top,
// for a machine that does other things as well.
const promised, busyMachine = 2 * time.Second, 2 * time.Second

// onTime waits until now is so and tells how long after at that was.
func onTime(t *testing.T, what string, at time.Time, now func() bool) {
	t.Helper()
	apikeytest.Eventually(t, what, now)
	late := time.Since(at)
	t.Logf("%s: %v late", what, late.Round(time.Millisecond))
	if late > promised+busyMachine {
		t.Errorf("%s: %v late", what, late)
	}
	if late < 0 {
		t.Errorf("%s: %v early", what, -late)
	}
}

// soon is two to three seconds from now, on a whole second as the ledger keeps it.
func soon() time.Time { return time.Now().Add(3 * time.Second).Truncate(time.Second) }

// What the clock does is done at Hydra within two seconds of real time, and not
// before: a key expires, a pause ends, a public key ends.
func TestOnTime(t *testing.T) {
	t.Parallel() // it mostly waits
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx, f := as(t), w.Fixture()
	paused := create(ctx, t, w.Service, apikey.CreateParams{})
	old, lasting := apikeytest.NewPair(t, "ES256"), apikeytest.NewPair(t, "ES256")
	at := soon()
	ends := create(ctx, t, w.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(at)})
	pair := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT,
		PublicKeys: []apikey.PublicKeyInput{{JWK: old.Public, ExpiresAt: &at}, {JWK: lasting.Public}}})
	if _, err := w.Service.Disable(ctx, paused.Key.ID, apikey.DisableParams{Until: &at}); err != nil {
		t.Fatal(err)
	}
	token, err := f.Buy(t, ends.Key, ends.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { onTime(t, "key expires", at, func() bool { return !f.Works(t, ends.Key, ends.Secret, nil) }) })
	wg.Go(func() { onTime(t, "its token dies", at, func() bool { return !f.Active(t, token) }) })
	wg.Go(func() { onTime(t, "pause ends", at, func() bool { return f.Works(t, paused.Key, paused.Secret, nil) }) })
	wg.Go(func() {
		onTime(t, "public key ends", at, func() bool { return !f.Works(t, pair.Key, apikey.Secret{}, old) })
	})
	wg.Wait()
	if !f.Works(t, pair.Key, apikey.Secret{}, lasting) {
		t.Error("the other public key ended too")
	}
	for id, a := range map[string]apikey.Action{ends.Key.ID: apikey.ActionExpire, paused.Key.ID: apikey.ActionEnable, pair.Key.ID: apikey.ActionExpirePublicKey} {
		apikeytest.Eventually(t, string(a), func() bool { return happened(ctx, t, w.Service, id, a) > 0 && quiet(ctx, t, w.Service, id) })
		if n := happened(ctx, t, w.Service, id, a); n != 1 {
			t.Errorf("%d events %s, want one", n, a)
		}
	}
}

// One key whose requests to Hydra hang does not make the others late.
func TestOnTimeBesideAStuckKey(t *testing.T) {
	t.Parallel() // it mostly waits
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{AdminURL: proxy.URL()})
	ctx, f := as(t), w.Fixture()
	at := soon()
	before := at.Add(-time.Second)
	stuck := create(ctx, t, w.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(before)})
	ends := create(ctx, t, w.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(at)})
	hang := proxy.Inject(hydratest.Hang().On("PUT", "/admin/clients/"+stuck.Key.ID))
	onTime(t, "the other key expires", at, func() bool { return !f.Works(t, ends.Key, ends.Secret, nil) })
	if hang.Struck() == 0 {
		t.Error("no request hung")
	}
	proxy.Clear()
}

// Many keys that end in the same second are all closed soon.
func TestManyExpireAtOnce(t *testing.T) {
	const keys = 200
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx, f := as(t), w.Fixture()
	at := w.Clock.Now().Add(time.Hour)
	all := make([]apikey.Issued, keys)
	var wg sync.WaitGroup
	slot := make(chan struct{}, 8)
	for i := range all {
		wg.Go(func() {
			slot <- struct{}{}
			defer func() { <-slot }()
			all[i] = create(ctx, t, w.Service, apikey.CreateParams{Owner: "many", ExpiresAt: apikey.SetTo(at)})
		})
	}
	wg.Wait()
	start := time.Now()
	w.Clock.Advance(time.Hour + time.Second)
	events := map[string]int{}
	apikeytest.Eventually(t, "all are closed", func() bool {
		clear(events)
		for after := int64(0); ; {
			page, err := w.Service.Events(ctx, apikey.FeedParams{After: after, Limit: 200})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Data {
				if after = e.ID; e.Action == apikey.ActionExpire {
					events[e.KeyID]++
				}
			}
			if len(page.Data) == 0 {
				return len(events) == keys
			}
		}
	})
	t.Logf("%d keys closed within %v", keys, time.Since(start).Round(time.Millisecond))
	for _, k := range all {
		if f.Works(t, k.Key, k.Secret, nil) {
			t.Fatalf("%s still works", k.Key.ID)
		}
		if events[k.Key.ID] != 1 {
			t.Errorf("%s expired %d times", k.Key.ID, events[k.Key.ID])
		}
	}
}

// A token request that outlives the first sweep is caught by the second, fifteen
// seconds after the disable, and by nothing else.
func TestSecondSweep(t *testing.T) {
	hook := hydratest.NewSlowHook(t, 700*time.Millisecond)
	own := hydratest.New(t, hydradev.Config{Memory: true, TokenHook: &hydradev.TokenHook{URL: hook}})
	w := apikeytest.NewWorld(t, apikeytest.Options{Hydra: own, Idle: true})
	ctx, f := as(t), w.Fixture()
	issued := create(ctx, t, w.Service, apikey.CreateParams{})
	bought := make(chan string)
	go func() {
		token, _ := f.Buy(t, issued.Key, issued.Secret, nil)
		bought <- token
	}()
	time.Sleep(200 * time.Millisecond) // the request is in the hook now
	res, err := w.Service.Disable(ctx, issued.Key.ID, apikey.DisableParams{})
	if err != nil {
		t.Fatal(err)
	}
	swept := w.Clock.Now()
	if ends := res.AccessEndsAt.Introspected; ends == nil || ends.Sub(swept) < 13*time.Second || ends.Sub(swept) > 16*time.Second {
		t.Errorf("access is said to end at %v, disabled at %v", ends, swept)
	}
	token := <-bought
	if token == "" || !f.Active(t, token) {
		t.Fatal("the request in flight got no token: the second sweep has nothing to do")
	}
	turn := func() {
		t.Helper()
		if err := w.Service.Turn(ctx); err != nil {
			t.Fatal(err)
		}
	}
	w.Clock.Advance(12 * time.Second)
	turn()
	if !f.Active(t, token) {
		t.Error("the sweep came before its time")
	}
	w.Clock.Advance(4 * time.Second)
	turn()
	if f.Active(t, token) {
		t.Error("the token in flight outlives the second sweep")
	}
	if n := happened(ctx, t, w.Service, issued.Key.ID, apikey.ActionDisable); n != 1 {
		t.Errorf("%d events of the disable", n)
	}
}

// What the clock did is in the audit exactly once, with two replicas at work and
// another one started afterwards.
func TestClockEventsOnce(t *testing.T) {
	o := apikeytest.Options{LedgerURL: pgtest.URL(t), Clock: &apikeytest.Clock{}}
	one, two := apikeytest.NewWorld(t, o), apikeytest.NewWorld(t, o)
	ctx := as(t)
	at := o.Clock.Now().Add(time.Hour)
	ids := map[string]apikey.Action{}
	for range 8 {
		ids[create(ctx, t, one.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(at)}).Key.ID] = apikey.ActionExpire
		paused := create(ctx, t, one.Service, apikey.CreateParams{}).Key.ID
		if _, err := two.Service.Disable(ctx, paused, apikey.DisableParams{Until: &at}); err != nil {
			t.Fatal(err)
		}
		ids[paused] = apikey.ActionEnable
		ids[create(ctx, t, two.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{
			{JWK: apikeytest.NewPair(t, "ES256").Public}, {JWK: apikeytest.NewPair(t, "ES256").Public, ExpiresAt: &at}}}).Key.ID] = apikey.ActionExpirePublicKey
	}
	o.Clock.Advance(time.Hour + time.Second)
	apikeytest.Eventually(t, "all is done", func() bool {
		for id, a := range ids {
			if happened(ctx, t, one.Service, id, a) == 0 {
				return false
			}
		}
		return true
	})
	one.Close()
	three := apikeytest.NewWorld(t, o)
	for range 3 {
		o.Clock.Advance(time.Minute) // sweeps and second looks come due
		if err := three.Service.Turn(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for id, a := range ids {
		if n := happened(ctx, t, three.Service, id, a); n != 1 {
			t.Errorf("%s: %d events %s, want one", id, n, a)
		}
	}
	if events, err := three.Service.Events(ctx, apikey.FeedParams{Limit: 200}); err != nil || len(events.Data) != 8*7 {
		t.Errorf("%d events, %v; want %d: no others than creates, disables and these", len(events.Data), err, 8*7)
	}
}

// A clock that is set back opens nothing that has ended, keeps nothing from
// being changed, and does its work again when it has caught up.
func TestClockSetBack(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx, f := as(t), w.Fixture()
	at := w.Clock.Now().Add(time.Hour)
	ended := create(ctx, t, w.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(at)})
	paused := create(ctx, t, w.Service, apikey.CreateParams{})
	kept := create(ctx, t, w.Service, apikey.CreateParams{IdempotencyKey: "clock-set-back-0001"})
	if _, err := w.Service.Disable(ctx, paused.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Hour)
	apikeytest.Eventually(t, "the key has expired", func() bool { return !f.Works(t, ended.Key, ended.Secret, nil) })
	w.Clock.Advance(-90 * time.Minute) // to before the end
	next := at.Add(10 * time.Minute)
	second := create(ctx, t, w.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(next)})
	for i := range 3 {
		if err := w.Service.Turn(ctx); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint("after ", i)
		if _, err := w.Service.Update(ctx, kept.Key.ID, apikey.UpdateParams{Name: &name}); err != nil {
			t.Errorf("a change: %v", err)
		}
	}
	for what, k := range map[string]apikey.Issued{"expired": ended, "disabled": paused} {
		if f.Works(t, k.Key, k.Secret, nil) {
			t.Errorf("the %s key is open again", what)
		}
	}
	if !f.Works(t, kept.Key, kept.Secret, nil) || !f.Works(t, second.Key, second.Secret, nil) {
		t.Error("a good key is closed")
	}
	w.Clock.Advance(2 * time.Hour)
	apikeytest.Eventually(t, "the second key expires", func() bool { return !f.Works(t, second.Key, second.Secret, nil) })
	if f.Works(t, ended.Key, ended.Secret, nil) || f.Works(t, paused.Key, paused.Secret, nil) {
		t.Error("a key that had ended is open again")
	}
	if n := happened(ctx, t, w.Service, ended.Key.ID, apikey.ActionExpire); n != 1 {
		t.Errorf("expired %d times", n)
	}
}
