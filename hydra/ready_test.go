package hydra_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
)

func TestReady(t *testing.T) {
	// A real Hydra is ready.
	if err := newHydra(t).Ready(deadline(t)); err != nil {
		t.Fatal(err)
	}
}

func TestReadyIsRemembered(t *testing.T) {
	// A yes is believed for a second, a no for a quarter of one.
	var down atomic.Bool
	b := bite(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			say(w, 503, mediaJSON, `{"errors":{"database":"gone"}}`)
			return
		}
		say(w, 200, mediaJSON, `{"status":"ok"}`)
	})
	tick := newClock()
	h, ctx := b.against(t, func(c *hydra.Config) { c.Now = tick.now }), deadline(t)
	for _, step := range []struct {
		wait     time.Duration
		down     bool
		ready    bool
		requests int64
	}{
		{0, false, true, 1},
		{900 * time.Millisecond, true, true, 1},
		{100 * time.Millisecond, true, false, 2},
		{200 * time.Millisecond, false, false, 2},
		{50 * time.Millisecond, false, true, 3},
	} {
		tick.add(step.wait)
		down.Store(step.down)
		err := h.Ready(ctx)
		if (err == nil) != step.ready || b.requests.Load() != step.requests {
			t.Fatalf("%+v: got %v after %d requests", step, err, b.requests.Load())
		}
		if err != nil && !errors.Is(err, apikey.ErrUnavailable) {
			t.Fatalf("got %v, want unavailable", err)
		}
	}
}

func TestReadyProbesOnce(t *testing.T) {
	// All callers share one probe, and one who goes away does not end it.
	arrived, answer := make(chan struct{}), make(chan struct{})
	b := bite(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-answer
		say(w, 200, mediaJSON, `{"status":"ok"}`)
	})
	h := b.against(t, func(c *hydra.Config) { c.CallTimeout = 20 * time.Second })
	first, cancel := context.WithCancel(deadline(t))
	var gone error
	var wg, others sync.WaitGroup
	wg.Go(func() { gone = h.Ready(first) })
	<-arrived
	errs := make([]error, 50)
	for i := range errs {
		others.Go(func() { errs[i] = h.Ready(deadline(t)) })
	}
	cancel()
	wg.Wait()
	if !errors.Is(gone, apikey.ErrUnavailable) || !errors.Is(gone, context.Canceled) {
		t.Errorf("the one who went: got %v", gone)
	}
	close(answer)
	others.Wait()
	if err := errors.Join(errs...); err != nil || b.requests.Load() != 1 {
		t.Errorf("got %v with %d requests, want one", err, b.requests.Load())
	}
}

func TestReadyBelievesOnlyHydra(t *testing.T) {
	// Anything but 200 with status ok, in JSON and within a second, is a no.
	for name, answer := range map[string]func(b *teeth, w http.ResponseWriter, r *http.Request){
		"hang":      func(b *teeth, _ http.ResponseWriter, r *http.Request) { b.hang(r) },
		"html":      status(200, mediaHTML, `{"status":"ok"}`),
		"starting":  status(200, mediaJSON, `{"status":"starting"}`),
		"nothing":   status(200, mediaJSON, ``),
		"created":   status(201, mediaJSON, `{"status":"ok"}`),
		"redirect":  status(302, mediaJSON, `{"status":"ok"}`),
		"not found": status(404, mediaJSON, e404),
		"E500":      status(500, mediaJSON, e500),
	} {
		var b *teeth
		b = bite(t, func(_ int64, w http.ResponseWriter, r *http.Request) { answer(b, w, r) })
		err := b.against(t).Ready(deadline(t))
		if !errors.Is(err, apikey.ErrUnavailable) || b.requests.Load() != 1 {
			t.Errorf("%s: got %v with %d requests, want unavailable with one", name, err, b.requests.Load())
		}
	}
}

func TestUnreachedIsUnready(t *testing.T) {
	// A call that finds nobody listening ends a remembered yes at once.
	b := bite(t, func(_ int64, w http.ResponseWriter, _ *http.Request) { say(w, 200, mediaJSON, `{"status":"ok"}`) })
	tick := newClock()
	h, ctx := b.against(t, func(c *hydra.Config) { c.Now = tick.now }), deadline(t)
	if err := h.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := h.Ready(ctx); err != nil {
		t.Fatalf("remembered: got %v", err)
	}
	if err := h.Delete(ctx, "key_test_1"); !errors.Is(err, apikey.ErrUnavailable) {
		t.Fatalf("delete: got %v", err)
	}
	if err := h.Ready(ctx); !errors.Is(err, apikey.ErrUnavailable) || !errors.Is(err, apikey.ErrNotSent) {
		t.Fatalf("got %v, want unavailable and not sent", err)
	}
}
