package ledger

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versions is goose's table; a name of our own, because a Postgres database may
// be shared with others that use goose.
const versions = "ledger_migrations"

// migrationLock is the Postgres advisory lock that migrations take.
const migrationLock = 0x746f6b656e6f73 // "tokenos"

// Migrate brings the database to this program's schema and returns the names of
// the migrations it applied, none if it was up to date. On SQLite it makes the
// file and needs it for itself; on Postgres processes that migrate at the same
// time wait for each other. ServerSecrets are not needed.
func Migrate(ctx context.Context, cfg Config) (applied []string, err error) {
	cfg.ReadOnly = false
	d, err := connect(ctx, cfg, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	unlock, err := d.lockMigrations(ctx)
	if err != nil {
		return nil, fault("migrate", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	p, err := d.provider()
	if err != nil {
		return nil, err
	}
	results, err := p.Up(ctx)
	for _, r := range results {
		if r.Error == nil {
			applied = append(applied, r.Source.Path)
		}
	}
	if err != nil {
		return applied, fault("migrate", err)
	}
	if err := d.checkSchema(ctx); err != nil { // a newer program's is not ours to touch
		return applied, err
	}
	return applied, d.found(ctx)
}

func (d *DB) provider() (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("ledger: migrate: %w", err)
	}
	p, err := goose.NewProvider(d.dialect.goose, d.write.DB, dir, goose.WithTableName(versions), goose.WithDisableGlobalRegistry(true),
		goose.WithAllowOutofOrder(true)) // of two changes, the one with the higher number may have been there first
	if err != nil {
		return nil, fmt.Errorf("ledger: migrate: %w", err)
	}
	return p, nil
}

// lockMigrations keeps other processes from migrating until unlock is called.
// On SQLite the file's lock does that. On Postgres it also makes the collation
// by which the tables order: goose has no place for what only one database needs.
func (d *DB) lockMigrations(ctx context.Context) (unlock func() error, err error) {
	if d.dialect.single {
		return func() error { return nil }, nil
	}
	t, err := d.write.DB.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	if _, err := t.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
		return nil, errors.Join(err, t.Rollback())
	}
	if _, err := d.write.DB.ExecContext(ctx, `CREATE COLLATION IF NOT EXISTS "binary" FROM "C"`); err != nil {
		return nil, errors.Join(err, t.Rollback())
	}
	return t.Commit, nil
}

// found gives a new ledger its id and the beginning of its chain.
func (d *DB) found(ctx context.Context) error {
	return d.transact(ctx, "migrate", func(t tx) error {
		id := uuid.NewString()
		n, err := t.exec(ctx, "INSERT INTO chain (id, event_id, mac) VALUES (1, 0, $1) ON CONFLICT DO NOTHING", genesis(id))
		if err != nil || n == 0 {
			return err
		}
		_, err = t.exec(ctx, "INSERT INTO installation (id) VALUES ($1)", id)
		return err
	})
}

// genesis stands for the MAC before the first event, so that the chain of one
// ledger does not pass for another's.
func genesis(installation string) string {
	sum := sha256.Sum256([]byte("tokenos audit chain v1\x00" + installation))
	return hex.EncodeToString(sum[:])
}

// checkSchema compares the schema with what this program needs.
func (d *DB) checkSchema(ctx context.Context) error {
	p, err := d.provider()
	if err != nil {
		return err
	}
	sources := p.ListSources()
	want := sources[len(sources)-1].Version
	var applied []int64
	err = d.read.NewRaw("SELECT version_id FROM "+versions+" WHERE is_applied ORDER BY version_id").Scan(ctx, &applied)
	switch {
	case err != nil && noTable(err):
		return &SchemaError{Want: want}
	case err != nil:
		return fault("open", err)
	}
	if have := reached(sources, applied); have != want {
		return &SchemaError{Have: have, Want: want}
	}
	return nil
}

// reached is the version of a newer program's schema, else the last version up to
// which no migration is missing.
func reached(sources []*goose.Source, applied []int64) int64 {
	if n := len(applied); n > 0 && applied[n-1] > sources[len(sources)-1].Version {
		return applied[n-1]
	}
	have := int64(0)
	for _, s := range sources {
		if !slices.Contains(applied, s.Version) {
			break
		}
		have = s.Version
	}
	return have
}
