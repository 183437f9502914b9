package apikey

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// Create implements [API].
func (s *Service) Create(ctx context.Context, p CreateParams) (Issued, error) {
	return s.create(ctx, p, nil)
}

// create makes a key. derive, if given, makes the secret from the id, for a
// secret that can be made again without being stored.
func (s *Service) create(ctx context.Context, p CreateParams, derive func(id string) Secret) (Issued, error) {
	c, err := s.allow(ctx, KeysWrite)
	if err != nil {
		return Issued{}, err
	}
	q := request{caller: c, name: "create", body: p, header: p.IdempotencyKey}
	return once(ctx, s, q, s.repeatCreate, func(replay *Replay) (Issued, error) {
		def, err := define(p, c, s.now(), s.cfg.Policies)
		if err != nil {
			return Issued{}, err
		}
		if replay != nil { // a request that was given up before is made again with its id
			replay.KeyID = cmp.Or(replay.KeyID, def.ID)
			def.ID, def.RootID = replay.KeyID, replay.KeyID
		}
		var secret Secret
		if def.AuthMethod.HasSecret() {
			if secret, err = s.newSecret(def.ID, c, p.IdempotencyKey, replay, derive); err != nil {
				return Issued{}, err
			}
			def.Secret = &SecretInfo{Hint: secret.hint(), CreatedAt: def.CreatedAt}
		}
		out, err := s.change(ctx, intent{action: ActionCreate, id: def.ID, secret: secret, replay: replay, actor: c,
			plan: func(Record, bool, time.Time) (Definition, bool, error) { return def, false, nil }})
		if err != nil {
			return Issued{}, err
		}
		return Issued{Key: out.record.Key(s.now()), Secret: secret}, nil
	})
}

// newSecret makes the client secret: derived for a request with an
// Idempotency-Key, so that a repetition gets the same, else random.
func (s *Service) newSecret(id string, c Caller, header string, replay *Replay, derive func(string) Secret) (Secret, error) {
	switch {
	case derive != nil:
		return derive(id), nil
	case replay == nil:
		return GenerateSecret(), nil
	}
	secret, known := s.derive.clientSecret(*replay, c, header)
	if !known {
		return Secret{}, fail(ErrReplayExpired, "the server secret has changed since; use a new Idempotency-Key")
	}
	return secret, nil
}

// repeatCreate answers a create again, with the same secret.
func (s *Service) repeatCreate(ctx context.Context, q request, r Replay) (Issued, error) {
	gone := fail(ErrReplayExpired, "the key has changed since; its secret cannot be repeated")
	var first Key
	if err := json.Unmarshal(r.Answer, &first); err != nil {
		return Issued{}, &Error{Kind: ErrInternal, Cause: err}
	}
	now, err := s.record(ctx, q.caller, first.ID) // the caller may have lost rights or owners since
	if errors.Is(err, ErrNotFound) {
		return Issued{}, gone
	}
	if err != nil {
		return Issued{}, err
	}
	if !first.AuthMethod.HasSecret() {
		return Issued{Key: first}, nil
	}
	secret, known := s.derive.clientSecret(r, q.caller, q.header)
	if !known || now.Secret == nil || now.Secret.Hint != secret.hint() || !now.Secret.CreatedAt.Equal(first.Secret.CreatedAt) {
		return Issued{}, gone
	}
	return Issued{Key: first, Secret: secret}, nil
}

// define makes the definition of a new key, or says all that is wrong with p.
func define(p CreateParams, c Caller, now time.Time, rules Policies) (Definition, error) {
	v := &validation{}
	v.idempotencyKey(p.IdempotencyKey)
	d := Definition{
		Kind:        cmp.Or(p.Kind, KindAPI),
		Environment: cmp.Or(p.Environment, Live),
		Name:        v.text("#/name", p.Name, 1, limits.NameLength, ""),
		Description: v.text("#/description", p.Description, 0, maxDescription, "\n"),
		Labels:      v.labels(p.Labels),
		Scopes:      v.scopes("#/scopes", p.Scopes),
		CreatedAt:   now,
		CreatedBy:   c.Principal,
	}
	if d.Environment != Live && d.Environment != Test {
		v.add("#/environment", "invalid", "must be live or test", "")
		d.Environment = Live
	}
	owner, err := ownerOf(v, p, c)
	if err != nil {
		return d, err
	}
	d.Owner = owner
	policy := rules.ruling(d)
	d.AuthMethod = cmp.Or(p.AuthMethod, policy.authMethod())
	d.Token = v.token(policy.token(), p.Token)
	if d.ExpiresAt = policy.end(now); p.ExpiresAt.Set {
		d.ExpiresAt = v.future("#/expires_at", p.ExpiresAt.Value, now)
	}
	credentials(v, &d, p, now)
	if err := reach(v, &d, p, c); err != nil {
		return d, err
	}
	policy.check(v, nil, d, p.Scopes, p.Audiences, now)
	d.ID = NewID(d.Environment, now)
	d.RootID = d.ID
	return d, v.err()
}

// ownerOf is whose key it becomes: as asked, else the caller's only owner. To
// name an owner that the caller does not see is forbidden, not hidden: the
// caller wrote it.
func ownerOf(v *validation, p CreateParams, c Caller) (string, error) {
	switch {
	case p.Owner == "" && len(c.Owners) == 1:
		return c.Owners[0], nil
	case p.Owner == "" && p.Kind == KindManagement && len(c.Owners) == 0:
		return ManagementAudience, nil
	}
	owner := v.text("#/owner", p.Owner, 1, limits.OwnerLength, "")
	if owner != "" && !c.Sees(owner) {
		return "", fail(ErrForbidden, "you may not make keys for this owner")
	}
	return owner, nil
}

// credentials checks the method and its public keys.
func credentials(v *validation, d *Definition, p CreateParams, now time.Time) {
	switch d.AuthMethod {
	case PrivateKeyJWT:
		if len(p.PublicKeys) == 0 {
			v.add("#/public_keys", "required", "private_key_jwt needs at least one public key", "make a key pair and send its public half")
			return
		}
		d.PublicKeys = checkPublicKeys(v, nil, p.PublicKeys, func(i int) string { return "#/public_keys/" + itoa(i) }, now)
	case ClientSecretBasic, ClientSecretPost:
		if len(p.PublicKeys) > 0 {
			v.add("#/public_keys", "not_allowed", "public keys go with private_key_jwt only", `set auth_method to "private_key_jwt" or leave them out`)
		}
	default:
		v.add("#/auth_method", "invalid", "must be client_secret_basic, client_secret_post or private_key_jwt", "")
	}
}

// reach checks what the key may do. A management key can never reach further
// than the caller who makes it.
func reach(v *validation, d *Definition, p CreateParams, c Caller) error {
	switch d.Kind {
	case KindAPI:
		d.Audiences = v.audiences("#/audiences", p.Audiences)
		if len(p.Owners) > 0 {
			v.add("#/owners", "not_allowed", "only management keys are bound to owners", "leave it out")
		}
		return nil
	case KindManagement:
	default:
		v.add("#/kind", "invalid", "must be api or management", "")
		return nil
	}
	if !c.May(Admin) {
		return fail(ErrForbidden, "this needs the right "+string(Admin))
	}
	if len(p.Audiences) > 0 {
		v.add("#/audiences", "not_allowed", "a management key's audience is always tokenos", "leave it out")
	}
	d.Audiences = []string{ManagementAudience}
	if len(p.Owners) > limits.Owners {
		v.add("#/owners", "too_many", "has more than "+itoa(limits.Owners)+" owners", "")
		return nil
	}
	for i, o := range p.Owners {
		d.Owners = append(d.Owners, v.text("#/owners/"+itoa(i), o, 1, limits.OwnerLength, ""))
	}
	d.Owners = sortedSet(d.Owners)
	if !withinOwners(c, d.Owners) {
		return fail(ErrForbidden, "a management key cannot reach further than the one that makes it")
	}
	return managementScopes(v, p.Scopes, c)
}

// managementScopes checks that the scopes are rights that the caller has.
func managementScopes(v *validation, scopes []string, c Caller) error {
	for i, s := range scopes {
		if !slices.Contains(ManagementRights, Right(s)) {
			v.add("#/scopes/"+itoa(i), "invalid_scope", "is not a right of management keys", "keys:read, keys:write, audit:read, tokens:introspect or admin")
		} else if !c.May(Right(s)) {
			return fail(ErrForbidden, "a management key cannot reach further than the one that makes it")
		}
	}
	return nil
}

// once runs do, unless the same request with its Idempotency-Key was answered
// before: then again gives that answer.
func once[T any](ctx context.Context, s *Service, q request, again func(context.Context, request, Replay) (T, error), do func(*Replay) (T, error)) (T, error) {
	var none T
	for range 5 {
		r, found, err := s.recall(ctx, q)
		if err != nil {
			return none, err
		}
		if found && r.State != ChangeAbandoned {
			return again(ctx, q, r)
		}
		replay := &r
		if q.header == "" {
			replay = nil
		}
		out, err := do(replay)
		if replay == nil || !errors.Is(err, ErrIdempotencyRunning) {
			return out, err
		}
	}
	return none, &Error{Kind: ErrIdempotencyRunning, Detail: "the first request with this Idempotency-Key is still running", RetryAfter: retryAfter}
}
