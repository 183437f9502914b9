package apikey

import (
	"context"
	"errors"
	"time"
)

// prove shows Hydra the new secret of a rotation before it is answered. A
// successor that Hydra refuses is removed again. What cannot be proven is said.
func (s *Service) prove(ctx context.Context, c carriage) error {
	made := c.change.Target
	if c.change.Successor != nil {
		made = *c.change.Successor
	}
	if c.secret.IsZero() {
		c.proof.Unverified = onlyTheHolder
		return nil
	}
	err := s.clients.Prove(ctx, Credential{Method: made.AuthMethod, ID: made.ID, Secret: c.secret})
	switch {
	case err == nil:
		at := s.now()
		c.proof.VerifiedAt = &at
		return nil
	case !errors.Is(err, ErrUnauthenticated):
		c.proof.Unverified = noAnswer
		return nil
	case c.change.Successor == nil:
		c.proof.Unverified = secretRefused
		s.log.ErrorContext(ctx, "hydra refuses a secret that it took", "key", made.ID)
		return nil
	}
	if err := s.undoCreate(ctx, c.change); err != nil {
		s.log.WarnContext(ctx, "refused successor not removed yet", "key", made.ID, "error", err)
		return unavailable("Hydra refuses the new secret", ErrOutcomeUnknown) // for recovery to undo, not to forget
	}
	return &Error{Kind: ErrInternal, Detail: "Hydra refuses the new secret; nothing was changed", Cause: ErrNotSent}
}

// writeSuccessor is the write of the key that a rotation makes.
func (s *Service) writeSuccessor(c carriage, at time.Time) ClientWrite {
	d := *c.change.Successor
	return ClientWrite{Definition: d, PublicKeys: d.LivePublicKeys(at), Open: d.OpenAt(at), Op: c.change.Op, Ledger: s.ledger.Installation(), Secret: c.secret}
}

// bornOf is the successor as T2 stores it.
func bornOf(ch Change, at time.Time) *Born {
	d := *ch.Successor
	up := Upkeep{Op: ch.Op, Open: d.OpenAt(at), ToldUntil: at}
	up.DueAt = nextDue(d, up, at)
	own := ch
	own.Action, own.KeyID, own.Target = ActionCreate, d.ID, d
	return &Born{Target: d, Upkeep: up, Event: *eventOf(own, Record{}, at)}
}

// predecessorOf is what a new successor knows of the key it replaces.
func predecessorOf(d Definition) *Predecessor {
	p := &Predecessor{Revoked: d.RevokedAt != nil}
	if end := d.end(); end != nil {
		p.EndsAt = *end
	}
	return p
}
