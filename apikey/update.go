package apikey

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Update implements [API].
func (s *Service) Update(ctx context.Context, id string, p UpdateParams) (Updated, error) {
	c, err := s.allow(ctx, KeysWrite)
	if err != nil {
		return Updated{}, err
	}
	r, err := s.record(ctx, c, id)
	if err != nil {
		return Updated{}, err
	}
	if s.cfg.RequireIfMatch && p.IfMatch == 0 {
		return Updated{}, fail(ErrPreconditionRequired, "send If-Match with the ETag of the key you have seen")
	}
	others, err := s.others(ctx, c, r.Definition)
	if err != nil {
		return Updated{}, err
	}
	var before Record
	plan := func(r Record, found bool, now time.Time) (Definition, bool, error) {
		before = r
		if err := mayUpdate(c, r, found, p); err != nil {
			return Definition{}, false, err
		}
		next, err := patched(r.Definition, p, c, now, s.cfg.Policies)
		return next, reflect.DeepEqual(next, r.Definition), err
	}
	if p.DryRun {
		now := s.now()
		next, _, err := plan(r, true, now)
		return Updated{Key: r.Key(now), Impact: &Impact{AccessEndsAt: cutBy(before, next, now), Others: others, DryRun: true}}, err
	}
	out, err := s.change(ctx, intent{action: ActionUpdate, id: id, actor: c, plan: plan})
	if err != nil {
		return Updated{}, err
	}
	now := s.now()
	res := Updated{Key: out.record.Key(now)}
	if ends := cutBy(before, out.record.Definition, now); ends != nil {
		res.Impact = &Impact{AccessEndsAt: ends, Others: out.concerns(others)}
	}
	return res, nil
}

// mayUpdate refuses a patch of a key that is not there, has ended, or is not as
// the caller has seen it.
func mayUpdate(c Caller, r Record, found bool, p UpdateParams) error {
	if err := standing(c, r, found); err != nil {
		return err
	}
	switch {
	case p.IfMatch < 0:
		return fail(ErrPrecondition, "If-Match names no revision of a key; send the ETag as you got it, in its quotes")
	case p.IfMatch != 0 && p.IfMatch != r.Revision:
		return fail(ErrPrecondition, "the key has changed since you read it; it is now at revision "+itoa(int(r.Revision)))
	case r.ReplacedBy != nil && widens(r.Definition, p):
		return replacedBy(r.Definition)
	}
	return nil
}

// widens reports whether a patch does more to a replaced key than name it or
// take from it: it is about to end, and its successor is the one to change.
func widens(d Definition, p UpdateParams) bool {
	added := func(to *[]string, have []string) bool {
		return to != nil && slices.ContainsFunc(*to, func(s string) bool { return !slices.Contains(have, s) })
	}
	later := func() bool {
		return p.ExpiresAt.Set && !sameTime(p.ExpiresAt.Value, d.ExpiresAt) &&
			(p.ExpiresAt.Value == nil || d.ExpiresAt != nil && p.ExpiresAt.Value.After(*d.ExpiresAt))
	}
	return p.AuthMethod != nil && *p.AuthMethod != d.AuthMethod || p.Token != nil || later() ||
		added(p.Scopes, d.Scopes) || added(p.Audiences, d.Audiences)
}

// cutBy is when the last token stops working that a patch takes something from:
// tokens keep the scopes and audiences that they were issued with. Nil if the
// patch takes nothing.
func cutBy(before Record, after Definition, now time.Time) *AccessEnds {
	lost := func(had, has []string) bool {
		return slices.ContainsFunc(had, func(s string) bool { return !slices.Contains(has, s) })
	}
	var at time.Time
	lifetime := time.Duration(before.Token.Lifetime)
	end, was := after.end(), before.end()
	switch {
	case lost(before.Scopes, after.Scopes) || lost(before.Audiences, after.Audiences):
		at = later(now.Add(lifetime), before.TokensEndBy)
		return &AccessEnds{Introspected: &at, Offline: &at}
	case end == nil || was != nil && !end.Before(*was):
		return nil
	}
	at = end.Add(sweepAfter)
	offline := at
	if before.Token.Format == JWT {
		offline = later(at, end.Add(lifetime))
	}
	offline = later(offline, before.TokensEndBy)
	return &AccessEnds{Introspected: &at, Offline: &offline}
}

// standing refuses a change of a key that is not there for the caller, or that
// has been revoked.
func standing(c Caller, r Record, found bool) error {
	if !found || !visible(c, r.Definition) {
		return notFound()
	}
	if r.RevokedAt != nil {
		return fail(ErrRevoked, "the key has been revoked; it can only be deleted")
	}
	return nil
}

// patched applies a merge patch (RFC 7396) to a definition.
func patched(had Definition, p UpdateParams, c Caller, now time.Time, rules Policies) (Definition, error) {
	v, d := &validation{}, had
	if p.Name != nil {
		d.Name = v.text("#/name", *p.Name, 1, limits.NameLength, "")
	}
	if p.Description != nil {
		d.Description = v.text("#/description", *p.Description, 0, maxDescription, "\n")
	}
	if p.Labels != nil {
		d.Labels = v.labels(mergeLabels(d.Labels, p.Labels))
	}
	if p.Token != nil {
		d.Token = v.token(d.Token, p.Token)
	}
	if p.ExpiresAt.Set && !sameTime(p.ExpiresAt.Value, d.ExpiresAt) {
		d.ExpiresAt = v.future("#/expires_at", p.ExpiresAt.Value, now)
	}
	if p.AuthMethod != nil {
		d.AuthMethod = switchMethod(v, d.AuthMethod, *p.AuthMethod)
	}
	if err := patchOwner(v, &d, p, c); err != nil {
		return d, err
	}
	if err := patchReach(v, &d, p, c); err != nil {
		return d, err
	}
	var scopes, audiences []string
	if p.Scopes != nil {
		scopes = *p.Scopes
	}
	if p.Audiences != nil {
		audiences = *p.Audiences
	}
	rules.ruling(d).check(v, &had, d, scopes, audiences, now)
	return d, v.err()
}

func mergeLabels(have map[string]string, patch map[string]*string) map[string]string {
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	for name, value := range patch {
		if value == nil {
			delete(out, name)
		} else {
			out[name] = *value
		}
	}
	return out
}

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.UTC().Truncate(time.Second).Equal(*b)
}

// switchMethod allows a change between the two secret methods; the secret
// stays. To or from private_key_jwt the credential itself changes.
func switchMethod(v *validation, from, to AuthMethod) AuthMethod {
	switch {
	case to == from:
	case from.HasSecret() && to.HasSecret():
		return to
	case to == PrivateKeyJWT || to.HasSecret():
		v.add("#/auth_method", "needs_new_credential", "a change between a client secret and a public key needs a new credential", "rotate the key with this auth_method")
	default:
		v.add("#/auth_method", "invalid", "must be client_secret_basic or client_secret_post", "")
	}
	return from
}

func patchOwner(v *validation, d *Definition, p UpdateParams, c Caller) error {
	if p.Owner == nil || *p.Owner == d.Owner {
		return nil
	}
	if !c.May(Admin) {
		return fail(ErrForbidden, "to change the owner needs the right "+string(Admin))
	}
	owner := v.text("#/owner", *p.Owner, 1, limits.OwnerLength, "")
	if owner != "" && !c.Sees(owner) {
		return fail(ErrForbidden, "you may not give keys to this owner")
	}
	d.Owner = owner
	return nil
}

func patchReach(v *validation, d *Definition, p UpdateParams, c Caller) error {
	if p.Scopes != nil {
		d.Scopes = v.scopes("#/scopes", *p.Scopes)
	}
	if d.Kind == KindManagement {
		if p.Audiences != nil && !slices.Equal(sortedSet(*p.Audiences), d.Audiences) {
			v.add("#/audiences", "not_allowed", "a management key's audience is always tokenos", "leave it out")
		}
		if p.Scopes != nil {
			return managementScopes(v, *p.Scopes, c)
		}
		return nil
	}
	if p.Audiences != nil {
		d.Audiences = v.audiences("#/audiences", *p.Audiences)
	}
	return nil
}
