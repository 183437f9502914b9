package web

import (
	"context"
	"sync"
	"time"
)

const (
	healthTime = time.Second     // how long one check may take
	healthFor  = 3 * time.Second // how long an answer serves, for all pages
)

// health knows which parts do not answer.
type health struct {
	mu    sync.Mutex
	at    time.Time
	away  map[string]bool
	since map[string]time.Time // when those that are away first were
}

// away tells for each part of Config.Parts whether it does not answer. Whoever
// comes while it is being looked at waits, so that many pages cause one look.
func (d *Dashboard) away(ctx context.Context) map[string]bool {
	d.health.mu.Lock()
	defer d.health.mu.Unlock()
	if d.health.away != nil && time.Since(d.health.at) < healthFor {
		return d.health.away
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTime)
	defer cancel()
	away := map[string]bool{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, check := range d.Parts {
		all.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			away[name] = err != nil
		})
	}
	all.Wait()
	d.health.note(away, time.Now())
	return away
}

// note takes what a look found at a moment.
func (h *health) note(away map[string]bool, at time.Time) {
	since := map[string]time.Time{}
	for name, is := range away {
		if is {
			since[name] = at
			if first, known := h.since[name]; known {
				since[name] = first
			}
		}
	}
	h.away, h.at, h.since = away, at, since
}

// awaySince tells since when a part is seen not to answer; zero: it answers.
func (d *Dashboard) awaySince(ctx context.Context, name string) time.Time {
	d.away(ctx)
	d.health.mu.Lock()
	defer d.health.mu.Unlock()
	return d.health.since[name]
}
