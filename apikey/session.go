package apikey

import (
	"context"
	"time"
)

// Session is a person's session in the dashboard, as the ledger keeps it. All
// times are UTC, whole seconds.
type Session struct {
	Hash      string // of the token in the person's cookie; names the session
	Principal string // "user:<subject>"
	Data      []byte // the dashboard's own; holds no secret
	Address   string // whence the person signed in, as far as it can be trusted
	UserAgent string // likewise, at most 200 characters
	CreatedAt time.Time
	SeenAt    time.Time // the last request, to the minute
	ExpiresAt time.Time // the end if no further request comes
}

// Sessions keep people signed in, for all processes of an installation. Besides
// the errors named, every method may fail with ErrUnavailable.
type Sessions interface {
	// Session fails with ErrNotFound for one that has ended or never was.
	Session(ctx context.Context, hash string, now time.Time) (Session, error)
	// StartSession adds one, and removes some that ended before it began.
	StartSession(ctx context.Context, s Session) error
	// KeepSession notes a request and replaces the data. A session that has ended
	// stays ended, without an error.
	KeepSession(ctx context.Context, hash string, data []byte, seen, expires time.Time) error
	// EndSession does nothing for one that has ended.
	EndSession(ctx context.Context, hash string) error
	// SessionsOf lists those of a person, the latest first, at most 100.
	SessionsOf(ctx context.Context, principal string, now time.Time) ([]Session, error)
	// EndSessionsOf ends those of a person, all or all but one, and tells how many.
	EndSessionsOf(ctx context.Context, principal, except string) (int, error)
}
