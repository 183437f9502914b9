package handlers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/tokenos/tokenos/apikey"
)

const (
	acceptedFor = 5 * time.Minute
	maxAccepted = 10_000
)

// digest stands for a credential, so that none is kept: its SHA-256.
type digest [sha256.Size]byte

func digestOf(credential string) digest { return sha256.Sum256([]byte(credential)) }

// attempts are the tries to authenticate: what was accepted within acceptedFor,
// and whose it is, and what is being looked up.
type attempts struct {
	accepted *otter.Cache[digest, string]

	mu      sync.Mutex
	flights map[flightKey]*flight // as many as requests in flight at most
}

// flight is one credential of one address that is being looked up, however
// many requests bring it.
type flight struct {
	took     standing
	requests int
	refused  bool
}

type flightKey struct {
	address    string
	credential digest
}

func newAttempts(now func() time.Time) (*attempts, error) {
	accepted, err := otter.New(&otter.Options[digest, string]{
		MaximumSize:      maxAccepted,
		ExpiryCalculator: otter.ExpiryWriting[digest, string](acceptedFor),
		Clock:            clock{now: now, start: now()},
	})
	if err != nil {
		return nil, fmt.Errorf("handlers: accepted credentials: %w", err)
	}
	return &attempts{accepted: accepted, flights: map[flightKey]*flight{}}, nil
}

// begin takes a token of the address's failures, unless the same credential is
// being looked up already: a program that comes back with a new token, and many
// requests at once, is one try. Nil if there is no token to take.
func (a *attempts) begin(failures *limiter, key flightKey) (*flight, standing) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.flights[key]
	if f == nil {
		took := failures.take(key.address)
		if took.refused {
			return nil, took
		}
		f = &flight{took: took}
		a.flights[key] = f
	}
	f.requests++
	return f, f.took
}

// end gives the token back if the credential was not refused.
func (a *attempts) end(failures *limiter, key flightKey, f *flight, refused bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f.requests--
	f.refused = f.refused || refused
	if f.requests > 0 {
		return
	}
	delete(a.flights, key)
	if !f.refused {
		failures.giveBack(key.address)
	}
}

// attempt runs check, which finds out whose a credential is, within the limit
// of failures of the address. When that is used up, check runs only for a
// credential that was good a while ago: whoever guesses must not lock out those
// who share the address. check fails with [apikey.ErrUnauthenticated] for a
// credential that is refused; other errors do not count. Fails as check does,
// or with [apikey.ErrRateLimited].
func (s *server) attempt(ctx context.Context, credential string, check func() (principal string, err error)) error {
	l := s.limits
	key := flightKey{addressKey(exchangeFrom(ctx).address), digestOf(credential)}
	refused := false
	var took standing
	if _, known := l.accepted.GetIfPresent(key.credential); !known {
		// Taken first and given back, else many at once would all find one left.
		var f *flight
		if f, took = l.begin(l.failures, key); f == nil {
			return s.refuse(ctx, took)
		}
		defer func() { l.end(l.failures, key, f, refused) }()
	}
	principal, err := check()
	switch {
	case err == nil:
		l.accepted.Set(key.credential, principal)
	case errors.Is(err, apikey.ErrUnauthenticated):
		refused = true
		if _, known := l.accepted.Invalidate(key.credential); known {
			took = l.failures.take(key.address)
		}
		exchangeFrom(ctx).show(took)
	}
	return err
}
