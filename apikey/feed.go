package apikey

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// maxPrincipal bounds the principal that a feed is narrowed by.
const maxPrincipal = 300

// Events implements [API].
func (s *Service) Events(ctx context.Context, p FeedParams) (Page[Event], error) {
	c, err := s.allow(ctx, AuditRead)
	if err != nil {
		return Page[Event]{}, err
	}
	v := &validation{}
	q := s.eventQuery(c, pageSize(v, p.Limit))
	q.narrow(v, p)
	if err := v.err(); err != nil {
		return Page[Event]{}, err
	}
	limit := q.Limit
	q.Limit++ // to know whether there is more
	found, err := s.ledger.FindEvents(ctx, q)
	if err != nil {
		return Page[Event]{}, err
	}
	page := Page[Event]{Data: append([]Event{}, found.Events[:min(len(found.Events), limit)]...)}
	if err := s.nameKeys(ctx, page.Data, View{Owners: c.Owners}); err != nil {
		return Page[Event]{}, err
	}
	seen := found.Seen
	if len(found.Events) > limit {
		seen = page.Data[limit-1].ID
	}
	if !p.Newest || found.More || len(found.Events) > limit {
		page.NextCursor = strconv.FormatInt(seen, 10)
	}
	return page, nil
}

// nameKeys fills in what the keys of the events are called now. An event that
// the caller sees may be of a key that has gone to an owner whose keys it does not
// see, so the view is applied once more.
func (s *Service) nameKeys(ctx context.Context, events []Event, v View) error {
	var ids []string
	for _, e := range events {
		ids = append(ids, e.KeyID)
	}
	slices.Sort(ids)
	names, err := s.ledger.KeyNames(ctx, slices.Compact(ids), v)
	if err != nil {
		return err
	}
	for i := range events {
		events[i].KeyName = names[events[i].KeyID]
	}
	return nil
}

// narrow takes what a caller asks for into the query.
func (q *EventQuery) narrow(v *validation, p FeedParams) {
	if p.After < 0 {
		v.add("?after", "invalid", "must be the id of an event, or 0", "")
	}
	if p.Before < 0 {
		v.add("?before", "invalid", "must be the id of an event, or 0", "")
	}
	if p.Action != "" && !slices.Contains(EventActions, p.Action) {
		v.add("?action", "invalid", "is no action that events tell of", "docs/api.md lists them")
	}
	if p.KeyID != "" && !ValidID(p.KeyID) {
		v.add("?key_id", "invalid", "is not the id of a key", "")
	}
	if len(p.Principal) > maxPrincipal {
		v.add("?principal", "too_long", "must be at most "+itoa(maxPrincipal)+" bytes", "")
	}
	q.After, q.Before, q.Descending, q.Action, q.KeyID, q.Principal = p.After, p.Before, p.Newest, p.Action, p.KeyID, p.Principal
	if p.Since != nil {
		q.Since = p.Since.UTC().Truncate(time.Second)
	}
}
