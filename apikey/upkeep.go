package apikey

import (
	"slices"
	"time"
)

// upkeepAfter is the upkeep once the change is applied at at.
func upkeepAfter(before Record, ch Change, at time.Time) Upkeep {
	up := before.Upkeep
	target := ch.Target
	switch { // the client is not written
	case ch.Action == ActionRevokeTokens || ch.Action == ActionDelete:
		return up
	case ch.Action == ActionExpiring:
		up.ToldUntil, _ = before.untold(at)
		// What else has come since it was last looked is still to be done.
		up.DueAt = nextDue(target, up, before.DueAt.Add(-time.Second))
		return up
	case ch.Successor != nil:
		up.DueAt = at // it is, by the background work, once this is recorded
		return up
	}
	// Recovery does not open what an accepted change waits to close.
	up.Open = target.OpenAt(at) && !narrowedBeside(before, ch.Op)
	up.Op, up.Drifted = ch.Op, false
	switch {
	case ch.Action == ActionRevoke:
		up = Upkeep{Op: ch.Op, TokensEndBy: up.TokensEndBy, TokensEndedAt: up.TokensEndedAt, StatusIndex: up.StatusIndex}
	case rotatesAtOnce(before, ch):
		up.SweepAt = at.Add(sweepAfter)
	case up.Open && !before.Open && !before.sweepsCredential(at): // tokens from now on are wanted
		up.SweepAt = time.Time{}
	case !up.Open && closes(before, ch):
		up.SweepAt = at.Add(sweepAfter)
	case !at.Before(up.SweepAt):
		up.SweepAt = time.Time{} // this change is the second sweep
	}
	switch {
	case ch.Action == ActionRevoke:
	case ch.Attempt > 0: // who had the change before may have a request on its way
		up.ConfirmAt = at.Add(confirmAfter)
	case !at.Before(up.ConfirmAt):
		up.ConfirmAt = time.Time{} // this change writes the client anew
	}
	up.ToldUntil = toldAfter(before, ch, at)
	switch {
	case ch.Action == ActionLoseCredential:
		up.Unclaimed = ch.Op
	case ch.Action == ActionRotate:
		up.Unclaimed = ""
	}
	if before.ID != "" && before.Token != target.Token {
		up.TokensEndBy = later(up.TokensEndBy, at.Add(time.Duration(before.Token.Lifetime)))
	}
	up.DueAt = nextDue(target, up, at)
	return up
}

// credentialRecent is how long after a rotation began its second sweep may still
// be due, its recovery included.
const credentialRecent = 2 * time.Minute

// sweepsCredential reports whether the sweep that is due may be that of a
// rotation: it ends tokens that the credential before still got, and must come
// although the key was paused and is open again.
func (r Record) sweepsCredential(at time.Time) bool {
	return !r.SweepAt.IsZero() && (r.Unclaimed != "" || slices.ContainsFunc(credentialsOf(r.Definition, at), func(c credential) bool {
		return c.made.After(r.CreatedAt) && at.Sub(c.made) < credentialRecent
	}))
}

// narrowedBeside reports whether an accepted change other than op waits to end
// or pause the key.
func narrowedBeside(r Record, op string) bool {
	return slices.ContainsFunc(r.Pending, func(p PendingChange) bool { return p.Op != op && r.narrowedBy(p) })
}

// nextDue is the next moment when something must be done for the key: after at,
// but for a pause that is over and not yet taken back.
func nextDue(d Definition, up Upkeep, at time.Time) time.Time {
	if d.RevokedAt != nil {
		return time.Time{}
	}
	next := time.Time{}
	consider := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	ahead := func(t *time.Time) {
		if t != nil && t.After(at) {
			consider(*t)
		}
	}
	consider(up.SweepAt)
	consider(up.ConfirmAt)
	consider(nextNotice(d, up.ToldUntil))
	if d.DisabledUntil != nil {
		consider(*d.DisabledUntil)
	}
	ahead(d.ExpiresAt)
	ahead(d.EndsAt)
	for _, p := range d.PublicKeys {
		ahead(p.ExpiresAt)
	}
	return next
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
