package apikey

import (
	"context"
	"errors"
	"slices"
	"time"
)

// errWrittenSince: the client has been written since it was looked at.
var errWrittenSince = &Error{Kind: ErrNotFound, Detail: "the client has been written since; it is looked at again"}

// undoLate undoes what a request did that arrived after its change had been
// given up. seen is the key of the client as it was read before the client;
// the zero Record: there is none. ErrNotFound if the client has been written
// since.
func (s *Service) undoLate(ctx context.Context, ch Change, seen Record) error {
	if ch.makesClient() && (seen.ID == "" || seen.RevokedAt != nil) {
		return s.undoLateCreate(ctx, ch)
	}
	in := intent{action: ActionConverge, id: ch.clientID(), actor: converger}
	lost := ch.losesSecretOf(seen)
	if lost {
		in.action = ActionLoseCredential
	}
	in.plan = func(r Record, found bool, _ time.Time) (Definition, bool, error) {
		d := r.Definition
		if !found || d.RevokedAt != nil {
			return d, true, nil
		}
		if r.Op != seen.Op {
			return d, false, errWrittenSince
		}
		if lost {
			s.log.ErrorContext(ctx, "a rotation took effect that had been given up; the key's secret is unknown", "key", ch.KeyID, "change", ch.Op)
			d.AuthMethod, d.Secret, d.PublicKeys = ch.Target.AuthMethod, ch.Target.Secret, ch.Target.PublicKeys
		}
		return d, false, nil
	}
	_, err := s.change(ctx, in)
	return err
}

// losesSecretOf reports whether a request of the change that arrived late has
// taken the secret of the key: there is no way back, and only a repetition of
// the request with its Idempotency-Key still gets the one that took its place.
// If it was repeated already, it is the same secret.
func (c Change) losesSecretOf(r Record) bool {
	if c.Action != ActionRotate || c.Successor != nil || !c.Target.AuthMethod.HasSecret() || r.Secret == nil {
		return false
	}
	return c.Replay == nil || c.Target.Secret.Hint != r.Secret.Hint
}

// undoLateCreate removes the client of a create that was given up, holding the
// lock of the key that never was, or of the one that was to be replaced: a retry
// with the same Idempotency-Key makes that very key, and its client must stay.
func (s *Service) undoLateCreate(ctx context.Context, ch Change) error {
	// A create of its own, whatever ch is: recovery undoes nothing but what carries its op.
	begun, _, err := s.begin(ctx, intent{action: ActionCreate, id: ch.KeyID, actor: converger,
		plan: func(Record, bool, time.Time) (Definition, bool, error) { return Definition{ID: ch.KeyID}, false, nil }})
	if err != nil {
		return err
	}
	made, err1 := s.ledger.Key(ctx, ch.clientID(), View{})
	switch {
	case err1 == nil && made.RevokedAt == nil:
		err1 = errWrittenSince
	case err1 == nil, errors.Is(err1, ErrNotFound):
		err1 = s.undoCreate(ctx, ch)
	}
	err2 := s.ledger.Abandon(ctx, begun.Change.Op, 0, time.Time{})
	if err2 != nil {
		s.left.add(begun.Change.Op, 0, true)
	}
	return errors.Join(err1, err2)
}

// arrived finds a rotation in place that was given up and has reached Hydra all
// the same, under the lock of a change that would write the client without a
// secret: the client must go on to carry its mark, or nobody would learn that
// the secret in the ledger is dead.
func (s *Service) arrived(ctx context.Context, c carriage) (op string, err error) {
	switch c.change.Action {
	case ActionCreate, ActionRotate, ActionLoseCredential, ActionRevoke, ActionRevokeTokens, ActionDelete, ActionExpiring:
		return "", nil
	}
	if !c.change.Target.AuthMethod.HasSecret() {
		return "", nil
	}
	given, err := s.ledger.GivenUp(ctx, c.change.KeyID)
	given = slices.DeleteFunc(given, func(ch Change) bool { return !ch.losesSecretOf(c.before) })
	if err != nil || len(given) == 0 {
		return "", notSent(err)
	}
	state, err := s.clients.State(ctx, c.change.KeyID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", notSent(err)
	}
	if slices.ContainsFunc(given, func(ch Change) bool { return ch.Op == state.Op }) {
		return state.Op, nil
	}
	return "", nil
}

// notSent says of a failure before the first write that nothing was changed.
func notSent(err error) error {
	if err == nil {
		return nil
	}
	return unavailable("nothing was changed", errors.Join(ErrNotSent, err))
}
