package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
	"github.com/tokenos/tokenos/ledger"
)

// customer makes one key after the other and changes it, through an outage, and
// remembers what it was told.
type customer struct {
	t     *testing.T
	w     *apikeytest.World
	n     int
	keys  []*told
	lost  int // requests without a yes or a no
	wrong map[string]int
}

// told is what a customer was told of a key: the last answer, and what was
// asked for since without one.
type told struct {
	p      apikey.CreateParams
	issued apikey.Issued
	names  []string
	states []apikey.Status
}

// ask counts how a call was answered and reports whether it was a yes.
func (c *customer) ask(what string, err error) bool {
	if err == nil {
		return true
	}
	e, ok := errors.AsType[*apikey.Error](err)
	switch {
	case ok && e.RetryAfter > 0 && (e.Kind == apikey.ErrUnavailable || e.Kind == apikey.ErrBusy || e.Kind == apikey.ErrIdempotencyRunning):
		c.lost++
	default:
		c.wrong[fmt.Sprint(what, ": ", err)]++
	}
	return false
}

func (c *customer) work(ctx context.Context, stop <-chan struct{}) {
	for i := 0; ; i++ {
		k := &told{names: []string{"n"}, states: []apikey.Status{apikey.StatusActive}, p: apikey.CreateParams{Name: "n", Owner: "outage", Scopes: []string{"a"},
			Labels: map[string]string{"job": fmt.Sprint(c.n, "-", i)}, IdempotencyKey: fmt.Sprintf("outage-%s-%d-%d", c.t.Name(), c.n, i)}}
		c.keys = append(c.keys, k)
		for c.create(ctx, k) != nil {
			time.Sleep(20 * time.Millisecond)
		}
		for range 4 {
			select {
			case <-stop:
				return
			default:
				c.change(ctx, k)
			}
		}
	}
}

func (c *customer) create(ctx context.Context, k *told) (err error) {
	k.issued, err = c.w.Service.Create(ctx, k.p)
	c.ask("create", err)
	return err
}

func (c *customer) change(ctx context.Context, k *told) {
	id, s := k.issued.Key.ID, c.w.Service
	_, err := s.Get(ctx, id)
	c.ask("get", err)
	turn := func(to apikey.Status, err error) {
		if c.ask(string(to), err) {
			k.states = k.states[:0]
		}
		k.states = append(k.states, to)
	}
	switch rand.IntN(3) {
	case 0:
		name := fmt.Sprint("n", rand.IntN(1000))
		_, err := s.Update(ctx, id, apikey.UpdateParams{Name: &name})
		if c.ask("update", err) {
			k.names = k.names[:0]
		}
		k.names = append(k.names, name)
	case 1:
		_, err := s.Disable(ctx, id, apikey.DisableParams{})
		turn(apikey.StatusDisabled, err)
	case 2:
		_, err := s.Enable(ctx, id, apikey.ActionParams{})
		turn(apikey.StatusActive, err)
	}
}

// check compares what the customer was told with what is.
func (c *customer) check(ctx context.Context) {
	for what, n := range c.wrong {
		c.t.Errorf("customer %d: %d times %s", c.n, n, what)
	}
	for _, k := range c.keys {
		page, err := c.w.Service.List(ctx, apikey.ListParams{Owner: "outage", Label: "job:" + k.p.Labels["job"]})
		if err != nil || len(page.Data) != 1 || page.Data[0].ID != k.issued.Key.ID {
			c.t.Errorf("job %s: %d keys, %v; want %s alone", k.p.Labels["job"], len(page.Data), err, k.issued.Key.ID)
			continue
		}
		is := page.Data[0]
		if !slices.Contains(k.names, is.Name) || !slices.Contains(k.states, is.Status) {
			c.t.Errorf("key %s is %s, %s; told %v, %v", is.ID, is.Name, is.Status, k.names, k.states)
		}
		if works := c.w.Fixture().Works(c.t, is, k.issued.Secret, nil); works != (is.Status == apikey.StatusActive) {
			c.t.Errorf("key %s is %s; its secret works: %v", is.ID, is.Status, works)
		}
	}
}

// Postgres may be killed amidst changes, again and again: callers are told to
// come back later, no answered change is lost, no key is said not to exist, and
// seconds after its return nothing is left under way.
func TestPostgresKilled(t *testing.T) {
	pg := pgtest.New(t, pgtest.Config{})
	w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: pg.URL(t)})
	ctx, stop := as(t), make(chan struct{})
	customers := make([]*customer, 6)
	var wg sync.WaitGroup
	for i := range customers {
		customers[i] = &customer{t: t, w: w, n: i, wrong: map[string]int{}}
		wg.Go(func() { customers[i].work(ctx, stop) })
	}
	for range 4 {
		time.Sleep(time.Duration(300+rand.IntN(400)) * time.Millisecond)
		if err := pg.Kill(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		if err := pg.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	back := time.Now()
	close(stop)
	wg.Wait()
	asked, lost := 0, 0
	for _, c := range customers {
		for _, k := range c.keys {
			apikeytest.Eventually(t, "nothing is under way", func() bool { return quiet(ctx, t, w.Service, k.issued.Key.ID) })
		}
		asked, lost = asked+len(c.keys), lost+c.lost
	}
	t.Logf("%d keys made, %d requests without an answer, all done %v after the last return", asked, lost, time.Since(back))
	if lost == 0 {
		t.Error("no request met the outage")
	}
	for _, c := range customers {
		c.check(ctx)
	}
}

// freezing is a ledger that stops its Postgres once the work of a turn is read.
type freezing struct {
	apikey.Ledger
	freeze func()
}

func (f *freezing) Rechecks(ctx context.Context, now time.Time, limit int) ([]apikey.Change, error) {
	list, err := f.Ledger.Rechecks(ctx, now, limit)
	f.freeze()
	return list, err
}

// A Postgres that takes connections and never answers keeps nobody longer than
// the deadline: callers get 503, background work gives up, and all goes on when
// it answers again.
func TestPostgresFrozen(t *testing.T) {
	t.Parallel() // it mostly waits
	pg := pgtest.New(t, pgtest.Config{})
	cold := &freezing{freeze: func() {}}
	w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: pg.URL(t), Idle: true, Config: func(c *apikey.Config) {
		shortLease(c)
		cold.Ledger = c.Ledger
		c.Ledger = cold
	}})
	ctx, hour, name := as(t), time.Now().Add(time.Hour), "x"
	ends := create(ctx, t, w.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(hour)})
	kept := create(ctx, t, w.Service, apikey.CreateParams{})
	manager := managementKey(t, w)
	token, err := w.Fixture().Buy(t, manager.Key, manager.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Hour)
	cold.freeze = sync.OnceFunc(func() {
		if err := pg.Freeze(); err != nil {
			t.Error(err)
		}
	})
	start := time.Now()
	if err := w.Service.Turn(ctx); err == nil {
		t.Error("background work says that all is well")
	}
	if took := time.Since(start); took > 12*time.Second {
		t.Errorf("background work hung for %v", took)
	}
	calls := map[string]func(context.Context) error{
		"get":    func(ctx context.Context) error { _, err := w.Service.Get(ctx, kept.Key.ID); return err },
		"list":   func(ctx context.Context) error { _, err := w.Service.List(ctx, apikey.ListParams{}); return err },
		"events": func(ctx context.Context) error { _, err := w.Service.Events(ctx, apikey.FeedParams{}); return err },
		"create": func(ctx context.Context) error {
			_, err := w.Service.Create(ctx, apikey.CreateParams{Name: "x", Owner: "frozen", Scopes: []string{"a"}, IdempotencyKey: "frozen-create-0001"})
			return err
		},
		"update": func(ctx context.Context) error {
			_, err := w.Service.Update(ctx, kept.Key.ID, apikey.UpdateParams{Name: &name})
			return err
		},
		"disable": func(ctx context.Context) error {
			_, err := w.Service.Disable(ctx, kept.Key.ID, apikey.DisableParams{})
			return err
		},
		"authenticate": func(ctx context.Context) error { _, err := w.Service.Authenticate(ctx, token); return err },
	}
	var wg sync.WaitGroup
	for what, call := range calls {
		wg.Go(func() {
			limited, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			start := time.Now()
			err := call(limited)
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("%s: answered after %v", what, took)
			}
			wantUnavailable(t, err)
		})
	}
	wg.Wait()
	if err := pg.Thaw(); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "what was due is done", func() bool {
		_ = w.Service.Turn(ctx)
		return !w.Fixture().Works(t, ends.Key, ends.Secret, nil)
	})
	apikeytest.Eventually(t, "keys can be changed", func() bool {
		_, err := w.Service.Update(ctx, kept.Key.ID, apikey.UpdateParams{Name: &name})
		return err == nil
	})
}

// While Hydra's own database is down Hydra says 500, "invalid client" and
// "inactive" for what is good. We call no credential bad then: a token seen
// before is good, another one cannot be known; changes are refused, a disable
// is accepted; all by itself when the database is back.
func TestHydrasDatabaseDown(t *testing.T) {
	pg := pgtest.New(t, pgtest.Config{})
	own := hydratest.New(t, hydradev.Config{DSN: pg.URL(t)})
	w := apikeytest.NewWorld(t, apikeytest.Options{Hydra: own, HydraWith: func(c *hydra.Config) { c.TokenFresh = -1 }})
	ctx, f := as(t), w.Fixture()
	paused, kept := create(ctx, t, w.Service, apikey.CreateParams{}), create(ctx, t, w.Service, apikey.CreateParams{})
	manager := managementKey(t, w)
	tokens := make([]string, 150)
	for i := range tokens {
		var err error
		if tokens[i], err = f.Buy(t, manager.Key, manager.Secret, nil); err != nil {
			t.Fatal(err)
		}
	}
	seen, unseen := tokens[0], tokens[1:]
	if _, err := w.Service.Authenticate(ctx, seen); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var watch sync.WaitGroup
	var yes, unknown atomic.Int64
	watch.Go(func() { // across the stop and the return
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			if _, err := w.Service.Authenticate(ctx, seen); err != nil {
				t.Errorf("a token seen before: %v", err)
			}
			if i >= len(unseen) {
				continue
			}
			switch _, err := w.Service.Authenticate(ctx, unseen[i]); {
			case err == nil:
				yes.Add(1)
			case errors.Is(err, apikey.ErrUnavailable):
				unknown.Add(1)
			default:
				t.Errorf("a good token not seen before: %v", err)
			}
		}
	})
	time.Sleep(100 * time.Millisecond)
	if err := pg.Kill(); err != nil {
		t.Fatal(err)
	}
	name := "x"
	_, err := w.Service.Update(ctx, kept.Key.ID, apikey.UpdateParams{Name: &name}) // before the outage is noticed
	wantUnavailable(t, err)
	apikeytest.Eventually(t, "the outage is noticed", func() bool { return w.Clients.Ready(ctx) != nil })
	_, err = w.Service.Create(ctx, apikey.CreateParams{Name: "x", Owner: "down", Scopes: []string{"a"}})
	wantUnavailable(t, err)
	_, err = w.Service.Enable(ctx, paused.Key.ID, apikey.ActionParams{IdempotencyKey: "enable-while-down-1"})
	if err != nil && !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("enable: %v", err)
	}
	if res, err := w.Service.Disable(ctx, paused.Key.ID, apikey.DisableParams{}); err != nil || !res.Pending {
		t.Errorf("disable: %+v, %v", res, err)
	}
	if k, err := w.Service.Get(ctx, kept.Key.ID); err != nil || k.Status != apikey.StatusActive {
		t.Errorf("get: %+v, %v", k, err)
	}
	if err := pg.Start(ctx); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "all is done", func() bool {
		return quiet(ctx, t, w.Service, paused.Key.ID) && quiet(ctx, t, w.Service, kept.Key.ID) && clientsOf(t, w, "down") == 0
	})
	apikeytest.Eventually(t, "the good key works", func() bool { return f.Works(t, kept.Key, kept.Secret, nil) })
	if f.Works(t, paused.Key, paused.Secret, nil) {
		t.Error("the key that was disabled in the outage works")
	}
	close(stop)
	watch.Wait()
	t.Logf("tokens not seen before: %d good, %d not known now", yes.Load(), unknown.Load())
	if yes.Load() == 0 || unknown.Load() == 0 {
		t.Error("the tokens did not meet both a working and a dead database")
	}
	for _, token := range unseen[:5] {
		if _, err := w.Service.Authenticate(ctx, token); err != nil {
			t.Errorf("after the outage: %v", err)
		}
	}
}

// A second process on one SQLite file refuses to start, to serve or to migrate,
// and says why; the first one is not disturbed, and when it ends the file is free.
func TestSecondWriter(t *testing.T) {
	cfg := ledger.Config{URL: apikeytest.SQLiteURL(t), ServerSecrets: []apikey.Secret{apikey.NewSecret(apikeytest.ServerSecret)}}
	w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: cfg.URL})
	ctx := as(t)
	_, opened := ledger.Open(ctx, cfg)
	_, migrated := ledger.Migrate(ctx, cfg)
	for what, err := range map[string]error{"open": opened, "migrate": migrated} {
		if err == nil || !strings.Contains(err.Error(), "another process has it open") {
			t.Errorf("%s: %v", what, err)
		}
	}
	create(ctx, t, w.Service, apikey.CreateParams{})
	w.Close()
	db, err := ledger.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
