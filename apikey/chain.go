package apikey

import (
	"context"
	"errors"
	"time"
)

// replaced reports whether the key has a successor and still works beside it.
func (r Record) replaced(now time.Time) bool {
	return r.ReplacedBy != nil && r.RevokedAt == nil && r.EndsAt != nil && !ended(r.end(), now)
}

// end is when the key ends by the clock; nil: never.
func (d Definition) end() *time.Time {
	if d.EndsAt != nil && (d.ExpiresAt == nil || d.EndsAt.Before(*d.ExpiresAt)) {
		return d.EndsAt
	}
	return d.ExpiresAt
}

// previousEndsAt is when the last credential before this key's own ends: that of
// its predecessor, or a public key that was replaced. Nil: none is left.
func (r Record) previousEndsAt(now time.Time) *time.Time {
	if r.RevokedAt != nil {
		return nil
	}
	var last *time.Time
	if p := r.Predecessor; p != nil && !p.Revoked && p.EndsAt.After(now) {
		last = &p.EndsAt
	}
	for _, p := range r.PublicKeys {
		if p.ReplacedAt == nil || p.ExpiresAt == nil || !p.live(now) || ended(r.end(), now) {
			continue
		}
		if end := earlier(p.ExpiresAt, r.end()); last == nil || end.After(*last) {
			last = end
		}
	}
	return last
}

// replacedPublicKeys reports whether a public key that a rotation replaced still
// authenticates.
func (d Definition) replacedPublicKeys(now time.Time) bool {
	for _, p := range d.PublicKeys {
		if p.ReplacedAt != nil && p.live(now) {
			return true
		}
	}
	return false
}

// maxOthers bounds the keys of one chain that an answer names.
const maxOthers = 20

// others are the keys of the same rotation chain that are active or disabled, as
// far as the caller sees them, newest first: whoever ends one key must know that
// the others go on.
func (s *Service) others(ctx context.Context, c Caller, d Definition) ([]Other, error) {
	if d.RootID == d.ID && d.ReplacedBy == nil {
		return []Other{}, nil // alone in its chain
	}
	now := s.now()
	records, _, err := s.ledger.Keys(ctx, Query{Owners: c.Owners, RootID: d.RootID, Sort: SortCreatedAt, Descending: true, Limit: limits.PageSize, Now: now})
	if err != nil {
		return nil, err
	}
	out := []Other{}
	for _, r := range records {
		status := r.StatusAt(now)
		if r.ID != d.ID && (status == StatusActive || status == StatusDisabled) && visible(c, r.Definition) && len(out) < maxOthers {
			out = append(out, Other{ID: r.ID, Name: r.Name, Status: status, EndsAt: r.end(), LastUsedAt: r.lastUsedAt()})
		}
	}
	return out, nil
}

// concerned are the others of the chain as they will be once the change is done.
func (s *Service) concerned(ctx context.Context, ch Change) ([]Other, error) {
	if ch.Successor == nil {
		return s.others(ctx, ch.Actor, ch.Target)
	}
	others, err := s.others(ctx, ch.Actor, *ch.Successor)
	for i := range others {
		if others[i].ID == ch.KeyID {
			others[i].EndsAt = ch.Target.end()
		}
	}
	return others, err
}

// successorGone reports whether the key that replaced this one has ended for
// good, so that this one may be rotated again. It cannot become untrue.
func (s *Service) successorGone(ctx context.Context, r Record) (bool, error) {
	if r.ReplacedBy == nil {
		return false, nil
	}
	next, err := s.ledger.Key(ctx, *r.ReplacedBy, View{})
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return err == nil && next.RevokedAt != nil, err
}
