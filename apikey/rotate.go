package apikey

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"
)

// Rotate implements [API].
func (s *Service) Rotate(ctx context.Context, id string, p RotateParams) (Rotation, error) {
	c, err := s.allow(ctx, KeysWrite)
	if err != nil {
		return Rotation{}, err
	}
	if _, err := s.record(ctx, c, id); err != nil {
		return Rotation{}, err
	}
	q := request{caller: c, name: string(ActionRotate), id: id, body: p, header: p.IdempotencyKey}
	if p.DryRun {
		q.header = ""
	}
	return once(ctx, s, q, s.repeatRotation, func(replay *Replay) (Rotation, error) {
		r, err := s.record(ctx, c, id)
		if err != nil {
			return Rotation{}, err
		}
		gone, err := s.successorGone(ctx, r)
		if err != nil {
			return Rotation{}, err
		}
		turn := &rotation{service: s, params: p, caller: c, seen: r, again: gone, newID: NewID(r.Environment, s.now())}
		if replay != nil { // a request that was given up before is made again with its id
			replay.KeyID = cmp.Or(replay.KeyID, turn.newID)
			turn.newID = replay.KeyID
		}
		if turn.method(r.Definition).HasSecret() && !p.DryRun {
			if turn.secret, err = s.newSecret(turn.newID, c, p.IdempotencyKey, replay, nil); err != nil {
				return Rotation{}, err
			}
		}
		if p.DryRun {
			return turn.preview(ctx)
		}
		if err := turn.endOlder(ctx); err != nil {
			return Rotation{}, err
		}
		return turn.run(ctx, replay)
	})
}

// rotation is one rotation on its way.
type rotation struct {
	service *Service
	params  RotateParams
	caller  Caller
	seen    Record // when the request came
	again   bool   // its successor has been revoked: it may have another
	newID   string // of a successor, if there will be one
	secret  Secret // zero for private_key_jwt and for a preview

	successor *Definition // made by plan; nil: none
}

func (r *rotation) method(d Definition) AuthMethod { return cmp.Or(r.params.AuthMethod, d.AuthMethod) }

func (r *rotation) run(ctx context.Context, replay *Replay) (Rotation, error) {
	out, err := r.service.change(ctx, intent{action: ActionRotate, id: r.seen.ID, secret: r.secret, proof: &Proof{}, replay: replay, actor: r.caller,
		plan: r.plan, successor: func() *Definition { return r.successor }})
	if err != nil {
		return Rotation{}, err
	}
	out.rotation.Secret = r.secret
	return out.rotation, nil
}

// preview answers what the rotation would do.
func (r *rotation) preview(ctx context.Context) (Rotation, error) {
	s := r.service
	now := s.now()
	seen, _ := r.forced(now)
	target, _, err := r.planForced(seen, now)
	if err != nil {
		return Rotation{}, err
	}
	others, err := s.others(ctx, r.caller, r.seen.Definition)
	if err != nil {
		return Rotation{}, err
	}
	c := carriage{change: Change{Action: ActionRotate, KeyID: r.seen.ID, Target: target, Successor: r.successor, At: now}, before: r.seen, proof: &Proof{}}
	after := Record{Definition: target}
	out := s.rotated(c, after, others)
	out.Key, out.DryRun, out.Proof = r.seen.Key(now), true, Proof{Unverified: "nothing was changed"}
	return out, nil
}

// plan is the change of the key; it sets successor if there is one.
func (r *rotation) plan(rec Record, found bool, now time.Time) (Definition, bool, error) {
	d := rec.Definition
	r.successor = nil
	if err := r.mayRotate(rec, found, now); err != nil {
		return d, false, err
	}
	v := &validation{}
	v.idempotencyKey(r.params.IdempotencyKey)
	policy := r.service.cfg.Policies.ruling(d)
	grace := v.gracePeriod("#/grace_period", r.params.GracePeriod, policy)
	method := r.method(d)
	if method != d.AuthMethod {
		policy.checkMethod(v, "#/auth_method", method)
	}
	fresh := r.publicKeys(v, d, method, now)
	if err := v.err(); err != nil {
		return d, false, err
	}
	deadline := now.Add(time.Duration(grace)).UTC().Truncate(time.Second)
	overlap := method == PrivateKeyJWT && len(d.PublicKeys) > 0 && fresh[0].Alg == d.PublicKeys[0].Alg
	switch {
	case grace == 0:
		d.credential(method, r.secret, fresh, now)
	case overlap:
		d.PublicKeys = overlapping(v, d, fresh, deadline, now)
	default:
		next := successorOf(d, r.newID, r.caller.Principal, now)
		next.credential(method, r.secret, fresh, now)
		r.successor = &next
		d.ReplacedBy = &next.ID
		if d.EndsAt == nil || deadline.Before(*d.EndsAt) {
			d.EndsAt = &deadline
		}
	}
	return d, false, v.err()
}

// mayRotate refuses a rotation that would make a dead key, or more than two
// credentials.
func (r *rotation) mayRotate(rec Record, found bool, now time.Time) error {
	if err := standing(r.caller, rec, found); err != nil {
		return err
	}
	switch {
	case rec.ReplacedBy != nil && (!r.again || *rec.ReplacedBy != *r.seen.ReplacedBy):
		return replacedBy(rec.Definition)
	case ended(rec.end(), now):
		return fail(ErrExpired, "the key has expired; set a later expires_at first")
	case !sameCredential(rec.Definition, r.seen.Definition), r.inPlace(rec.Definition) && !r.params.Force && rec.justRotated(now):
		return fail(ErrRotationPending, "the credential was changed by another request while this one waited; look at the key before you rotate it again")
	}
	if at := rec.previousEndsAt(now); at != nil && (!r.params.Force || rec.Predecessor != nil && rec.Predecessor.EndsAt.After(now) && !rec.Predecessor.Revoked) {
		return fail(ErrRotationPending, "the credential before this one works until "+at.Format(time.RFC3339)+"; complete that rotation first, or send force")
	}
	return nil
}

func (r *rotation) inPlace(d Definition) bool {
	return (&validation{}).gracePeriod("", r.params.GracePeriod, r.service.cfg.Policies.ruling(d)) == 0
}

// settle is how long after a rotation in place another is refused: two callers
// at once must not end each other's secret unseen.
const settle = 2 * time.Second

// justRotated reports whether an open key was rotated in place a moment ago: the
// second sweep, which only that leaves for an open key, tells when.
func (r Record) justRotated(now time.Time) bool {
	return r.Open && !r.SweepAt.IsZero() && r.Unclaimed == "" && now.Before(r.SweepAt.Add(settle-sweepAfter))
}

// replacedBy is the error for what only a key without a successor may do.
func replacedBy(d Definition) error {
	return fail(ErrReplaced, "the key has been replaced by "+*d.ReplacedBy+"; that is the one to change")
}

// sameCredential reports whether two definitions of a key have one credential,
// whatever may be left of the one before it.
func sameCredential(a, b Definition) bool {
	if (a.Secret == nil) != (b.Secret == nil) || a.AuthMethod.HasSecret() != b.AuthMethod.HasSecret() {
		return false
	}
	if a.Secret != nil {
		return *a.Secret == *b.Secret
	}
	return slices.EqualFunc(withoutReplaced(a.PublicKeys), withoutReplaced(b.PublicKeys), func(x, y PublicKey) bool { return x.KID == y.KID })
}

// publicKeys checks the new credential of private_key_jwt; none for a secret.
func (r *rotation) publicKeys(v *validation, d Definition, method AuthMethod, now time.Time) []PublicKey {
	switch method {
	case ClientSecretBasic, ClientSecretPost:
		if len(r.params.PublicKeys) > 0 {
			v.add("#/public_keys", "not_allowed", "public keys go with private_key_jwt only", `set auth_method to "private_key_jwt" or leave them out`)
		}
		return nil
	case PrivateKeyJWT:
	default:
		v.add("#/auth_method", "invalid", "must be client_secret_basic, client_secret_post or private_key_jwt", "")
		return nil
	}
	if len(r.params.PublicKeys) == 0 {
		v.add("#/public_keys", "required", "the new credential of private_key_jwt is at least one public key", "make a key pair and send its public half")
		return nil
	}
	at := func(i int) string { return "#/public_keys/" + itoa(i) }
	fresh := checkPublicKeys(v, nil, r.params.PublicKeys, at, now)
	for i, p := range fresh {
		if hasPublicKey(d, p.KID) {
			v.add(at(i)+"/jwk", "duplicate", "this public key is already registered with this key", "make a new key pair")
		}
	}
	return fresh
}

// credential puts a new credential in the place of the one before it.
func (d *Definition) credential(method AuthMethod, secret Secret, public []PublicKey, now time.Time) {
	d.AuthMethod, d.PublicKeys, d.Secret = method, public, nil
	if !method.HasSecret() {
		return
	}
	d.Secret = &SecretInfo{CreatedAt: now}
	if !secret.IsZero() {
		d.Secret.Hint = secret.hint()
	}
}

// overlapping puts new public keys beside those that are live, which end at the
// deadline. Those that an older rotation replaced are gone.
func overlapping(v *validation, d Definition, fresh []PublicKey, deadline, now time.Time) []PublicKey {
	out := withoutReplaced(d.LivePublicKeys(now))
	for i, p := range out {
		out[i].ReplacedAt = &now
		if p.ExpiresAt == nil || deadline.Before(*p.ExpiresAt) {
			out[i].ExpiresAt = &deadline
		}
	}
	if len(out)+len(fresh) > limits.PublicKeys {
		v.add("#/public_keys", "too_many", "a key can have at most 10 public keys, those before the rotation included", "remove some first")
	}
	return append(out, fresh...)
}

// withoutReplaced leaves out the public keys that a rotation replaced.
func withoutReplaced(keys []PublicKey) []PublicKey {
	return slices.DeleteFunc(slices.Clone(keys), func(p PublicKey) bool { return p.ReplacedAt != nil })
}

// successorOf is a key with the same definition that replaces d.
func successorOf(d Definition, id, by string, now time.Time) Definition {
	replaces := d.ID
	d.ID, d.Replaces, d.ReplacedBy, d.EndsAt = id, &replaces, nil, nil
	d.Labels = maps.Clone(d.Labels)
	d.CreatedAt, d.CreatedBy, d.UpdatedAt, d.Revision = now, by, now, 1
	return d
}

// gracePeriod is how long the credential before a rotation works on.
func (v *validation) gracePeriod(pointer string, p *Duration, policy Policy) Duration {
	if p == nil {
		return min(defaultGracePeriod, policy.longestGrace())
	}
	if *p < 0 || *p > maxGracePeriod || time.Duration(*p)%time.Second != 0 {
		v.add(pointer, "out_of_range", "must be whole seconds between 0s and 30d", "24h, or 0s to end the old credential at once")
	}
	policy.checkGracePeriod(v, pointer, *p)
	return *p
}

// repeatRotation answers a rotation again, with the same secret.
func (s *Service) repeatRotation(ctx context.Context, q request, r Replay) (Rotation, error) {
	gone := fail(ErrReplayExpired, "the key has changed since; its secret cannot be repeated")
	var first Rotation
	if err := json.Unmarshal(r.Answer, &first); err != nil {
		return Rotation{}, &Error{Kind: ErrInternal, Cause: err}
	}
	now, err := s.record(ctx, q.caller, first.Key.ID)
	if errors.Is(err, ErrNotFound) {
		return Rotation{}, gone
	}
	if err != nil || !first.Key.AuthMethod.HasSecret() {
		return first, err
	}
	secret, known := s.derive.clientSecret(r, q.caller, q.header)
	if !known || now.Secret == nil || now.Secret.Hint != secret.hint() || !now.Secret.CreatedAt.Equal(first.Key.Secret.CreatedAt) {
		return Rotation{}, gone
	}
	first.Secret = secret
	if now.Unclaimed != "" {
		first.Key.Flags = slices.DeleteFunc(first.Key.Flags, func(f Flag) bool { return f == FlagCredentialUnknown })
		if err := s.ledger.Claim(ctx, now.ID, now.Unclaimed); err != nil {
			s.log.WarnContext(ctx, "secret told, but the key still says it is unknown", "key", now.ID, "error", err)
		}
	}
	return first, nil
}
