package ledger

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

const (
	// Whoever begins an operation holds this row until the commit, so that two
	// of one owner see each other.
	lockOperations  = `UPDATE installation SET id = id`
	runningOf       = `SELECT action, walked FROM operations WHERE owner = $1 AND state = 'running'`
	endOperations   = `UPDATE operations SET state = 'superseded', finished_at = $1 WHERE owner = $2 AND action = $3 AND state = 'running'`
	insertOperation = `INSERT INTO operations (id, owner, action, state, narrows, line, place, walked, attempt, lease_until, finished_at, progress)
		VALUES ($1, $2, $3, 'running', $4, $5, (SELECT COALESCE(MAX(place), 0) + 1 FROM operations), FALSE, 0, 0, 1152921504606846976, $6)`
	takeOperation = `UPDATE operations SET lease_until = {now} + $1, attempt = attempt + 1 WHERE id = $2 AND attempt = $3 AND state = 'running' AND lease_until <= {now}`
	// What was done until another operation ended this one counts as well.
	saveOperation = `UPDATE operations SET progress = $1, walked = $2, lease_until = {now} + $3,
		finished_at = CASE WHEN state = 'running' THEN $4 ELSE finished_at END, state = CASE WHEN state = 'running' THEN $5 ELSE state END
		WHERE id = $6 AND attempt = $7 AND state IN ('running', 'superseded') RETURNING state`
	holdOperation    = `SELECT id FROM operations WHERE id = $1 AND attempt = $2 AND state = 'running'`
	pruneOperations  = `DELETE FROM operations WHERE id IN (SELECT id FROM operations WHERE finished_at < $1 LIMIT $2)`
	operationColumns = "o.id, o.state, o.walked, o.attempt, o.finished_at, o.progress"
)

// operationRow is what a read of an operation needs.
type operationRow struct {
	ID         string
	State      string
	Walked     bool
	Attempt    int64
	FinishedAt int64
	Progress   string
	Waiting    int64
}

func (r operationRow) record() (apikey.OperationRecord, error) {
	var out apikey.OperationRecord
	if err := json.Unmarshal([]byte(r.Progress), &out); err != nil {
		return out, undecodable("operations", r.ID, err)
	}
	out.State, out.Walked, out.Attempt, out.FinishedAt = apikey.OperationState(r.State), r.Walked, int(r.Attempt), nil
	if at := moment(r.FinishedAt); !at.IsZero() {
		out.FinishedAt = &at
	}
	out.Waiting = int(r.Waiting)
	return out, nil
}

// BeginOperation implements [apikey.Ledger].
func (d *DB) BeginOperation(ctx context.Context, b apikey.OperationBegin) error {
	o := b.Operation
	progress, err := jsonText(o)
	if err != nil {
		return err
	}
	return d.transact(ctx, "begin an operation", func(t tx) error {
		if b.Replay != nil {
			as := apikey.Change{Op: o.ID, Action: o.Action, At: o.CreatedAt, Replay: b.Replay}
			if err := t.claimReplay(ctx, as); err != nil {
				return contended(err)
			}
			if _, err := t.exec(ctx, answerReplay, answer(nil), b.Replay.Hash, o.ID); err != nil {
				return err
			}
		}
		if _, err := t.exec(ctx, lockOperations); err != nil {
			return contended(err)
		}
		if err := t.admit(ctx, b); err != nil {
			return err
		}
		for _, a := range b.Ends {
			if _, err := t.exec(ctx, endOperations, unix(o.CreatedAt), o.Owner, string(a)); err != nil {
				return err
			}
		}
		_, err := t.exec(ctx, insertOperation, o.ID, o.Owner, string(o.Action), o.Action.Narrows(), o.Line, progress)
		return err
	})
}

// admit refuses an operation that others of the owner stand in the way of.
func (t tx) admit(ctx context.Context, b apikey.OperationBegin) error {
	running, err := rowsOf[struct {
		Action string
		Walked bool
	}](ctx, t, runningOf, b.Operation.Owner)
	if err != nil {
		return err
	}
	same := 0
	for _, r := range running {
		if !r.Walked && slices.Contains(b.After, apikey.Action(r.Action)) {
			return &apikey.Error{Kind: apikey.ErrBusy, Detail: "a disable or revoke of this owner is under way", RetryAfter: retryAfter}
		}
		if r.Action == string(b.Operation.Action) {
			same++
		}
	}
	if b.Most > 0 && same >= b.Most {
		return &apikey.Error{Kind: apikey.ErrBusy, Detail: "too many operations of this owner are running", RetryAfter: retryAfter}
	}
	return nil
}

// Operation implements [apikey.Ledger].
func (d *DB) Operation(ctx context.Context, id string, v apikey.View) (apikey.OperationRecord, error) {
	var rows []operationRow
	sel := d.read.NewSelect().TableExpr("operations AS o").ColumnExpr(operationColumns).Where("o.id = ?", id).
		// By state, each of which has an index of what is pending: an operation may have 100,000 changes that are done.
		ColumnExpr("(SELECT COUNT(*) FROM changes c WHERE c.operation = o.id AND c.state = 'begun') + (SELECT COUNT(*) FROM changes c WHERE c.operation = o.id AND c.state = 'queued') AS waiting")
	if len(v.Owners) > 0 {
		sel.Where("o.owner IN (?)", bun.List(v.Owners))
	}
	if err := sel.Scan(ctx, &rows); err != nil {
		return apikey.OperationRecord{}, fault("read operation", err)
	}
	if len(rows) == 0 {
		return apikey.OperationRecord{}, notFound()
	}
	return rows[0].record()
}

// FreeOperations implements [apikey.Ledger]. Those that only wait for Hydra come
// last: they must not keep others from their place.
func (d *DB) FreeOperations(ctx context.Context, narrowing bool, limit int) ([]apikey.OperationRecord, error) {
	running := d.read.NewSelect().TableExpr("operations AS o").ColumnExpr("o.*").Where("o.state = 'running'").
		ColumnExpr("ROW_NUMBER() OVER (PARTITION BY o.owner, o.narrows, o.walked ORDER BY o.place) AS turn")
	if narrowing {
		running.Where("o.narrows")
	}
	seated := d.read.NewSelect().TableExpr("(?) AS o", running).ColumnExpr("o.*").
		ColumnExpr("ROW_NUMBER() OVER (PARTITION BY o.narrows ORDER BY o.walked, o.turn, o.place) AS seat").
		Where("o.lease_until <= " + d.dialect.millis).
		Where(`NOT EXISTS (SELECT 1 FROM operations older WHERE older.line <> '' AND older.line = o.line AND older.state = 'running'
			AND older.owner = o.owner AND NOT older.walked AND older.place < o.place)`)
	sel := d.read.NewSelect().TableExpr("(?) AS o", seated).ColumnExpr(operationColumns).
		Where("o.seat <= ?", limit).OrderExpr("o.walked, o.narrows DESC, o.seat")
	var rows []operationRow
	if err := sel.Scan(ctx, &rows); err != nil {
		return nil, fault("read operations", err)
	}
	out := make([]apikey.OperationRecord, 0, len(rows))
	for _, r := range rows {
		o, err := r.record()
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// TakeOperation implements [apikey.Ledger].
func (d *DB) TakeOperation(ctx context.Context, id string, attempt int, lease time.Duration) (mine bool, err error) {
	err = d.transact(ctx, "take an operation", func(t tx) error {
		n, err := t.exec(ctx, takeOperation, millis(lease), id, attempt)
		mine = n == 1
		return err
	})
	return mine && err == nil, err
}

// SaveOperation implements [apikey.Ledger].
func (d *DB) SaveOperation(ctx context.Context, o apikey.OperationRecord, lease time.Duration) (state apikey.OperationState, err error) {
	progress, err := jsonText(o)
	if err != nil {
		return "", err
	}
	err = d.transact(ctx, "save an operation", func(t tx) error {
		rows, err := rowsOf[struct{ State string }](ctx, t, saveOperation, progress, o.Walked, millis(lease), unixPointer(o.FinishedAt), string(o.State), o.ID, o.Attempt)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return planError{apikey.ErrOperationOver}
		}
		state = apikey.OperationState(rows[0].State)
		return nil
	})
	return state, err
}

// held fails unless the operation that a change is part of is still held. It
// comes after the key's lock: an operation that ends this one, and then wants
// this key, has either ended it by now or waits for the lock.
func (t tx) held(ctx context.Context, h apikey.OperationHold) error {
	if h.ID == "" {
		return nil
	}
	rows, err := rowsOf[struct{ ID string }](ctx, t, holdOperation, h.ID, h.Attempt)
	if err == nil && len(rows) == 0 {
		return planError{apikey.ErrOperationOver}
	}
	return err
}

// ChangesUnder implements [apikey.Ledger].
func (d *DB) ChangesUnder(ctx context.Context, operation string, keys []string) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var made []string
	err := d.read.NewRaw(`SELECT key_id FROM changes WHERE operation = ? AND operation <> '' AND state <> 'abandoned' AND key_id IN (?)`,
		operation, bun.List(keys)).Scan(ctx, &made)
	return made, fault("read changes", err)
}

// PruneOperations implements [apikey.Ledger].
func (d *DB) PruneOperations(ctx context.Context, before time.Time) error {
	for n := int64(pruneAtOnce); n == pruneAtOnce; {
		err := d.transact(ctx, "prune", func(t tx) (err error) {
			n, err = t.exec(ctx, pruneOperations, before.Unix(), pruneAtOnce)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
