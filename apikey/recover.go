package apikey

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Run does the background work until ctx ends: queued and interrupted changes,
// what is due by the clock, second looks, and pruning. Run it once per process;
// several processes on one ledger share the work. It returns when no work is
// under way.
func (s *Service) Run(ctx context.Context) {
	crew := newCrew()
	defer crew.all.Wait()
	crew.all.Go(func() { s.keepPruned(ctx) })
	crew.all.Go(func() { s.keepFlushed(ctx) })
	crew.all.Go(func() { s.keepVerifying(ctx) })
	if s.cfg.Hook {
		crew.all.Go(func() { s.keepKeys(ctx) })
		if s.cfg.Issuer != nil {
			crew.all.Go(func() { s.keepWatch(ctx) })
		}
	}
	heldUp := func(err error) {
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "background work is held up", "error", err)
		}
	}
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for {
		tasks, err := s.waiting(ctx)
		heldUp(err)
		crew.begin(ctx, tasks, heldUp)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keepPruned prunes every ten minutes.
func (s *Service) keepPruned(ctx context.Context) {
	var pruned time.Time
	for ctx.Err() == nil {
		if now := s.now(); now.Sub(pruned) >= 10*time.Minute {
			if err := s.Prune(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "pruning failed", "error", err)
			} else {
				pruned = now
			}
		}
		_ = pause(ctx, 10*turnEvery) // ends early with ctx
	}
}

// Prune erases what is kept for repeating answers once its day is over,
// finished changes after a week, and operations that ended 30 days ago. Old
// counts of tokens by hour become counts by day, and those of old days go.
func (s *Service) Prune(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return errors.Join(s.ledger.Prune(ctx, s.now().Add(-replaysKept), s.now().Add(-changesKept)),
		s.ledger.PruneOperations(ctx, s.now().Add(-operationsKept)), s.pruneUsage(ctx))
}

// Turn does all background work that is waiting now, and returns when it is
// done.
func (s *Service) Turn(ctx context.Context) error {
	flushed := s.flush(ctx)
	tasks, err := s.waiting(ctx)
	if err != nil {
		return errors.Join(flushed, err)
	}
	var mu sync.Mutex
	var errs []error
	crew := newCrew()
	crew.begin(ctx, tasks, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil && len(errs) < 3 {
			errs = append(errs, err)
		}
	})
	crew.all.Wait()
	s.verifyIfAsked(ctx)
	return errors.Join(append(errs, flushed)...)
}

// waiting lists the background work there is. While Hydra is not ready there is
// none but operations that narrow, and to tidy up, which is done at once: every
// other step needs Hydra.
func (s *Service) waiting(ctx context.Context) ([]task, error) {
	ctx, cancel := context.WithTimeout(ctx, finishTimeout)
	defer cancel()
	if err := s.tidy(ctx); err != nil {
		return nil, err
	}
	ready := s.clients.Ready(ctx) == nil
	tasks, err := s.operating(ctx, ready)
	if err != nil || !ready {
		return tasks, err
	}
	stale, err1 := s.ledger.Stale(ctx, turnBatch)
	queued, err2 := s.ledger.Queued(ctx, turnBatch)
	batch := turnBatch + s.later.count()
	due, err3 := s.ledger.Due(ctx, s.now(), batch)
	rechecks, err4 := s.ledger.Rechecks(ctx, s.now(), batch)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	for _, ch := range stale {
		tasks = append(tasks, task{ch.Op, func(ctx context.Context) error { return s.resume(ctx, ch) }})
	}
	for _, ch := range queued {
		tasks = append(tasks, task{ch.Op, func(ctx context.Context) error { return s.promote(ctx, ch) }})
	}
	for _, id := range due {
		tasks = s.unlessDeferred(tasks, task{id, func(ctx context.Context) error { return s.converge(ctx, id) }})
	}
	for _, ch := range rechecks {
		tasks = s.unlessDeferred(tasks, task{ch.Op, func(ctx context.Context) error { return s.recheck(ctx, ch) }})
	}
	return tasks, nil
}

// unlessDeferred adds a task that is not put off, and puts it off if it fails
// and not because Hydra is away.
func (s *Service) unlessDeferred(tasks []task, t task) []task {
	if s.later.waiting(t.name) {
		return tasks
	}
	return append(tasks, task{t.name, func(ctx context.Context) error {
		err := t.do(ctx)
		switch {
		case err == nil, errors.Is(err, ErrBusy), errors.Is(err, ErrNotFound):
			s.later.done(t.name)
		case s.clients.Ready(ctx) == nil:
			s.later.failed(t.name)
		}
		return err
	}})
}

// resume brings a change to its end whose process died or gave up. A create is
// undone, because its answer, with the secret, never left; a repetition with
// the same Idempotency-Key makes the same key again. Everything else is applied
// again: the requests are idempotent.
func (s *Service) resume(ctx context.Context, ch Change) error {
	since := time.Now()
	mine, err := s.ledger.Take(ctx, ch.Op, ch.Attempt, s.cfg.Lease)
	ch.Attempt++
	if errors.Is(err, ErrOutcomeUnknown) {
		s.leave(ch.Op, ch.Attempt)
	}
	if err != nil || !mine {
		return err
	}
	work, cancel := s.working(ctx, since)
	defer cancel()
	if ch.makesClient() {
		return s.resumeCreate(work, ch)
	}
	r, err := s.ledger.Key(work, ch.KeyID, View{})
	if err != nil {
		s.leave(ch.Op, ch.Attempt)
		return err
	}
	s.log.WarnContext(ctx, "interrupted change taken up", "key", ch.KeyID, "action", ch.Action, "change", ch.Op, "attempt", ch.Attempt)
	c := carriage{change: ch, before: r, recovering: true}
	if ch.Action == ActionRotate && ch.Target.AuthMethod.HasSecret() {
		return s.resumeRotation(work, c)
	}
	_, err = s.carry(work, c)
	return err
}

// resumeRotation brings a rotation in place to its end whose secret is lost: if
// Hydra took it, the secret before it no longer works, and nobody was told the
// new one but who repeats the request with its Idempotency-Key.
func (s *Service) resumeRotation(ctx context.Context, c carriage) error {
	at := s.now()
	state, err := s.clients.State(ctx, c.change.KeyID)
	landed := err == nil && state.Op == c.change.Op
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	if err != nil || !landed {
		return s.giveUp(ctx, c.change, err)
	}
	up := upkeepAfter(c.before, c.change, at)
	up.Unclaimed = c.change.Op
	if err := s.sweep(ctx, c, &up, at); err != nil {
		return s.giveUp(ctx, c.change, err)
	}
	_, err = s.finish(ctx, c, up, at)
	return err
}

// giveUp ends an attempt: for good, with a second look later, or, after an
// error, so that the next one comes soon.
func (s *Service) giveUp(ctx context.Context, ch Change, err1 error) error {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	var err2 error
	if err1 != nil {
		err2 = s.ledger.Release(end, ch.Op, ch.Attempt, time.Second)
	} else {
		s.log.WarnContext(ctx, "interrupted change given up", "key", ch.KeyID, "action", ch.Action, "change", ch.Op)
		err2 = s.ledger.Abandon(end, ch.Op, ch.Attempt, s.now().Add(confirmAfter))
	}
	if err2 != nil {
		s.leave(ch.Op, ch.Attempt)
	}
	return errors.Join(err1, err2)
}

// resumeCreate undoes a create, or a rotation that makes a successor, and gives
// it up.
func (s *Service) resumeCreate(ctx context.Context, ch Change) error {
	return s.giveUp(ctx, ch, s.undoCreate(ctx, ch))
}

// undoCreate removes the client that this very change made, and no other.
func (s *Service) undoCreate(ctx context.Context, ch Change) error {
	id := ch.clientID()
	state, err := s.clients.State(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case state.Ledger != s.ledger.Installation() || state.Op != ch.Op:
		return nil
	}
	return s.clients.Delete(ctx, id)
}

// promote begins a queued change whose key has become free.
func (s *Service) promote(ctx context.Context, ch Change) error {
	in := intent{action: ch.Action, id: ch.KeyID, order: ch.Order, actor: ch.Actor}
	// Its rights were asked when it was accepted; the owner may have changed since.
	in.actor.Rights, in.actor.Owners = []Right{Admin}, nil
	seen, err := s.ledger.Key(ctx, ch.KeyID, View{})
	if err == nil {
		in.others, err = s.others(ctx, ch.Actor, seen.Definition)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	var refused error
	in.plan = func(r Record, found bool, now time.Time) (d Definition, unchanged bool, err error) {
		d, unchanged, refused = planFor(ch.Action, ch.Order, in.actor)(r, found, now)
		return d, unchanged, refused
	}
	since := time.Now()
	begun, err := s.ledger.Promote(ctx, ch.Op, s.cfg.Lease, s.planOf(in))
	switch {
	case refused != nil: // ended meanwhile: nothing is left to narrow
		return s.ledger.Abandon(ctx, ch.Op, 0, time.Time{})
	case errors.Is(err, ErrOutcomeUnknown):
		s.leave(ch.Op, 0)
		return err
	case err != nil || begun.Unchanged: // also when its request was faster
		return err
	}
	work, cancel := s.working(ctx, since)
	defer cancel()
	_, err = s.carry(work, carriage{change: begun.Change, before: begun.Record, recovering: true})
	return err
}

// recheck looks once more after a change that was given up while one of its
// requests may have been on its way, and undoes what that request did.
func (s *Service) recheck(ctx context.Context, ch Change) error {
	work, cancel := context.WithTimeout(ctx, s.cfg.ChangeTimeout)
	defer cancel()
	seen, err := s.ledger.Key(work, ch.clientID(), View{}) // before the client: what is written since is newer
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	state, err := s.clients.State(work, ch.clientID())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if err == nil && state.Ledger == s.ledger.Installation() && state.Op == ch.Op {
		s.log.WarnContext(ctx, "a request arrived late; undoing it", "key", ch.KeyID, "action", ch.Action, "change", ch.Op)
		if err := s.undoLate(work, ch, seen); err != nil {
			return err
		}
	}
	return s.ledger.Rechecked(work, ch.Op)
}
