package apikey

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A rotation that is under way when an operation comes to its key makes a
// successor that the operation has not seen: its place in the walk may have been
// passed, and a change of the key before it waits for the rotation.

// reachSuccessors changes the successors that the walk has missed. done reports
// that there are none, or none that can be.
func (s *Service) reachSuccessors(ctx context.Context, o *OperationRecord) (wait time.Duration, done bool, err error) {
	missed, err := s.missedSuccessors(ctx, *o)
	if err != nil || len(missed) == 0 {
		return 0, err == nil, err
	}
	next, err := s.deal(ctx, *o, missed, nil)
	if err != nil {
		wait, err = s.heldUp(ctx, o, err)
		return wait, false, err
	}
	stuck := next.Changed+next.Unchanged == o.Changed+o.Unchanged // what fails is not tried for ever
	*o = next
	return 0, stuck, nil
}

// missedSuccessors finds successors, at most a batch, that are not as the
// operation left the keys before them.
func (s *Service) missedSuccessors(ctx context.Context, o OperationRecord) (missed []Record, err error) {
	if o.Action == ActionRevokeTokens { // those of a successor are newer
		return nil, nil
	}
	now, plan := s.now(), planFor(o.Action, o.Order, o.Actor)
	// A rotation begun earlier was over before the walk began.
	after := Position{Number: o.CreatedAt.Add(-2 * s.cfg.Lease).Unix()}
	for _, kind := range kindsOf(o.Actor) {
		q := Query{Owners: o.Actor.Owners, Owner: o.Owner, Kind: kind, After: &after, Sort: SortCreatedAt, Now: now}
		var failed error
		err := s.look(ctx, q, func(r Record) bool {
			if r.Replaces == nil {
				return true
			}
			if _, unchanged, err := plan(r, true, now); unchanged || err != nil {
				return true
			}
			var was bool
			if was, failed = s.missed(ctx, o, r, now); was {
				missed = append(missed, r)
			}
			return failed == nil && len(missed) < keysABatch
		})
		if err := errors.Join(err, failed); err != nil {
			return nil, err
		}
	}
	return missed[:min(len(missed), keysABatch)], nil
}

// missed reports whether a successor has no change under the operation although
// the key before it has taken part. Who enabled either since meant what he saw.
func (s *Service) missed(ctx context.Context, o OperationRecord, r Record, now time.Time) (bool, error) {
	made, err := s.ledger.ChangesUnder(ctx, o.ID, []string{r.ID, *r.Replaces})
	if err != nil || len(made) != 1 || made[0] == r.ID {
		return false, err
	}
	before, err := s.ledger.Key(ctx, *r.Replaces, View{})
	if errors.Is(err, ErrNotFound) { // deleted, so revoked before
		return o.Action == ActionRevoke, nil
	}
	if err != nil || o.Action != ActionDisable {
		return err == nil, err
	}
	enabled, err := s.enabledSince(ctx, r.ID, o.CreatedAt)
	return err == nil && !enabled && before.StatusAt(now) == StatusDisabled, err
}

// enabledSince reports whether somebody has enabled a key since a moment.
func (s *Service) enabledSince(ctx context.Context, id string, since time.Time) (bool, error) {
	events, err := s.ledger.Events(ctx, EventQuery{KeyID: id, Changes: true, Descending: true, Limit: limits.PageSize})
	return slices.ContainsFunc(events, func(e Event) bool { return e.Action == ActionEnable && !e.At.Before(since) }), err
}
