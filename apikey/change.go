package apikey

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// intent is a change as an operation wants it.
type intent struct {
	action Action
	id     string
	order  Order
	secret Secret  // for create and rotation
	proof  *Proof  // for rotation: is filled in
	replay *Replay // nil without an Idempotency-Key
	others []Other // nil: to be looked up
	actor  Caller
	under  OperationHold
	// caughtUp: what the clock did to the key was looked after.
	caughtUp bool
	// plan makes the new definition of the old one; unchanged: there is nothing
	// to do. It must set everything but Revision and UpdatedAt.
	plan func(r Record, found bool, now time.Time) (target Definition, unchanged bool, err error)
	// successor is what plan last made beside its target; nil: no plan does.
	successor func() *Definition
}

// outcome is how a change came out.
type outcome struct {
	record    Record
	successor *Record // of a rotation that made one
	rotation  Rotation
	others    []Other // nil: not looked up
	unchanged bool
	pending   bool
}

// shown is the key that the answer is about.
func (o outcome) shown() Record {
	if o.successor != nil {
		return *o.successor
	}
	return o.record
}

// concerns are the others of the chain, of which before is what was known when
// the request came.
func (o outcome) concerns(before []Other) []Other {
	if o.others == nil {
		return before
	}
	return o.others
}

// change runs an intent from T1 to T2. A caller that goes away does not stop it
// half way. Narrowing changes are accepted while Hydra is down.
func (s *Service) change(ctx context.Context, in intent) (outcome, error) {
	if !in.action.Narrows() && in.action != ActionDelete {
		if err := s.clients.Ready(ctx); err != nil {
			return outcome{}, unavailable("Hydra is not ready; nothing was changed", err)
		}
	}
	begun, since, err := s.begin(ctx, in)
	if errors.Is(err, errDueFirst) {
		if err := s.converge(ctx, in.id); err != nil {
			return outcome{}, err
		}
		in.caughtUp = true
		begun, since, err = s.begin(ctx, in)
	}
	if err != nil {
		return outcome{}, err
	}
	if begun.Unchanged {
		return outcome{record: begun.Record, unchanged: true}, nil
	}
	if begun.Change.State == ChangeQueued {
		begun, since, err = s.awaitTurn(ctx, begun, in)
		if err != nil || begun.Unchanged {
			return outcome{record: begun.Record, unchanged: begun.Unchanged}, err
		}
		if begun.Change.State == ChangeQueued {
			return accepted(begun.Record, begun.Change), nil
		}
	}
	work, cancel := s.working(ctx, since)
	defer cancel()
	return s.carry(work, carriage{change: begun.Change, before: begun.Record, secret: in.secret, proof: in.proof, others: in.others})
}

// working is the time for a change's calls. It is counted from before the lease
// began: a process that is stopped in between, for longer than its lease, must
// not send what another has done long ago.
func (s *Service) working(ctx context.Context, since time.Time) (context.Context, context.CancelFunc) {
	return context.WithDeadline(context.WithoutCancel(ctx), since.Add(s.cfg.ChangeTimeout))
}

// begin is T1. Another change of the same key is waited for, briefly. since is
// when the lease began, at the earliest.
func (s *Service) begin(ctx context.Context, in intent) (begun Begun, since time.Time, err error) {
	b := Begin{
		Change: Change{Op: rand.Text(), KeyID: in.id, Action: in.action, Order: in.order, At: s.now(), Actor: in.actor, Replay: in.replay},
		Lease:  s.cfg.Lease,
		Wait:   in.action.Narrows(),
		Plan:   s.planOf(in),

		Operation: in.under,
	}
	for until := time.Now().Add(busyWait); ; {
		since = time.Now()
		begun, err = s.ledger.Begin(ctx, b)
		if over, ok := errors.AsType[*QuotaError](err); ok {
			return begun, since, overQuota(over.Quota)
		}
		if !errors.Is(err, ErrBusy) {
			s.noteNarrowed(in, begun, err)
			return begun, since, s.unanswered(b.Change, err)
		}
		if time.Now().After(until) {
			return begun, since, &Error{Kind: ErrBusy, Detail: "another change of this key is under way", RetryAfter: retryAfter}
		}
		if err := pause(ctx, pollEvery); err != nil {
			return begun, since, err
		}
	}
}

// planOf wraps an operation's plan with what all have in common.
func (s *Service) planOf(in intent) Plan {
	return func(r Record, found bool) (Planned, error) {
		now := s.now()
		if found && !in.caughtUp && !in.action.Narrows() && in.actor.Principal != converger.Principal && overdue(r, now) {
			return Planned{}, errDueFirst
		}
		target, unchanged, err := in.plan(r, found, now)
		if err != nil {
			return Planned{}, err
		}
		if in.action.keepsDefinition() {
			return Planned{Target: r.Definition, Unchanged: unchanged}, nil
		}
		if unchanged {
			answer, err := s.answer(carriage{change: Change{Action: in.action}, before: r}, r, in.others)
			return Planned{Unchanged: true, Answer: answer}, err
		}
		target.Revision = r.Revision + 1
		target.UpdatedAt = now
		out := Planned{Target: target}
		if in.successor != nil {
			out.Successor = in.successor()
		}
		out.Quota = s.quotaFor(in.action, r, target, out.Successor)
		return out, nil
	}
}

// awaitTurn waits a while for a queued change's turn and begins it. It returns
// the change still queued when that takes too long: background work goes on.
func (s *Service) awaitTurn(ctx context.Context, b Begun, in intent) (begun Begun, since time.Time, err error) {
	for until := time.Now().Add(queueWait); time.Now().Before(until); {
		since = time.Now()
		next, err := s.ledger.Promote(ctx, b.Change.Op, s.cfg.Lease, s.planOf(in))
		switch {
		case err == nil:
			return next, since, nil
		case errors.Is(err, ErrNotFound): // somebody else was faster: report what became of it
			next, err := s.overtaken(ctx, b)
			if errors.Is(err, ErrUnavailable) { // what became of it is not known, but it was accepted
				return b, since, nil
			}
			if b = next; err != nil || b.Unchanged {
				return b, since, err
			}
		case errors.Is(err, ErrUnavailable): // it stands in line and counts
			s.leave(b.Change.Op, 0)
			return b, since, nil
		case !errors.Is(err, ErrBusy):
			return b, since, err
		}
		if pause(ctx, pollEvery) != nil {
			break
		}
	}
	return b, since, nil
}

// overtaken looks at a change that somebody else carries or has carried out.
func (s *Service) overtaken(ctx context.Context, b Begun) (Begun, error) {
	r, err := s.ledger.Key(ctx, b.Change.KeyID, View{})
	if err != nil {
		return b, err
	}
	b.Record = r
	for _, p := range r.Pending {
		if p.Op == b.Change.Op {
			return b, nil // still queued or begun: pending
		}
	}
	if b.Change.Action != ActionRevoke && r.RevokedAt != nil { // then it was given up
		return b, standing(b.Change.Actor, r, true)
	}
	b.Unchanged = true
	return b, nil
}

// carriage is a begun change on its way to T2.
type carriage struct {
	change     Change
	before     Record
	secret     Secret
	proof      *Proof  // of a rotation; nil in recovery
	others     []Other // nil: to be looked up
	recovering bool    // an earlier attempt may have reached Hydra
	late       string  // see [Service.arrived]; "": none
}

// carry calls Hydra and finishes, or undoes, a begun change.
func (s *Service) carry(ctx context.Context, c carriage) (outcome, error) {
	at := s.now()
	var up Upkeep
	var err error
	if c.late, err = s.arrived(ctx, c); err != nil {
		return s.fall(ctx, c, err)
	}
	up, err = s.apply(ctx, c, at)
	if errors.Is(err, ErrOutcomeUnknown) {
		up, err = s.lookUp(ctx, c, up, at, err)
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDrifted) {
		up, err = s.drifted(c, up)
	}
	if err == nil && c.proof != nil {
		err = s.prove(ctx, c)
	}
	if err != nil {
		return s.fall(ctx, c, err)
	}
	if up.SweepAt.After(c.before.SweepAt) { // counted from the end of the calls
		up.SweepAt = s.now().Add(sweepAfter)
		up.DueAt = nextDue(c.change.Target, up, at)
	}
	return s.finish(ctx, c, up, at)
}

// apply does at Hydra what the change asks for, with calls that may be
// repeated, and returns the upkeep that follows.
func (s *Service) apply(ctx context.Context, c carriage, at time.Time) (Upkeep, error) {
	ch := c.change
	up := upkeepAfter(c.before, ch, at)
	w := s.write(c, up, at)
	w.Late = func() {
		up.ConfirmAt = at.Add(confirmAfter)
		up.DueAt = nextDue(ch.Target, up, at)
	}
	switch ch.Action {
	case ActionDelete, ActionExpiring:
		return up, nil
	case ActionRevoke:
		return up, s.clients.Delete(ctx, ch.KeyID)
	case ActionRevokeTokens:
		err := s.clients.RevokeTokens(ctx, ch.KeyID)
		up.TokensEndedAt = s.now()
		return up, err
	case ActionCreate:
		err := s.createClient(ctx, w) // before up is read: it may call w.Late
		return up, err
	case ActionRotate:
		if ch.Successor != nil { // the old client is written after T2, when it is sure
			return up, s.createClient(ctx, s.writeSuccessor(c, at))
		}
	}
	if err := s.clients.Put(ctx, w); err != nil {
		return up, err
	}
	err := s.sweep(ctx, c, &up, at)
	return up, err
}

// sweep ends the outstanding tokens of a key that this change closes, or whose
// credential it ends, and once more a moment later: a token request in flight
// outlives the first sweep. It notes in up when that was.
func (s *Service) sweep(ctx context.Context, c carriage, up *Upkeep, at time.Time) error {
	first := rotatesAtOnce(c.before, c.change) || !up.Open && closes(c.before, c.change)
	open := c.before.Open || c.before.sweepsCredential(at)
	again := !c.before.SweepAt.IsZero() && (!up.Open || open && up.SweepAt.IsZero())
	if !first && !again {
		return nil
	}
	if err := s.clients.RevokeTokens(ctx, c.change.KeyID); err != nil {
		// Even if this was not sent: the client is written, so something was.
		return unavailable("Hydra did not end the tokens", fmt.Errorf("%w: %v", ErrOutcomeUnknown, err)) //nolint:errorlint // must not match ErrNotSent
	}
	up.TokensEndedAt = s.now()
	return nil
}

// closes reports whether the change takes an open key's tokens away, given that
// its target is closed.
func closes(before Record, ch Change) bool { return before.Open || ch.Action == ActionDisable }

func (s *Service) write(c carriage, up Upkeep, at time.Time) ClientWrite {
	return ClientWrite{Definition: c.change.Target, PublicKeys: c.change.Target.LivePublicKeys(at), Open: up.Open,
		Op: cmp.Or(c.late, c.change.Op), Ledger: s.ledger.Installation(), Secret: c.secret}
}

// createClient makes the client. One that exists already and carries our mark
// is what a request made that was given up; it is written anew.
func (s *Service) createClient(ctx context.Context, w ClientWrite) error {
	err := s.clients.Create(ctx, w)
	if !errors.Is(err, ErrClientExists) {
		return err
	}
	state, err := s.clients.State(ctx, w.Definition.ID)
	if err != nil {
		return err
	}
	if state.Ledger != w.Ledger {
		return &Error{Kind: ErrInternal, Detail: "Hydra has a client of this id that is not ours", Cause: ErrNotSent}
	}
	return s.clients.Put(ctx, w)
}
