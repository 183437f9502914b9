package hydra

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	probeTimeout  = time.Second
	readyFor      = time.Second            // how long a yes is believed
	unreadyFor    = 250 * time.Millisecond // how long a no is believed
	healthReady   = "/health/ready"
	readyAnswerOK = "ok"
)

// readiness remembers the last probe and lets all callers share the one under
// way. The zero value has never probed.
type readiness struct {
	mu     sync.Mutex
	begun  uint64 // probes started so far
	flight *flight
	known  bool
	at     time.Time // when err was learnt
	err    error
}

// flight is one probe under way.
type flight struct {
	number uint64
	done   chan struct{}
	err    error // valid after done is closed
}

// Ready implements [apikey.Clients]: it asks /health/ready on the admin port,
// which answers 503 while Hydra's database is away. A yes is remembered for a
// second, a no for a quarter.
func (h *Hydra) Ready(ctx context.Context) error {
	r := &h.ready
	r.mu.Lock()
	age := h.config.Now().Sub(r.at)
	known, err := r.known, r.err
	r.mu.Unlock()
	limit := readyFor
	if err != nil {
		limit = unreadyFor
	}
	if known && age >= 0 && age < limit {
		return err
	}
	return h.probeAfter(ctx, 0)
}

// probesBegun is what a caller passes to probeAfter later, to be told by a
// probe that began after this moment.
func (h *Hydra) probesBegun() uint64 {
	h.ready.mu.Lock()
	defer h.ready.mu.Unlock()
	return h.ready.begun
}

// probeAfter waits for a probe with a number above after: the one under way
// if it qualifies, else a new one.
func (h *Hydra) probeAfter(ctx context.Context, after uint64) error {
	for {
		f := h.joinProbe(ctx)
		select {
		case <-f.done:
		case <-ctx.Done():
			return failure(&call{operation: "ask readiness"}, apikey.ErrUnavailable, context.Cause(ctx))
		}
		if f.number > after {
			return f.err
		}
	}
}

// joinProbe returns the probe under way, starting one if there is none.
func (h *Hydra) joinProbe(ctx context.Context) *flight {
	r := &h.ready
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight
	}
	r.begun++
	f := &flight{number: r.begun, done: make(chan struct{})}
	r.flight = f
	// The probe is everybody's: it does not end with the caller who began it.
	go h.runProbe(context.WithoutCancel(ctx), f)
	return f
}

func (h *Hydra) runProbe(ctx context.Context, f *flight) {
	c := &call{operation: "ask readiness", manner: probe, limit: min(probeTimeout, h.config.CallTimeout)}
	f.err = h.exchange(ctx, c, func(ctx context.Context) (*http.Response, error) {
		resp, err := h.raw(ctx, http.MethodGet, healthReady, nil)
		if err != nil {
			return resp, err
		}
		var said struct {
			Status string `json:"status"`
		}
		if body, err := bodyOf(resp); err != nil || json.Unmarshal(body, &said) != nil || said.Status != readyAnswerOK {
			return resp, &strange{"hydra answers status ok"}
		}
		return resp, nil
	})
	if f.err != nil {
		f.err = unready(f.err)
	}
	r := &h.ready
	r.mu.Lock()
	r.known, r.at, r.err, r.flight = true, h.config.Now(), f.err, nil
	r.mu.Unlock()
	close(f.done)
}

// unready makes every way in which a probe can fail [apikey.ErrUnavailable].
func unready(cause error) error {
	return &apikey.Error{Kind: apikey.ErrUnavailable, RetryAfter: retryIn, Cause: fmt.Errorf("hydra is not ready: %w", cause)}
}

// unreached notes at once that no connection to Hydra could be made.
func (h *Hydra) unreached(cause error) {
	err := failure(&call{operation: "reach hydra"}, apikey.ErrUnavailable, cause)
	r := &h.ready
	r.mu.Lock()
	r.known, r.at, r.err = true, h.config.Now(), err
	r.mu.Unlock()
}
