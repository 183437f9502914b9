package ledger

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

// pendingRow is a change that has been accepted and is not yet done.
type pendingRow struct {
	Op        string
	KeyID     string
	Action    string
	State     string
	CreatedAt int64
}

func (p pendingRow) pending() apikey.PendingChange {
	return apikey.PendingChange{Op: p.Op, Action: apikey.Action(p.Action), State: apikey.ChangeState(p.State)}
}

// addPending fills in what is under way for each of the records.
func (d *DB) addPending(ctx context.Context, records []apikey.Record) error {
	if len(records) == 0 {
		return nil
	}
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.ID
	}
	var rows []pendingRow
	err := d.read.NewRaw(`SELECT op, key_id, action, state, created_at FROM changes WHERE state = 'begun' AND key_id IN (?)
		UNION ALL SELECT op, key_id, action, state, created_at FROM changes WHERE state = 'queued' AND key_id IN (?) ORDER BY state, created_at, op`,
		bun.List(ids), bun.List(ids)).Scan(ctx, &rows)
	if err != nil {
		return err
	}
	for _, p := range rows {
		for i := range records {
			if records[i].ID == p.KeyID {
				records[i].Pending = append(records[i].Pending, p.pending())
			}
		}
	}
	return nil
}

// Stale implements [apikey.Ledger].
func (d *DB) Stale(ctx context.Context, limit int) ([]apikey.Change, error) {
	return d.changes(ctx, "state = 'begun' AND lease_until <= "+d.dialect.millis, "created_at, op", limit)
}

// Queued implements [apikey.Ledger].
func (d *DB) Queued(ctx context.Context, limit int) ([]apikey.Change, error) {
	return d.changes(ctx, `state = 'queued'
		AND NOT EXISTS (SELECT 1 FROM changes held WHERE held.key_id = changes.key_id AND held.state = 'begun')
		AND NOT EXISTS (SELECT 1 FROM changes older WHERE older.key_id = changes.key_id AND older.state = 'queued'
			AND (older.created_at, older.op) < (changes.created_at, changes.op))`, "created_at, op", limit)
}

// Rechecks implements [apikey.Ledger].
func (d *DB) Rechecks(ctx context.Context, now time.Time, limit int) ([]apikey.Change, error) {
	return d.changes(ctx, "state = 'abandoned' AND recheck_at <= ? AND recheck_at < 1152921504606846976", "recheck_at, op", limit, unix(now))
}

// GivenUp implements [apikey.Ledger].
func (d *DB) GivenUp(ctx context.Context, id string) ([]apikey.Change, error) {
	return d.changes(ctx, "key_id = ? AND state = 'abandoned' AND action = ? AND recheck_at < 1152921504606846976", "created_at, op", givenUpAtMost, id, string(apikey.ActionRotate))
}

// givenUpAtMost bounds the rotations of one key that wait for a second look:
// each took seconds to be given up, and half a minute later it is forgotten.
const givenUpAtMost = 100

func (d *DB) changes(ctx context.Context, where, order string, limit int, args ...any) ([]apikey.Change, error) {
	var rows []changeRow
	err := d.read.NewSelect().ColumnExpr(changeColumns).TableExpr("changes").Where(where, args...).OrderExpr(order).Limit(int64(limit)).Scan(ctx, &rows)
	if err != nil {
		return nil, fault("read changes", err)
	}
	return changes(rows)
}

// Due implements [apikey.Ledger].
func (d *DB) Due(ctx context.Context, now time.Time, limit int) ([]string, error) {
	var ids []string
	err := d.read.NewRaw(`SELECT k.id FROM keys k WHERE k.due_at <= ? AND k.due_at < 1152921504606846976
		AND NOT EXISTS (SELECT 1 FROM changes c WHERE c.key_id = k.id AND c.state = 'begun') ORDER BY k.due_at LIMIT ?`, unix(now), limit).Scan(ctx, &ids)
	return ids, fault("read due keys", err)
}

// Rechecked implements [apikey.Ledger].
func (d *DB) Rechecked(ctx context.Context, op string) error {
	return d.transact(ctx, "forget a recheck", func(t tx) error {
		_, err := t.exec(ctx, "UPDATE changes SET recheck_at = 1152921504606846976 WHERE op = $1", op)
		return err
	})
}
