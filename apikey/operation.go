package apikey

import (
	"context"
	"errors"
	"time"
)

// OperationState is where an operation on everything of one owner stands.
type OperationState string

const (
	OperationPreview    OperationState = "preview"    // of a dry run; nothing was changed
	OperationRunning    OperationState = "running"    // goes on by itself
	OperationDone       OperationState = "done"       // every key was reached, and Hydra has followed
	OperationSuperseded OperationState = "superseded" // an enable that a newer disable or revoke of the owner ended
)

// Operation is one action on every key of an owner, as far as it has come.
type Operation struct {
	ID           string         `json:"id,omitempty" doc:"absent in a preview"`
	Owner        string         `json:"owner"`
	Action       Action         `json:"action" enum:"key.disabled,key.enabled,key.revoked,tokens.revoked" doc:"as the events of its keys name it"`
	State        OperationState `json:"state" enum:"preview,running,done,superseded"`
	DryRun       bool           `json:"dry_run,omitzero"`
	Total        int            `json:"total" doc:"keys that are part of it, as counted when it began; those revoked before are not"`
	Done         int            `json:"done" doc:"keys dealt with: changed, unchanged and failed"`
	Changed      int            `json:"changed"`
	Unchanged    int            `json:"unchanged" doc:"were as they should be already"`
	Failed       int            `json:"failed"`
	Waiting      int            `json:"waiting" doc:"of those changed: accepted and counting, but Hydra has yet to follow"`
	Failures     []KeyFailure   `json:"failures" doc:"the first 20"`
	AccessEndsAt *AccessEnds    `json:"access_ends_at,omitempty" doc:"the latest of its keys; absent for an enable"`
	CreatedAt    time.Time      `json:"created_at"`
	CreatedBy    string         `json:"created_by"`
	FinishedAt   *time.Time     `json:"finished_at"`
}

// KeyFailure says why a key stayed as it was.
type KeyFailure struct {
	KeyID string    `json:"key_id"`
	Code  ErrorKind `json:"code" doc:"as in a problem document" example:"expired"`
}

// failuresKept bounds the failures that an operation names.
const failuresKept = 20

// DisableOwnerParams say how long.
type DisableOwnerParams struct {
	Until  *time.Time `json:"until,omitempty" doc:"enable again by itself at this moment; absent: until somebody does"`
	DryRun bool       `json:"dry_run,omitempty" doc:"change nothing; answer what would be"`

	IdempotencyKey string `json:"-"`
}

// EnableOwnerParams say which pauses to end.
type EnableOwnerParams struct {
	All    bool `json:"all,omitempty" doc:"also keys that were disabled by themselves, not with their owner"`
	DryRun bool `json:"dry_run,omitempty" doc:"change nothing; answer what would be"`

	IdempotencyKey string `json:"-"`
}

// RevokeOwnerParams say why.
type RevokeOwnerParams struct {
	Reason      RevocationReason `json:"reason,omitempty" enum:"key_compromise,superseded,cessation_of_operation,privilege_withdrawn,unspecified" doc:"default unspecified"`
	Description string           `json:"description,omitempty" maxLength:"500"`
	DryRun      bool             `json:"dry_run,omitempty" doc:"change nothing; answer what would be"`

	IdempotencyKey string `json:"-"`
}

// OwnerActionParams are for an action on an owner without a body of its own.
type OwnerActionParams struct {
	DryRun bool `json:"dry_run,omitempty" doc:"change nothing; answer what would be"`

	IdempotencyKey string `json:"-"`
}

// OperationRecord is an operation as the ledger keeps it: what callers see, and
// what is needed to carry it on.
type OperationRecord struct {
	Operation
	Order Order
	Actor Caller // whose rights decide about each key
	// Line: of the running operations in one line only the oldest that has not
	// walked to its end is carried on. "": in none.
	Line    string
	Cursor  OperationCursor
	Walked  bool // every key was reached; what is accepted may wait for Hydra
	Attempt int  // grows with each [Operations.TakeOperation]
	Tries   int  // how often the keys at the cursor could not be decided
	// Management: management keys are part of it, so that who may not see them
	// does not see it.
	Management bool
	Ends       *AccessEnds // of the keys done so far; nil: of none
	// Unmeasured: some keys are done by background work, after the operation
	// has left them. Their tokens end no later than these after Hydra followed.
	Unmeasured  bool
	Lifetime    Duration  // the longest of their JWTs; zero without any
	TokensEndBy time.Time // see [Upkeep]
}

// OperationCursor is the place of the last key that was dealt with: management
// keys come first, each kind by age. The zero value is the beginning.
type OperationCursor struct {
	Kind  Kind
	After *Position
}

// OperationHold is the right to begin changes under an operation: who holds its
// lease under this attempt has it, while it runs.
type OperationHold struct {
	ID      string // "": the change is not part of an operation
	Attempt int
}

// ErrOperationOver says that the operation was superseded or finished, or another
// process carries it on. Nothing was changed.
var ErrOperationOver = errors.New("the operation is over or held by another process")

// OperationBegin asks for a new operation.
type OperationBegin struct {
	Operation OperationRecord
	Replay    *Replay // the Idempotency-Key it was asked with, if any
	// Ends are the actions of running operations of the owner that end here.
	Ends []Action
	// After are actions: ErrBusy while an operation of the owner with one of
	// them has not reached every key.
	After []Action
	// Most bounds the running operations of the owner with this action,
	// ErrBusy beyond. Zero: no bound.
	Most int
}

// Operations is the part of [Ledger] that keeps operations. Lease and attempt
// are those of a change. Errors are as for all of [Ledger].
type Operations interface {
	// BeginOperation stores a new operation with its replay, in one transaction
	// that others wait for. ErrBusy, ErrIdempotencyRunning.
	BeginOperation(ctx context.Context, b OperationBegin) error
	// Operation reads one whose owner lies within v. ErrNotFound. Waiting is
	// counted anew.
	Operation(ctx context.Context, id string, v View) (OperationRecord, error)
	// FreeOperations lists running operations that nobody works on, at most limit
	// that narrow, which come first, and limit others; only those that narrow if
	// narrowing. Each owner's oldest comes before any owner's second: whoever
	// begins many of one owner holds up no other's.
	FreeOperations(ctx context.Context, narrowing bool, limit int) ([]OperationRecord, error)
	// TakeOperation begins the lease of a free one; false if another was faster.
	TakeOperation(ctx context.Context, id string, attempt int, lease time.Duration) (bool, error)
	// SaveOperation stores how far it has come and how long the lease goes on,
	// and tells its state, which another may have changed. ErrOperationOver if
	// it is no longer held under this attempt.
	SaveOperation(ctx context.Context, o OperationRecord, lease time.Duration) (OperationState, error)
	// ChangesUnder tells which of the keys have a change under the operation
	// that was not given up.
	ChangesUnder(ctx context.Context, operation string, keys []string) ([]string, error)
	// PruneOperations erases operations that ended before a moment.
	PruneOperations(ctx context.Context, before time.Time) error
}

// Operation implements [API].
func (s *Service) Operation(ctx context.Context, id string) (Operation, error) {
	c, err := s.allow(ctx, KeysRead)
	if err != nil {
		return Operation{}, err
	}
	o, err := s.operation(ctx, c, id)
	// Changes are counted as they are now, keys as they were after the last batch.
	o.Waiting = min(o.Waiting, o.Changed)
	return o.Operation, err
}

// operation reads an operation the caller may see.
func (s *Service) operation(ctx context.Context, c Caller, id string) (OperationRecord, error) {
	if !ValidID(id) {
		return OperationRecord{}, noOperation()
	}
	o, err := s.ledger.Operation(ctx, id, View{Owners: c.Owners})
	if err != nil {
		if errors.Is(err, ErrNotFound) {
			err = noOperation()
		}
		return OperationRecord{}, err
	}
	if !showable(c, o) {
		return OperationRecord{}, noOperation()
	}
	return o, nil
}

func noOperation() error { return fail(ErrNotFound, "there is no such owner or operation") }

// showable reports whether the operation exists for the caller. One with
// management keys tells of them: only who sees as far as its maker sees it.
func showable(c Caller, o OperationRecord) bool {
	if !c.Sees(o.Owner) {
		return false
	}
	return !o.Management || c.Principal == o.Actor.Principal || c.May(Admin) && withinOwners(c, o.Actor.Owners)
}
