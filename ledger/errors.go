package ledger

import (
	"database/sql"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tokenos/tokenos/apikey"
)

// retryAfter is told to callers while the database does not do its work.
const retryAfter = 2 * time.Second

// planError carries a plan's error through the transaction that it undoes.
type planError struct{ error }

func (e planError) Unwrap() error { return e.error }

// fault makes a kind of error of what went wrong while doing act. What is one
// already, and what a plan said, stays as it is.
func fault(act string, err error) error {
	var plan planError
	var kind *apikey.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &plan):
		return plan.error
	case errors.As(err, &kind):
		return err
	case errors.Is(err, sql.ErrNoRows):
		return &apikey.Error{Kind: apikey.ErrNotFound}
	}
	out := &apikey.Error{Kind: apikey.ErrUnavailable, RetryAfter: retryAfter, Cause: fmt.Errorf("ledger: %s: %w", act, err)}
	if full(err) {
		out.Detail = "the ledger's disk is full"
	}
	return out
}

// contended makes ErrBusy of a failure that only says that another transaction
// was there first: a unique index, a lock waited for too long, a deadlock or a
// serialization failure.
func contended(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "23505", "55P03", "40P01", "40001":
			return &apikey.Error{Kind: apikey.ErrBusy, RetryAfter: retryAfter, Cause: err}
		}
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE {
		return &apikey.Error{Kind: apikey.ErrBusy, RetryAfter: retryAfter, Cause: err}
	}
	return err
}

// full reports whether the database has no room left.
func full(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "53100" // disk_full
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code()&0xff == sqlite3.SQLITE_FULL
	}
	return errors.Is(err, syscall.ENOSPC)
}

// noTable reports whether a statement failed because its table does not exist.
func noTable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "42P01" // undefined_table
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_ERROR
}

func notFound() error { return &apikey.Error{Kind: apikey.ErrNotFound} }
