package keyauth

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// remoteKeys are the public keys at a URL. Whoever sends made-up kids makes us
// fetch at most every ten seconds, all callers share the fetch under way, and the
// last good set is kept when one fails.
type remoteKeys struct {
	v          *Verifier
	url        string
	algorithms []string
	confirm    func(context.Context) error // nil, or asked after a fetch whether to believe it

	flight singleflight.Group
	mu     sync.RWMutex
	keys   map[string][]publicKey // nil before the first good set
	at     time.Time              // when that was fetched
	tried  time.Time              // when the last fetch began
	busy   bool                   // one is under way
	err    error                  // of the last one
}

// state is what a look at the set says.
type state struct {
	keys  []publicKey
	stale bool  // fetch anew in the background
	wait  bool  // fetch, or await the fetch under way, before answering
	err   error // of the last fetch
}

func (r *remoteKeys) look(kid string) state {
	r.mu.RLock()
	defer r.mu.RUnlock()
	now := r.v.config.Now()
	s := state{keys: r.keys[kid], err: r.err}
	interval := jwksInterval
	if r.keys == nil {
		interval = jwksFirst
	}
	// A clock that went back must not stop us from fetching.
	since := now.Sub(r.tried)
	may := since >= interval || since < 0
	age := now.Sub(r.at)
	switch old := age >= jwksFresh || age < 0; {
	case len(s.keys) == 0:
		s.wait = may || r.busy
	case old && (age >= 2*jwksFresh || age < 0) && r.err == nil:
		s.wait = may || r.busy
	case old: // in an outage nobody waits for what goes on without it
		s.stale = may && !r.busy
	}
	return s
}

// find returns the keys with a kid, none if the issuer has none. ErrUnavailable if
// that cannot be known now.
func (r *remoteKeys) find(ctx context.Context, kid string) ([]publicKey, *Error) {
	s := r.look(kid)
	if s.wait {
		select {
		case <-r.fetch():
			s = r.look(kid)
		case <-ctx.Done():
			return nil, unavailable(Canceled, context.Cause(ctx))
		}
	} else if s.stale {
		r.fetch()
	}
	if len(s.keys) == 0 && s.err != nil {
		return nil, unavailable(NoJWKS, s.err)
	}
	return s.keys, nil
}

// fetch joins the fetch under way or begins one.
func (r *remoteKeys) fetch() <-chan singleflight.Result {
	return r.flight.DoChan("", func() (any, error) {
		if !r.begin() {
			return nil, nil //nolint:nilnil // the state says it all
		}
		defer r.v.leave()
		ctx, began := r.v.life, time.Now()
		keys, err := r.get(ctx)
		r.v.reportFetch(ctx, OpJWKS, began, err)
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.busy, r.err = false, err; err == nil {
			r.keys, r.at = keys, r.v.config.Now()
		}
		return nil, nil //nolint:nilnil // the state says it all
	})
}

// begin notes that a fetch begins, unless the verifier is closed or the last one
// began just now: a caller may come here with a look from before it.
func (r *remoteKeys) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.v.config.Now()
	interval := jwksInterval
	if r.keys == nil {
		interval = jwksFirst
	}
	if since := now.Sub(r.tried); since >= 0 && since < interval {
		return false
	}
	if !r.v.enter() {
		r.err = errClosed
		return false
	}
	r.tried, r.busy = now, true
	return true
}

func (r *remoteKeys) get(ctx context.Context) (map[string][]publicKey, error) {
	a, err := r.v.call(ctx, request{method: http.MethodGet, url: r.url, accepts: []string{"application/json", "application/jwk-set+json"}, limit: 256 << 10})
	if err == nil && a.status != http.StatusOK {
		err = strange("it is 200")
	}
	if err != nil {
		return nil, unavailable(NoJWKS, err)
	}
	keys, ok := readKeySet(a.body, r.algorithms)
	if !ok {
		return nil, unavailable(NoJWKS, errors.New("the set has no usable key"))
	}
	if r.confirm != nil {
		if err := r.confirm(ctx); err != nil {
			return nil, unavailable(NoJWKS, err)
		}
	}
	return keys, nil
}
