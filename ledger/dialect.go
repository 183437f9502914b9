package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// dialect is all in which the two databases differ, beside the codes of their
// errors (errors.go).
type dialect struct {
	goose goose.Dialect
	bun   func() schema.Dialect
	// millis is the database's own clock, in milliseconds since 1970. Leases go
	// by it, because the clocks of several processes differ.
	millis string
	// rowLock ends a SELECT whose rows no other transaction may write. SQLite has
	// one writer anyway.
	rowLock string
	// single: only this process writes, so what it left behind is free to take.
	single bool
	// touch numbers a write of a change, horizon is the least number that a write
	// which a reader does not see yet can have (facts.go).
	touch, horizon string
	// by, after a table, is before the index to read it by. Postgres knows enough
	// of the values to choose, and has no such thing.
	by string
}

// readBy names the index to read a table by, where that can be said.
func (d dialect) readBy(index string) string {
	if d.by == "" {
		return ""
	}
	return d.by + index
}

var (
	sqliteDialect = dialect{goose: goose.DialectSQLite3, bun: func() schema.Dialect { return sqlitedialect.New() },
		millis: "CAST(unixepoch('subsec') * 1000 AS INTEGER)", single: true,
		touch: "(SELECT touches FROM chain)", horizon: "touches + 1", by: " INDEXED BY "}
	postgresDialect = dialect{goose: goose.DialectPostgres, bun: func() schema.Dialect { return pgdialect.New() },
		millis: "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)", rowLock: " FOR NO KEY UPDATE",
		touch: "CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)", horizon: "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)"}
)

// sqliteReaders is how many reads run at the same time, beside the one writer.
const sqliteReaders = 4

// connect makes the pools, and on SQLite takes the process lock. It says
// nothing about the schema yet.
func connect(ctx context.Context, cfg Config, migrating bool) (*DB, error) {
	scheme, rest, _ := strings.Cut(cfg.URL, "://")
	switch scheme {
	case "sqlite":
		path, err := url.PathUnescape(rest)
		if err != nil || path == "" || strings.ContainsAny(rest, "?#") {
			return nil, errors.New("ledger: open: expected sqlite:///absolute/path/file.db")
		}
		return connectSQLite(path, cfg, migrating)
	case "postgres", "postgresql":
		return connectPostgres(ctx, cfg, migrating)
	}
	return nil, errors.New("ledger: open: expected a URL that begins with sqlite:// or postgres://")
}

// connectSQLite opens a file: one connection that writes, and a few that read
// beside it (in WAL mode neither waits for the other).
func connectSQLite(path string, cfg Config, migrating bool) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("ledger: open: %w", err)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // one file, one lock, however it is named
	}
	d := newDB(cfg, sqliteDialect)
	if !cfg.ReadOnly {
		if d.lock, err = lockFile(path); err != nil {
			return nil, err
		}
	}
	if err := prepareFile(path, migrating); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	pragmas := []string{"busy_timeout(5000)", "foreign_keys(1)", "secure_delete(1)", "synchronous(FULL)", "temp_store(MEMORY)", "cache_size(-16000)"}
	writer := url.Values{"_txlock": {"immediate"}, "_pragma": append(pragmas, "journal_mode(WAL)")}
	reader := url.Values{"_pragma": append(pragmas, "query_only(1)")}
	if cfg.ReadOnly {
		reader.Set("mode", "ro")
		writer = reader
	}
	open := func(q url.Values, n int) (*sql.DB, error) {
		pool, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}).String())
		if err == nil {
			pool.SetMaxOpenConns(n)
			pool.SetMaxIdleConns(n)
		}
		return pool, err
	}
	w, err1 := open(writer, 1)
	r, err2 := open(reader, sqliteReaders)
	if err := errors.Join(err1, err2); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger: open %q: %w", path, err), d.Close())
	}
	d.write, d.read = bun.NewDB(w, d.dialect.bun()), bun.NewDB(r, d.dialect.bun())
	return d, nil
}

// lockFile keeps a second process away: SQLite would let it in, but leases end
// when the only process starts, and readers would hold up the erasure.
func lockFile(path string) (*flock.Flock, error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("ledger: open %q: its folder does not exist: make it first", path)
	case err != nil:
		return nil, fmt.Errorf("ledger: lock %q: %w", path, err)
	case !held:
		return nil, fmt.Errorf("ledger: open %q: another process has it open (it holds %q): stop that process first, or use Postgres for several", path, path+".lock")
	}
	return lock, nil
}

// missingFile names an SQLite file that is not there. It matches
// [fs.ErrNotExist].
type missingFile string

func (m missingFile) Error() string {
	return fmt.Sprintf("ledger: open %q: there is no such file: run \"tokenos migrate\"", string(m))
}

func (missingFile) Unwrap() error { return fs.ErrNotExist }

// prepareFile makes the file if it may, and keeps others from reading it. SQLite
// gives its -wal and -shm files the same mode.
func prepareFile(path string, create bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("ledger: make: %w", err)
		}
		return f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return missingFile(path)
	case err != nil:
		return fmt.Errorf("ledger: open: %w", err)
	case info.Mode().Perm()&0o077 == 0:
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return fmt.Errorf("ledger: open: others may read the ledger: %w", err)
	}
	return nil
}

// connectPostgres makes two pools that share the connections: the writer
// prepares its statements, the reader sends each whole, because those that bun
// puts together hardly ever repeat and are planned best for their own values.
func connectPostgres(ctx context.Context, cfg Config, migrating bool) (*DB, error) {
	pg, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("ledger: open: %w", err) // pgx hides the password
	}
	set := func(name, value string) {
		if _, given := pg.RuntimeParams[name]; !given {
			pg.RuntimeParams[name] = value
		}
	}
	set("application_name", "tokenos")
	if !migrating {
		set("statement_timeout", "30000")
		set("lock_timeout", "3000")
		set("idle_in_transaction_session_timeout", "30000")
	}
	if cfg.ReadOnly {
		set("default_transaction_read_only", "on")
	}
	pg.RuntimeParams["standard_conforming_strings"] = "on" // what the quoting of values counts on
	pg.ConnectTimeout = cmp.Or(pg.ConnectTimeout, 5*time.Second)
	whole := pg.Copy()
	whole.DefaultQueryExecMode = pgx.QueryExecModeExec
	// Every list has an index in its order and ends with its page: reading all
	// that matches first, or compiling the statement, takes longer.
	whole.RuntimeParams["enable_bitmapscan"], whole.RuntimeParams["jit"], whole.RuntimeParams["random_page_cost"] = "off", "off", "1.1"
	d := newDB(cfg, postgresDialect)
	n := cmp.Or(cfg.MaxConnections, 20)
	d.write = bun.NewDB(pool(pg, max(2, (n+1)/2)), d.dialect.bun())
	d.read = bun.NewDB(pool(whole, max(1, n/2)), d.dialect.bun())
	if err := d.write.PingContext(ctx); err != nil {
		return nil, errors.Join(fault("open", err), d.Close())
	}
	return d, nil
}

func pool(cfg *pgx.ConnConfig, n int) *sql.DB {
	p := stdlib.OpenDB(*cfg)
	p.SetMaxOpenConns(n)
	p.SetMaxIdleConns(n)
	p.SetConnMaxIdleTime(5 * time.Minute)
	p.SetConnMaxLifetime(time.Hour) // so that connections follow a failover or a rebalance
	return p
}
