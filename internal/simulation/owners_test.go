package simulation

import (
	"context"
	"fmt"
	"slices"

	"github.com/tokenos/tokenos/apikey"
)

// ownerOperation is an action on every key of an owner, as far as its caller knows.
type ownerOperation struct {
	q  *request
	id string // "": the answer was lost
}

// everything asks for an action on every key of an owner.
func (s *simulation) everything() {
	owner := s.owners[s.rand.IntN(len(s.owners))]
	q := &request{does: []string{doDisable, doDisable, doDisable, doEnable, doEnable, doEnable, doTokens, doRevoke}[s.rand.IntN(8)],
		by: s.who(owner), owner: owner, header: s.header(100), dryRun: s.chance(15), all: s.chance(30), since: s.place.now(), waits: true}
	if q.does == doDisable && s.chance(60) {
		q.until = s.ahead()
	}
	ctx, cancel := s.as(q.by, s.patient(nil))
	defer cancel()
	op, err := q.askOwner(ctx, s.replica().Service)
	a := answer{err: err}
	s.tally.answers["owner: "+a.kind()]++
	mine := func(k *subject) bool { return k.owner == owner }
	there := func(k *subject) bool { return mine(k) && !k.some(func(f facts) bool { return f.gone }) }
	switch some := slices.ContainsFunc(s.subjects, there); {
	case a.refused():
		if kind := kindOf(err); !busy(kind) && (kind != apikey.ErrNotFound || some) {
			s.fail(nil, "%s was answered %v", q, err)
		}
		return
	case err == nil && (op.Owner != owner || q.dryRun != (op.State == apikey.OperationPreview) || op.Failed+op.Changed+op.Unchanged != op.Done):
		s.fail(nil, "%s was answered %+v", q, op)
	}
	if s.noSecret("operation", op); q.dryRun {
		return
	}
	s.operations = append(s.operations, &ownerOperation{q, op.ID})
	for _, k := range s.living() {
		if mine(k) {
			k.note(fmt.Sprintf("step %d, %d: %s: %s", s.step, q.since, q, a.kind()))
			k.reach(q, a.err != nil || q.does == doEnable) // which a newer disable or revoke ends
		}
	}
}

// askOwner makes the request of a service.
func (q *request) askOwner(ctx context.Context, s apikey.API) (apikey.Operation, error) {
	switch q.does {
	case doDisable:
		p := apikey.DisableOwnerParams{DryRun: q.dryRun, IdempotencyKey: q.header}
		if q.until != 0 {
			p.Until = moment(q.until)
		}
		return s.DisableOwner(ctx, q.owner, p)
	case doEnable:
		return s.EnableOwner(ctx, q.owner, apikey.EnableOwnerParams{All: q.all, DryRun: q.dryRun, IdempotencyKey: q.header})
	case doRevoke:
		return s.RevokeOwner(ctx, q.owner, apikey.RevokeOwnerParams{Reason: apikey.Superseded, DryRun: q.dryRun, IdempotencyKey: q.header})
	}
	return s.RevokeOwnerTokens(ctx, q.owner, apikey.OwnerActionParams{DryRun: q.dryRun, IdempotencyKey: q.header})
}

// reach notes that an operation will come to the key, or may.
func (k *subject) reach(q *request, maybe bool) {
	var more []facts
	for _, f := range k.possible {
		if maybe {
			more = append(more, f)
		}
		f.ops = append(slices.Clone(f.ops), q)
		more = append(more, f)
	}
	k.possible = distinct(more)
	for i := range k.tokens {
		k.tokens[i].doomed = k.tokens[i].doomed || !maybe && q.does == doTokens
	}
}

// mayReach notes of a key that was not known before what operations may do to it.
func (s *simulation) mayReach(k *subject) {
	for _, o := range s.operations {
		if o.q.owner == k.owner {
			k.reach(o.q, true)
		}
	}
}

// operating reports whether an operation on the owner may not be over.
func (s *simulation) operating(owner string) bool {
	return slices.ContainsFunc(s.operations, func(o *ownerOperation) bool { return o.q.owner == owner })
}

// learnOperations repeats the requests whose answer was lost.
func (s *simulation) learnOperations(ctx context.Context) {
	for _, o := range s.operations {
		s.place.await("the operation is known", func() bool {
			if o.id != "" {
				return true
			}
			op, err := o.q.askOwner(apikey.WithCaller(ctx, o.q.by.caller), s.place.inspector)
			o.id = op.ID
			return err == nil || kindOf(err) == apikey.ErrBusy && o.q.does == doEnable // it never began, and may not
		})
	}
}

// running reports whether an operation is not over.
func (s *simulation) running(ctx context.Context) bool {
	return slices.ContainsFunc(s.operations, func(o *ownerOperation) bool {
		if o.id == "" {
			return false
		}
		op, err := s.place.inspector.Operation(ctx, o.id)
		s.must(err)
		return op.State == apikey.OperationRunning
	})
}

// decideOwn keeps the possibilities in which the pause of the key's own that no
// read shows is as the ledger has it.
func (k *subject) decideOwn(own, now int64) {
	if passed(own, now) {
		own = 0
	}
	k.possible = slices.DeleteFunc(k.possible, func(f facts) bool { return f.withOwner && !f.revoked && f.own != own && !passed(f.own, now) })
}

// inheritOwn gives a successor the pause of its own that no read shows: the key
// before it had it.
func (s *simulation) inheritOwn(k *subject) {
	if !k.possible[0].withOwner || s.weather.ledgerDown {
		return
	}
	ctx, cancel := s.calmly()
	defer cancel()
	s.must(insist(func() error {
		r, err := s.place.replicas[0].Ledger.Key(ctx, k.id, apikey.View{})
		k.possible[0].own = unix(r.OwnDisabledUntil)
		return err
	}))
}

// endOperations notes that all are over.
func (s *simulation) endOperations() {
	s.operations = nil
	for _, k := range s.living() {
		for i := range k.tokens {
			k.tokens[i].ended = k.tokens[i].ended || k.tokens[i].doomed
		}
	}
}
