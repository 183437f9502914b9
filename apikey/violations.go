package apikey

import (
	"context"
	"encoding/json"
	"time"
)

// maxLook is how many keys one call of [Service.PolicyViolations] looks at.
const maxLook = 2000

// EffectivePolicies are the rules that hold for one owner, with every default
// filled in.
type EffectivePolicies struct {
	Owner  string      `json:"owner" doc:"empty: the rules for owners without rules of their own"`
	Live   Policy      `json:"live"`
	Test   Policy      `json:"test"`
	Scopes []ScopeInfo `json:"scopes" doc:"the catalogue; empty: there is none, and any scope may be granted that the rules do not refuse"`
}

// PolicyViolationsParams select the keys to look at. Cursor comes from the page
// before.
type PolicyViolationsParams struct {
	Owner  string
	Limit  int
	Cursor string
}

// KeyViolations is a key that the rules of today would refuse, and why.
type KeyViolations struct {
	KeyID       string       `json:"key_id"`
	Name        string       `json:"name"`
	Owner       string       `json:"owner"`
	Environment Environment  `json:"environment" enum:"live,test"`
	Status      Status       `json:"status" enum:"active,disabled,expired"`
	Violations  []FieldError `json:"violations" doc:"pointers lead into the key"`
}

// check checks a key against the policy. had is the key before a patch, and then
// only what the patch changes is asked about; nil for a key that is looked at as
// it is. scopes and audiences are the lists as the request has them, because
// pointers lead there; nil: not in it.
func (p Policy) check(v *validation, had *Definition, d Definition, scopes, audiences []string, now time.Time) {
	old := Definition{}
	if had != nil {
		old = *had
	}
	p.checkList(v, "#/scopes", "scopes", scopes, old.Scopes, p.Scopes)
	p.checkList(v, "#/audiences", "audiences", audiences, old.Audiences, p.Audiences)
	if d.AuthMethod != old.AuthMethod {
		p.checkMethod(v, "#/auth_method", d.AuthMethod)
	}
	p.checkToken(v, old.Token, d.Token)
	p.checkEnd(v, had, d, now)
}

// Policies implements [API]. The owner defaults to the caller's only one.
func (s *Service) Policies(ctx context.Context, owner string) (EffectivePolicies, error) {
	c, err := s.allow(ctx, KeysRead)
	if err != nil {
		return EffectivePolicies{}, err
	}
	if owner == "" && len(c.Owners) == 1 {
		owner = c.Owners[0]
	}
	if owner, err = ruledOwner(c, owner); err != nil {
		return EffectivePolicies{}, err
	}
	out := EffectivePolicies{Owner: owner, Live: s.policyFor(owner, Live), Test: s.policyFor(owner, Test), Scopes: given(s.cfg.Policies.Scopes)}
	if out.Scopes == nil {
		out.Scopes = []ScopeInfo{}
	}
	return out, nil
}

// ruledOwner checks whose rules are asked for; "" is nobody's.
func ruledOwner(c Caller, owner string) (string, error) {
	v := &validation{}
	owner = v.text("?owner", owner, 0, limits.OwnerLength, "")
	if err := v.err(); err != nil {
		return "", err
	}
	if owner != "" && !c.Sees(owner) {
		return "", fail(ErrForbidden, "you may not see the rules of this owner")
	}
	return owner, nil
}

// PolicyViolations implements [API]. How many keys an owner has is no fault of
// any one of them, and is left out. What can no longer be used is, too: revoked
// keys, and replaced ones whose time is over.
func (s *Service) PolicyViolations(ctx context.Context, p PolicyViolationsParams) (Page[KeyViolations], error) {
	c, err := s.allow(ctx, KeysRead)
	if err != nil {
		return Page[KeyViolations]{}, err
	}
	if p.Owner, err = ruledOwner(c, p.Owner); err != nil {
		return Page[KeyViolations]{}, err
	}
	v := &validation{}
	limit, bound := pageSize(v, p.Limit), violationsBinding(p, c)
	q := Query{Owners: c.Owners, Owner: p.Owner, Kind: KindAPI, Sort: SortCreatedAt, Limit: limits.PageSize, Now: s.now()}
	if p.Cursor != "" {
		after, ok := s.derive.position(p.Cursor, bound)
		if !ok {
			v.add("?cursor", "invalid", "is not a cursor of this list", "start again without it; a cursor goes with the owner and the caller it was given to")
		}
		q.After = &after
	}
	if err := v.err(); err != nil {
		return Page[KeyViolations]{}, err
	}
	page := Page[KeyViolations]{Data: []KeyViolations{}}
	more, err := s.lookAt(ctx, q, func(r Record) bool {
		if found := s.violationsOf(r, q.Now); len(found) > 0 {
			page.Data = append(page.Data, KeyViolations{KeyID: r.ID, Name: r.Name, Owner: r.Owner, Environment: r.Environment, Status: r.StatusAt(q.Now), Violations: found})
		}
		return len(page.Data) < limit
	})
	if err != nil {
		return Page[KeyViolations]{}, err
	}
	if more != nil {
		page.NextCursor = s.derive.cursor(*more, bound)
	}
	return page, nil
}

// lookAt shows keys of a list, at most [maxLook], while want says so. It returns
// where to go on, nil at the end of the list.
func (s *Service) lookAt(ctx context.Context, q Query, want func(Record) bool) (*Position, error) {
	for range maxLook / limits.PageSize {
		records, _, err := s.ledger.Keys(ctx, q)
		if err != nil {
			return nil, err
		}
		for i, r := range records {
			at := PositionOf(r, q.Sort)
			q.After = &at
			if !want(r) && (i < len(records)-1 || len(records) == q.Limit) {
				return q.After, nil
			}
		}
		if len(records) < q.Limit {
			return nil, nil
		}
	}
	return q.After, nil
}

// violationsOf are the rules that refuse the key as it is.
func (s *Service) violationsOf(r Record, now time.Time) []FieldError {
	if r.RevokedAt != nil || ended(r.EndsAt, now) {
		return nil
	}
	v := &validation{}
	s.cfg.Policies.ruling(r.Definition).check(v, nil, r.Definition, r.Scopes, r.Audiences, now)
	return v.fields
}

// violationsBinding is what a cursor goes with.
func violationsBinding(p PolicyViolationsParams, c Caller) string {
	raw, err := json.Marshal([]any{"policy violations", p.Owner, c.Owners})
	if err != nil {
		return ""
	}
	return string(raw)
}
