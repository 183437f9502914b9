package ledger

import (
	"context"
	"errors"
	"fmt"
)

// MigrateTo brings the database to the schema of a version, up or down.
func MigrateTo(ctx context.Context, cfg Config, version int64) error {
	d, err := connect(ctx, cfg, true)
	if err != nil {
		return err
	}
	unlock, err := d.lockMigrations(ctx)
	if err != nil {
		return errors.Join(err, d.Close())
	}
	p, err := d.provider()
	if err == nil {
		_, err = p.UpTo(ctx, version)
	}
	if err == nil {
		_, err = p.DownTo(ctx, version)
	}
	return errors.Join(err, unlock(), d.Close())
}

// Exec runs a statement on the writer, as nobody else can.
func (d *DB) Exec(ctx context.Context, text string, args ...any) error {
	_, err := d.write.DB.ExecContext(ctx, text, args...)
	return err
}

// Room limits the SQLite file to its present size and n pages more.
func (d *DB) Room(ctx context.Context, n int) error {
	var pages int
	if err := d.write.DB.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		return err
	}
	return d.Exec(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages+n))
}

// DownTo takes the schema back to a version.
func (d *DB) DownTo(ctx context.Context, version int64) error {
	p, err := d.provider()
	if err != nil {
		return err
	}
	_, err = p.DownTo(ctx, version)
	return err
}

// SetStretch says how many events FindEvents looks at at once, and how often.
func (d *DB) SetStretch(size, times int64) { d.stretch, d.stretches = size, times }
