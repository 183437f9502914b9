package apikey

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"time"
)

// lookUp finds out what became of calls whose answer was lost. On success the
// key is read back once more later, because a request that is still on its way
// may arrive after a newer one.
func (s *Service) lookUp(ctx context.Context, c carriage, up Upkeep, at time.Time, lost error) (Upkeep, error) {
	if c.change.Successor == nil { // else nothing of this key's was sent
		up.ConfirmAt = at.Add(confirmAfter)
		up.DueAt = nextDue(c.change.Target, up, at)
	}
	switch c.change.Action {
	case ActionRevoke: // idempotent: say it again, later
		return up, lost
	case ActionRevokeTokens:
		return up, lost
	}
	if c.late != "" { // its mark does not tell
		return up, lost
	}
	state, err := s.clients.State(ctx, c.change.clientID())
	switch {
	case err == nil && state.Op == c.change.Op:
		err := s.sweep(ctx, c, &up, at)
		return up, err
	case err == nil, errors.Is(err, ErrNotFound) && c.change.makesClient():
		return up, unavailable("Hydra did not take the change; nothing was changed", errLateArrival)
	case errors.Is(err, ErrNotFound):
		return up, err
	}
	return up, lost
}

// errLateArrival: the change did not land, but a request of it may still be on
// its way.
var errLateArrival = errors.Join(ErrNotSent, errors.New("may arrive late"))

// drifted decides about a change whose client is no longer in Hydra. What ends
// or pauses a key has nothing left to do; nothing else can be done.
func (s *Service) drifted(c carriage, up Upkeep) (Upkeep, error) {
	if !c.change.Action.Narrows() && c.change.Actor.Principal != converger.Principal {
		return up, &Error{Kind: ErrDrifted, Detail: "Hydra no longer has the client of this key; revoke the key and make another", Cause: ErrNotSent}
	}
	s.log.Error("client is missing in hydra", "key", c.change.KeyID)
	up.Open, up.Drifted, up.SweepAt, up.ConfirmAt = false, true, time.Time{}, time.Time{}
	up.DueAt = time.Time{}
	return up, nil
}

// fall ends a change that Hydra did not take: given up if it surely did not
// happen, else left to recovery. A narrowing change is never given up for an
// outage: it counts already.
func (s *Service) fall(ctx context.Context, c carriage, cause error) (outcome, error) {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	refused := errors.Is(cause, ErrNotSent)
	outage := errors.Is(cause, ErrUnavailable)
	switch {
	case c.change.Action.Narrows(), c.recovering && outage, !refused:
		wait := min(time.Second<<min(c.change.Attempt, 5), 30*time.Second)
		if err := s.ledger.Release(end, c.change.Op, c.change.Attempt, wait); err != nil {
			s.leave(c.change.Op, c.change.Attempt)
			s.log.ErrorContext(ctx, "change not released", "key", c.change.KeyID, "change", c.change.Op, "error", err)
		}
		s.log.WarnContext(ctx, "change is pending", "key", c.change.KeyID, "action", c.change.Action, "change", c.change.Op, "error", cause)
		if c.change.Action.Narrows() {
			return accepted(c.before, c.change), nil
		}
		return outcome{}, &Error{Kind: ErrUnavailable, Pending: true, RetryAfter: retryAfter,
			Detail: "Hydra's answer was lost; the change may still take effect", Cause: cause}
	}
	var recheck time.Time
	if errors.Is(cause, errLateArrival) || c.recovering {
		recheck = s.now().Add(confirmAfter)
	}
	err := s.ledger.Abandon(end, c.change.Op, c.change.Attempt, recheck)
	if errors.Is(err, ErrNotFound) { // our lease had ended, and another process has taken it up
		return outcome{}, &Error{Kind: ErrUnavailable, Pending: true, RetryAfter: retryAfter,
			Detail: "this took too long; the change may still take effect", Cause: cause}
	}
	if err != nil {
		s.left.add(c.change.Op, c.change.Attempt, true)
		s.log.ErrorContext(ctx, "change not abandoned", "key", c.change.KeyID, "change", c.change.Op, "error", err)
		if outage { // if this process ends now, recovery takes the change up
			return outcome{}, &Error{Kind: ErrUnavailable, Pending: true, RetryAfter: retryAfter,
				Detail: "neither Hydra nor the ledger answered; the change may still take effect", Cause: cause}
		}
	}
	if outage {
		return outcome{}, unavailable("Hydra cannot be reached; nothing was changed", cause)
	}
	s.log.ErrorContext(ctx, "hydra refused a change", "key", c.change.KeyID, "action", c.change.Action, "change", c.change.Op, "error", cause)
	return outcome{}, cause
}

// accepted is the outcome of a narrowing change that waits: the key as it still
// is, and the change among those that are pending.
func accepted(r Record, ch Change) outcome {
	if !slices.ContainsFunc(r.Pending, func(p PendingChange) bool { return p.Op == ch.Op }) {
		r.Pending = append(slices.Clone(r.Pending), PendingChange{ch.Op, ch.Action, ch.State})
	}
	return outcome{record: r, pending: true}
}

// finish is T2.
func (s *Service) finish(ctx context.Context, c carriage, up Upkeep, at time.Time) (outcome, error) {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	out := outcome{record: Record{Definition: c.change.Target, Upkeep: up, Predecessor: c.before.Predecessor, LastUsedAt: c.before.LastUsedAt, LastDenial: c.before.LastDenial}}
	f := Finish{Op: c.change.Op, Attempt: c.change.Attempt, Target: c.change.Target, Upkeep: up, Delete: c.change.Action == ActionDelete}
	if c.change.Action != ActionConverge {
		f.Event = eventOf(c.change, c.before, at)
	}
	if c.change.Successor != nil {
		f.Successor = bornOf(c.change, at)
		out.successor = &Record{Definition: f.Successor.Target, Upkeep: f.Successor.Upkeep, Predecessor: predecessorOf(c.change.Target)}
	}
	out.others = c.others
	var err error
	if len(out.others) == 0 { // or looked up before a rotation that this change waited for
		out.others, err = s.concerned(end, c.change)
	}
	if c.change.Action == ActionRotate {
		out.rotation = s.rotated(c, out.shown(), out.others)
	}
	if err == nil {
		f.Answer, err = s.answer(c, out.shown(), out.others)
	}
	if err == nil {
		err = s.ledger.Finish(end, f)
	}
	if errors.Is(err, ErrOutcomeUnknown) && s.recorded(ctx, c.change) {
		err = nil
	}
	if err != nil {
		// Recovery brings it to an end; it may have done so already.
		s.leave(c.change.Op, c.change.Attempt)
		s.log.WarnContext(ctx, "change not recorded", "key", c.change.KeyID, "action", c.change.Action, "change", c.change.Op, "error", err)
		if c.change.Action.Narrows() {
			return accepted(c.before, c.change), nil
		}
		return outcome{}, &Error{Kind: ErrUnavailable, Pending: true, RetryAfter: retryAfter,
			Detail: "the ledger did not answer; the change may still take effect", Cause: err}
	}
	s.remember(ctx, touchedBy(c.change)...)
	s.tell(ctx, f.Event)
	if f.Successor != nil {
		s.tell(ctx, &f.Successor.Event)
	}
	return out, nil
}

// recorded reports whether a T2 whose commit was not answered is in the ledger:
// then the change has its answer, and with it a new secret, which nobody else
// will ever know.
func (s *Service) recorded(ctx context.Context, ch Change) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	r, err := s.ledger.Key(ctx, ch.clientID(), View{})
	return err == nil && r.Op == ch.Op
}

// tell logs an event.
func (s *Service) tell(ctx context.Context, e *Event) {
	if e == nil {
		return
	}
	attrs := []slog.Attr{slog.String("action", string(e.Action)), slog.String("key", e.KeyID), slog.String("owner", e.Owner),
		slog.String("by", e.Principal), slog.String("request_id", e.RequestID), slog.Int64("revision", e.Revision)}
	switch e.Action {
	case ActionExpiring:
		attrs = append(attrs, slog.Any("expires_at", e.After["expires_at"]), slog.Any("expires_in_days", e.After["expires_in_days"]))
		s.log.LogAttrs(ctx, slog.LevelInfo, "key expiring", attrs...)
	case ActionExpire:
		s.log.LogAttrs(ctx, slog.LevelInfo, "key expired", attrs...)
	default:
		s.log.LogAttrs(ctx, slog.LevelInfo, "key changed", attrs...)
	}
}

// eventOf describes the change: the members that differ, before and after.
func eventOf(ch Change, r Record, at time.Time) *Event {
	t, before := ch.Target, r.Definition
	e := &Event{At: at, Action: ch.Action, KeyID: ch.KeyID, RootID: t.RootID, Owner: t.Owner, Kind: t.Kind, Revision: t.Revision,
		ChangeID: ch.Op, Principal: ch.Actor.Principal, Address: ch.Actor.Address, UserAgent: ch.Actor.UserAgent, RequestID: ch.Actor.RequestID,
		Before: map[string]any{}, After: map[string]any{}}
	if ch.Action == ActionDelete {
		e.Before["name"], e.Before["revoked_at"] = t.Name, t.RevokedAt
		return e
	}
	if ch.Action == ActionExpiring {
		_, days := r.untold(at)
		e.After["expires_at"], e.After["expires_in_days"] = t.ExpiresAt, days
		return e
	}
	was, is := members(before), members(t)
	for name := range was {
		if _, still := is[name]; !still {
			is[name] = nil // a member that is left out when it is zero
		}
	}
	for name, v := range is {
		if name == "revision" || name == "updated_at" || reflect.DeepEqual(was[name], v) {
			continue
		}
		e.After[name] = v
		if before.ID != "" {
			e.Before[name] = was[name]
		}
	}
	return e
}

// members shows a definition as JSON members.
func members(d Definition) map[string]any {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil
	}
	var m map[string]any
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// answer is what is kept of the answer to an action, for a repetition of the
// request: never a secret.
func (s *Service) answer(c carriage, r Record, others []Other) ([]byte, error) {
	var v any
	switch a := c.change.Action; a {
	case ActionCreate:
		v = r.Key(s.now())
	case ActionAddPublicKey:
		v = r.PublicKeys[len(r.PublicKeys)-1]
	case ActionRotate:
		v = s.rotated(c, r, others)
	case ActionDisable, ActionEnable, ActionRevoke, ActionRevokeTokens, ActionCompleteRotation, ActionRetirePublicKeys:
		v = s.result(a, r, false, others)
	default:
		return nil, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, &Error{Kind: ErrInternal, Cause: err}
	}
	return raw, nil
}

func unavailable(detail string, cause error) error {
	return &Error{Kind: ErrUnavailable, Detail: detail, RetryAfter: retryAfter, Cause: cause}
}
