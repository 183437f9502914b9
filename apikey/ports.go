package apikey

import (
	"context"
	"time"
)

// ChangeState is where a change stands.
type ChangeState string

const (
	ChangeQueued    ChangeState = "queued"    // waits for the change before it; counts already (narrowing only)
	ChangeBegun     ChangeState = "begun"     // holds the key's lock; Hydra may or may not have been called
	ChangeDone      ChangeState = "done"      // applied and recorded
	ChangeAbandoned ChangeState = "abandoned" // nothing of it holds
)

// Order is what a caller asked for, as far as a queued change must remember it.
type Order struct {
	Owner       string           `json:"owner,omitempty"`       // as part of an operation on this owner
	All         bool             `json:"all,omitempty"`         // enable of an owner
	Until       *time.Time       `json:"until,omitempty"`       // disable
	Reason      RevocationReason `json:"reason,omitempty"`      // revoke
	Description string           `json:"description,omitempty"` // revoke
}

// Change is a durable intent: written before Hydra is called (T1), finished
// when the new definition is stored (T2). At most one change of a key is begun
// at a time; that row is the key's lock.
type Change struct {
	Op     string // unique id of the change, also written into the client in Hydra
	KeyID  string
	Action Action
	State  ChangeState
	Order  Order
	Target Definition // what the definition becomes; Target.Revision is the new revision
	// Successor is the key that a rotation makes beside it; nil: none. It exists
	// from T2 on.
	Successor *Definition
	At        time.Time // the moment the target was planned for
	Actor     Caller    // principal, address, user agent, request id
	Attempt   int       // how often recovery took it
	Replay    *Replay   // the Idempotency-Key it was asked with, if any
}

// Replay is what is stored of a request with an Idempotency-Key: enough to give
// the same answer again, never the secret.
type Replay struct {
	Hash      []byte // HMAC(server secret, caller and header): the row's key
	Request   []byte // HMAC of the operation, the key's id and the body
	Salt      []byte // random, for deriving the secret again; erased with the row
	ServerKey string // which server secret was used
	Op        string // the change that runs or ran
	KeyID     string // the key that the request is for; of a create or a rotation, the one it makes
	Answer    []byte // JSON without the secret; nil until answered
	State     ChangeState
	Action    Action
	At        time.Time
}

// Plan decides what a change makes of a key. It runs inside T1, with the key's
// lock held and the record freshly read (zero with found=false for an unknown
// key), and must not call anything slow. An error undoes T1.
type Plan func(r Record, found bool) (Planned, error)

// Planned is a plan's result.
type Planned struct {
	Target    Definition
	Successor *Definition // see [Change]
	// Unchanged: there is nothing to do (disable of a disabled key). No change
	// is stored; the replay, if any, is stored with Answer.
	Unchanged bool
	Answer    []byte
	// Quota is what the owner of the target must keep to. Nil: nothing.
	Quota *Quota
}

// Begin asks for T1.
type Begin struct {
	Change Change        // Op, KeyID, Action, Order, At, Actor, Replay; State and Target are set by T1
	Lease  time.Duration // how long others keep their hands off, by the database's clock
	// Wait puts the change in line (ChangeQueued) when another holds the key,
	// instead of failing with ErrBusy. Only for actions that narrow. If the last
	// in line asks for the same it joins that one: Begun then has its Op.
	Wait bool
	Plan Plan
	// Operation is what the change is part of, if any. ErrOperationOver unless
	// it is still held; a second change of a key under one is busy.
	Operation OperationHold
}

// Begun is T1's result.
type Begun struct {
	Change    Change // State is ChangeBegun or ChangeQueued
	Record    Record // as it was before the change
	Unchanged bool
}

// Finish is T2: the definition, its upkeep, the event and the answer, in one
// transaction, with the event last.
type Finish struct {
	Op      string
	Attempt int // of the holder, see [Ledger]
	Target  Definition
	Upkeep  Upkeep
	Event   *Event // nil: none. ID and chain are set by the ledger
	Answer  []byte // kept for the change's replay, if it has one
	Delete  bool   // remove the key's row instead of writing it; events stay
	// Successor is the key that comes to be in the same transaction; nil: none.
	Successor *Born
}

// Born is a new key beside the one that a change is of. Its event follows.
type Born struct {
	Target Definition
	Upkeep Upkeep
	Event  Event
}

// Ledger is the SQL database that holds the definitions. Every method takes a
// context with a deadline. Failures of the database itself match
// ErrUnavailable; a write whose commit was not answered, and which may have
// happened, also ErrOutcomeUnknown. Times are UTC, whole seconds.
//
// The attempt of a begun change tells its holders apart: who began it has 0,
// each Take makes it one more. A process that was stopped for longer than its
// lease can so neither finish nor give up what another is working on.
type Ledger interface {
	Operations
	UsageLedger
	Facts
	States
	Standings
	EventChain

	// Installation is the random id of this ledger, written into every client.
	Installation() string
	// Ping reports whether the database answers.
	Ping(ctx context.Context) error

	// Key reads one record that lies within v. ErrNotFound, by the same query,
	// if there is none or it lies outside.
	Key(ctx context.Context, id string, v View) (Record, error)
	// KeyNames reads the names of those of these keys, at most a few hundred, that
	// lie within v. Who is left out does not exist, or lies outside.
	KeyNames(ctx context.Context, ids []string, v View) (map[string]string, error)
	// Keys reads one page in the order asked for. Count -1 unless q.Count.
	Keys(ctx context.Context, q Query) (records []Record, count int, err error)

	// Begin is T1. ErrBusy when another change holds the key (unless b.Wait),
	// ErrPublicKeyInUse when a public key of the target, or of the successor,
	// belongs to another key,
	// ErrIdempotencyRunning when b.Change.Replay's hash is already stored and not
	// that of an abandoned change, a *QuotaError when the plan's quota is used
	// up, or whatever the plan returned. Changes that ask for one quota do so one after
	// the other, in all processes: two cannot take the last place.
	Begin(ctx context.Context, b Begin) (Begun, error)
	// Finish is T2. It fails with ErrNotFound when the change is no longer begun
	// under this attempt.
	Finish(ctx context.Context, f Finish) error
	// Abandon gives a change up: nothing of it holds. A recheck later than zero
	// has Due or Rechecks name it again at that time, to undo what Hydra may
	// still do with a request that was on its way. ErrNotFound as Finish.
	Abandon(ctx context.Context, op string, attempt int, recheck time.Time) error
	// Release ends the lease of a begun change early, so recovery takes it at
	// the next turn after wait. ErrNotFound as Finish.
	Release(ctx context.Context, op string, attempt int, wait time.Duration) error

	// Stale lists begun changes whose lease has ended, oldest first.
	Stale(ctx context.Context, limit int) ([]Change, error)
	// Take renews a stale change's lease for this process; false if another
	// was faster. attempt is the one that Stale told; it grows by one.
	Take(ctx context.Context, op string, attempt int, lease time.Duration) (bool, error)
	// Queued lists queued changes whose key is free, oldest first, one per key.
	Queued(ctx context.Context, limit int) ([]Change, error)
	// Promote turns a queued change into a begun one, as Begin does. A plan
	// that finds nothing to do marks the change done. ErrBusy, ErrNotFound.
	Promote(ctx context.Context, op string, lease time.Duration, plan Plan) (Begun, error)
	// Due lists keys whose DueAt is at or before now and that are not held.
	Due(ctx context.Context, now time.Time, limit int) ([]string, error)
	// Rechecks lists abandoned changes whose recheck time has come, and
	// Rechecked forgets it.
	Rechecks(ctx context.Context, now time.Time, limit int) ([]Change, error)
	Rechecked(ctx context.Context, op string) error
	// GivenUp lists the abandoned rotations of a key that Rechecks will name.
	GivenUp(ctx context.Context, id string) ([]Change, error)

	// Replay reads what is stored under the hash. ErrNotFound.
	Replay(ctx context.Context, hash []byte) (Replay, error)
	// Claim notes that the secret of the rotation op has been told, so that it
	// is no longer unclaimed. ErrBusy while a change of the key is begun.
	Claim(ctx context.Context, id, op string) error
	// Events reads the audit.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
	// FindEvents is Events for a query that may match little: it looks at a bounded
	// number of events, and tells how far it came.
	FindEvents(ctx context.Context, q EventQuery) (EventsFound, error)
	// Prune erases replays (with their salts) and finished changes older than
	// their cut-offs.
	Prune(ctx context.Context, replaysBefore, changesBefore time.Time) error
}

// View bounds what a read may find. The zero View finds every key.
type View struct {
	Owners []string // keys of these owners only; empty: all
}

// Query selects and orders keys. Zero members do not select.
type Query struct {
	Owners        []string // bounds of the caller
	Owner         string
	Kind          Kind
	Status        Status
	Environment   Environment
	AuthMethod    AuthMethod
	Scope         string
	LabelKey      string // with LabelValue
	LabelValue    string
	ExpiresBefore time.Time
	RootID        string
	IDPrefix      string   // of the id
	Words         []string // each must begin a word of name, description, id, owner or labels; from SearchWords
	Sort          SortField
	Descending    bool
	After         *Position // exclusive
	Limit         int
	Now           time.Time // for the derived status
	Count         bool      // also count all matches
	CountMost     int       // at which the count may stop; zero: nowhere
	// UnusedSince selects keys made before it and not used since; ScopeUnusedSince
	// keys made before it that have a scope not asked for since.
	UnusedSince      time.Time
	ScopeUnusedSince time.Time
}

// SortField orders a list; ties are broken by id in the same direction.
type SortField string

const (
	SortCreatedAt SortField = "created_at"
	SortUpdatedAt SortField = "updated_at"
	SortExpiresAt SortField = "expires_at" // keys that never expire come last, ascending
	SortName      SortField = "name"       // by Unicode code point of the lower-cased name
	// SortLastUsedAt puts keys that were never used first, ascending.
	SortLastUsedAt SortField = "last_used_at"
)

// Position is a place in an ordered list: the sort value of the last row seen
// (Unix seconds for times, NoExpiry for never) and its id.
type Position struct {
	Number int64
	Text   string
	ID     string
}

// NoExpiry is the sort value of a key that never expires.
const NoExpiry = int64(1) << 60

// PositionOf returns where the record stands in a list ordered by f.
func PositionOf(d Record, f SortField) Position {
	p := Position{ID: d.ID}
	switch f {
	case SortLastUsedAt:
		if !d.LastUsedAt.IsZero() {
			p.Number = d.LastUsedAt.Unix()
		}
	case SortName:
		p.Text = SortKey(d.Name)
	case SortUpdatedAt:
		p.Number = d.UpdatedAt.Unix()
	case SortExpiresAt:
		p.Number = NoExpiry
		if d.ExpiresAt != nil {
			p.Number = d.ExpiresAt.Unix()
		}
	default:
		p.Number = d.CreatedAt.Unix()
	}
	return p
}

// EventQuery selects events.
type EventQuery struct {
	Owners     []string // bounds of the caller
	Kind       Kind     // "" for all
	KeyID      string   // only this key's; "" for all
	Changes    bool     // only events of changes: not [ActionDeny]
	After      int64    // ids greater than this
	Before     int64    // ids less than this; 0: no bound
	Descending bool
	Limit      int

	// For FindEvents alone; zero members select nothing.
	Action    Action
	Principal string
	Since     time.Time // not before this
}

// EventsFound is what [Ledger.FindEvents] found. All events up to Seen were looked
// at: ids up to it, or with Descending from it on. More: there are others beyond.
type EventsFound struct {
	Events []Event
	Seen   int64
	More   bool
}

// ClientWrite is everything hydra needs to project a definition onto a client.
type ClientWrite struct {
	Definition Definition
	PublicKeys []PublicKey // those that may authenticate now
	Open       bool        // may Hydra issue tokens
	Op         string
	Ledger     string // installation id
	Secret     Secret // zero: keep what Hydra has
	// Late, if set, is called when a Put succeeds after an attempt whose answer
	// was lost: that attempt may still be on its way, and arrive after a newer one.
	Late func()
}

// ClientState is what a read of the client tells about who wrote it last.
type ClientState struct {
	Ledger   string // "" if it does not carry our marker
	Op       string
	Revision int64
}

// Clients is Hydra's admin API as keys need it. Every call has a deadline of
// its own. Errors: ErrNotFound; ErrClientExists; otherwise *Error of kind
// ErrUnavailable (reachable again later) or ErrInternal (Hydra refused what we
// sent) whose cause matches ErrNotSent or ErrOutcomeUnknown.
type Clients interface {
	// Create is one POST. ErrClientExists.
	Create(ctx context.Context, w ClientWrite) error
	// Put is one PUT of the whole client. ErrNotFound.
	Put(ctx context.Context, w ClientWrite) error
	// State reads the marker. ErrNotFound.
	State(ctx context.Context, id string) (ClientState, error)
	// Delete removes the client; its tokens die with it. Absent is success.
	Delete(ctx context.Context, id string) error
	// RevokeTokens ends every outstanding token of the client.
	RevokeTokens(ctx context.Context, id string) error
	// Prove asks Hydra whether a credential is right, without buying a token.
	// Nil: it is. ErrUnauthenticated: Hydra is ready and says no. ErrUnavailable:
	// that cannot be known now.
	Prove(ctx context.Context, c Credential) error
	// Ready asks /health/ready (cached for a moment). ErrUnavailable.
	Ready(ctx context.Context) error
	// Capabilities probes what this Hydra can do, without side effects but one: a
	// Hydra whose discovery nobody has read makes its key for ID tokens then.
	Capabilities(ctx context.Context) (HydraCapabilities, error)
	// SigningKeys lists the keys for JWT access tokens, newest first, without
	// RetirableAt; none if Hydra has yet to make one.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
}

// HydraCapabilities is what a Hydra can do, found by probing, never by version.
type HydraCapabilities struct {
	NativeRotation bool   `json:"native_rotation" doc:"Hydra itself keeps rotated secrets valid"`
	Version        string `json:"version" doc:"as Hydra reports it; builds from source say master"`
	// Issuer is what tokens name as their issuer, from discovery (OpenID Connect
	// Discovery 1.0 section 3), to be compared character by character.
	Issuer string `json:"issuer,omitempty" doc:"of tokens, as Hydra's discovery names it; absent while it is not known"`
}

// Tokens looks up access tokens at Hydra.
type Tokens interface {
	// Introspect answers what Hydra says of an access token (RFC 7662).
	// ErrUnauthenticated if it is not active, ErrUnavailable if that cannot be
	// known now. An answer is believed for a few seconds without asking again.
	// While Hydra is not ready a token seen before is answered from memory until it
	// expires, and said to be remembered.
	Introspect(ctx context.Context, token string) (TokenInfo, error)
	// IntrospectNow is the same, but an answer to a question from before the call
	// does not do, unless Hydra is not ready.
	IntrospectNow(ctx context.Context, token string) (TokenInfo, error)
}

// TokenInfo is what is known of an active access token. Texts and times that
// Hydra leaves out are zero.
type TokenInfo struct {
	ClientID  string
	Subject   string
	Scopes    []string
	Audiences []string // Hydra splits what was asked for at each "|"
	Issuer    string
	TokenType string
	IssuedAt  time.Time
	NotBefore time.Time
	ExpiresAt time.Time
	// Age is how long ago Hydra was asked.
	Age time.Duration
	// Remembered: Hydra cannot be asked now; it has said this a while ago.
	Remembered bool
}
