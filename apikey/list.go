package apikey

import (
	"cmp"
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	defaultPage   = 50
	maxUnusedDays = 3650
)

// List implements [API].
func (s *Service) List(ctx context.Context, p ListParams) (Page[Key], error) {
	c, err := s.allow(ctx, KeysRead)
	if err != nil {
		return Page[Key]{}, err
	}
	q, err := s.query(p, c)
	if err != nil {
		return Page[Key]{}, err
	}
	limit := q.Limit
	q.Limit++ // one more tells whether there is a next page
	find := s.ledger.Keys
	if q.Kind == KindManagement && len(c.Owners) > 0 {
		find = func(ctx context.Context, q Query) ([]Record, int, error) { return s.reachable(ctx, q, c) }
	}
	records, count, err := find(ctx, q)
	if err != nil {
		return Page[Key]{}, err
	}
	page := Page[Key]{Data: make([]Key, 0, min(len(records), limit))}
	for _, r := range records[:min(len(records), limit)] {
		page.Data = append(page.Data, r.Key(q.Now))
	}
	if len(records) > limit {
		page.NextCursor = s.derive.cursor(PositionOf(records[limit-1], q.Sort), cursorBinding(p, c))
	}
	if p.Count {
		page.Count = &count
	}
	return page, nil
}

// reachable finds the management keys that exist for a caller bound to owners:
// one owned by them may itself reach further. There are few, so they are looked
// at one by one.
func (s *Service) reachable(ctx context.Context, q Query, c Caller) (page []Record, count int, err error) {
	all := q
	all.After = nil
	err = s.look(ctx, q, func(r Record) bool {
		if visible(c, r.Definition) {
			page = append(page, r)
		}
		return len(page) < q.Limit
	})
	if err != nil || !q.Count {
		return page, -1, err
	}
	err = s.look(ctx, all, func(r Record) bool {
		if visible(c, r.Definition) {
			count++
		}
		return true
	})
	return page, count, err
}

// look shows the keys of a list one after the other, while more says so.
func (s *Service) look(ctx context.Context, q Query, more func(Record) bool) error {
	q.Limit, q.Count = limits.PageSize, false
	for {
		records, _, err := s.ledger.Keys(ctx, q)
		if err != nil {
			return err
		}
		for _, r := range records {
			if !more(r) {
				return nil
			}
		}
		if len(records) < q.Limit {
			return nil
		}
		after := PositionOf(records[len(records)-1], q.Sort)
		q.After = &after
	}
}

// query turns the parameters into what the ledger understands.
func (s *Service) query(p ListParams, c Caller) (Query, error) {
	v := &validation{}
	q := Query{Owners: c.Owners, Owner: p.Owner, Kind: cmp.Or(p.Kind, KindAPI), Status: p.Status, Environment: p.Environment,
		AuthMethod: p.AuthMethod, Scope: p.Scope, RootID: p.RootID, Now: s.now(), Count: p.Count, CountMost: p.CountMost}
	oneOf(v, "?kind", q.Kind, KindAPI, KindManagement)
	oneOf(v, "?status", q.Status, "", StatusActive, StatusDisabled, StatusExpired, StatusRevoked)
	oneOf(v, "?environment", q.Environment, "", Live, Test)
	oneOf(v, "?auth_method", q.AuthMethod, "", ClientSecretBasic, ClientSecretPost, PrivateKeyJWT)
	if q.Kind == KindManagement && !c.May(Admin) {
		return q, fail(ErrForbidden, "to see management keys needs the right "+string(Admin))
	}
	order := "-" + string(SortCreatedAt)
	if p.LastUsedBefore != nil || p.UnusedScopes != 0 { // which old keys have, so that newest first would look at all others
		order = string(SortLastUsedAt)
	}
	sort, down := strings.CutPrefix(cmp.Or(p.Sort, order), "-")
	q.Sort, q.Descending = SortField(sort), down
	oneOf(v, "?sort", q.Sort, SortCreatedAt, SortUpdatedAt, SortExpiresAt, SortName, SortLastUsedAt)
	if p.Label != "" {
		var found bool
		if q.LabelKey, q.LabelValue, found = strings.Cut(p.Label, ":"); !found || q.LabelKey == "" {
			v.add("?label", "invalid", "must be name:value", "")
		}
	}
	if p.ExpiresBefore != nil {
		q.ExpiresBefore = p.ExpiresBefore.UTC()
	}
	unused(v, &q, p)
	search(v, &q, p.Q)
	q.Limit = pageSize(v, p.Limit)
	if p.Cursor != "" {
		after, ok := s.derive.position(p.Cursor, cursorBinding(p, c))
		if !ok {
			v.add("?cursor", "invalid", "is not a cursor of this list", "start again without it; a cursor goes with the filters, the order and the caller it was given to")
		}
		q.After = &after
	}
	for _, f := range []struct{ name, value string }{{"?owner", p.Owner}, {"?scope", p.Scope}, {"?label", p.Label}, {"?root_id", p.RootID}} {
		if len(f.value) > 512 {
			v.add(f.name, "too_long", "is longer than 512 bytes", "")
		}
	}
	return q, v.err()
}

// unused reads the filters by what was used. Counts are of whole seconds, so a
// part of one lies after all of them.
func unused(v *validation, q *Query, p ListParams) {
	if at := p.LastUsedBefore; at != nil {
		q.UnusedSince = at.UTC().Truncate(time.Second)
		if q.UnusedSince.Before(*at) {
			q.UnusedSince = q.UnusedSince.Add(time.Second)
		}
	}
	if p.UnusedScopes < 0 || p.UnusedScopes > maxUnusedDays {
		v.add("?unused_scopes", "out_of_range", "must be 1 to "+itoa(maxUnusedDays)+" days", "")
	} else if p.UnusedScopes > 0 {
		q.ScopeUnusedSince = q.Now.Add(-time.Duration(p.UnusedScopes) * 24 * time.Hour)
	}
}

// search reads q: the beginning of an id, or words.
func search(v *validation, q *Query, text string) {
	text = strings.TrimSpace(text)
	if len(text) > 200 {
		v.add("?q", "too_long", "is longer than 200 bytes", "")
		return
	}
	for _, env := range []Environment{Live, Test} {
		if strings.HasPrefix(text, "key_"+string(env)+"_") && ValidID(text) {
			q.IDPrefix = text
			return
		}
	}
	q.Words = SearchWords(text)
	if text != "" && len(q.Words) == 0 {
		v.add("?q", "invalid", "has no letters or digits to search for", "")
	}
}

func oneOf[T ~string](v *validation, pointer string, value T, allowed ...T) {
	if slices.Contains(allowed, value) {
		return
	}
	words := make([]string, 0, len(allowed))
	for _, a := range allowed {
		if a != "" {
			words = append(words, string(a))
		}
	}
	v.add(pointer, "invalid", "must be one of "+strings.Join(words, ", "), "")
}

func pageSize(v *validation, n int) int {
	if n < 0 || n > limits.PageSize {
		v.add("?limit", "out_of_range", "must be 1 to "+itoa(limits.PageSize), "")
	}
	return cmp.Or(n, defaultPage)
}

// cursorBinding is what a cursor goes with: it is refused elsewhere.
func cursorBinding(p ListParams, c Caller) string {
	p.Cursor, p.Limit, p.Count, p.CountMost = "", 0, false, 0
	raw, err := json.Marshal(struct {
		P      ListParams
		Owners []string
	}{p, c.Owners})
	if err != nil {
		return ""
	}
	return string(raw)
}

// cursor encodes a position, authenticated together with what it is bound to.
func (d deriver) cursor(p Position, binding string) string {
	raw, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	tag := mac(d.secrets[d.current], "cursor", string(raw), binding)[:16]
	return base64.RawURLEncoding.EncodeToString(append(tag, raw...))
}

func (d deriver) position(cursor, binding string) (Position, bool) {
	var p Position
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) < 16 || len(raw) > 1024 || base64.RawURLEncoding.EncodeToString(raw) != cursor {
		return p, false // also what the decoder overlooks: line ends, spare bits
	}
	for _, id := range d.order {
		if hmac.Equal(raw[:16], mac(d.secrets[id], "cursor", string(raw[16:]), binding)[:16]) {
			return p, json.Unmarshal(raw[16:], &p) == nil
		}
	}
	return p, false
}

// KeyEvents implements [API]. Events outlive the key's record.
func (s *Service) KeyEvents(ctx context.Context, id string, p PageParams) (Page[Event], error) {
	c, err := s.allow(ctx, AuditRead)
	if err != nil {
		return Page[Event]{}, err
	}
	key, known := s.record(ctx, c, id)
	if known != nil && !errors.Is(known, ErrNotFound) {
		return Page[Event]{}, known
	}
	v := &validation{}
	q := s.eventQuery(c, pageSize(v, p.Limit))
	q.KeyID, q.Descending = id, true
	if known == nil { // the caller sees the key, whatever its kind
		q.Kind = ""
	}
	if p.Cursor != "" {
		q.Before, err = strconv.ParseInt(p.Cursor, 10, 64)
		if err != nil || q.Before < 1 {
			v.add("?cursor", "invalid", "is not a cursor of this list", "start again without it")
		}
	}
	if err := v.err(); err != nil {
		return Page[Event]{}, err
	}
	page, err := s.events(ctx, q)
	for i := range page.Data {
		page.Data[i].KeyName = key.Name
	}
	if err == nil && known != nil && len(page.Data) == 0 && p.Cursor == "" {
		return page, known
	}
	return page, err
}

func (s *Service) eventQuery(c Caller, limit int) EventQuery {
	q := EventQuery{Owners: c.Owners, Limit: limit, Kind: KindAPI}
	if c.May(Admin) && len(c.Owners) == 0 { // who is bound may not see each of its owners' management keys
		q.Kind = ""
	}
	return q
}

func (s *Service) events(ctx context.Context, q EventQuery) (Page[Event], error) {
	limit := q.Limit
	q.Limit++
	list, err := s.ledger.Events(ctx, q)
	if err != nil {
		return Page[Event]{}, err
	}
	page := Page[Event]{Data: list[:min(len(list), limit):min(len(list), limit)]}
	if len(list) > limit {
		page.NextCursor = strconv.FormatInt(list[limit-1].ID, 10)
	}
	if page.Data == nil {
		page.Data = []Event{}
	}
	return page, nil
}
