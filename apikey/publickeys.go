package apikey

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// PublicKeys implements [API].
func (s *Service) PublicKeys(ctx context.Context, id string) ([]PublicKey, error) {
	k, err := s.Get(ctx, id)
	return k.PublicKeys, err
}

// AddPublicKey implements [API]. Registered keys that have ended make room.
func (s *Service) AddPublicKey(ctx context.Context, id string, p PublicKeyParams) (PublicKey, error) {
	c, err := s.allow(ctx, KeysWrite)
	if err != nil {
		return PublicKey{}, err
	}
	if _, err := s.record(ctx, c, id); err != nil {
		return PublicKey{}, err
	}
	q := request{caller: c, name: string(ActionAddPublicKey), id: id, body: p, header: p.IdempotencyKey}
	return once(ctx, s, q, repeatPublicKey, func(replay *Replay) (PublicKey, error) {
		if replay != nil {
			replay.KeyID = id
		}
		out, err := s.change(ctx, intent{action: ActionAddPublicKey, id: id, replay: replay, actor: c,
			plan: func(r Record, found bool, now time.Time) (Definition, bool, error) {
				if err := standing(c, r, found); err != nil {
					return r.Definition, false, err
				}
				if r.ReplacedBy != nil {
					return r.Definition, false, replacedBy(r.Definition)
				}
				return withPublicKey(r.Definition, p, now)
			}})
		if err != nil {
			return PublicKey{}, err
		}
		return out.record.PublicKeys[len(out.record.PublicKeys)-1], nil
	})
}

func withPublicKey(d Definition, p PublicKeyParams, now time.Time) (Definition, bool, error) {
	v := &validation{}
	v.idempotencyKey(p.IdempotencyKey)
	if d.AuthMethod != PrivateKeyJWT {
		v.add("#/jwk", "not_allowed", "this key authenticates with a client secret; public keys go with private_key_jwt only", "rotate it with auth_method private_key_jwt")
		return d, false, v.err()
	}
	have := d.LivePublicKeys(now)
	if len(have) == 0 { // then one that has ended stays: it fixes the algorithm
		have = d.PublicKeys[len(d.PublicKeys)-1:]
	}
	d.PublicKeys = checkPublicKeys(v, have, []PublicKeyInput{p.PublicKeyInput}, func(int) string { return "#" }, now)
	return d, false, v.err()
}

func repeatPublicKey(_ context.Context, _ request, r Replay) (PublicKey, error) {
	var p PublicKey
	if err := json.Unmarshal(r.Answer, &p); err != nil {
		return p, &Error{Kind: ErrInternal, Cause: err}
	}
	return p, nil
}

// RemovePublicKey implements [API].
func (s *Service) RemovePublicKey(ctx context.Context, id, kid string) error {
	c, err := s.allow(ctx, KeysWrite)
	if err != nil {
		return err
	}
	if _, err := s.record(ctx, c, id); err != nil {
		return err
	}
	_, err = s.change(ctx, intent{action: ActionRemovePublicKey, id: id, actor: c,
		plan: func(r Record, found bool, now time.Time) (Definition, bool, error) {
			d := r.Definition
			if err := standing(c, r, found); err != nil {
				return d, false, err
			}
			i := slices.IndexFunc(d.PublicKeys, func(p PublicKey) bool { return p.KID == kid })
			if i < 0 {
				return d, false, fail(ErrNotFound, "this key has no such public key")
			}
			d.PublicKeys = slices.Delete(slices.Clone(d.PublicKeys), i, i+1)
			if len(d.PublicKeys) == 0 || r.PublicKeys[i].live(now) && len(d.LivePublicKeys(now)) == 0 {
				return d, false, fail(ErrLastCredential, "this is the last public key; add another first, or disable or revoke the key")
			}
			return d, false, nil
		}})
	return err
}
