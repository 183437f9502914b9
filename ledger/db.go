package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

// Config says where the ledger is.
type Config struct {
	// URL is sqlite:///absolute/path/file.db, sqlite://relative.db (both in
	// percent form) or postgres://user:password@host/database. Required.
	URL string
	// MaxConnections bounds the connections to Postgres. Zero: 20. At least 3
	// are used. SQLite has one writer and four readers, always.
	MaxConnections int
	// ServerSecrets give the keys of the audit's chain: the first for new
	// events, all for verifying. Required, except to migrate.
	ServerSecrets []apikey.Secret
	// ReadOnly opens a ledger only to look: on SQLite beside the process that
	// holds it. Whatever writes then fails with ErrUnavailable.
	ReadOnly bool
	// Log gets a line where the ledger does something by itself. Nil: discarded.
	Log *slog.Logger
}

// DB is an open ledger. Its methods may be called at the same time.
type DB struct {
	dialect            dialect
	words              *strings.Replacer // what the dialects say in their own way
	write              *bun.DB           // on SQLite a single connection
	read               *bun.DB
	prepared           map[string]*sql.Stmt // by their text here; of writes on SQLite only, on Postgres pgx does it
	chain              chain
	installation       string
	lock               *flock.Flock // SQLite's process lock; nil if there is none
	writes             atomic.Int64 // transactions of this process that may have changed something
	closed             atomic.Bool
	lookout            lookout
	log                *slog.Logger
	stretch, stretches int64 // of FindEvents; 0: the usual
}

var _ apikey.Ledger = (*DB)(nil)

func newDB(cfg Config, d dialect) *DB {
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &DB{dialect: d, log: log, prepared: map[string]*sql.Stmt{}, lookout: lookout{turn: make(chan struct{}, 1), shared: newSharedLook()},
		words: strings.NewReplacer("{now}", d.millis, "{touch}", d.touch, "{horizon}", d.horizon, "{lock}", d.rowLock)}
}

// Open opens a migrated ledger. It fails, saying what to do, when the schema is
// missing, old or newer than this program, and when another process has the
// SQLite file. The caller must call [DB.Close].
func Open(ctx context.Context, cfg Config) (*DB, error) {
	chain, err := newChain(cfg.ServerSecrets)
	if err != nil {
		return nil, err
	}
	d, err := connect(ctx, cfg, false)
	if err != nil {
		return nil, err
	}
	d.chain = chain
	if err := d.start(ctx, cfg.ReadOnly); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// start checks the schema and makes ready for work.
func (d *DB) start(ctx context.Context, readOnly bool) error {
	if err := d.checkSchema(ctx); err != nil {
		return err
	}
	if err := d.read.NewRaw("SELECT id FROM installation").Scan(ctx, &d.installation); err != nil {
		return fault("open", err)
	}
	prepare := func(pool *bun.DB, texts ...string) error {
		for _, text := range texts {
			st, err := pool.DB.PrepareContext(ctx, d.sql(text))
			if err != nil {
				return fault("open", err)
			}
			d.prepared[text] = st
		}
		return nil
	}
	if err := prepare(d.read, readAnyKey, readOwnersKey, stateMark, lookMark); err != nil {
		return err
	}
	if readOnly {
		return nil
	}
	if _, err := d.CheckSecret(ctx); err != nil || !d.dialect.single {
		return err
	}
	if err := prepare(d.write, fixed...); err != nil {
		return err
	}
	// No other process is there, so whoever held these leases is dead.
	if _, err := d.write.DB.ExecContext(ctx, "UPDATE operations SET lease_until = 0 WHERE state = 'running'"); err != nil {
		return fault("open", err)
	}
	res, err := d.write.DB.ExecContext(ctx, "UPDATE changes SET lease_until = 0 WHERE state = 'begun'")
	if err != nil {
		return fault("open", err)
	}
	if n, err := res.RowsAffected(); err == nil && n > 0 {
		d.log.WarnContext(ctx, "changes were interrupted and will be taken up", "changes", n)
	}
	return nil
}

// Close ends all work and lets the file go.
func (d *DB) Close() error {
	d.closed.Store(true)
	var errs []error
	for _, st := range d.prepared {
		errs = append(errs, st.Close())
	}
	for _, pool := range []*bun.DB{d.read, d.write} { // the writer last: it folds the log into the file
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}

// Installation implements [apikey.Ledger].
func (d *DB) Installation() string { return d.installation }

// Ping implements [apikey.Ledger].
func (d *DB) Ping(ctx context.Context) error {
	var one int
	return fault("ping", d.read.NewRaw("SELECT 1").Scan(ctx, &one))
}

// sql gives a statement its dialect's clock, lock and numbers.
func (d *DB) sql(text string) string { return d.words.Replace(text) }

// tx is a transaction of the writer. On SQLite it is the only one there is.
type tx struct {
	bun.Tx
	d *DB
}

// transact runs f in a transaction and commits, or undoes all of it. A commit
// whose answer did not come matches [apikey.ErrOutcomeUnknown].
func (d *DB) transact(ctx context.Context, act string, f func(tx) error) error {
	t, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return fault(act, err)
	}
	defer t.Tx.Rollback() // after Commit it does nothing
	if err := f(tx{t, d}); err != nil {
		return fault(act, err)
	}
	err = t.Commit()
	d.writes.Add(1) // even if the answer is lost
	if err != nil {
		return fault(act, fmt.Errorf("commit: %w: %w", apikey.ErrOutcomeUnknown, err))
	}
	return nil
}

// exec runs a fixed statement and returns the number of rows it touched.
func (t tx) exec(ctx context.Context, text string, args ...any) (int64, error) {
	var res sql.Result
	var err error
	if st := t.d.prepared[text]; st != nil {
		res, err = t.StmtContext(ctx, st).ExecContext(ctx, args...)
	} else {
		res, err = t.Tx.Tx.ExecContext(ctx, t.d.sql(text), args...)
	}
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// rowsOf runs a fixed statement and returns its rows.
func rowsOf[T any](ctx context.Context, t tx, text string, args ...any) ([]T, error) {
	var rows *sql.Rows
	var err error
	if st := t.d.prepared[text]; st != nil {
		rows, err = t.StmtContext(ctx, st).QueryContext(ctx, args...)
	} else {
		rows, err = t.Tx.Tx.QueryContext(ctx, t.d.sql(text), args...)
	}
	if err != nil {
		return nil, err
	}
	var out []T
	err = t.d.write.ScanRows(ctx, rows, &out)
	return out, err
}

// rowOf is rowsOf for a statement with at most one row; sql.ErrNoRows without.
func rowOf[T any](ctx context.Context, t tx, text string, args ...any) (T, error) {
	rows, err := rowsOf[T](ctx, t, text, args...)
	if err == nil && len(rows) == 0 {
		err = sql.ErrNoRows
	}
	if err != nil {
		var none T
		return none, err
	}
	return rows[0], nil
}

// never is a moment that is none.
const never = apikey.NoExpiry

// unix is a moment as a column holds it.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.Unix()
}

func unixPointer(t *time.Time) int64 {
	if t == nil {
		return never
	}
	return t.Unix()
}

// moment is the reverse of unix.
func moment(s int64) time.Time {
	if s == never {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

// undecodable says that a row holds what this program did not write.
func undecodable(table, id string, err error) error {
	return &apikey.Error{Kind: apikey.ErrInternal, Cause: fmt.Errorf("ledger: decode %s %q: %w", table, id, err)}
}
