package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// toothed is a world whose calls to Hydra's admin API go through a proxy with
// teeth, with little patience.
func toothed(t *testing.T, o apikeytest.Options) (*apikeytest.World, *hydratest.Proxy) {
	if o.Hydra == nil {
		o.Hydra = hydratest.Shared(t)
	}
	proxy := hydratest.NewProxy(t, o.Hydra.AdminURL())
	o.AdminURL = proxy.URL()
	o.HydraWith = func(c *hydra.Config) { c.CallTimeout = 500 * time.Millisecond }
	o.Config = func(c *apikey.Config) { c.ChangeTimeout, c.Lease = 3*time.Second, 10*time.Second }
	return apikeytest.NewWorld(t, o), proxy
}

// Whatever Hydra or the way to it does to a create: the answer is a working key
// or an honest error, soon, with few calls; in the end exactly the answered
// keys exist, and a retry with the same Idempotency-Key gets one that works.
func TestTeethOnCreate(t *testing.T) {
	w, proxy := toothed(t, apikeytest.Options{})
	f := w.Fixture()
	post := func(fault hydratest.Fault) hydratest.Fault { return fault.On("POST", "/admin/clients").Times(1) }
	for name, c := range map[string]struct {
		fault hydratest.Fault
		ok    bool // Hydra did it, and we find out
	}{
		"answer dropped":       {post(hydratest.DropAnswer()), true},
		"reset before":         {post(hydratest.Reset()), false},
		"reset after":          {post(hydratest.Reset().AfterWork()), true},
		"hangs":                {post(hydratest.Hang()), false},
		"answers late":         {post(hydratest.DelayAnswer(time.Second)), true},
		"500 before":           {post(hydratest.StatusBefore(500, 0)), false},
		"500 after":            {post(hydratest.StatusAfter(500)), true},
		"503 with Retry-After": {post(hydratest.StatusBefore(503, time.Hour)), false},
		"429":                  {post(hydratest.StatusBefore(429, 2*time.Second)), false},
		"html":                 {post(hydratest.GarbageHTML()), false},
		"broken json after":    {post(hydratest.GarbageJSON().AfterWork()), true},
		"ten megabytes":        {post(hydratest.GarbageHuge()), false},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := as(t)
			proxy.Clear()
			proxy.ResetCounts()
			injected := proxy.Inject(c.fault)
			p := apikey.CreateParams{Name: name, Owner: "teeth " + name, Scopes: []string{"a"}, IdempotencyKey: fmt.Sprintf("teeth-%032x", name)}
			start := time.Now()
			issued, err := w.Service.Create(ctx, p)
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("answered after %v", took)
			}
			if injected.Struck() != 1 {
				t.Fatal("the fault did not strike")
			}
			if n := proxy.Received("", ""); n > 12 {
				t.Errorf("%d calls to Hydra for one create", n)
			}
			if c.ok != (err == nil) {
				t.Errorf("answered: %v, want ok %v", err, c.ok)
			}
			if err != nil {
				wantUnavailable(t, err)
				apikeytest.Eventually(t, "a retry is answered", func() bool {
					issued, err = w.Service.Create(ctx, p)
					return err == nil
				})
			}
			if !f.Works(t, issued.Key, issued.Secret, nil) {
				t.Error("the answered key does not work")
			}
			page, err := w.Service.List(ctx, apikey.ListParams{Owner: p.Owner})
			if err != nil || len(page.Data) != 1 {
				t.Errorf("%d keys, want one (%v)", len(page.Data), err)
			}
		})
	}
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	e, ok := errors.AsType[*apikey.Error](err)
	if !ok || !errors.Is(err, apikey.ErrUnavailable) || e.RetryAfter <= 0 {
		t.Errorf("error %v, want unavailable with a time to retry after", err)
	}
}

// A change whose answer is lost is found out about; one that did not land
// leaves the key as it was.
func TestTeethOnUpdate(t *testing.T) {
	w, proxy := toothed(t, apikeytest.Options{})
	ctx := as(t)
	id := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
	put := func(fault hydratest.Fault) hydratest.Fault { return fault.On("PUT", "/admin/clients") }
	for name, c := range map[string]struct {
		fault hydratest.Fault
		ok    bool
	}{
		"dropped":    {put(hydratest.DropAnswer()), true},
		"reset":      {put(hydratest.Reset()), false},
		"502":        {put(hydratest.StatusBefore(502, 0)), false},
		"500 after":  {put(hydratest.StatusAfter(500)), true},
		"hang":       {put(hydratest.Hang()), false},
		"once reset": {put(hydratest.Reset()).Times(1), true},
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Clear()
			proxy.Inject(c.fault)
			before, err := w.Service.Get(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			want := "after " + name
			_, err = w.Service.Update(ctx, id, apikey.UpdateParams{Name: &want, IfMatch: before.Revision})
			proxy.Clear()
			if c.ok != (err == nil) {
				t.Errorf("answered: %v, want ok %v", err, c.ok)
			}
			if err != nil {
				wantUnavailable(t, err)
				want = before.Name
			}
			apikeytest.Eventually(t, "no change is under way", func() bool { return quiet(ctx, t, w.Service, id) })
			if k, err := w.Service.Get(ctx, id); err != nil || k.Name != want {
				t.Errorf("name %q, %v; want %q", k.Name, err, want)
			}
		})
	}
}

// A request that Hydra gets late, after its change was given up, is undone.
func TestLateArrival(t *testing.T) {
	w, proxy := toothed(t, apikeytest.Options{})
	ctx := as(t)
	proxy.Inject(hydratest.Delay(2*time.Second).On("POST", "/admin/clients").Times(1))
	_, err := w.Service.Create(ctx, apikey.CreateParams{Name: "late", Owner: "late", Scopes: []string{"a"}})
	wantUnavailable(t, err)
	apikeytest.Eventually(t, "the late request arrives", func() bool { return clientsOf(t, w, "late") == 1 })
	w.Clock.Advance(time.Minute)
	apikeytest.Eventually(t, "it is undone", func() bool { return clientsOf(t, w, "late") == 0 })
}

func clientsOf(t *testing.T, w *apikeytest.World, owner string) int {
	t.Helper()
	return len(hydratest.Clients(t, w.Hydra.AdminURL(), owner))
}

// While Hydra is down, disable and revoke are accepted and count at once; other
// changes are refused and change nothing; reads go on. When Hydra is back the
// accepted ones reach it.
func TestHydraDown(t *testing.T) {
	own := hydratest.New(t, hydradev.Config{Memory: true})
	w, _ := toothed(t, apikeytest.Options{Hydra: own})
	ctx, f := as(t), w.Fixture()
	paused, ended, kept := create(ctx, t, w.Service, apikey.CreateParams{}), create(ctx, t, w.Service, apikey.CreateParams{}), create(ctx, t, w.Service, apikey.CreateParams{})
	manager := managementKey(t, w)
	token, err := f.Buy(t, manager.Key, manager.Secret, nil)
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
	_, err = w.Service.Create(ctx, apikey.CreateParams{Name: "x", Owner: "down", Scopes: []string{"a"}})
	wantUnavailable(t, err)
	name := "x"
	_, err = w.Service.Update(ctx, kept.Key.ID, apikey.UpdateParams{Name: &name})
	wantUnavailable(t, err)
	res, err := w.Service.Disable(ctx, paused.Key.ID, apikey.DisableParams{IdempotencyKey: "disable-while-down-1"})
	if err != nil || !res.Pending || !slices.Contains(res.Key.Flags, apikey.FlagDisabling) {
		t.Errorf("disable while Hydra is down: %+v, %v", res, err)
	}
	if res, err = w.Service.Disable(ctx, paused.Key.ID, apikey.DisableParams{IdempotencyKey: "disable-while-down-1"}); err != nil || !res.Pending {
		t.Errorf("the same again: %+v, %v", res, err)
	}
	if res, err = w.Service.Revoke(ctx, ended.Key.ID, apikey.RevokeParams{}); err != nil || !res.Pending {
		t.Errorf("revoke while Hydra is down: %+v, %v", res, err)
	}
	if k, err := w.Service.Get(ctx, kept.Key.ID); err != nil || k.Name != kept.Key.Name {
		t.Errorf("read while Hydra is down: %+v, %v", k, err)
	}
	if _, err := w.Service.Authenticate(ctx, token); err != nil {
		t.Errorf("a token seen before is refused in an outage: %v", err)
	}
	_, err = w.Service.Authenticate(ctx, token+"x")
	wantUnavailable(t, err)
	if _, err := w.Service.Disable(apikey.WithCaller(ctx, apikey.System("test")), manager.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Authenticate(ctx, token); !errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("the token of a key disabled in an outage is taken: %v", err)
	}
	if err := own.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "the accepted changes are done", func() bool {
		return quiet(ctx, t, w.Service, paused.Key.ID) && quiet(ctx, t, w.Service, ended.Key.ID)
	})
	if f.Works(t, paused.Key, paused.Secret, nil) || f.Works(t, ended.Key, ended.Secret, nil) {
		t.Error("a key disabled or revoked in the outage works after it")
	}
	if !f.Works(t, kept.Key, kept.Secret, nil) {
		t.Error("an untouched key does not work after the outage")
	}
}

func managementKey(t *testing.T, w *apikeytest.World) apikey.Issued {
	t.Helper()
	admin := apikey.WithCaller(t.Context(), apikey.System("test"))
	issued, err := w.Service.Create(admin, apikey.CreateParams{Name: "manager", Kind: apikey.KindManagement, Scopes: []string{"keys:read"}})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// A token request that was in flight while its key was disabled gets no token
// that lives.
func TestRequestInFlight(t *testing.T) {
	hook := hydratest.NewSlowHook(t, time.Second)
	own := hydratest.New(t, hydradev.Config{Memory: true, TokenHook: &hydradev.TokenHook{URL: hook}})
	w := apikeytest.NewWorld(t, apikeytest.Options{Hydra: own})
	ctx, f := as(t), w.Fixture()
	for name, stop := range map[string]func(context.Context, string) error{
		"disable": func(ctx context.Context, id string) error {
			_, err := w.Service.Disable(ctx, id, apikey.DisableParams{})
			return err
		},
		"revoke": func(ctx context.Context, id string) error {
			_, err := w.Service.Revoke(ctx, id, apikey.RevokeParams{})
			return err
		},
	} {
		issued := create(ctx, t, w.Service, apikey.CreateParams{})
		bought := make(chan string)
		go func() {
			token, _ := f.Buy(t, issued.Key, issued.Secret, nil)
			bought <- token
		}()
		time.Sleep(300 * time.Millisecond) // the request is in the hook now
		if err := stop(ctx, issued.Key.ID); err != nil {
			t.Fatal(err)
		}
		token := <-bought
		w.Clock.Advance(20 * time.Second)
		apikeytest.Eventually(t, name+": the token in flight is dead", func() bool { return token == "" || !f.Active(t, token) })
	}
}
