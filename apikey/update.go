package apikey

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Update implements [API].
func (s *Service) Update(ctx context.Context, id string, p UpdateParams) (Key, error) {
	c, err := s.allow(ctx, KeysWrite)
	if err != nil {
		return Key{}, err
	}
	if _, err := s.record(ctx, c, id); err != nil {
		return Key{}, err
	}
	if s.cfg.RequireIfMatch && p.IfMatch == 0 {
		return Key{}, fail(ErrPreconditionRequired, "send If-Match with the ETag of the key you have seen")
	}
	out, err := s.change(ctx, intent{action: ActionUpdate, id: id, actor: c,
		plan: func(r Record, found bool, now time.Time) (Definition, bool, error) {
			if err := standing(c, r, found); err != nil {
				return Definition{}, false, err
			}
			if p.IfMatch < 0 {
				return Definition{}, false, fail(ErrPrecondition, "If-Match names no revision of a key; send the ETag as you got it, in its quotes")
			}
			if p.IfMatch != 0 && p.IfMatch != r.Revision {
				return Definition{}, false, fail(ErrPrecondition, "the key has changed since you read it; it is now at revision "+itoa(int(r.Revision)))
			}
			next, err := patched(r.Definition, p, c, now)
			return next, reflect.DeepEqual(next, r.Definition), err
		}})
	if err != nil {
		return Key{}, err
	}
	return out.record.Key(s.now()), nil
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
func patched(d Definition, p UpdateParams, c Caller, now time.Time) (Definition, error) {
	v := &validation{}
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
		v.add("#/auth_method", "needs_new_credential", "a change between a client secret and a public key needs a new credential", "make a new key with this auth_method and revoke this one")
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
