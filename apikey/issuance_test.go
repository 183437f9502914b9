package apikey_test

import (
	"context"
	"errors"
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

// decided asks about a key as Hydra would.
func decided(t testing.TB, w *apikeytest.World, id string) apikey.Decision {
	t.Helper()
	return w.Service.Decide(t.Context(), apikey.TokenRequest{ClientID: id, Requested: []string{"a"}, Granted: []string{"a"}})
}

func wantVerdict(t testing.TB, what string, got apikey.Decision, want apikey.Verdict, why apikey.Denial) {
	t.Helper()
	if got.Verdict != want || got.Denied != why {
		t.Errorf("%s: verdict %d for %q; want %d for %q", what, got.Verdict, got.Denied, want, why)
	}
}

// within is how soon a change counts on another replica; the promise is a second,
// the rest is for a machine that also runs other tests.
func within(t testing.TB, what string, ok func() bool) {
	t.Helper()
	start := time.Now()
	apikeytest.Eventually(t, what, ok)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("%s: only after %v", what, took)
	}
}

// A change counts where it was made when it is answered, and on another replica
// within a second, in both directions, without help from Hydra; also one that is
// only accepted, because Hydra is away.
func TestReplicas(t *testing.T) {
	url := pgtest.URL(t)
	hook, a := hooked(t, apikeytest.Options{LedgerURL: url})
	proxy := hydratest.NewProxy(t, a.Hydra.AdminURL())
	b := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Hydra: a.Hydra, AdminURL: proxy.URL(), Clock: a.Clock, Config: apikeytest.Hooked})
	ctx, f := as(t), a.Fixture()
	k := create(ctx, t, a.Service, apikey.CreateParams{})
	id := k.Key.ID
	issues := func(w *apikeytest.World) bool { return decided(t, w, id).Verdict == apikey.Allowed }

	hook.For(t, b)
	if _, err := f.Buy(t, k.Key, k.Secret, nil); err != nil {
		t.Errorf("made on the other replica: %v", err)
	}
	for range 3 {
		disable, enable := a, a
		if _, err := disable.Service.Disable(ctx, id, apikey.DisableParams{}); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, "disabled here", decided(t, a, id), apikey.Refused, apikey.DeniedDisabled)
		within(t, "disabled on the other replica", func() bool { return !issues(b) })
		if _, err := enable.Service.Enable(ctx, id, apikey.ActionParams{}); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, "enabled here", decided(t, a, id), apikey.Allowed, "")
		within(t, "enabled on the other replica", func() bool { return issues(b) })
	}
	proxy.Refuse()
	apikeytest.Eventually(t, "Hydra is away", func() bool { return b.Clients.Ready(ctx) != nil })
	out, err := b.Service.Disable(ctx, id, apikey.DisableParams{})
	if err != nil || !out.Pending {
		t.Fatalf("disabled without Hydra: pending %v, %v", out.Pending, err)
	}
	wantVerdict(t, "accepted here", decided(t, b, id), apikey.Refused, apikey.DeniedDisabled)
	within(t, "accepted on the other replica", func() bool { return !issues(a) })
	if err := proxy.Accept(); err != nil {
		t.Fatal(err)
	}
}

// However many buy tokens while a key is disabled: none is issued after the
// disable was answered, in this process to the moment.
func TestBuyersMeetDisable(t *testing.T) {
	const buyers = 50
	_, w := hooked(t, apikeytest.Options{})
	ctx, f := as(t), w.Fixture()
	k := create(ctx, t, w.Service, apikey.CreateParams{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var asked []time.Time // when what was issued had been asked for
	stop := make(chan struct{})
	bought := make(chan struct{}, 1)
	for range buyers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				at := time.Now()
				_, err := f.Buy(t, k.Key, k.Secret, nil)
				if err != nil {
					continue
				}
				mu.Lock()
				asked = append(asked, at)
				mu.Unlock()
				select {
				case bought <- struct{}{}:
				default:
				}
			}
		})
	}
	<-bought
	if _, err := w.Service.Disable(ctx, k.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	answered := time.Now()
	for until := answered.Add(2 * time.Second); time.Now().Before(until); {
		wantVerdict(t, "after the disable", decided(t, w, k.Key.ID), apikey.Refused, apikey.DeniedDisabled)
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	close(stop)
	wg.Wait()
	for _, at := range asked {
		if at.After(answered) {
			t.Errorf("a token asked for %v after the disable was answered", at.Sub(answered))
		}
	}
	if len(asked) == 0 {
		t.Error("nobody bought anything")
	}
}

// Without its ledger, and without Hydra's admin API, the service decides about
// the keys it knows, by the clock; about an id of our shape that it does not know
// it cannot, and other clients are none of its business.
func TestDecidesInOutage(t *testing.T) {
	pg := pgtest.New(t, pgtest.Config{})
	own := apikeytest.NewHook(t)
	h := hydratest.New(t, hydradev.Config{TokenHook: own.Setting()})
	proxy := hydratest.NewProxy(t, h.AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: pg.URL(t), Hydra: h, AdminURL: proxy.URL(), Config: apikeytest.Hooked})
	own.For(t, w)
	ctx, f := as(t), w.Fixture()
	kept := create(ctx, t, w.Service, apikey.CreateParams{})
	ends := create(ctx, t, w.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(w.Clock.Now().Add(time.Hour))})
	paused := create(ctx, t, w.Service, apikey.CreateParams{})
	if _, err := w.Service.Disable(ctx, paused.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	absent, foreign := apikey.NewID(apikey.Live, time.Now()), "somebody-else"
	apikeytest.Eventually(t, "the memory is full", func() bool { return w.Service.HookReady(ctx) == nil })
	wantVerdict(t, "absent", decided(t, w, absent), apikey.Refused, apikey.DeniedUnknown)
	if err := pg.Stop(); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	for _, id := range []string{kept.Key.ID, ends.Key.ID} {
		wantVerdict(t, "active", decided(t, w, id), apikey.Allowed, "")
	}
	if _, err := f.Buy(t, kept.Key, kept.Secret, nil); err != nil {
		t.Errorf("active, at Hydra: %v", err)
	}
	wantVerdict(t, "disabled", decided(t, w, paused.Key.ID), apikey.Refused, apikey.DeniedDisabled)
	wantVerdict(t, "foreign", decided(t, w, foreign), apikey.Foreign, "")
	start := time.Now()
	wantVerdict(t, "unknown", decided(t, w, apikey.NewID(apikey.Live, time.Now())), apikey.Undecided, "")
	if took := time.Since(start); took > time.Second {
		t.Errorf("undecided only after %v", took)
	}
	w.Clock.Advance(time.Hour + time.Second)
	wantVerdict(t, "expired meanwhile", decided(t, w, ends.Key.ID), apikey.Refused, apikey.DeniedExpired)
	if err := pg.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := proxy.Accept(); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "the memory is fresh", func() bool { return decided(t, w, absent).Denied == apikey.DeniedUnknown })
}

// askedLedger is a ledger that counts what the memory asks.
type askedLedger struct {
	apikey.Ledger
	mu   sync.Mutex
	of   int
	wait time.Duration
}

func (c *askedLedger) FactsOf(ctx context.Context, ids []string) ([]apikey.KeyFacts, error) {
	c.mu.Lock()
	c.of++
	wait := c.wait
	c.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return c.Ledger.FactsOf(ctx, ids)
}

func (c *askedLedger) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of
}

// A flood of ids that no key has asks the ledger one at a time, and about the
// same id once a second; a slow ledger holds nobody longer than the deadline.
func TestUnknownFlood(t *testing.T) {
	slow := &askedLedger{}
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		c.Hook = true
		slow.Ledger = c.Ledger
		c.Ledger = slow
	}})
	if err := w.Service.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, before := apikey.NewID(apikey.Live, time.Now()), slow.asked()
	start := time.Now()
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() { wantVerdict(t, "absent", decided(t, w, id), apikey.Refused, apikey.DeniedUnknown) })
	}
	wg.Wait()
	if n, most := slow.asked()-before, 1+int(time.Since(start)/time.Second); n > most {
		t.Errorf("500 requests about one id asked the ledger %d times; want at most %d", n, most)
	}
	slow.mu.Lock()
	slow.wait = time.Minute
	slow.mu.Unlock()
	start = time.Now()
	for range 50 {
		wg.Go(func() {
			wantVerdict(t, "a slow ledger", decided(t, w, apikey.NewID(apikey.Live, time.Now())), apikey.Undecided, "")
		})
	}
	wg.Wait()
	if took := time.Since(start); took > time.Second {
		t.Errorf("50 requests took %v", took)
	}
}

// Keys that were deleted, or never finished, are refused as unknown; refusals are
// counted by their reason.
func TestDenials(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: apikeytest.Hooked})
	ctx := as(t)
	k := create(ctx, t, w.Service, apikey.CreateParams{})
	if _, err := w.Service.Revoke(ctx, k.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "revoked", decided(t, w, k.Key.ID), apikey.Refused, apikey.DeniedRevoked)
	if err := w.Service.Delete(ctx, k.Key.ID); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, "deleted", decided(t, w, k.Key.ID), apikey.Refused, apikey.DeniedUnknown)
	pair := apikeytest.NewPair(t, "ES256")
	soon := w.Clock.Now().Add(time.Hour)
	signing := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: pair.Public, ExpiresAt: &soon}}})
	wantVerdict(t, "with a public key", decided(t, w, signing.Key.ID), apikey.Allowed, "")
	w.Clock.Advance(time.Hour + time.Second)
	wantVerdict(t, "without one", decided(t, w, signing.Key.ID), apikey.Refused, apikey.DeniedNoCredential)
	if got, want := fmt.Sprint(w.Service.Denials()), "map[no_credential:1 revoked:1 unknown:1]"; got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
}

// A ledger whose answers stop does not empty the memory, and one that was
// restored, with fewer events, has it filled anew.
func TestMemoryFollowsTheLedger(t *testing.T) {
	odd := &oddLedger{}
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		c.Hook = true
		odd.Ledger = c.Ledger
		c.Ledger = odd
	}})
	ctx := as(t)
	k := create(ctx, t, w.Service, apikey.CreateParams{})
	if err := w.Service.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	odd.fails = true
	if err := w.Service.Refresh(ctx); !errors.Is(err, errOdd) {
		t.Errorf("a look at a ledger that fails: %v", err)
	}
	wantVerdict(t, "during it", decided(t, w, k.Key.ID), apikey.Allowed, "")
	odd.fails, odd.back = false, true
	if err := w.Service.Refresh(ctx); err == nil {
		t.Error("a look at an older ledger says that all is well")
	}
	if w.Service.HookReady(ctx) == nil {
		t.Error("ready with an empty memory")
	}
	odd.back = false
	if err := w.Service.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if s := w.Service.HookState(); s.Keys != 1 || s.Fault != nil {
		t.Errorf("filled anew: %+v", s)
	}
}

var errOdd = errors.New("odd")

type oddLedger struct {
	apikey.Ledger
	fails, back bool
}

func (o *oddLedger) Touches(ctx context.Context, since apikey.Mark, limit int) ([]apikey.Touch, apikey.Mark, bool, error) {
	if o.fails {
		return nil, since, false, errOdd
	}
	touches, next, more, err := o.Ledger.Touches(ctx, since, limit)
	if o.back {
		next.Event--
	}
	return touches, next, more, err
}
