package apikey

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Holder is what the holder of a key may do with it, by nothing but a token of
// the key or its own credential, whoever owns it and whatever its scopes.
// [Service] does it; the Go client asks a server to. The context may carry a
// caller for its address, user agent and request id; its rights are not used.
//
// Every method fails with ErrUnauthenticated for a credential that is not
// right, in the same words whether the id is unknown, the key revoked or the
// secret wrong, and with ErrUnavailable while that cannot be known.
type Holder interface {
	// Self reads the state of the key, also while it is disabled or expired.
	Self(ctx context.Context, c HolderCredential) (Self, error)
	// RevokeSelf ends the key for good. Nil: it counts; without Hydra it takes
	// effect when Hydra is back, as that of [API.Revoke] does, and is not told
	// apart. Also ErrInvalid.
	RevokeSelf(ctx context.Context, c HolderCredential, p RevokeSelfParams) error
}

// HolderCredential is what a holder presents: an access token of the key, for
// any audience, or else what the key proves itself with at Hydra.
type HolderCredential struct {
	Token Secret
	// Own names the way it is presented in Method. A secret is checked by the
	// method that the key is registered with, so that who found one can end it
	// either way. Of an assertion the ID may be empty: it is the subject.
	Own Credential
}

// RevokeSelfParams say why.
type RevokeSelfParams struct {
	Reason RevocationReason `json:"reason,omitempty" enum:"key_compromise,superseded,cessation_of_operation,privilege_withdrawn,unspecified" doc:"default unspecified"`
}

// Self is a key as its holder sees it: what a program needs to go on working,
// and nothing of whose it is, what it is called and who made it.
type Self struct {
	ID            string        `json:"id"`
	RootID        string        `json:"root_id"`
	Environment   Environment   `json:"environment" enum:"live,test"`
	AuthMethod    AuthMethod    `json:"auth_method" enum:"client_secret_basic,client_secret_post,private_key_jwt"`
	Status        Status        `json:"status" enum:"active,disabled,expired,revoked"`
	Flags         []Flag        `json:"flags"`
	Scopes        []string      `json:"scopes"`
	Audiences     []string      `json:"audiences"`
	Token         TokenSettings `json:"token"`
	CreatedAt     time.Time     `json:"created_at"`
	ExpiresAt     *time.Time    `json:"expires_at" doc:"null: never"`
	DisabledAt    *time.Time    `json:"disabled_at"`
	DisabledUntil *time.Time    `json:"disabled_until" doc:"enabled again by itself at this moment"`
	EndsAt        *time.Time    `json:"ends_at" doc:"the deadline after being replaced"`
	ReplacedBy    *string       `json:"replaced_by"`
	// PreviousEndsAt, as EndsAt, is of a rotation in progress.
	PreviousEndsAt *time.Time `json:"previous_ends_at" doc:"the end of the credential before this one; null: none is left"`
	LastUsedAt     *time.Time `json:"last_used_at" doc:"null: not known to have been used"`
	// LastDenial is what Hydra does not tell: why a token was refused.
	LastDenial *LastDenial `json:"last_denial" doc:"the last time it was refused a token, and why; null: not known to have been"`
	TokenURL   string      `json:"token_url" doc:"Hydra's token endpoint, where the key buys access tokens"`
}

// self shows the record to its holder at now.
func (r Record) self(now time.Time) Self {
	k := r.Key(now)
	return Self{ID: k.ID, RootID: k.RootID, Environment: k.Environment, AuthMethod: k.AuthMethod, Status: k.Status, Flags: k.Flags,
		Scopes: k.Scopes, Audiences: k.Audiences, Token: k.Token, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt,
		DisabledAt: k.DisabledAt, DisabledUntil: k.DisabledUntil, EndsAt: k.EndsAt, ReplacedBy: k.ReplacedBy, PreviousEndsAt: k.PreviousEndsAt, LastUsedAt: k.LastUsedAt, LastDenial: r.LastDenial}
}

var _ Holder = (*Service)(nil)

// Self implements [Holder].
func (s *Service) Self(ctx context.Context, c HolderCredential) (Self, error) {
	r, err := s.held(ctx, c)
	if err != nil {
		return Self{}, err
	}
	out := r.self(s.now())
	out.TokenURL = s.cfg.TokenURL
	return out, nil
}

// RevokeSelf implements [Holder].
func (s *Service) RevokeSelf(ctx context.Context, c HolderCredential, p RevokeSelfParams) error {
	if p.Reason == "" {
		p.Reason = Unspecified
	}
	v := &validation{}
	oneOf(v, "#/reason", p.Reason, KeyCompromise, Superseded, CessationOfOperation, PrivilegeWithdrawn, Unspecified)
	if err := v.err(); err != nil {
		return err
	}
	r, err := s.held(ctx, c)
	if err != nil {
		return err
	}
	from, _ := CallerFrom(ctx)
	// The rights reach no further than this one change of this one key: they are
	// for management keys, which only an admin may touch.
	actor := Caller{Principal: "key:" + r.RootID, Rights: []Right{Admin}, Address: from.Address, UserAgent: from.UserAgent, RequestID: from.RequestID}
	order := Order{Reason: p.Reason}
	_, err = s.change(ctx, intent{action: ActionRevoke, id: r.ID, order: order, actor: actor, plan: planFor(ActionRevoke, order, actor)})
	if errors.Is(err, ErrNotFound) { // deleted since the proof
		return unproved()
	}
	return err
}

func unproved() error {
	return fail(ErrUnauthenticated, "the credential is not that of a key that can be used here")
}

// KeyID is the id of the key that the credential claims to be of, "" for a
// token. It asks nobody: ErrUnauthenticated if no key can have the credential,
// such as a secret of ours with a mistake in it.
func (c HolderCredential) KeyID() (string, error) {
	own := c.Own
	switch {
	case !c.Token.IsZero() && own == (Credential{}):
		return "", nil
	case !c.Token.IsZero():
		return "", fail(ErrUnauthenticated, "present a token or the key's own credential, not both")
	case own.Method == PrivateKeyJWT:
		asserted, err := readAssertion(own.Assertion)
		if err != nil {
			return "", err
		}
		if own.ID != "" && own.ID != asserted.Subject {
			return "", unproved()
		}
		return asserted.Subject, nil
	}
	if secret := own.Secret.Reveal(); secret == "" || !ValidID(own.ID) || strings.HasPrefix(secret, secretPrefix) && !ValidSecret(secret) {
		return "", unproved()
	}
	return own.ID, nil
}

// held finds the key whose credential is presented.
func (s *Service) held(ctx context.Context, c HolderCredential) (Record, error) {
	id, err := c.KeyID()
	if err != nil {
		return Record{}, err
	}
	if !c.Token.IsZero() {
		return s.heldByToken(ctx, c.Token)
	}
	own := c.Own
	own.ID = id
	if own.Method == PrivateKeyJWT {
		asserted, err := readAssertion(own.Assertion)
		if err == nil {
			err = asserted.timely(s.now())
		}
		if err != nil {
			return Record{}, err
		}
	}
	return s.heldByProof(ctx, own)
}

func (s *Service) heldByToken(ctx context.Context, token Secret) (Record, error) {
	if s.tokens == nil {
		return Record{}, unavailable("access tokens cannot be looked up here", nil)
	}
	info, err := s.tokens.Introspect(ctx, token.Reveal())
	switch {
	case errors.Is(err, ErrUnavailable):
		return Record{}, unavailable("Hydra does not answer, so the access token cannot be checked now", err)
	case err != nil:
		return Record{}, unproved()
	}
	return s.unrevoked(ctx, info.ClientID)
}

// heldByProof asks Hydra also about an id that the ledger does not know: an
// outage must not tell which ids there are.
func (s *Service) heldByProof(ctx context.Context, c Credential) (Record, error) {
	r, known := s.unrevoked(ctx, c.ID)
	if known != nil && !errors.Is(known, ErrUnauthenticated) {
		return Record{}, known
	}
	if known == nil && c.Method.HasSecret() && r.AuthMethod.HasSecret() {
		c.Method = r.AuthMethod
	}
	err := s.clients.Prove(ctx, c)
	switch {
	case errors.Is(err, ErrUnavailable):
		return Record{}, unavailable("Hydra does not answer, so the credential cannot be checked now", err)
	case err != nil:
		return Record{}, unproved()
	}
	return r, known
}

// unrevoked reads a key that is not revoked; ErrUnauthenticated if there is none.
func (s *Service) unrevoked(ctx context.Context, id string) (Record, error) {
	r, err := s.ledger.Key(ctx, id, View{})
	switch {
	case errors.Is(err, ErrNotFound), err == nil && r.RevokedAt != nil:
		return Record{}, unproved()
	case err != nil:
		return Record{}, err
	}
	return r, nil
}
