package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// backlogMost bounds each count of a [Backlog], and so what it costs.
const backlogMost = 10_000

// Backlog is how many changes are accepted and not done. Each count stops at
// 10,000.
type Backlog struct {
	Begun  int // a process is carrying them out
	Stale  int // begun, and whoever began them has not finished in time
	Queued int // wait for the change before them
}

// The counts go by the partial indexes of the two states.
const backlog = `SELECT
	(SELECT COUNT(*) FROM (SELECT 1 FROM changes WHERE state = 'begun' AND lease_until > {now} LIMIT $1) b) AS begun,
	(SELECT COUNT(*) FROM (SELECT 1 FROM changes WHERE state = 'begun' AND lease_until <= {now} LIMIT $1) s) AS stale,
	(SELECT COUNT(*) FROM (SELECT 1 FROM changes WHERE state = 'queued' LIMIT $1) q) AS queued`

// Backlog counts the changes that are not done, in one query.
func (d *DB) Backlog(ctx context.Context) (b Backlog, err error) {
	err = d.read.DB.QueryRowContext(ctx, d.sql(backlog), backlogMost).Scan(&b.Begun, &b.Stale, &b.Queued)
	return b, fault("count changes", err)
}

// Clock is what the database's clock says, by which leases go.
func (d *DB) Clock(ctx context.Context) (time.Time, error) {
	var millis int64
	err := d.read.DB.QueryRowContext(ctx, d.sql("SELECT {now}")).Scan(&millis)
	return time.UnixMilli(millis).UTC(), fault("read the clock", err)
}

// Kind names the database: SQLite or Postgres.
func (d *DB) Kind() string {
	if d.dialect.single {
		return "SQLite"
	}
	return "Postgres"
}

// SchemaError says that the database has not the schema that this program needs.
type SchemaError struct {
	Have, Want int64 // versions; Have is 0 for none
}

func (e *SchemaError) Error() string {
	switch {
	case e.Have == 0:
		return `ledger: open: the database has no schema yet: run "tokenos migrate"`
	case e.Have < e.Want:
		return fmt.Sprintf(`ledger: open: the schema has version %d, this program needs %d: run "tokenos migrate"`, e.Have, e.Want)
	}
	return fmt.Sprintf("ledger: open: the schema has version %d, this program knows only %d: use the newer tokenos that migrated it", e.Have, e.Want)
}

// SecretError says that the server secrets are not those of this ledger.
type SecretError struct{}

func (SecretError) Error() string {
	return "ledger: open: the newest event was written under another server secret: set the secret that this ledger is used with, or name it among the previous ones"
}

// CheckSecret refuses server secrets that are not this ledger's, with a
// [SecretError]: one mistyped replica would write events that the others cannot
// prove. Without any event there is nothing to know them by, and proved is
// false. [Open] asks it, unless it is to read only.
func (d *DB) CheckSecret(ctx context.Context) (proved bool, err error) {
	var key string
	err = d.read.NewRaw("SELECT mac_key FROM events ORDER BY id DESC LIMIT 1").Scan(ctx, &key)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fault("open", err)
	}
	if _, known := d.chain.keys[key]; !known {
		return false, SecretError{}
	}
	return true, nil
}
