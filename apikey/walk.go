package apikey

import (
	"context"
	"errors"
	"slices"
	"time"
)

// How an operation is carried on. It goes through the keys in slices, so that
// no place of the background work is taken for long.
const (
	sliceTime      = 5 * time.Second     // of one operation at a time
	keysABatch     = 16                  // between two notes of how far it has come
	keysAtOnce     = 8                   // of all operations of a process
	narrowAtOnce   = 3                   // operations of a process that narrow
	widenAtOnce    = 2                   // and others
	walksListed    = 20                  // operations a turn that narrow, and others
	triesAtMost    = 8                   // of a key that Hydra does not take although it is ready: a minute and a half
	waitForHydra   = time.Second         // between two looks
	operationsKept = 30 * 24 * time.Hour // after their end
	keyTime        = busyWait + queueWait + 2*finishTimeout
)

// operating lists the operations to carry on. Without Hydra only those that
// narrow can be: their changes count as soon as they are accepted.
func (s *Service) operating(ctx context.Context, ready bool) ([]task, error) {
	if err := s.letGo(ctx); err != nil {
		return nil, err
	}
	free, err := s.ledger.FreeOperations(ctx, !ready, walksListed)
	if err != nil {
		return nil, err
	}
	var tasks []task
	for _, o := range free {
		tasks = append(tasks, task{o.ID, func(ctx context.Context) error {
			if !s.walks.enter(o.Action.Narrows()) {
				return nil
			}
			defer s.walks.leave(o.Action.Narrows())
			return s.carryOn(ctx, o)
		}})
	}
	return tasks, nil
}

// letGo ends the leases of operations that the ledger did not take back when
// this process was done with them.
func (s *Service) letGo(ctx context.Context) error {
	for id, attempt := range s.walks.heldNow() {
		o, err := s.ledger.Operation(ctx, id, View{})
		if err == nil && o.Attempt == attempt {
			_, err = s.ledger.SaveOperation(ctx, o, 0)
		}
		if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrOperationOver) {
			return err
		}
		s.walks.drop(id)
	}
	return nil
}

// carryOn works on an operation for a slice of time, if it is still free.
func (s *Service) carryOn(ctx context.Context, o OperationRecord) error {
	mine, err := s.ledger.TakeOperation(ctx, o.ID, o.Attempt, s.cfg.Lease)
	o.Attempt++
	if errors.Is(err, ErrOutcomeUnknown) {
		s.walks.hold(o.ID, o.Attempt)
	}
	if err != nil || !mine {
		return err
	}
	wait, err := s.walk(ctx, &o)
	if err == nil && o.Walked {
		wait, err = s.conclude(ctx, &o)
	}
	if errors.Is(err, ErrOperationOver) {
		s.log.InfoContext(ctx, "operation is over or taken up elsewhere", "operation", o.ID)
		return nil
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	state, err2 := s.ledger.SaveOperation(end, o, wait)
	switch {
	case errors.Is(err2, ErrOperationOver):
		return err
	case err2 != nil:
		s.walks.hold(o.ID, o.Attempt)
	case state == OperationDone:
		s.log.InfoContext(ctx, "operation done", "operation", o.ID, "action", o.Action, "owner", o.Owner, "changed", o.Changed, "unchanged", o.Unchanged, "failed", o.Failed)
	}
	return errors.Join(err, err2)
}

// walk goes from key to key until the slice is over, all were reached, or it is
// held up; it returns how long to wait then. It leaves o as the ledger has it,
// or further.
func (s *Service) walk(ctx context.Context, o *OperationRecord) (wait time.Duration, err error) {
	for until := time.Now().Add(sliceTime); !o.Walked; {
		page, made, last, err := s.nextKeys(ctx, o)
		if err != nil {
			return 0, err
		}
		for batch := range slices.Chunk(page, keysABatch) {
			if ctx.Err() != nil || time.Now().After(until) {
				return 0, nil
			}
			next, err := s.deal(ctx, *o, batch, made)
			if err != nil {
				return s.heldUp(ctx, o, err)
			}
			*o = next
			state, err := s.ledger.SaveOperation(ctx, *o, s.cfg.Lease)
			if err != nil {
				return 0, err
			}
			if state != OperationRunning {
				return 0, ErrOperationOver
			}
		}
		o.Cursor = last
		o.Walked = last.Kind == ""
	}
	return 0, nil
}

// nextKeys reads the next keys that are part of the operation, the ids of those
// that have a change under it already, and the cursor behind all that was read:
// the zero cursor when there is no more.
func (s *Service) nextKeys(ctx context.Context, o *OperationRecord) (page []Record, made []string, last OperationCursor, err error) {
	kinds := kindsOf(o.Actor)
	at := o.Cursor
	if at.Kind == "" {
		at.Kind = kinds[0]
	}
	page, _, err = s.ledger.Keys(ctx, Query{Owners: o.Actor.Owners, Owner: o.Owner, Kind: at.Kind, After: at.After, Sort: SortCreatedAt, Limit: limits.PageSize, Now: s.now()})
	if err != nil {
		return nil, nil, last, err
	}
	if n := len(page); n == limits.PageSize {
		p := PositionOf(page[n-1], SortCreatedAt)
		last = OperationCursor{at.Kind, &p}
	} else if i := slices.Index(kinds, at.Kind) + 1; i < len(kinds) {
		last.Kind = kinds[i]
	}
	if made, err = s.ledger.ChangesUnder(ctx, o.ID, idsOf(page)); err != nil {
		return nil, nil, last, err
	}
	page = slices.DeleteFunc(page, func(r Record) bool {
		return !slices.Contains(made, r.ID) && (r.RevokedAt != nil || !visible(o.Actor, r.Definition))
	})
	return page, made, last, nil
}

func idsOf(records []Record) []string {
	out := make([]string, len(records))
	for i, r := range records {
		out[i] = r.ID
	}
	return out
}

// heldUp decides how long an operation waits whose next keys could not be
// decided. Only what Hydra does not take although it is ready counts as a try.
func (s *Service) heldUp(ctx context.Context, o *OperationRecord, cause error) (time.Duration, error) {
	switch {
	case errors.Is(cause, ErrOperationOver):
		return 0, cause
	case ctx.Err() != nil:
		return 0, nil
	case s.clients.Ready(ctx) != nil:
		return waitForHydra, nil
	}
	o.Tries++
	wait := min(time.Second<<min(o.Tries-1, 5), 30*time.Second)
	s.log.WarnContext(ctx, "operation is held up", "operation", o.ID, "try", o.Tries, "error", cause)
	return wait, nil
}

// conclude ends an operation that has reached every key, once Hydra has
// followed in all of them.
func (s *Service) conclude(ctx context.Context, o *OperationRecord) (wait time.Duration, err error) {
	now, err := s.ledger.Operation(ctx, o.ID, View{})
	if err != nil || now.Waiting > 0 {
		return waitForHydra, err
	}
	if wait, done, err := s.reachSuccessors(ctx, o); err != nil || !done {
		return wait, err
	}
	at := s.now()
	o.State, o.FinishedAt = OperationDone, &at
	if o.Action == ActionEnable {
		return 0, nil
	}
	o.AccessEndsAt = latest(&AccessEnds{&at, &at}, o.Ends)
	if o.Unmeasured {
		introspected := at
		if o.Action == ActionDisable {
			introspected = at.Add(sweepAfter)
		}
		offline := later(later(introspected, at.Add(time.Duration(o.Lifetime))), o.TokensEndBy)
		o.AccessEndsAt = latest(o.AccessEndsAt, &AccessEnds{&introspected, &offline})
	}
	return 0, nil
}
