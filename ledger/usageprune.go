package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	oldHours     = `SELECT key_id FROM usage_hours WHERE hour < $1 ORDER BY hour, key_id LIMIT $2`
	pruneDays    = `DELETE FROM usage_days WHERE (key_id, day, outcome) IN (SELECT key_id, day, outcome FROM usage_days WHERE day < $1 LIMIT $2)`
	pruneWriters = `DELETE FROM usage_writers WHERE id IN (SELECT id FROM usage_writers WHERE at < $1 LIMIT $2)`
)

// moveAtOnce is how many keys' hours are moved in one transaction: of each there
// may be a day's.
const moveAtOnce = 64

// PruneUsage implements [apikey.Ledger].
func (d *DB) PruneUsage(ctx context.Context, hoursBefore, daysBefore, writersBefore time.Time) error {
	for more := true; more; {
		var err error
		if more, err = d.moveSome(ctx, hoursBefore.Unix()); err != nil {
			return err
		}
	}
	for text, before := range map[string]time.Time{pruneDays: daysBefore, pruneWriters: writersBefore} {
		if err := d.pruneAll(ctx, text, before.Unix()); err != nil {
			return err
		}
	}
	return nil
}

// pruneAll runs a statement that deletes what lies before a moment, some at a
// time, until nothing is left.
func (d *DB) pruneAll(ctx context.Context, text string, before int64) error {
	for n := int64(pruneAtOnce); n == pruneAtOnce; {
		err := d.transact(ctx, "prune usage", func(t tx) (err error) {
			n, err = t.exec(ctx, text, before, pruneAtOnce)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// moveSome moves the old hours of some keys to their days. The rows of the keys
// are held, so nothing is counted in between, and no other process moves the
// same. What a deleted key left behind goes.
func (d *DB) moveSome(ctx context.Context, before int64) (more bool, err error) {
	old, err := readRows[struct{ KeyID string }](ctx, d, oldHours, before, moveAtOnce)
	if err != nil || len(old) == 0 {
		return false, fault("prune usage", err)
	}
	var ids []string
	for _, row := range old {
		ids = append(ids, row.KeyID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	err = d.transact(ctx, "prune usage", func(t tx) error {
		there, err := t.lock(ctx, ids)
		if err != nil {
			return err
		}
		var moved, gone [][]any
		for _, id := range ids {
			gone = append(gone, []any{id})
			if there[id] {
				moved = append(moved, []any{id})
			}
		}
		if err := t.execMany(ctx, moveHours, moved, before); err != nil {
			return err
		}
		return t.execMany(ctx, forgetHours, gone, before)
	})
	return true, err
}

var _ apikey.UsageLedger = (*DB)(nil)
