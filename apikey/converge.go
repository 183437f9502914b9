package apikey

import (
	"context"
	"errors"
	"time"
)

// converger is who makes the changes that nobody asked for: the clock.
var converger = System("converge")

// converge brings Hydra in line with a key's definition at this moment: it is
// how expiry, the end of a pause, of a public key and of the first seconds
// after a disable take effect, and how a lost answer is looked up again. It
// takes the key's lock like every writer.
func (s *Service) converge(ctx context.Context, id string) error {
	r, err := s.ledger.Key(ctx, id, View{})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	in := intent{action: dueAction(r, s.now()), id: id, actor: converger}
	in.plan = func(r Record, found bool, now time.Time) (Definition, bool, error) {
		d := r.Definition
		if !found || d.RevokedAt != nil || r.DueAt.IsZero() || r.DueAt.After(now) || dueAction(r, now) != in.action {
			return d, true, nil // somebody else was here first; the next turn sees what is left
		}
		if in.action == ActionEnable {
			d = enabled(d, Order{}, now)
		}
		return d, false, nil
	}
	_, err = s.change(ctx, in)
	return err
}

// errDueFirst stops a change of a key to which the clock has done something
// that is not yet recorded: it would be lost from the audit.
var errDueFirst = errors.New("what is due comes first")

// overdue reports whether the clock has done something to the key that waits for
// the background work.
func overdue(r Record, now time.Time) bool {
	return r.RevokedAt == nil && !r.DueAt.IsZero() && !r.DueAt.After(now) && dueAction(r, now) != ActionConverge
}

// dueAction is what the clock has done to a key since its last change, as the
// event will name it.
func dueAction(r Record, now time.Time) Action {
	at, days := r.untold(now)
	switch {
	case !at.IsZero() && days > 0:
		return ActionExpiring
	case !at.IsZero(), r.Open && ended(r.end(), now):
		return ActionExpire
	case ended(r.DisabledUntil, now):
		return ActionEnable
	}
	for _, p := range r.PublicKeys {
		// DueAt is never later than the first end not yet acted on; the zero
		// DueAt, when all has been, does not come here.
		if p.ExpiresAt != nil && !p.ExpiresAt.Before(r.DueAt) && ended(p.ExpiresAt, now) {
			return ActionExpirePublicKey
		}
	}
	return ActionConverge
}
