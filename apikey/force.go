package apikey

import (
	"context"
	"errors"
	"time"
)

// completeOlder ends the predecessor's grace period if the caller forces it. It
// cannot be undone, so a rotation that would then be refused ends nothing.
func (r *rotation) completeOlder(ctx context.Context) error {
	s := r.service
	after, older := r.forced(s.now())
	if !older {
		return nil
	}
	if err := s.clients.Ready(ctx); err != nil {
		return unavailable("Hydra is not ready; nothing was changed", err)
	}
	if _, _, err := r.plan(after, true, s.now()); err != nil {
		return err
	}
	_, err := s.complete(ctx, *r.seen.Replaces, r.caller)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrRevoked) {
		return nil
	}
	return err
}

// forced is the key as it is once completeOlder is done, and whether there is
// anything for that to do.
func (r *rotation) forced(now time.Time) (after Record, older bool) {
	after = r.seen
	if !r.params.Force || after.Predecessor == nil || after.Predecessor.Revoked || after.previousEndsAt(now) == nil {
		return after, false
	}
	after.Predecessor = &Predecessor{EndsAt: now}
	return after, true
}
