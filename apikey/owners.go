package apikey

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"
)

// errNotPart: the key is no part of the operation: of another owner by now,
// revoked, deleted, or not the caller's to see.
var errNotPart = errors.New("not part of the operation")

// runningAtMost bounds the running operations of one owner with one action.
// Those that narrow have no bound: a revoke must not be refused because others
// run, and those that wait in line cost nothing.
const runningAtMost = 10

// DisableOwner implements [API].
func (s *Service) DisableOwner(ctx context.Context, owner string, p DisableOwnerParams) (Operation, error) {
	return s.operate(ctx, ownerCall{ActionDisable, owner, p, p.DryRun, p.IdempotencyKey}, func(v *validation, now time.Time) Order {
		return Order{Until: v.future("#/until", p.Until, now)}
	})
}

// EnableOwner implements [API].
func (s *Service) EnableOwner(ctx context.Context, owner string, p EnableOwnerParams) (Operation, error) {
	return s.operate(ctx, ownerCall{ActionEnable, owner, p, p.DryRun, p.IdempotencyKey}, func(*validation, time.Time) Order {
		return Order{All: p.All}
	})
}

// RevokeOwner implements [API].
func (s *Service) RevokeOwner(ctx context.Context, owner string, p RevokeOwnerParams) (Operation, error) {
	p.Reason = cmp.Or(p.Reason, Unspecified)
	return s.operate(ctx, ownerCall{ActionRevoke, owner, p, p.DryRun, p.IdempotencyKey}, func(v *validation, _ time.Time) Order {
		oneOf(v, "#/reason", p.Reason, KeyCompromise, Superseded, CessationOfOperation, PrivilegeWithdrawn, Unspecified)
		return Order{Reason: p.Reason, Description: v.text("#/description", p.Description, 0, maxDescription, "\n")}
	})
}

// RevokeOwnerTokens implements [API].
func (s *Service) RevokeOwnerTokens(ctx context.Context, owner string, p OwnerActionParams) (Operation, error) {
	return s.operate(ctx, ownerCall{ActionRevokeTokens, owner, p, p.DryRun, p.IdempotencyKey}, func(*validation, time.Time) Order { return Order{} })
}

// ownerCall is one call of an action on an owner.
type ownerCall struct {
	action Action
	owner  string
	body   any
	dryRun bool
	header string
}

// operate begins an operation, or shows what it would do.
func (s *Service) operate(ctx context.Context, q ownerCall, order func(*validation, time.Time) Order) (Operation, error) {
	c, err := s.allow(ctx, KeysWrite)
	if err != nil {
		return Operation{}, err
	}
	all, err := s.census(ctx, c, q.owner)
	if err != nil {
		return Operation{}, err
	}
	req := request{caller: c, name: "owner " + string(q.action), id: all.owner, body: q.body, header: q.header}
	if q.dryRun {
		req.header = "" // nothing is done that could be done twice
	}
	return once(ctx, s, req, s.repeatOperation, func(replay *Replay) (Operation, error) {
		v := &validation{}
		v.idempotencyKey(q.header)
		o := OperationRecord{Order: order(v, s.now()), Actor: c, Management: all.management, Operation: Operation{
			Owner: all.owner, Action: q.action, Total: all.keys, Failures: []KeyFailure{}, CreatedAt: s.now(), CreatedBy: c.Principal}}
		if err := v.err(); err != nil {
			return Operation{}, err
		}
		o.Order.Owner = all.owner
		if q.dryRun {
			return s.previewOperation(ctx, o)
		}
		return s.beginOperation(ctx, o, replay)
	})
}

// beginOperation stores a new operation; background work carries it on. What
// narrows never waits for what widens: it ends a running enable. What widens
// waits for what narrows, also when its caller sees less than the other's: or
// whoever holds a key of the owner could stop the disable that is on its way to
// that key.
func (s *Service) beginOperation(ctx context.Context, o OperationRecord, replay *Replay) (Operation, error) {
	o.ID, o.State = "op_"+strings.ToLower(rand.Text()), OperationRunning
	b := OperationBegin{Replay: replay}
	switch {
	case o.Action.Narrows():
		b.Ends = []Action{ActionEnable}
	case o.Action == ActionEnable:
		b.After, b.Most = []Action{ActionDisable, ActionRevoke}, runningAtMost
	default:
		b.Most = runningAtMost
	}
	if o.Action == ActionDisable { // or the older could set its until over the newer's
		o.Line = "disable " + o.Owner
	}
	if o.Action != ActionEnable {
		o.AccessEndsAt = &AccessEnds{}
	}
	b.Operation = o
	if err := s.ledger.BeginOperation(ctx, b); err != nil {
		if errors.Is(err, ErrOutcomeUnknown) {
			err = &Error{Kind: ErrUnavailable, Pending: true, RetryAfter: retryAfter, Detail: "the ledger did not answer; the operation may still begin", Cause: err}
		}
		return Operation{}, err
	}
	s.log.InfoContext(ctx, "operation begun", "operation", o.ID, "action", o.Action, "owner", o.Owner, "keys", o.Total, "by", o.CreatedBy, "request_id", o.Actor.RequestID)
	return o.Operation, nil
}

// repeatOperation answers a request again with its operation, as it is now.
func (s *Service) repeatOperation(ctx context.Context, q request, r Replay) (Operation, error) {
	o, err := s.operation(ctx, q.caller, r.Op)
	if errors.Is(err, ErrNotFound) {
		err = fail(ErrReplayExpired, "the operation is not kept any more")
	}
	return o.Operation, err
}

// census is what is known of an owner before anything is done.
type census struct {
	owner      string // as the ledger writes it
	keys       int    // that are not revoked
	management bool   // some are management keys
}

// census counts the keys of an owner that the caller sees. An owner without
// any, even revoked ones, does not exist.
func (s *Service) census(ctx context.Context, c Caller, owner string) (census, error) {
	v := &validation{}
	out := census{owner: v.text("", owner, 1, limits.OwnerLength, "")}
	if v.err() != nil {
		return out, noOperation()
	}
	q := Query{Owners: c.Owners, Owner: out.owner, Kind: KindAPI, Now: s.now(), Count: true}
	_, keys, err1 := s.ledger.Keys(ctx, q)
	q.Status = StatusRevoked
	_, revoked, err2 := s.ledger.Keys(ctx, q)
	if err := errors.Join(err1, err2); err != nil {
		return out, err
	}
	out.keys = keys - revoked
	if c.May(Admin) { // there are few
		err := s.look(ctx, Query{Owners: c.Owners, Owner: out.owner, Kind: KindManagement, Now: q.Now}, func(r Record) bool {
			if visible(c, r.Definition) {
				keys++
				out.management = true
				if r.RevokedAt == nil {
					out.keys++
				}
			}
			return true
		})
		if err != nil {
			return out, err
		}
	}
	if keys == 0 {
		return out, noOperation()
	}
	return out, nil
}

// previewOperation tells what an operation would do to each key now, from the ledger
// alone.
func (s *Service) previewOperation(ctx context.Context, o OperationRecord) (Operation, error) {
	o.State, o.DryRun, o.Total = OperationPreview, true, 0
	now, plan := s.now(), planFor(o.Action, o.Order, o.Actor)
	if o.Action != ActionEnable {
		o.AccessEndsAt = &AccessEnds{Introspected: &now, Offline: &now}
	}
	for _, kind := range kindsOf(o.Actor) {
		err := s.look(ctx, Query{Owners: o.Actor.Owners, Owner: o.Owner, Kind: kind, Now: now}, func(r Record) bool {
			target, unchanged, err := plan(r, true, now)
			if errors.Is(err, errNotPart) {
				return true
			}
			o.Total++
			o.count(r.ID, unchanged, err)
			if err == nil {
				after := r
				if !unchanged {
					after = Record{Definition: target, Upkeep: upkeepAfter(r, Change{Action: o.Action, Target: target}, now)}
				}
				o.AccessEndsAt = latest(o.AccessEndsAt, s.result(o.Action, after, false, nil).AccessEndsAt)
			}
			return true
		})
		if err != nil {
			return Operation{}, err
		}
	}
	return o.Operation, nil
}

// kindsOf are the kinds of keys that a caller may see, in the order in which an
// operation comes to them: management keys can do the most harm.
func kindsOf(c Caller) []Kind {
	if c.May(Admin) {
		return []Kind{KindManagement, KindAPI}
	}
	return []Kind{KindAPI}
}

// count notes how it went with one key.
func (o *Operation) count(id string, unchanged bool, err error) {
	o.Done++
	switch {
	case err != nil:
		o.Failed++
		if len(o.Failures) < failuresKept {
			o.Failures = append(o.Failures, KeyFailure{id, kindOf(err)})
		}
	case unchanged:
		o.Unchanged++
	default:
		o.Changed++
	}
	o.Total = max(o.Total, o.Done)
}

// latest is the later end of two, each way of verifying by itself; nil is none.
func latest(a, b *AccessEnds) *AccessEnds {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	last := func(a, b *time.Time) *time.Time {
		if a == nil || b != nil && b.After(*a) {
			return b
		}
		return a
	}
	return &AccessEnds{last(a.Introspected, b.Introspected), last(a.Offline, b.Offline)}
}

// kindOf is the kind of a failure, as a caller sees it.
func kindOf(err error) ErrorKind {
	if kind, ok := errors.AsType[ErrorKind](err); ok {
		return kind
	}
	return ErrInternal
}
