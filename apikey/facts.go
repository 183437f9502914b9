package apikey

import (
	"context"
	"time"
)

// KeyFacts are the facts of a key that decide whether Hydra may issue a token to
// it, and what the token says. Zero times mean never.
type KeyFacts struct {
	ID          string
	RootID      string
	Owner       string
	Environment Environment
	Revoked     bool
	Disabled    bool
	// DisabledUntil is the end of the pause; zero: it has none.
	DisabledUntil time.Time
	ExpiresAt     time.Time
	EndsAt        time.Time
	// CredentialEndsAt is the end of the last public key; zero also for a key
	// with a secret.
	CredentialEndsAt time.Time
	// StatusIndex is its place in the status lists.
	StatusIndex int64
	// NoCredential: a key that needs a public key has none at all.
	NoCredential bool
	// Narrowed is an accepted change that ends or pauses the key and is not yet
	// done; of several the one that does most. "": there is none. As for
	// [Record.NarrowedBy], the completion of a rotation counts where there is one.
	Narrowed Action
}

// Mark is a place in the ledger's stream of touches. Only the ledger reads it,
// but for Event, which never goes back in one ledger.
type Mark struct {
	Event   int64  // the newest event of a change before it
	Horizon int64  // changes touched before it are read
	Next    int64  // the horizon once this stretch is read
	Touched int64  // with Op: the last change read of this stretch
	Op      string // "": none
}

// Touch says that something of a key may have changed. The same one may be told
// several times.
type Touch struct {
	KeyID string
	Op    string // of the change; "" for an event
	At    int64
}

// Facts is what the ledger tells the memory of keys (snapshot.go). Errors are as
// those of [Ledger].
type Facts interface {
	// Facts reads those of the next keys in order of id, at most limit; after ""
	// the first.
	Facts(ctx context.Context, after string, limit int) ([]KeyFacts, error)
	// FactsOf reads those of these keys, at most a few hundred. Who is left out
	// does not exist.
	FactsOf(ctx context.Context, ids []string) ([]KeyFacts, error)
	// Mark is where the stream ends now.
	Mark(ctx context.Context) (Mark, error)
	// Touches lists what was touched since the mark, at most 2 * limit, and the
	// mark to go on from; more: at once, because there is more. Every commit that
	// changes a key's facts is told after it, in whatever order they come.
	Touches(ctx context.Context, since Mark, limit int) (touches []Touch, next Mark, more bool, err error)
}
