package apikey_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// A process may die anywhere in a change: the next one, or two others at once,
// bring it to its end exactly once. A create is undone, all else is done.
func TestProcessDies(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"SQLite": apikeytest.SQLiteURL, "Postgres": pgtest.URL} {
		t.Run(name, func(t *testing.T) {
			ctx, o := as(t), apikeytest.Options{LedgerURL: url(t), Clock: &apikeytest.Clock{}}
			first, m := mortalWorld(t, o)
			owner := "dies on " + name + rand.Text()
			left := leaveBehind(ctx, t, first, m, owner)
			first.Close()
			o.Config = shortLease
			heirs := []*apikeytest.World{apikeytest.NewWorld(t, o)}
			if name == "Postgres" {
				heirs = append(heirs, apikeytest.NewWorld(t, o))
			}
			s := heirs[0].Service
			apikeytest.Eventually(t, "all is brought to its end", func() bool {
				for _, v := range left {
					if v.action != apikey.ActionDelete && !quiet(ctx, t, s, v.Key.ID) {
						return false
					}
				}
				return len(hydratest.Clients(t, first.Hydra.AdminURL(), owner)) == 1
			})
			for name, v := range left {
				checkEnd(ctx, t, heirs[0], name, v)
			}
			page, err := s.List(ctx, apikey.ListParams{Owner: owner})
			if err != nil || len(page.Data) != 1 {
				t.Errorf("%d keys of three interrupted creates, want the one that came to T2 (%v)", len(page.Data), err)
			}
		})
	}
}

// leaveBehind dies in each deed at each step, and in a create of the owner.
func leaveBehind(ctx context.Context, t *testing.T, w *apikeytest.World, m *mortal, owner string) map[string]*victim {
	t.Helper()
	left := map[string]*victim{}
	for _, step := range []string{afterT1, beforeT2, afterT2} {
		for name, d := range deeds {
			if d.do == nil {
				continue
			}
			v := prepare(ctx, t, w, d)
			left[name+" "+step] = v
			if answered, err := m.die(step, func() error { return d.do(ctx, w.Service, v) }); answered {
				t.Errorf("%s %s: answered %v", name, step, err)
			}
		}
		if answered, err := m.die(step, func() error {
			_, err := w.Service.Create(ctx, apikey.CreateParams{Name: step, Owner: owner, Scopes: []string{"a"}})
			return err
		}); answered {
			t.Errorf("create %s: answered %v", step, err)
		}
	}
	for name, d := range deeds { // last, because the clock then stands behind the hour
		for _, step := range []string{afterT1, beforeT2, afterT2} {
			if d.do == nil {
				left[name+" "+step] = prepare(ctx, t, w, d)
			}
		}
	}
	w.Clock.Advance(2 * time.Hour)
	for _, step := range []string{afterT1, beforeT2, afterT2} {
		_, _ = m.die(step, func() error { return w.Service.Turn(ctx) })
	}
	return left
}

func checkEnd(ctx context.Context, t *testing.T, w *apikeytest.World, name string, v *victim) {
	t.Helper()
	f, s := w.Fixture(), w.Service
	if n := happened(ctx, t, s, v.Key.ID, v.action); n != 1 && v.action != apikey.ActionDelete {
		t.Errorf("%s: %d events %s, want one", name, n, v.action)
	}
	k, err := s.Get(ctx, v.Key.ID)
	if v.action == apikey.ActionDelete {
		if !errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("%s: still there: %v, %v", name, k.Status, err)
		}
		return
	}
	if err != nil || k.Status != v.status {
		t.Errorf("%s: %s, %v; want %s", name, k.Status, err, v.status)
	}
	if v.action == apikey.ActionUpdate && k.Description != v.Key.ID {
		t.Errorf("%s: description %q", name, k.Description)
	}
	if works := f.Works(t, v.Key, v.Secret, v.first); works != v.works {
		t.Errorf("%s: the credential works %v, want %v", name, works, v.works)
	}
	if ended := v.action != apikey.ActionUpdate && !v.pair && v.action != apikey.ActionEnable; ended && f.Active(t, v.token) {
		t.Errorf("%s: a token from before is still active", name)
	}
	if v.pair {
		second := v.action == apikey.ActionAddPublicKey
		if works := f.Works(t, v.Key, v.Secret, v.second); works != second {
			t.Errorf("%s: the second public key works %v", name, works)
		}
		if works := f.Works(t, v.Key, v.Secret, v.third); works != second {
			t.Errorf("%s: the third public key works %v", name, works)
		}
	}
}

// A disable or revoke that comes while a change is stuck is in line: it counts
// at once, is answered as pending, and is done after the stuck change, also by
// the next process.
func TestNarrowingBehindStuckChange(t *testing.T) {
	t.Parallel() // it mostly waits
	url := apikeytest.SQLiteURL(t)
	w, m := mortalWorld(t, apikeytest.Options{LedgerURL: url})
	admin, f := apikey.WithCaller(t.Context(), apikey.System("test")), w.Fixture()
	keys, tokens := map[apikey.Action]apikey.Issued{}, map[apikey.Action]string{}
	for _, a := range []apikey.Action{apikey.ActionDisable, apikey.ActionRevoke} {
		issued := managementKey(t, w)
		keys[a] = issued
		token, err := f.Buy(t, issued.Key, issued.Secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		name := "stuck"
		if answered, err := m.die(afterT1, func() error {
			_, err := w.Service.Update(admin, issued.Key.ID, apikey.UpdateParams{Name: &name})
			return err
		}); answered {
			t.Fatalf("the patch was answered: %v", err)
		}
		tokens[a] = token
	}
	var wg sync.WaitGroup // not before: the next to begin a change would have died
	for a, issued := range keys {
		wg.Go(func() { narrowWhileStuck(admin, t, w, a, issued.Key.ID, tokens[a]) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	w.Close()
	next := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url})
	for a, issued := range keys {
		apikeytest.Eventually(t, "nothing is changing", func() bool { return quiet(admin, t, next.Service, issued.Key.ID) })
		page, err := next.Service.KeyEvents(admin, issued.Key.ID, apikey.PageParams{})
		if err != nil || len(page.Data) != 3 || page.Data[0].Action != a || page.Data[1].Action != apikey.ActionUpdate {
			t.Errorf("%s: events %+v, %v", a, page.Data, err)
		}
		if f.Works(t, issued.Key, issued.Secret, nil) {
			t.Errorf("%s: the key still works", a)
		}
	}
}

func narrowWhileStuck(ctx context.Context, t *testing.T, w *apikeytest.World, a apikey.Action, id, token string) {
	if _, err := w.Service.Authenticate(ctx, token); err != nil {
		t.Errorf("%s: before: %v", a, err)
	}
	answered := make(chan error, 1)
	start := time.Now()
	go func() {
		var res apikey.Result
		var err error
		if a == apikey.ActionDisable {
			res, err = w.Service.Disable(ctx, id, apikey.DisableParams{})
		} else {
			res, err = w.Service.Revoke(ctx, id, apikey.RevokeParams{})
		}
		flag := map[apikey.Action]apikey.Flag{apikey.ActionDisable: apikey.FlagDisabling, apikey.ActionRevoke: apikey.FlagRevoking}[a]
		if err == nil && (!res.Pending || !slices.Contains(res.Key.Flags, flag)) {
			err = fmt.Errorf("pending %v, flags %v", res.Pending, res.Key.Flags)
		}
		answered <- err
	}()
	apikeytest.Eventually(t, "it counts", func() bool {
		_, err := w.Service.Authenticate(ctx, token)
		return errors.Is(err, apikey.ErrUnauthenticated)
	})
	if counted := time.Since(start); counted > 2*time.Second {
		t.Errorf("%s: counts after %v", a, counted)
	}
	if err := <-answered; err != nil {
		t.Errorf("%s behind a stuck patch: %v", a, err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("%s: answered after %v", a, took)
	}
}

// Whether the request or the background work of any replica begins a queued
// disable: it is done once, and its caller is told so.
func TestPromoteRace(t *testing.T) {
	var ledgers []*mortal
	o := apikeytest.Options{LedgerURL: pgtest.URL(t)}
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	proxy.Inject(hydratest.DelayAnswer(40*time.Millisecond).On("PUT", "/admin/clients"))
	o.AdminURL = proxy.URL()
	var worlds []*apikeytest.World
	for range 2 {
		w, m := mortalWorld(t, o)
		worlds, ledgers = append(worlds, w), append(ledgers, m)
	}
	ctx := as(t)
	stop := make(chan struct{})
	var busy, wg sync.WaitGroup
	for _, w := range worlds {
		busy.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					_ = w.Service.Turn(ctx)
				}
			}
		})
	}
	const rounds = 25
	ids := make([]string, rounds)
	for i := range rounds {
		ids[i] = create(ctx, t, worlds[0].Service, apikey.CreateParams{}).Key.ID
		wg.Go(func() {
			_, err := worlds[0].Service.Update(ctx, ids[i], apikey.UpdateParams{Description: &ids[i]})
			if err != nil && !errors.Is(err, apikey.ErrBusy) {
				t.Errorf("patch: %v", err)
			}
		})
		wg.Go(func() {
			time.Sleep(10 * time.Millisecond) // into the middle of the patch
			if _, err := worlds[i%2].Service.Disable(ctx, ids[i], apikey.DisableParams{}); err != nil {
				t.Errorf("disable: %v", err)
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		apikeytest.Eventually(t, "nothing is changing", func() bool { return quiet(ctx, t, worlds[1].Service, id) })
		k, err := worlds[1].Service.Get(ctx, id)
		if err != nil || k.Status != apikey.StatusDisabled {
			t.Errorf("%s, %v; want disabled", k.Status, err)
		}
		if n := happened(ctx, t, worlds[1].Service, id, apikey.ActionDisable); n != 1 {
			t.Errorf("disabled %d times", n)
		}
	}
	close(stop)
	busy.Wait()
	queued := ledgers[0].promoted.Load() + ledgers[1].promoted.Load()
	if queued < rounds/4 {
		t.Errorf("only %d of %d disables were queued", queued, rounds)
	}
}

// lateClients calls between, once, before a client is deleted.
type lateClients struct {
	apikey.Clients
	between func()
}

func (c *lateClients) Delete(ctx context.Context, id string) error {
	c.between()
	return c.Clients.Delete(ctx, id)
}

// A create that was given up and arrives late is undone without touching the
// key that a retry with the same Idempotency-Key makes at that very moment.
func TestLateCreateAgainstRetry(t *testing.T) {
	late := &lateClients{}
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: proxy.URL(),
		HydraWith: func(c *hydra.Config) { c.CallTimeout = 300 * time.Millisecond },
		Config: func(c *apikey.Config) {
			shortLease(c)
			late.Clients = c.Clients
			c.Clients = late
		}})
	ctx := as(t)
	proxy.Inject(hydratest.Delay(800*time.Millisecond).On("POST", "/admin/clients").Times(1))
	p := apikey.CreateParams{Name: "late", Owner: "late against retry " + rand.Text(), Scopes: []string{"a"}, IdempotencyKey: "late-against-retry-1"}
	_, err := w.Service.Create(ctx, p)
	wantUnavailable(t, err)
	apikeytest.Eventually(t, "the late request arrives", func() bool { return clientsOf(t, w, p.Owner) == 1 })
	var again apikey.Issued
	var failed error
	retried := make(chan struct{})
	called := false
	late.between = func() {
		called = true
		go func() {
			defer close(retried)
			again, failed = w.Service.Create(ctx, p)
		}()
		select { // let it through if nothing holds it
		case <-retried:
		case <-time.After(500 * time.Millisecond):
		}
	}
	w.Clock.Advance(time.Minute)
	if err := w.Service.Turn(ctx); err != nil {
		t.Fatal(err)
	}
	if !called {
		t.Fatal("the late request was not undone")
	}
	<-retried
	if failed != nil {
		t.Fatal(failed)
	}
	if !w.Fixture().Works(t, again.Key, again.Secret, nil) {
		t.Error("the key that the retry was answered with does not work")
	}
}
