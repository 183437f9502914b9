package apikey_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/ledgertest"
)

// lookedAt is a ledger that counts looks, fails, and keeps them waiting.
type lookedAt struct {
	apikey.Ledger
	looks, at, most atomic.Int64
	fail            atomic.Bool
	hold            func()
}

func (c *lookedAt) StateMark(ctx context.Context) (apikey.StateMark, error) {
	c.looks.Add(1)
	c.most.Store(max(c.most.Load(), c.at.Add(1)))
	defer c.at.Add(-1)
	if c.hold != nil {
		c.hold()
	}
	if c.fail.Load() {
		return apikey.StateMark{}, &apikey.Error{Kind: apikey.ErrUnavailable}
	}
	return c.Ledger.StateMark(ctx)
}

// However many ask, one looks at a time; while the ledger does not answer, what
// is known is served until it is as old as the TTL, and then nothing.
func TestStatusListOneLook(t *testing.T) {
	clock, ledger := &stopped{}, &lookedAt{}
	clock.at.Store(time.Now().UnixNano())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		ledger.Ledger = c.Ledger
		c.Ledger, c.Now = ledger, clock.Now
	}})
	ask := func(n int) (errs []error) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				_, err := w.Service.StatusList(t.Context(), 0)
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			})
		}
		wg.Wait()
		return errs
	}
	if err := errors.Join(ask(200)...); err != nil || ledger.looks.Load() != 1 || ledger.most.Load() != 1 {
		t.Fatalf("%v; %d looks, %d at a time", err, ledger.looks.Load(), ledger.most.Load())
	}
	clock.Advance(200 * time.Millisecond)
	if err := errors.Join(ask(1)...); err != nil || ledger.looks.Load() != 1 {
		t.Errorf("within a quarter of a second: %v, %d looks", err, ledger.looks.Load())
	}
	ledger.fail.Store(true)
	clock.Advance(4 * time.Second)
	if err := errors.Join(ask(50)...); err != nil {
		t.Errorf("younger than the TTL: %v", err)
	}
	clock.Advance(time.Second)
	for _, err := range ask(50) {
		wantUnavailable(t, err)
	}
	ledger.fail.Store(false)
	if err := errors.Join(ask(1)...); err != nil || ledger.most.Load() != 1 {
		t.Errorf("when it answers again: %v; %d at a time", err, ledger.most.Load())
	}

	// A look that takes long keeps nobody who can have what is known.
	release := make(chan struct{})
	ledger.hold = func() { <-release }
	clock.Advance(time.Second)
	start := time.Now()
	if err := errors.Join(ask(20)...); err != nil || time.Since(start) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	clock.Advance(5 * time.Second)
	_, err := w.Service.StatusList(ctx, 0)
	wantUnavailable(t, err)
	close(release)
}

// A list reaches as far as the ledger's last key, also for keys that came
// without an event, and begins anew with a ledger that was put back.
func TestStatusListReload(t *testing.T) {
	ledger := &lookedAt{}
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		ledger.Ledger = c.Ledger
		c.Ledger = ledger
	}})
	create(as(t), t, w.Service, apikey.CreateParams{})
	if statusOf(t, w.Service).at(1) != valid {
		t.Fatal("not valid")
	}
	dead, far := ledgertest.Key(8), ledgertest.Key(1)
	dead.StatusIndex, far.StatusIndex = 9, 1_000_002
	if err := w.Ledger.Import(t.Context(), []apikey.Record{dead, far}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Second)
	var d decoded
	// All are read, and two lists drawn: on a busy machine that takes longer than
	// those wait who can have what was known.
	apikeytest.Eventually(t, "an import is in the list", func() bool { d = statusOf(t, w.Service); return d.at(9) == invalid })
	if d.at(1) != valid || d.at(9) != invalid || d.at(8) != invalid {
		t.Errorf("after an import: %d, %d, %d", d.at(1), d.at(9), d.at(8))
	}
	list, err := w.Service.StatusList(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if d := decode(t, list.JWT, statusKeys(t, w.Service)); d.at(2) != valid || d.at(1) != invalid || d.Claims.Sub != apikeytest.PublicURL+"/status/1" {
		t.Errorf("the second list: %d, %d, %s", d.at(2), d.at(1), d.Claims.Sub)
	}

	back := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Clock: w.Clock})
	ledger.Ledger = back.Ledger
	w.Clock.Advance(time.Second)
	apikeytest.Eventually(t, "a restore is in the list", func() bool { d := statusOf(t, w.Service); return d.at(9) == valid && d.at(1) == valid })
}

// between is a ledger where something happens between two reads of the states.
type between struct {
	apikey.Ledger
	beforeNarrowed, afterNarrowed func()
}

func (b *between) Narrowed(ctx context.Context) ([]apikey.NarrowedState, error) {
	if b.beforeNarrowed != nil {
		b.beforeNarrowed()
	}
	list, err := b.Ledger.Narrowed(ctx)
	if b.afterNarrowed != nil {
		b.afterNarrowed()
	}
	return list, err
}

// A disable that is done while the states are read is in the list all the same:
// as accepted, or as done.
func TestStatusListMeanwhile(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	reads, clock := &between{}, &stopped{}
	clock.at.Store(time.Now().UnixNano())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: proxy.URL(), Config: func(c *apikey.Config) {
		reads.Ledger = c.Ledger
		c.Ledger, c.Now = reads, clock.Now
	}})
	ctx := as(t)
	for name, place := range map[string]*func(){"before narrowings are read": &reads.beforeNarrowed, "after": &reads.afterNarrowed} {
		k := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
		clock.Advance(time.Second)
		if got := statusOf(t, w.Service).at(indexOf(t, w, k)); got != valid {
			t.Fatalf("got %d", got)
		}
		proxy.Refuse()
		if r, err := w.Service.Disable(ctx, k, apikey.DisableParams{}); err != nil || !r.Pending {
			t.Fatalf("%+v, %v", r, err)
		}
		if err := proxy.Accept(); err != nil {
			t.Fatal(err)
		}
		var looks atomic.Int64
		*place = func() {
			if looks.Add(1) > 1 {
				return
			}
			apikeytest.Eventually(t, "the disable is done", func() bool {
				_ = w.Service.Turn(ctx)
				r, err := w.Ledger.Key(ctx, k, apikey.View{})
				return err == nil && len(r.Pending) == 0 && r.DisabledAt != nil
			})
		}
		clock.Advance(time.Second) // and no further, so that one look must tell
		apikeytest.Eventually(t, name+" tells", func() bool { return statusOf(t, w.Service).at(indexOf(t, w, k)) == suspended })
		if looks.Load() != 1 {
			t.Errorf("%s: %d looks", name, looks.Load())
		}
		*place = nil
	}
}

// reread is a ledger whose reads of all states can be kept waiting, and say of
// the keys what no event told.
type reread struct {
	apikey.Ledger
	all     atomic.Int64
	hold    atomic.Pointer[chan struct{}]
	revoked atomic.Int64 // the index of a key
}

func (r *reread) KeyStates(ctx context.Context, since int64, f func(apikey.KeyState)) (bool, error) {
	if since >= 0 {
		return r.Ledger.KeyStates(ctx, since, f)
	}
	r.all.Add(1)
	if hold := r.hold.Load(); hold != nil {
		<-*hold
	}
	return r.Ledger.KeyStates(ctx, since, func(k apikey.KeyState) {
		if k.StatusIndex == r.revoked.Load() {
			k.RevokedAt = 1
		}
		f(k)
	})
}

// rereadWorld is a world on it with three keys.
func rereadWorld(t *testing.T) (w *apikeytest.World, ledger *reread, ids []string) {
	ledger = &reread{}
	w = apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		ledger.Ledger = c.Ledger
		c.Ledger = ledger
	}})
	for range 3 {
		ids = append(ids, create(as(t), t, w.Service, apikey.CreateParams{}).Key.ID)
	}
	return w, ledger, ids
}

// All keys are read anew now and then; nobody waits for that, and what changes
// meanwhile is in the list before and after.
func TestStatusListReadAnew(t *testing.T) {
	w, ledger, ids := rereadWorld(t)
	ctx := as(t)
	at := func(i int64) byte { w.Clock.Advance(time.Second); return statusOf(t, w.Service).at(i) }
	if at(1) != valid || ledger.all.Load() != 1 {
		t.Fatalf("%d reads of all states", ledger.all.Load())
	}
	hold := make(chan struct{})
	ledger.hold.Store(&hold)
	ledger.revoked.Store(1)
	w.Clock.Advance(11 * time.Minute)
	if at(1) != valid {
		t.Error("it was waited for")
	}
	apikeytest.Eventually(t, "all are read anew", func() bool { return ledger.all.Load() == 2 })
	if _, err := w.Service.Disable(ctx, ids[1], apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	if at(2) != suspended || at(1) != valid {
		t.Error("a change while all are read anew is not told")
	}
	close(hold)
	apikeytest.Eventually(t, "what was read anew is told", func() bool { return at(1) == invalid })
	if at(2) != suspended || at(3) != valid || ledger.all.Load() != 2 {
		t.Errorf("afterwards: %d, %d, after %d reads", at(2), at(3), ledger.all.Load())
	}
}

// A key that is revoked and deleted between two looks has left no row to tell its
// end; its tokens must not live on for that.
func TestStatusListGoneBetweenLooks(t *testing.T) {
	w, ledger, ids := rereadWorld(t)
	ctx := as(t)
	at := func(i int64) byte { w.Clock.Advance(time.Second); return statusOf(t, w.Service).at(i) }
	if at(1) != valid || at(2) != valid {
		t.Fatal("not valid")
	}
	revoke := func(id string) {
		t.Helper()
		if _, err := w.Service.Revoke(ctx, id, apikey.RevokeParams{}); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(id string) {
		t.Helper()
		if err := w.Service.Delete(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	revoke(ids[0])
	remove(ids[0])
	if got := at(1); got != invalid || at(2) != valid || at(3) != valid {
		t.Errorf("revoked and deleted since the last look: %d, and the others %d, %d", got, at(2), at(3))
	}
	reads := ledger.all.Load()
	revoke(ids[1])
	if at(2) != invalid {
		t.Error("not invalid")
	}
	remove(ids[1])
	if at(2) != invalid || at(3) != valid || ledger.all.Load() != reads {
		t.Errorf("deleted after its end was seen: %d, %d, after %d reads of all keys", at(2), at(3), ledger.all.Load()-reads)
	}
}
