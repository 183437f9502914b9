package apikey

import (
	"bytes"
	"context"
	"encoding/json"
	"time"
)

// API is everything that can be done with keys. [Service] does it; the Go
// client (package client) asks a server to. The caller travels in the context
// ([WithCaller]). Besides the errors named, every method may fail with
// ErrUnauthenticated, ErrForbidden, ErrInvalid (an *InvalidError) and
// ErrUnavailable; every method with an id with ErrNotFound, also for a key of
// an owner the caller does not see; every change with ErrBusy and, with an
// Idempotency-Key, ErrIdempotencyRunning, ErrIdempotencyMismatch and
// ErrReplayExpired.
type API interface {
	// Create makes a key. ErrPublicKeyInUse.
	Create(ctx context.Context, p CreateParams) (Issued, error)
	Get(ctx context.Context, id string) (Key, error)
	List(ctx context.Context, p ListParams) (Page[Key], error)
	// Update changes the members that p names (RFC 7396). ErrPrecondition,
	// ErrPreconditionRequired, ErrRevoked, ErrReplaced (all but narrowing a key
	// that has a successor).
	Update(ctx context.Context, id string, p UpdateParams) (Updated, error)
	// Disable pauses a key; ErrRevoked.
	Disable(ctx context.Context, id string, p DisableParams) (Result, error)
	// Enable ends a pause; ErrRevoked, ErrExpired, ErrReplaced.
	Enable(ctx context.Context, id string, p ActionParams) (Result, error)
	// Revoke ends a key for good; its record stays.
	Revoke(ctx context.Context, id string, p RevokeParams) (Result, error)
	// Delete removes the record of a revoked key. ErrNotRevoked.
	Delete(ctx context.Context, id string) error
	// RevokeTokens ends outstanding tokens and keeps the key. ErrRevoked.
	RevokeTokens(ctx context.Context, id string, p ActionParams) (Result, error)
	// Rotate gives the key, or a successor, a new credential. ErrRotationPending,
	// ErrReplaced, ErrRevoked, ErrExpired, ErrPublicKeyInUse.
	Rotate(ctx context.Context, id string, p RotateParams) (Rotation, error)
	// CompleteRotation ends the credential before a rotation now; the id is that of
	// either key. The answer shows the key whose credential ended.
	CompleteRotation(ctx context.Context, id string, p ActionParams) (Result, error)
	// PublicKeys lists the registered public keys, oldest first.
	PublicKeys(ctx context.Context, id string) ([]PublicKey, error)
	// AddPublicKey registers one more. ErrPublicKeyInUse, ErrRevoked.
	AddPublicKey(ctx context.Context, id string, p PublicKeyParams) (PublicKey, error)
	// RemovePublicKey ends one at once. ErrLastCredential, ErrRevoked.
	RemovePublicKey(ctx context.Context, id, kid string) error
	// KeyEvents lists what happened to a key, newest first; Events everything, as a
	// feed that begins with the oldest, or back from the newest. A call for a feed
	// that is narrowed by action or principal looks at a bounded number of events,
	// so a page may be short, or empty, and still have a next one.
	KeyEvents(ctx context.Context, id string, p PageParams) (Page[Event], error)
	Events(ctx context.Context, p FeedParams) (Page[Event], error)
	// VerifyEvents begins to check that no event was altered, removed or added, or
	// joins the check that is under way; it goes on by itself, and Verification
	// tells how far it has come. A result serves again for as long as it took, at
	// least 5 seconds. Both need the right admin and a caller who is not bound to
	// owners, and tell of the one process that is asked.
	VerifyEvents(ctx context.Context) (Verification, error)
	Verification(ctx context.Context) (Verification, error)
	// Usage counts the tokens that a key asked for, by hour or day.
	Usage(ctx context.Context, id string, p UsageParams) (Usage, error)
	Capabilities(ctx context.Context) (Capabilities, error)
	// Doctor makes every check of the installation; one that was made within the
	// last 30 seconds serves again. It needs the right admin and a caller who is
	// not bound to owners. ErrUnavailable while the checks are still being made.
	Doctor(ctx context.Context) (Diagnosis, error)
	// SigningKeys lists the keys with which Hydra signs JWT access tokens, newest
	// first, at most 100. It needs what Doctor needs. What Hydra said within the last
	// 10 seconds serves again.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// Policies are the rules for an owner's keys; "": those of the caller's only
	// owner, else of owners without rules of their own.
	Policies(ctx context.Context, owner string) (EffectivePolicies, error)
	// PolicyViolations lists keys that the rules of today would refuse, oldest
	// first. A call looks at 2000 keys at most, so a page may be short, or empty,
	// and still have a next one.
	PolicyViolations(ctx context.Context, p PolicyViolationsParams) (Page[KeyViolations], error)
	// DisableOwner, EnableOwner, RevokeOwner and RevokeOwnerTokens begin an
	// operation on every key of an owner that the caller sees, which goes on by
	// itself; Operation tells how far it has come. ErrNotFound for an owner
	// without keys. ErrBusy for an enable while a disable or revoke of the owner
	// has not reached every key.
	DisableOwner(ctx context.Context, owner string, p DisableOwnerParams) (Operation, error)
	EnableOwner(ctx context.Context, owner string, p EnableOwnerParams) (Operation, error)
	RevokeOwner(ctx context.Context, owner string, p RevokeOwnerParams) (Operation, error)
	RevokeOwnerTokens(ctx context.Context, owner string, p OwnerActionParams) (Operation, error)
	Operation(ctx context.Context, id string) (Operation, error)
}

// CreateParams describe a new key. Zero members take their defaults.
type CreateParams struct {
	Name        string              `json:"name" minLength:"1" maxLength:"100" doc:"for people; need not be unique" example:"billing worker"`
	Description string              `json:"description,omitempty" maxLength:"500"`
	Owner       string              `json:"owner,omitempty" maxLength:"100" doc:"whose key it is; may be left out by a caller bound to one owner" example:"acme"`
	Environment Environment         `json:"environment,omitempty" enum:"live,test" doc:"default live; becomes part of the id"`
	Labels      map[string]string   `json:"labels,omitempty" maxProperties:"32"`
	AuthMethod  AuthMethod          `json:"auth_method,omitempty" enum:"client_secret_basic,client_secret_post,private_key_jwt" doc:"default client_secret_basic, or the first that the policy allows"`
	Scopes      []string            `json:"scopes" minItems:"1" maxItems:"100" doc:"the most a token may be granted" example:"[\"orders:read\"]"`
	Audiences   []string            `json:"audiences,omitempty" maxItems:"20" doc:"absolute URIs of the APIs a token may be meant for" example:"[\"https://api.example.com\"]"`
	Token       *TokenParams        `json:"token,omitempty"`
	PublicKeys  []PublicKeyInput    `json:"public_keys,omitempty" maxItems:"10" doc:"for private_key_jwt: 1 to 10, one algorithm"`
	ExpiresAt   Nullable[time.Time] `json:"expires_at,omitzero" doc:"null: never; absent: as the policy says, else never"`
	Kind        Kind                `json:"kind,omitempty" enum:"api,management" doc:"management needs the right admin"`
	Owners      []string            `json:"owners,omitempty" maxItems:"100" doc:"management keys only: bind it to these owners"`

	IdempotencyKey string `json:"-"`
}

// TokenParams are token settings of which any may be left out.
type TokenParams struct {
	Format   TokenFormat `json:"format,omitempty" enum:"opaque,jwt" doc:"default opaque, unless the policy allows only jwt"`
	Lifetime *Duration   `json:"lifetime,omitempty" doc:"1m to 24h; default 15m, or the most that the policy allows" example:"15m"`
}

// PublicKeyInput is a public key as a caller sends it.
type PublicKeyInput struct {
	JWK       JWK        `json:"jwk" doc:"public JSON Web Key, RSA 2048 to 4096 or EC P-256, P-384, P-521"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"null or absent: as long as the key"`
}

// Issued is a new key with its secret, which is shown once. The secret is zero
// for private_key_jwt.
type Issued struct {
	Key    Key
	Secret Secret
}

// UpdateParams is a merge patch: absent members stay.
type UpdateParams struct {
	Name        *string             `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Description *string             `json:"description,omitempty" maxLength:"500"`
	Owner       *string             `json:"owner,omitempty" maxLength:"100" doc:"needs the right admin"`
	Labels      map[string]*string  `json:"labels,omitempty" doc:"merged; null removes a label"`
	AuthMethod  *AuthMethod         `json:"auth_method,omitempty" enum:"client_secret_basic,client_secret_post,private_key_jwt" doc:"between client_secret_basic and client_secret_post; the secret stays"`
	Scopes      *[]string           `json:"scopes,omitempty" minItems:"1" maxItems:"100"`
	Audiences   *[]string           `json:"audiences,omitempty" maxItems:"20"`
	Token       *TokenParams        `json:"token,omitempty"`
	ExpiresAt   Nullable[time.Time] `json:"expires_at,omitzero" doc:"null: never"`

	DryRun bool `json:"dry_run,omitempty" doc:"answer what it would do and change nothing"`

	// IfMatch is the revision the caller has seen; 0: none was given.
	IfMatch int64 `json:"-"`
}

// Nullable is a merge patch member that may be absent (the zero value), null,
// or a value.
type Nullable[T any] struct {
	Set   bool
	Value *T // nil: null
}

// SetTo is a member with a value, Null one with null.
func SetTo[T any](v T) Nullable[T] { return Nullable[T]{true, &v} }
func Null[T any]() Nullable[T]     { return Nullable[T]{Set: true} }

// IsZero reports whether the member is absent.
func (n Nullable[T]) IsZero() bool { return !n.Set }

func (n Nullable[T]) MarshalJSON() ([]byte, error) { return json.Marshal(n.Value) }

func (n *Nullable[T]) UnmarshalJSON(b []byte) error {
	n.Set, n.Value = true, nil
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return nil
	}
	n.Value = new(T)
	return json.Unmarshal(b, n.Value)
}

// ActionParams are for actions without a body of their own.
type ActionParams struct {
	DryRun bool `json:"dry_run,omitempty" doc:"answer what it would do and change nothing"`

	IdempotencyKey string `json:"-"`
}

// DisableParams say how long.
type DisableParams struct {
	Until  *time.Time `json:"until,omitempty" doc:"enable again by itself at this moment; absent: until somebody does"`
	DryRun bool       `json:"dry_run,omitempty" doc:"answer what it would do and change nothing"`

	IdempotencyKey string `json:"-"`
}

// RevokeParams say why.
type RevokeParams struct {
	Reason      RevocationReason `json:"reason,omitempty" enum:"key_compromise,superseded,cessation_of_operation,privilege_withdrawn,unspecified" doc:"default unspecified"`
	Description string           `json:"description,omitempty" maxLength:"500"`
	DryRun      bool             `json:"dry_run,omitempty" doc:"answer what it would do and change nothing"`

	IdempotencyKey string `json:"-"`
}

// PublicKeyParams add one public key.
type PublicKeyParams struct {
	PublicKeyInput
	IdempotencyKey string `json:"-"`
}

// Result is the key after an action. Pending: accepted and counting, Hydra
// follows as soon as it can.
type Result struct {
	Key Key `json:"key"`
	Impact
	Pending bool `json:"pending,omitzero"`
}

// Impact is whom a change concerns: what it does, or with dry_run would do, to
// the tokens that are out there and to the other keys of the rotation chain.
// When the key was last used stands in the key.
type Impact struct {
	AccessEndsAt *AccessEnds `json:"access_ends_at,omitempty" doc:"when the last token that it ends stops working; absent: it ends none"`
	Others       []Other     `json:"others" doc:"the other keys of the rotation chain that are active or disabled, newest first, at most 20: they go on"`
	DryRun       bool        `json:"dry_run,omitzero" doc:"nothing was changed"`
}

// Other is another key of a rotation chain.
type Other struct {
	ID     string     `json:"id"`
	Name   string     `json:"name"`
	Status Status     `json:"status" enum:"active,disabled"`
	EndsAt *time.Time `json:"ends_at" doc:"when it ends by the clock; null: never"`
	// LastUsedAt tells whether anybody still needs it.
	LastUsedAt *time.Time `json:"last_used_at" doc:"null: not known to have been used"`
}

// Updated is the key after a PATCH; with what the PATCH ends, if anything, or
// with dry_run would end.
type Updated struct {
	Key
	Impact *Impact `json:"impact,omitempty"`
}

// AccessEnds is when the last outstanding token stops working, for each way of
// verifying. Null: not known yet, because Hydra has not confirmed.
type AccessEnds struct {
	Introspected *time.Time `json:"introspected" doc:"for verifiers that introspect"`
	Offline      *time.Time `json:"offline" doc:"for verifiers that check JWTs by themselves"`
}

// ListParams select keys (GET /v1/keys). Cursor comes from the page before and
// is bound to the other members.
type ListParams struct {
	Q             string      `json:"q,omitempty"`
	Owner         string      `json:"owner,omitempty"`
	Kind          Kind        `json:"kind,omitempty"` // default: api
	Status        Status      `json:"status,omitempty"`
	Environment   Environment `json:"environment,omitempty"`
	AuthMethod    AuthMethod  `json:"auth_method,omitempty"`
	Scope         string      `json:"scope,omitempty"`
	Label         string      `json:"label,omitempty"` // "k:v"
	ExpiresBefore *time.Time  `json:"expires_before,omitempty"`
	RootID        string      `json:"root_id,omitempty"`
	Sort          string      `json:"sort,omitempty"` // "-created_at" (default), "name" ...
	Limit         int         `json:"limit,omitempty"`
	Cursor        string      `json:"cursor,omitempty"`
	Count         bool        `json:"count,omitempty"`
	// CountMost lets a count stop there, which keeps it cheap however many keys
	// match. Zero counts all, and so does the REST API.
	CountMost int `json:"-"`
	// LastUsedBefore selects keys that were made before that moment and not used since.
	LastUsedBefore *time.Time `json:"last_used_before,omitempty"`
	// UnusedScopes selects keys older than so many days that have a scope which
	// was not asked for within them. 0: all keys; at most 3650.
	UnusedScopes int `json:"unused_scopes,omitempty"`
}

// PageParams ask for one page.
type PageParams struct {
	Limit  int
	Cursor string
}

// FeedParams ask for events between two ids. Zero members select nothing.
type FeedParams struct {
	After  int64 // ids greater than this
	Before int64 // ids less than this
	Limit  int
	// Newest asks for the newest first: NextCursor is then the Before of the next
	// page, "" on the last.
	Newest    bool
	Action    Action
	KeyID     string
	Principal string
	Since     *time.Time // not before this
}

// Page is one page of a list. NextCursor is "" on the last; for a feed from the
// oldest on it is the id to ask after next time, also on the last.
type Page[T any] struct {
	Data       []T
	NextCursor string
	Count      *int // only if asked for
}

// Capabilities is what this installation can do.
type Capabilities struct {
	Hydra       *HydraCapabilities `json:"hydra" doc:"null while Hydra does not answer"`
	AuthMethods []AuthMethod       `json:"auth_methods"`
	Algorithms  []string           `json:"algorithms" doc:"for private_key_jwt"`
	Limits      Limits             `json:"limits"`
	TokenURL    string             `json:"token_url" doc:"Hydra's token endpoint, where keys buy access tokens"`
}

// Limits are the bounds that [Service] enforces on input.
type Limits struct {
	NameLength        int      `json:"name_length"`
	DescriptionLength int      `json:"description_length"`
	OwnerLength       int      `json:"owner_length"`
	Labels            int      `json:"labels"`
	LabelNameLength   int      `json:"label_name_length"`
	LabelValueLength  int      `json:"label_value_length"`
	Scopes            int      `json:"scopes"`
	ScopeLength       int      `json:"scope_length"`
	Audiences         int      `json:"audiences"`
	AudienceLength    int      `json:"audience_length"`
	PublicKeys        int      `json:"public_keys"`
	Owners            int      `json:"owners"`
	TokenLifetimeMin  Duration `json:"token_lifetime_min"`
	TokenLifetimeMax  Duration `json:"token_lifetime_max"`
	PageSize          int      `json:"page_size"`
}
