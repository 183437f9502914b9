package apikey

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
)

// errDerivation: a secret could not be derived.
var errDerivation = errors.New("apikey: derive secret")

// EnsureManagementKey returns the active management key of this name that the
// product made for itself, and makes it if there is none. Its secret follows
// from the server secret and the key's id, so it is stored nowhere and is the
// same after every start; a revoked key is replaced by a new one. For
// `tokenos dev`.
func (s *Service) EnsureManagementKey(ctx context.Context, name string, rights []Right) (Issued, error) {
	caller := System("dev")
	ctx = WithCaller(ctx, caller)
	page, err := s.List(ctx, ListParams{Kind: KindManagement, Status: StatusActive, Owner: ManagementAudience, Q: name, Limit: limits.PageSize})
	if err != nil {
		return Issued{}, err
	}
	for _, k := range page.Data {
		secret, err := s.derive.managementSecret(k.ID)
		if err != nil {
			return Issued{}, err
		}
		if k.Name == name && k.CreatedBy == caller.Principal && k.Secret != nil && k.Secret.Hint == secret.hint() {
			return Issued{Key: k, Secret: secret}, nil
		}
	}
	day := limits.TokenLifetimeMax // so that a pasted token lasts
	p := CreateParams{Name: name, Kind: KindManagement, Owner: ManagementAudience, Token: &TokenParams{Lifetime: &day}}
	for _, r := range rights {
		p.Scopes = append(p.Scopes, string(r))
	}
	return s.create(ctx, p, func(id string) Secret {
		secret, err := s.derive.managementSecret(id)
		if err != nil {
			return GenerateSecret()
		}
		return secret
	})
}

func (d deriver) managementSecret(id string) (Secret, error) {
	bits, err := hkdf.Key(sha256.New, d.secrets[d.current], nil, "tokenos management secret v1\x00"+id, 32)
	if err != nil {
		return Secret{}, errors.Join(errDerivation, err)
	}
	return secretFrom([32]byte(bits)), nil
}
