package apikey

import (
	"slices"
	"time"
)

// Kind tells ordinary keys from those that may call this product's own API.
type Kind string

const (
	KindAPI        Kind = "api"        // a customer's key
	KindManagement Kind = "management" // may call our REST API; audience [ManagementAudience]
)

// Environment separates real traffic from trials. It is part of the id.
type Environment string

const (
	Live Environment = "live"
	Test Environment = "test"
)

// AuthMethod is how a key proves itself at Hydra's token endpoint, by its
// registered name (RFC 7591 section 2, OpenID Connect Core section 9). Hydra
// allows exactly one per client.
type AuthMethod string

const (
	ClientSecretBasic AuthMethod = "client_secret_basic"
	ClientSecretPost  AuthMethod = "client_secret_post"
	PrivateKeyJWT     AuthMethod = "private_key_jwt"
)

// HasSecret reports whether the method uses a client secret.
func (m AuthMethod) HasSecret() bool { return m == ClientSecretBasic || m == ClientSecretPost }

// TokenFormat is the form of the access tokens that Hydra issues to a key.
type TokenFormat string

const (
	Opaque TokenFormat = "opaque"
	JWT    TokenFormat = "jwt"
)

// Status is derived from the stored facts and the clock: revoked comes before
// disabled, before expired, before active.
type Status string

const (
	StatusActive   Status = "active"
	StatusDisabled Status = "disabled"
	StatusExpired  Status = "expired"
	StatusRevoked  Status = "revoked"
)

// Flag tells something beside the status.
type Flag string

const (
	FlagExpiring     Flag = "expiring"      // ends within 30 days
	FlagChanging     Flag = "changing"      // a change is under way or waits for Hydra
	FlagDisabling    Flag = "disabling"     // a disable is accepted and counts; Hydra follows
	FlagRevoking     Flag = "revoking"      // a revoke is accepted and counts; Hydra follows
	FlagUnconfirmed  Flag = "unconfirmed"   // Hydra's answer to the last change was lost; it is being looked up
	FlagNoCredential Flag = "no_credential" // every public key has ended
	FlagDrifted      Flag = "drifted"       // Hydra no longer has the client
	FlagRotating     Flag = "rotating"      // a credential and the one before it are both valid
	// FlagCredentialUnknown: a rotation in place was done and nobody was told
	// the new secret; repeat it with its Idempotency-Key, or rotate again.
	FlagCredentialUnknown Flag = "credential_unknown"
)

// expiringWithin is how long before its end a key carries [FlagExpiring].
const expiringWithin = 30 * 24 * time.Hour

// RevocationReason says why a key was revoked (the words of RFC 5280 section 5.3.1).
type RevocationReason string

const (
	KeyCompromise        RevocationReason = "key_compromise"
	Superseded           RevocationReason = "superseded"
	CessationOfOperation RevocationReason = "cessation_of_operation"
	PrivilegeWithdrawn   RevocationReason = "privilege_withdrawn"
	Unspecified          RevocationReason = "unspecified"
)

// TokenSettings are what a key asks Hydra to put into its access tokens.
type TokenSettings struct {
	Format   TokenFormat `json:"format" enum:"opaque,jwt" doc:"opaque is looked up at each use, jwt is verified offline"`
	Lifetime Duration    `json:"lifetime" doc:"1m to 24h" example:"15m"`
}

// SecretInfo is all that is kept of a client secret.
type SecretInfo struct {
	Hint      string    `json:"hint" doc:"the last four characters" example:"...x7Qf"`
	CreatedAt time.Time `json:"created_at"`
}

// PublicKey is one registered public key of a private_key_jwt key.
type PublicKey struct {
	KID       string     `json:"kid" doc:"RFC 7638 SHA-256 thumbprint, base64url"`
	Alg       string     `json:"alg" example:"ES256"`
	JWK       JWK        `json:"jwk" doc:"the public key (RFC 7517)"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at" doc:"null: lives as long as the key"`
	// ReplacedAt is when a rotation put another beside it; nil: not replaced.
	ReplacedAt *time.Time `json:"replaced_at,omitempty" doc:"when a rotation replaced it; it works until expires_at"`
}

// live reports whether the public key may still authenticate at now.
func (p PublicKey) live(now time.Time) bool { return p.ExpiresAt == nil || now.Before(*p.ExpiresAt) }

// JWK is a JSON Web Key as its members (RFC 7517).
type JWK map[string]any

// Definition is what the ledger keeps of a key. All times are UTC, whole
// seconds. It never holds a secret.
type Definition struct {
	ID          string            `json:"id" doc:"the OAuth 2.0 client_id; immutable"`
	RootID      string            `json:"root_id" doc:"the first key of a rotation chain; stable for ever"`
	Kind        Kind              `json:"kind" enum:"api,management"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Owner       string            `json:"owner"`
	Environment Environment       `json:"environment" enum:"live,test"`
	Labels      map[string]string `json:"labels"`
	AuthMethod  AuthMethod        `json:"auth_method" enum:"client_secret_basic,client_secret_post,private_key_jwt"`
	Scopes      []string          `json:"scopes" doc:"sorted; the most a token may be granted (RFC 6749 section 3.3)"`
	Audiences   []string          `json:"audiences" doc:"sorted; the APIs a token may be meant for"`
	Owners      []string          `json:"owners,omitempty" doc:"management keys only: the owners it is bound to; empty: all"`
	Token       TokenSettings     `json:"token"`
	Secret      *SecretInfo       `json:"secret" doc:"null for private_key_jwt"`
	PublicKeys  []PublicKey       `json:"public_keys"`

	ExpiresAt     *time.Time `json:"expires_at" doc:"null: never"`
	DisabledAt    *time.Time `json:"disabled_at"`
	DisabledUntil *time.Time `json:"disabled_until" doc:"enabled again by itself at this moment"`
	EndsAt        *time.Time `json:"ends_at" doc:"the deadline after being replaced"`
	Replaces      *string    `json:"replaces"`
	ReplacedBy    *string    `json:"replaced_by"`
	CreatedAt     time.Time  `json:"created_at"`
	CreatedBy     string     `json:"created_by"`
	UpdatedAt     time.Time  `json:"updated_at"`
	Revision      int64      `json:"revision" doc:"starts at 1 and grows with each change; the ETag"`

	RevokedAt             *time.Time       `json:"revoked_at"`
	RevocationReason      RevocationReason `json:"revocation_reason,omitempty"`
	RevocationDescription string           `json:"revocation_description,omitempty"`

	// DisabledWithOwner: the pause until DisabledUntil began with its owner's
	// (pause.go). OwnDisabledUntil is the end of one of its own beside it.
	DisabledWithOwner bool       `json:"disabled_with_owner,omitzero" doc:"paused with its owner, and enabled with it"`
	OwnDisabledUntil  *time.Time `json:"own_disabled_until,omitempty" doc:"a pause of its own that goes on until then if its owner is enabled earlier"`
}

// StatusAt derives the status at now.
func (d Definition) StatusAt(now time.Time) Status {
	switch {
	case d.RevokedAt != nil:
		return StatusRevoked
	case d.DisabledAt != nil && (d.DisabledUntil == nil || now.Before(*d.DisabledUntil)):
		return StatusDisabled
	case ended(d.ExpiresAt, now) || ended(d.EndsAt, now):
		return StatusExpired
	}
	return StatusActive
}

// OpenAt reports whether Hydra may issue tokens to the key at now: it is
// active and has a credential.
func (d Definition) OpenAt(now time.Time) bool {
	return d.StatusAt(now) == StatusActive && (d.AuthMethod.HasSecret() || len(d.LivePublicKeys(now)) > 0)
}

// LivePublicKeys returns the public keys that may authenticate at now, in
// order of registration.
func (d Definition) LivePublicKeys(now time.Time) []PublicKey {
	return slices.DeleteFunc(slices.Clone(d.PublicKeys), func(p PublicKey) bool { return !p.live(now) })
}

func ended(at *time.Time, now time.Time) bool { return at != nil && !now.Before(*at) }

// Key is a definition as callers see it, with what is derived from it.
type Key struct {
	Definition
	Status         Status     `json:"status" enum:"active,disabled,expired,revoked"`
	Flags          []Flag     `json:"flags"`
	PreviousEndsAt *time.Time `json:"previous_ends_at" doc:"the end of the credential before this one; null: none is left"`
	LastUsedAt     *time.Time `json:"last_used_at" doc:"null: not known to have been used"`
}

// Record is one key as the ledger keeps it: the definition, the upkeep beside
// it, and what is under way.
type Record struct {
	Definition
	Upkeep
	// Pending are the changes begun or queued for this key, oldest first.
	Pending []PendingChange
	// Predecessor is the key that this one replaces; nil: there is none, or its
	// record is gone.
	Predecessor *Predecessor
	// LastUsedAt is when a token was last issued to the key; zero: never, as far
	// as known. A change neither sees it nor writes it.
	LastUsedAt time.Time
	LastDenial *LastDenial // nil: it was never refused one, as far as known
}

// Predecessor is what a successor must know of the key before it.
type Predecessor struct {
	EndsAt  time.Time // the earlier of ends_at and expires_at; zero: never
	Revoked bool
}

// Upkeep is what lets Hydra follow a definition in time. Zero times mean
// nothing is due.
type Upkeep struct {
	Op          string    // the change whose projection Hydra holds
	Open        bool      // the projection in Hydra lets it issue tokens
	Drifted     bool      // Hydra no longer has the client
	SweepAt     time.Time // end tokens once more: a request in flight outlives the first sweep
	ConfirmAt   time.Time // write the client again: an answer was lost
	ToldUntil   time.Time // what the clock has done up to this moment is in the audit
	Unclaimed   string    // the rotation in place whose secret nobody was told; "": none
	TokensEndBy time.Time // no token issued under earlier settings lives past this
	// TokensEndedAt is when Hydra last ended all of the key's tokens, by the clock
	// of the process that asked it to.
	TokensEndedAt time.Time
	DueAt         time.Time // the next moment converge has something to do; zero: never
	// StatusIndex is the key's place in the status lists (statuslist.go), from 1
	// on. The ledger gives it when the key is made and keeps it; no other key has
	// it, ever. 0: not made yet.
	StatusIndex int64
}

// PendingChange is a change that has been accepted and is not yet done.
type PendingChange struct {
	Op     string
	Action Action
	State  ChangeState
}

// NarrowedBy reports whether an accepted change that ends or pauses the key
// waits for Hydra: it counts from the moment it was accepted.
func (r Record) NarrowedBy() (Action, bool) {
	for _, p := range r.Pending {
		if r.narrowedBy(p) {
			return p.Action, true
		}
	}
	return "", false
}

// narrowedBy reports whether an accepted change will end or pause the key: the
// completion of a rotation only where there is one.
func (r Record) narrowedBy(p PendingChange) bool {
	return p.Action.Narrows() && (p.Action != ActionCompleteRotation || r.ReplacedBy != nil)
}

func (r Record) waitsFor(a Action) bool {
	return slices.ContainsFunc(r.Pending, func(p PendingChange) bool { return p.Action == a })
}

// Key shows the record as callers see it at now.
func (r Record) Key(now time.Time) Key {
	k := Key{Definition: r.Definition, Status: r.StatusAt(now), Flags: []Flag{}, LastUsedAt: r.lastUsedAt()}
	if k.Labels == nil {
		k.Labels = map[string]string{}
	}
	if k.PublicKeys == nil {
		k.PublicKeys = []PublicKey{}
	}
	if k.Audiences == nil {
		k.Audiences = []string{}
	}
	add := func(on bool, f Flag) {
		if on {
			k.Flags = append(k.Flags, f)
		}
	}
	soon := func(t *time.Time) bool { return t != nil && now.Before(*t) && t.Sub(now) <= expiringWithin }
	add((k.Status == StatusActive || k.Status == StatusDisabled) && (soon(r.ExpiresAt) || soon(r.EndsAt)), FlagExpiring)
	add(len(r.Pending) > 0, FlagChanging)
	add(r.waitsFor(ActionDisable), FlagDisabling)
	add(r.waitsFor(ActionRevoke), FlagRevoking)
	add(!r.ConfirmAt.IsZero(), FlagUnconfirmed)
	add(k.Status != StatusRevoked && !r.AuthMethod.HasSecret() && len(r.LivePublicKeys(now)) == 0, FlagNoCredential)
	add(r.Drifted && k.Status != StatusRevoked, FlagDrifted)
	k.PreviousEndsAt = r.previousEndsAt(now)
	add(k.PreviousEndsAt != nil || r.replaced(now), FlagRotating)
	add(r.Unclaimed != "" && k.Status != StatusRevoked, FlagCredentialUnknown)
	return k
}

// lastUsedAt is when the key was last used; nil: never, as far as known.
func (r Record) lastUsedAt() *time.Time {
	if r.LastUsedAt.IsZero() {
		return nil
	}
	return &r.LastUsedAt
}
