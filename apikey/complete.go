package apikey

import (
	"context"
	"time"
)

// CompleteRotation implements [API].
func (s *Service) CompleteRotation(ctx context.Context, id string, p ActionParams) (Result, error) {
	c, err := s.allow(ctx, KeysWrite)
	if err != nil {
		return Result{}, err
	}
	r, err := s.record(ctx, c, id)
	if err != nil {
		return Result{}, err
	}
	how := asked{body: p, header: p.IdempotencyKey, dryRun: p.DryRun, id: id}
	if r.replacedPublicKeys(s.now()) {
		return s.retire(ctx, c, r, how)
	}
	if !r.replaced(s.now()) && r.Replaces != nil && r.previousEndsAt(s.now()) != nil {
		id = *r.Replaces
	}
	return s.act(ctx, ActionCompleteRotation, id, how, nil)
}

// complete ends a replaced key before its deadline.
func (s *Service) complete(ctx context.Context, id string, c Caller) (outcome, error) {
	return s.change(ctx, intent{action: ActionCompleteRotation, id: id, actor: c, plan: planFor(ActionCompleteRotation, Order{}, c)})
}

// retire ends the public keys that a rotation replaced.
func (s *Service) retire(ctx context.Context, c Caller, r Record, how asked) (Result, error) {
	v := &validation{}
	if v.idempotencyKey(how.header); v.err() != nil {
		return Result{}, v.err()
	}
	plan := planRetire(c)
	others, err := s.others(ctx, c, r.Definition)
	if err != nil {
		return Result{}, err
	}
	if how.dryRun {
		_, _, err := plan(r, true, s.now())
		res := s.result(ActionRetirePublicKeys, r, false, others)
		res.DryRun = true
		return res, err
	}
	q := request{caller: c, name: string(ActionCompleteRotation), id: r.ID, body: how.body, header: how.header}
	return once(ctx, s, q, s.repeatResult, func(replay *Replay) (Result, error) {
		if replay != nil {
			replay.KeyID = r.ID
		}
		out, err := s.change(ctx, intent{action: ActionRetirePublicKeys, id: r.ID, replay: replay, others: others, actor: c, plan: plan})
		if err != nil {
			return Result{}, err
		}
		return s.result(ActionRetirePublicKeys, out.record, false, out.concerns(others)), nil
	})
}

func planRetire(c Caller) func(Record, bool, time.Time) (Definition, bool, error) {
	return func(r Record, found bool, now time.Time) (Definition, bool, error) {
		if err := standing(c, r, found); err != nil {
			return r.Definition, false, err
		}
		d, err := retired(r.Definition, now)
		return d, len(d.PublicKeys) == len(r.PublicKeys), err
	}
}

// retired is a definition without the public keys that a rotation replaced. One
// that works must be left.
func retired(d Definition, now time.Time) (Definition, error) {
	d.PublicKeys = withoutReplaced(d.PublicKeys)
	if len(d.LivePublicKeys(now)) == 0 {
		return d, fail(ErrLastCredential, "the public keys that replaced these have ended; add another first")
	}
	return d, nil
}
