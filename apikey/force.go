package apikey

import (
	"context"
	"errors"
	"time"
)

// endOlder ends the credential before an older rotation if the caller forces it:
// a predecessor's grace period, and public keys that the key itself would keep
// beside its successor. It cannot be undone, so a rotation that would then be
// refused ends nothing; and what is answered as rotated is ended at Hydra before.
func (r *rotation) endOlder(ctx context.Context) error {
	s := r.service
	now := s.now()
	after, older := r.forced(now)
	if !older {
		return nil
	}
	if err := s.clients.Ready(ctx); err != nil {
		return unavailable("Hydra is not ready; nothing was changed", err)
	}
	if _, _, err := r.planForced(after, now); err != nil {
		return err
	}
	if r.seen.Predecessor != nil && after.Predecessor != r.seen.Predecessor {
		_, err := s.complete(ctx, *r.seen.Replaces, r.caller)
		if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrRevoked) {
			return err
		}
	}
	if r.successor == nil || !r.seen.replacedPublicKeys(now) {
		return nil // the rotation's own write ends them
	}
	_, err := s.change(ctx, intent{action: ActionRetirePublicKeys, id: r.seen.ID, actor: r.caller, plan: planRetire(r.caller)})
	return err
}

// forced is the key as it is once the grace period of its predecessor is ended,
// and whether there is anything for endOlder to do.
func (r *rotation) forced(now time.Time) (after Record, older bool) {
	after = r.seen
	if !r.params.Force || after.previousEndsAt(now) == nil {
		return after, false
	}
	if p := after.Predecessor; p != nil && !p.Revoked && p.EndsAt.After(now) {
		after.Predecessor = &Predecessor{EndsAt: now}
	}
	return after, true
}

// planForced plans the rotation of a key as forced has it. A key that is to live
// on beside its successor must keep a credential.
func (r *rotation) planForced(after Record, now time.Time) (Definition, bool, error) {
	target, unchanged, err := r.plan(after, true, now)
	if err == nil && r.successor != nil && r.seen.replacedPublicKeys(now) {
		_, err = retired(r.seen.Definition, now)
	}
	return target, unchanged, err
}
