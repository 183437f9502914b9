package handlers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	checkTimeout = time.Second // how long one check may take
	readyFor     = time.Second // how long an answer serves: anybody may ask, and asking costs a query
)

// health runs the readiness checks.
type health struct {
	checks map[string]func(context.Context) error
	log    *slog.Logger

	mu     sync.Mutex
	at     time.Time
	states map[string]string
	ok     bool
}

type healthBody struct {
	Status string            `json:"status" enum:"ok"`
	Checks map[string]string `json:"checks,omitempty" doc:"each ok"`
}

type healthOutput struct{ Body healthBody }

func (s *server) alive(context.Context, *nothing) (*healthOutput, error) {
	return &healthOutput{healthBody{Status: "ok"}}, nil
}

func (s *server) ready(ctx context.Context, _ *nothing) (*healthOutput, error) {
	states, ok := s.health.look(ctx)
	if !ok {
		return nil, &notReady{states}
	}
	return &healthOutput{healthBody{Status: "ok", Checks: states}}, nil
}

// notReady is a failed check: which, but not why.
type notReady struct{ checks map[string]string }

func (*notReady) Error() string { return "not ready" }
func (*notReady) Unwrap() error { return apikey.ErrUnavailable }

// look answers from memory for a moment; whoever comes while the checks run
// waits for them, so that many callers cause one round of checks.
func (h *health) look(ctx context.Context) (states map[string]string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.states != nil && time.Since(h.at) < readyFor {
		return h.states, h.ok
	}
	// The answer is for all who wait, so one that leaves must not spoil it.
	states, ok = h.run(context.WithoutCancel(ctx))
	h.states, h.ok, h.at = states, ok, time.Now()
	return states, ok
}

func (h *health) run(ctx context.Context) (map[string]string, bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	type result struct {
		name string
		err  error
	}
	done := make(chan result, len(h.checks))
	for name, check := range h.checks {
		go func() { done <- result{name, check(ctx)} }()
	}
	states := make(map[string]string, len(h.checks))
	for name := range h.checks {
		states[name] = "unavailable"
	}
	ok := true
	for range h.checks {
		select {
		case r := <-done:
			if r.err == nil {
				states[r.name] = "ok"
				continue
			}
			ok = false
			h.log.WarnContext(ctx, "not ready", "check", r.name, "error", r.err)
		case <-ctx.Done():
			h.log.WarnContext(ctx, "not ready", "error", "a check did not return in time")
			return states, false
		}
	}
	return states, ok
}
