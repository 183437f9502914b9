package apikey_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// heldClients is the way to Hydra of a process that stops at its next PUT.
type heldClients struct {
	apikey.Clients
	mu  sync.Mutex
	put func(send func() error) error // does the next PUT; nil: send it
}

func (c *heldClients) next(put func(send func() error) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put = put
}

func (c *heldClients) Put(ctx context.Context, w apikey.ClientWrite) error {
	c.mu.Lock()
	put := c.put
	c.put = nil
	c.mu.Unlock()
	if put == nil {
		return c.Clients.Put(ctx, w)
	}
	return put(func() error { return c.Clients.Put(context.WithoutCancel(ctx), w) })
}

// held is a world without background work whose PUTs can be held.
func held(t *testing.T, o apikeytest.Options) (*apikeytest.World, *heldClients) {
	c := &heldClients{}
	o.Idle = true
	o.Config = func(cfg *apikey.Config) {
		shortLease(cfg)
		c.Clients = cfg.Clients
		cfg.Clients = c
	}
	return apikeytest.NewWorld(t, o), c
}

func ptr[T any](v T) *T { return &v }

// grants reports whether Hydra grants the key a scope.
func grants(t *testing.T, w *apikeytest.World, issued apikey.Issued, scope string) bool {
	t.Helper()
	k := issued.Key
	k.Scopes = []string{scope}
	return w.Fixture().Works(t, k, issued.Secret, nil)
}

// turns does the background work until the key is quiet.
func turns(ctx context.Context, t *testing.T, w *apikeytest.World, id string) {
	t.Helper()
	apikeytest.Eventually(t, "nothing is changing", func() bool {
		if err := w.Service.Turn(ctx); err != nil {
			t.Log(err)
		}
		return quiet(ctx, t, w.Service, id)
	})
}

// A process dies while its PUT is under way. The PUT arrives after recovery has
// done the change and a newer one has narrowed the key: the newer one holds.
func TestLatePutOfDeadProcess(t *testing.T) {
	w, c := held(t, apikeytest.Options{})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{Scopes: []string{"a", "b"}})
	id := issued.Key.ID
	arrive := make(chan struct{})
	arrived := make(chan error, 1)
	dead := make(chan struct{})
	c.next(func(send func() error) error {
		go func() { <-arrive; arrived <- send() }()
		runtime.Goexit()
		return nil
	})
	go func() {
		defer close(dead)
		_, _ = w.Service.Update(ctx, id, apikey.UpdateParams{Description: ptr("old")})
	}()
	<-dead
	turns(ctx, t, w, id)
	if _, err := w.Service.Update(ctx, id, apikey.UpdateParams{Scopes: &[]string{"a"}}); err != nil {
		t.Fatal(err)
	}
	close(arrive)
	if err := <-arrived; err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	turns(ctx, t, w, id)
	if grants(t, w, issued, "b") {
		t.Error("Hydra grants a scope that was taken away")
	}
}

// A PUT is repeated inside one call because its first attempt hangs in the
// network. That attempt arrives after a newer change: the newer one holds.
func TestLateAttemptOfRepeatedPut(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: proxy.URL(),
		HydraWith: func(c *hydra.Config) { c.CallTimeout = 300 * time.Millisecond }})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{Scopes: []string{"a", "b"}})
	id := issued.Key.ID
	proxy.Inject(hydratest.Delay(1500*time.Millisecond).On("PUT", "/admin/clients").Times(1))
	proxy.ResetCounts()
	if _, err := w.Service.Update(ctx, id, apikey.UpdateParams{Description: ptr("old")}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Update(ctx, id, apikey.UpdateParams{Scopes: &[]string{"a"}}); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "the first attempt arrives", func() bool { return grants(t, w, issued, "b") })
	w.Clock.Advance(time.Minute)
	turns(ctx, t, w, id)
	if grants(t, w, issued, "b") {
		t.Error("Hydra grants a scope that was taken away")
	}
}

// A second look that is due is not forgotten because of a change that does not
// write the client.
func TestSecondLookOutlivesTokenRevocation(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: proxy.URL(), HydraWith: func(c *hydra.Config) { c.Retries = -1 }})
	ctx := as(t)
	id := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
	proxy.Inject(hydratest.DropAnswer().On("PUT", "/admin/clients").Times(1))
	k, err := w.Service.Update(ctx, id, apikey.UpdateParams{Description: ptr("x")})
	if err != nil || !slices.Contains(k.Flags, apikey.FlagUnconfirmed) {
		t.Fatalf("%v, %v; want unconfirmed", k.Flags, err)
	}
	w.Clock.Advance(time.Minute)
	if _, err := w.Service.RevokeTokens(ctx, id, apikey.ActionParams{}); err != nil {
		t.Fatal(err)
	}
	proxy.ResetCounts()
	turns(ctx, t, w, id)
	if n := proxy.Received("PUT", "/admin/clients"); n != 1 {
		t.Errorf("written %d times for the second look, want once", n)
	}
}

// A process that is stopped after T1 for longer than its lease does nothing to

// Hydra when it goes on: another has done its change, and a newer one.
func TestStoppedForLongerThanLease(t *testing.T) {
	w, _ := held(t, apikeytest.Options{})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{Scopes: []string{"a", "b"}})
	id := issued.Key.ID
	l := &slowBegin{Ledger: w.Ledger, stopped: make(chan struct{}), resume: make(chan struct{}), armed: true}
	slow := second(t, w, func(c *apikey.Config) { c.Ledger = l })
	done := make(chan error, 1)
	go func() {
		_, err := slow.Update(ctx, id, apikey.UpdateParams{Description: ptr("old")})
		done <- err
	}()
	<-l.stopped
	turns(ctx, t, w, id)
	if _, err := w.Service.Update(ctx, id, apikey.UpdateParams{Scopes: &[]string{"a"}}); err != nil {
		t.Fatal(err)
	}
	close(l.resume)
	if err := <-done; !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("the stopped request is answered %v", err)
	}
	if grants(t, w, issued, "b") {
		t.Error("a process whose lease had ended wrote an old definition")
	}
}

// A process whose lease has ended does not give up, shorten or finish a change
// that another one is working on.
func TestHolderIsFenced(t *testing.T) {
	w, c := held(t, apikeytest.Options{})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{})
	id := issued.Key.ID
	own := &heldClients{Clients: w.Clients}
	first := second(t, w, func(cfg *apikey.Config) { cfg.Clients = own })
	stopped, resume := make(chan struct{}), make(chan struct{})
	own.next(func(func() error) error {
		close(stopped)
		<-resume
		return &apikey.Error{Kind: apikey.ErrUnavailable, Cause: apikey.ErrNotSent}
	})
	answered := make(chan error, 1)
	go func() {
		_, err := first.Update(ctx, id, apikey.UpdateParams{Scopes: &[]string{"a", "b"}})
		answered <- err
	}()
	<-stopped
	working, finish := make(chan struct{}), make(chan struct{})
	c.next(func(send func() error) error {
		close(working)
		<-finish
		return send()
	})
	turned := make(chan struct{})
	go func() {
		defer close(turned)
		for {
			_ = w.Service.Turn(ctx)
			select {
			case <-working:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	<-working
	close(resume)
	if err := <-answered; err != nil {
		t.Logf("the stopped request was answered: %v", err)
	}
	close(finish)
	<-turned
	turns(ctx, t, w, id)
	k, err := w.Service.Get(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if has := grants(t, w, issued, "b"); has != slices.Contains(k.Scopes, "b") {
		t.Errorf("Hydra grants the scope %v, the ledger says %v", has, k.Scopes)
	}
}
