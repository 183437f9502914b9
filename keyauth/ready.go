package keyauth

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// readiness asks Hydra whether it is ready. All callers share the question under
// way if it began after they came.
type readiness struct {
	v      *Verifier
	mu     sync.Mutex
	number uint64 // of the last question
	probe  *probe // under way, or nil
}

type probe struct {
	number uint64
	done   chan struct{}
	err    error // valid after done is closed
}

// after returns nil if Hydra says that it is ready to a question that begins after
// the call; at once if nobody knows where to ask.
func (r *readiness) after(ctx context.Context) error {
	if r.v.config.HydraReadyURL == "" {
		return nil
	}
	r.mu.Lock()
	before := r.number
	r.mu.Unlock()
	for {
		p := r.join()
		select {
		case <-p.done:
		case <-ctx.Done():
			return unavailable(Canceled, context.Cause(ctx))
		}
		if p.number > before {
			return p.err
		}
	}
}

func (r *readiness) join() *probe {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.probe == nil {
		r.number++
		r.probe = &probe{number: r.number, done: make(chan struct{})}
		p := r.probe
		r.v.background(func(ctx context.Context) { r.ask(ctx, p) })
	}
	return r.probe
}

func (r *readiness) ask(ctx context.Context, p *probe) {
	began := time.Now()
	a, err := r.v.call(ctx, request{method: http.MethodGet, url: r.v.config.HydraReadyURL, accepts: []string{"application/json"}, limit: 4 << 10})
	if err == nil {
		err = strange(`it is 200 {"status":"ok"}`)
		if said, ok := readObject(a.body); a.status == http.StatusOK && ok && said["status"] == "ok" {
			err = nil
		}
	}
	if err != nil {
		p.err = unavailable(NotReady, err)
	}
	r.v.observe(Observation{Operation: OpReady}, began, p.err)
	r.mu.Lock()
	r.probe = nil
	r.mu.Unlock()
	close(p.done)
}
