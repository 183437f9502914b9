package apikey

import (
	"slices"
	"time"
)

// Action is what was done, as events and changes name it.
type Action string

const (
	ActionCreate          Action = "key.created"
	ActionUpdate          Action = "key.updated"
	ActionDisable         Action = "key.disabled"
	ActionEnable          Action = "key.enabled"
	ActionRevoke          Action = "key.revoked"
	ActionDelete          Action = "key.deleted"
	ActionExpire          Action = "key.expired"
	ActionRevokeTokens    Action = "tokens.revoked"
	ActionAddPublicKey    Action = "public_key.added"
	ActionRemovePublicKey Action = "public_key.removed"
	ActionExpirePublicKey Action = "public_key.expired"
	// ActionRotate changes the credential; of a successor key.created tells as well.
	ActionRotate Action = "key.rotated"
	// ActionCompleteRotation ends a replaced key before its deadline.
	ActionCompleteRotation Action = "rotation.completed"
	// ActionRetirePublicKeys ends replaced public keys before their deadline.
	ActionRetirePublicKeys Action = "public_key.retired"
	// ActionLoseCredential: a rotation in place took effect that was not answered
	// and had been given up; the secret before it no longer works.
	ActionLoseCredential Action = "key.credential_unknown"
	// ActionExpiring tells that a key's end is near; the key stays as it is.
	ActionExpiring Action = "key.expiring"
	// ActionDeny is no change: the key was refused tokens, see [KeyDenials].
	ActionDeny Action = "token.denied"
	// ActionConverge writes no event: the definition stays as it is and Hydra
	// is brought in line with it (second token sweep, looking up a lost answer).
	ActionConverge Action = "key.converged"
)

// EventActions are those that events tell of, in the order in which people look
// for them.
var EventActions = []Action{ActionCreate, ActionUpdate, ActionDisable, ActionEnable, ActionRotate, ActionCompleteRotation, ActionRevoke, ActionDelete,
	ActionExpiring, ActionExpire, ActionRevokeTokens, ActionAddPublicKey, ActionRemovePublicKey, ActionRetirePublicKeys, ActionExpirePublicKey, ActionLoseCredential, ActionDeny}

// NarrowingActions end or pause a key.
var NarrowingActions = []Action{ActionDisable, ActionRevoke, ActionCompleteRotation}

// Narrows reports whether the action ends or pauses a key, so that it counts
// from the moment it is accepted and waits in line instead of failing.
func (a Action) Narrows() bool {
	return slices.Contains(NarrowingActions, a)
}

// keepsDefinition reports whether the action leaves the definition, and so the
// revision, as it is.
func (a Action) keepsDefinition() bool {
	return a == ActionConverge || a == ActionRevokeTokens || a == ActionExpiring
}

// Event is one line of the audit: who did what to which key, and what changed.
// It is written in the transaction that applies the change and never altered;
// each carries a MAC over itself and the one before (`tokenos audit verify`).
type Event struct {
	ID        int64          `json:"id" doc:"grows by one; the order of the changes"`
	At        time.Time      `json:"at"`
	Action    Action         `json:"action"`
	KeyID     string         `json:"key_id"`
	RootID    string         `json:"root_id"`
	Owner     string         `json:"owner"`
	Kind      Kind           `json:"kind"`
	Revision  int64          `json:"revision"`
	ChangeID  string         `json:"change_id" doc:"the change this event belongs to; empty: token.denied is none"`
	Principal string         `json:"principal"`
	Address   string         `json:"address"`
	UserAgent string         `json:"user_agent"`
	RequestID string         `json:"request_id"`
	Before    map[string]any `json:"before" doc:"the members that changed, as they were"`
	After     map[string]any `json:"after" doc:"the members that changed, as they are"`
	// KeyName is what the key is called now. It is filled in where events are
	// listed, and is no part of what is stored and chained.
	KeyName string `json:"key_name,omitempty" doc:"what the key is called now; absent if its record was deleted or the caller does not see the key"`
}
