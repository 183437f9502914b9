package apikey

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Disable implements [API].
func (s *Service) Disable(ctx context.Context, id string, p DisableParams) (Result, error) {
	return s.act(ctx, ActionDisable, id, asked{body: p, header: p.IdempotencyKey, dryRun: p.DryRun}, func(v *validation, now time.Time) Order {
		return Order{Until: v.future("#/until", p.Until, now)}
	})
}

// Enable implements [API].
func (s *Service) Enable(ctx context.Context, id string, p ActionParams) (Result, error) {
	return s.act(ctx, ActionEnable, id, asked{body: p, header: p.IdempotencyKey, dryRun: p.DryRun}, nil)
}

// Revoke implements [API].
func (s *Service) Revoke(ctx context.Context, id string, p RevokeParams) (Result, error) {
	if p.Reason == "" {
		p.Reason = Unspecified
	}
	return s.act(ctx, ActionRevoke, id, asked{body: p, header: p.IdempotencyKey, dryRun: p.DryRun}, func(v *validation, _ time.Time) Order {
		oneOf(v, "#/reason", p.Reason, KeyCompromise, Superseded, CessationOfOperation, PrivilegeWithdrawn, Unspecified)
		return Order{Reason: p.Reason, Description: v.text("#/description", p.Description, 0, maxDescription, "\n")}
	})
}

// RevokeTokens implements [API].
func (s *Service) RevokeTokens(ctx context.Context, id string, p ActionParams) (Result, error) {
	return s.act(ctx, ActionRevokeTokens, id, asked{body: p, header: p.IdempotencyKey, dryRun: p.DryRun}, nil)
}

// asked is how an action was asked for.
type asked struct {
	body   any
	header string // Idempotency-Key
	dryRun bool
	id     string // of the key in the request, if it may be another than the one acted on
}

// act runs one of the actions that answer with a [Result].
func (s *Service) act(ctx context.Context, a Action, id string, how asked, order func(*validation, time.Time) Order) (Result, error) {
	c, err := s.allow(ctx, KeysWrite)
	if err != nil {
		return Result{}, err
	}
	r, err := s.record(ctx, c, id)
	if err != nil {
		return Result{}, err
	}
	others, err := s.others(ctx, c, r.Definition)
	if err != nil {
		return Result{}, err
	}
	q := request{caller: c, name: string(a), id: cmp.Or(how.id, id), body: how.body, header: how.header}
	if how.dryRun { // nothing is kept of it
		q.header = ""
	}
	return once(ctx, s, q, s.repeatResult, func(replay *Replay) (Result, error) {
		v := &validation{}
		v.idempotencyKey(how.header)
		var o Order
		if order != nil {
			o = order(v, s.now())
		}
		if err := v.err(); err != nil {
			return Result{}, err
		}
		if how.dryRun {
			return s.preview(a, o, c, r, others)
		}
		if replay != nil {
			replay.KeyID = id
		}
		out, err := s.change(ctx, intent{action: a, id: id, order: o, replay: replay, others: others, actor: c, plan: planFor(a, o, c)})
		if err != nil {
			return Result{}, err
		}
		return s.result(a, out.record, out.pending, out.concerns(others)), nil
	})
}

// preview answers what an action would do to the key as it is now.
func (s *Service) preview(a Action, o Order, c Caller, r Record, others []Other) (Result, error) {
	now := s.now()
	target, unchanged, err := planFor(a, o, c)(r, true, now)
	if err != nil {
		return Result{}, err
	}
	after := r
	if !unchanged {
		after = Record{Definition: target, Upkeep: upkeepAfter(r, Change{Action: a, Target: target, At: now}, now)}
	}
	res := s.result(a, after, false, others)
	res.Key, res.DryRun = r.Key(now), true
	return res, nil
}

// planFor is what an action makes of a key. It is a function of what a queued
// change remembers, so that background work can carry it out as well.
func planFor(a Action, o Order, c Caller) func(Record, bool, time.Time) (Definition, bool, error) {
	return func(r Record, found bool, now time.Time) (d Definition, unchanged bool, err error) {
		d = r.Definition
		if o.Owner != "" && (!found || d.Owner != o.Owner || d.RevokedAt != nil || !visible(c, d)) {
			return d, false, errNotPart
		}
		over := d.RevokedAt != nil || a == ActionCompleteRotation && (d.ReplacedBy == nil || ended(d.end(), now))
		if (a == ActionRevoke || a == ActionCompleteRotation) && found && visible(c, d) && over {
			return d, true, nil
		}
		if err := standing(c, r, found); err != nil {
			return d, false, err
		}
		switch a {
		case ActionDisable:
			d, unchanged = disabled(d, o, now)
		case ActionEnable:
			if leaves(d, o) {
				return d, true, nil
			}
			if d.ReplacedBy != nil && ended(d.EndsAt, now) {
				return d, false, replacedBy(d)
			}
			if ended(d.end(), now) {
				return d, false, fail(ErrExpired, "the key has expired; set a later expires_at instead")
			}
			unchanged = d.DisabledAt == nil
			d = enabled(d, o, now)
		case ActionRevoke:
			d.RevokedAt, d.RevocationReason, d.RevocationDescription = &now, o.Reason, o.Description
		case ActionCompleteRotation:
			d.EndsAt = &now
		}
		return d, unchanged, nil
	}
}

// result shows the key after an action, and when access ends.
func (s *Service) result(a Action, r Record, pending bool, others []Other) Result {
	now := s.now()
	res := Result{Key: r.Key(now), Impact: Impact{Others: others}, Pending: pending}
	if a == ActionEnable || a == ActionCompleteRotation && r.ReplacedBy == nil {
		return res
	}
	res.AccessEndsAt = &AccessEnds{}
	if pending {
		return res
	}
	introspected := later(now, r.SweepAt)
	if a == ActionRetirePublicKeys { // Hydra does not tell tokens of one client apart
		introspected = later(now.Add(time.Duration(r.Token.Lifetime)), r.TokensEndBy)
	}
	offline := introspected
	if r.Token.Format == JWT {
		offline = later(offline, now.Add(time.Duration(r.Token.Lifetime)))
	}
	offline = later(offline, r.TokensEndBy)
	res.AccessEndsAt = &AccessEnds{Introspected: &introspected, Offline: &offline}
	return res
}

// repeatResult answers an action again. One that still waits for Hydra is
// pending again.
func (s *Service) repeatResult(ctx context.Context, q request, r Replay) (Result, error) {
	if r.Answer == nil {
		rec, err := s.record(ctx, q.caller, r.KeyID)
		if err != nil {
			return Result{}, err
		}
		others, err := s.others(ctx, q.caller, rec.Definition)
		return s.result(r.Action, rec, true, others), err
	}
	var res Result
	if err := json.Unmarshal(r.Answer, &res); err != nil {
		return Result{}, &Error{Kind: ErrInternal, Cause: err}
	}
	return res, nil
}

// Delete implements [API].
func (s *Service) Delete(ctx context.Context, id string) error {
	c, err := s.allow(ctx, KeysWrite)
	if err != nil {
		return err
	}
	if _, err := s.record(ctx, c, id); err != nil {
		return err
	}
	_, err = s.change(ctx, intent{action: ActionDelete, id: id, actor: c,
		plan: func(r Record, found bool, _ time.Time) (Definition, bool, error) {
			if err := standing(c, r, found); !errors.Is(err, ErrRevoked) {
				if err == nil {
					err = fail(ErrNotRevoked, "only a revoked key can be deleted; revoke it first")
				}
				return r.Definition, false, err
			}
			return r.Definition, false, nil
		}})
	return err
}
