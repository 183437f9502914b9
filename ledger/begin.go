package ledger

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	insertReplay = `INSERT INTO replays (hash, request, salt, server_key, op, key_id, action, answer, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, $8) ON CONFLICT (hash) DO NOTHING`
	// A request whose change was given up is made again, with what it had.
	takeReplay = `UPDATE replays SET op = $1 WHERE hash = $2 AND request = $3 AND salt = $4 AND server_key = $5 AND key_id = $6 AND answer IS NULL
		AND EXISTS (SELECT 1 FROM changes c WHERE c.op = replays.op AND c.state = 'abandoned')`
	answerReplay = `UPDATE replays SET answer = $1 WHERE hash = $2 AND op = $3`

	// created_at is the place in line; two in one millisecond keep their order.
	insertChange = `INSERT INTO changes (op, key_id, action, state, wanted, target, at, actor, attempt, lease_until, recheck_at, replay_hash, operation, touched, created_at)
		VALUES ($1, $2, $3, $4, $5, '', $6, $7, 0, {now} + $8, 1152921504606846976, $9, $10, {touch}, COALESCE((SELECT MAX(line.created_at) + 1
			FROM changes line WHERE line.key_id = $2 AND line.state = 'queued' AND line.created_at >= {now}), {now}))
		ON CONFLICT (key_id) WHERE state = 'begun' DO NOTHING`
	// The newest in line before a change, if it asks for the same.
	sameInLine = `SELECT line.op FROM (SELECT op, action, wanted FROM changes WHERE key_id = $1 AND state = 'queued' AND op <> $2
			ORDER BY created_at DESC, op DESC LIMIT 1) line, changes own WHERE own.op = $2 AND own.action = line.action AND own.wanted = line.wanted`
	forgetReplay  = `DELETE FROM replays WHERE hash = $1 AND op = $2`
	queueChange   = `UPDATE changes SET state = 'queued' WHERE op = $1`
	forgetChange  = `DELETE FROM changes WHERE op = $1`
	targetChange  = `UPDATE changes SET target = $1, successor = $2 WHERE op = $3`
	settleChange  = `UPDATE changes SET state = 'done', touched = {touch} WHERE op = $1`
	promoteChange = `UPDATE changes SET state = 'begun', lease_until = {now} + $1 WHERE op = $2 AND state = 'queued'
		AND NOT EXISTS (SELECT 1 FROM changes held WHERE held.key_id = changes.key_id AND held.state = 'begun')
		AND NOT EXISTS (SELECT 1 FROM changes older WHERE older.key_id = changes.key_id AND older.state = 'queued'
			AND (older.created_at, older.op) < (changes.created_at, changes.op))
		RETURNING ` + changeColumns
	changeState = `SELECT state FROM changes WHERE op = $1`

	selectRecord  = `SELECT ` + recordColumns + ` FROM keys k` + joinPredecessor + ` WHERE k.id = $1`
	selectPending = `SELECT op, action, state, created_at FROM changes WHERE key_id = $1 AND state = 'begun'
		UNION ALL SELECT op, action, state, created_at FROM changes WHERE key_id = $1 AND state = 'queued' ORDER BY state, created_at, op`
)

// Begin implements [apikey.Ledger]. A change does not overtake those queued
// before it: it is queued behind them, or busy.
func (d *DB) Begin(ctx context.Context, b apikey.Begin) (begun apikey.Begun, err error) {
	err = d.transact(ctx, "begin", func(t tx) error {
		begun = apikey.Begun{Change: b.Change}
		if b.Change.Replay != nil {
			if err := t.claimReplay(ctx, b.Change); err != nil {
				return contended(err)
			}
		}
		state, err := t.enter(ctx, b)
		if err != nil {
			return contended(err)
		}
		begun.Change.State = state
		if err := t.held(ctx, b.Operation); err != nil {
			return err
		}
		// No FOR UPDATE: whoever writes this row has a begun change of this key,
		// and that is us. Read committed sees what the one before us committed.
		record, found, err := t.record(ctx, b.Change.KeyID, b.Change.Op)
		if err != nil {
			return err
		}
		begun.Record = record
		if slices.ContainsFunc(record.Pending, func(p apikey.PendingChange) bool { return p.State == apikey.ChangeQueued }) && state == apikey.ChangeBegun {
			if !b.Wait {
				return &apikey.Error{Kind: apikey.ErrBusy, RetryAfter: retryAfter}
			}
			begun.Change.State = apikey.ChangeQueued
			if _, err := t.exec(ctx, queueChange, b.Change.Op); err != nil {
				return err
			}
		}
		if begun.Change.State == apikey.ChangeQueued {
			if b.Operation.ID != "" { // which counts its own changes
				return nil
			}
			return t.join(ctx, &begun.Change)
		}
		return contended(t.plan(ctx, &begun, found, b.Plan, forgetChange))
	})
	return begun, err
}

// claimReplay stores the request, so that its twin is told to wait. On Postgres
// this waits for a twin that has not committed.
func (t tx) claimReplay(ctx context.Context, c apikey.Change) error {
	r := c.Replay
	n, err := t.exec(ctx, insertReplay, r.Hash, r.Request, r.Salt, r.ServerKey, c.Op, r.KeyID, string(c.Action), unix(c.At))
	if err != nil || n == 1 {
		return err
	}
	n, err = t.exec(ctx, takeReplay, c.Op, r.Hash, r.Request, r.Salt, r.ServerKey, r.KeyID)
	if err == nil && n == 0 {
		return &apikey.Error{Kind: apikey.ErrIdempotencyRunning, RetryAfter: retryAfter}
	}
	return err
}

// enter stores the change as begun, which is the key's lock, or in line.
func (t tx) enter(ctx context.Context, b apikey.Begin) (apikey.ChangeState, error) {
	wanted, err1 := jsonText(b.Change.Order)
	actor, err2 := jsonText(b.Change.Actor)
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	var hash []byte
	if b.Change.Replay != nil {
		hash = b.Change.Replay.Hash
	}
	if b.Change.Action.Narrows() {
		if err := t.countTouch(ctx); err != nil {
			return "", err
		}
	}
	insert := func(s apikey.ChangeState) (int64, error) {
		return t.exec(ctx, insertChange, b.Change.Op, b.Change.KeyID, string(b.Change.Action), string(s), wanted,
			unix(b.Change.At), actor, millis(b.Lease), hash, b.Operation.ID)
	}
	n, err := insert(apikey.ChangeBegun)
	if err != nil || n == 1 {
		return apikey.ChangeBegun, err
	}
	if !b.Wait {
		return "", &apikey.Error{Kind: apikey.ErrBusy, RetryAfter: retryAfter}
	}
	_, err = insert(apikey.ChangeQueued)
	return apikey.ChangeQueued, err
}

// join makes one of a queued change and the one before it in line that asks for
// the same: whoever repeats a disable during an outage must not lengthen it.
func (t tx) join(ctx context.Context, c *apikey.Change) error {
	same, err := rowsOf[struct{ Op string }](ctx, t, sameInLine, c.KeyID, c.Op)
	if err != nil || len(same) == 0 {
		return err
	}
	if _, err := t.exec(ctx, forgetChange, c.Op); err != nil {
		return err
	}
	if c.Replay != nil { // answering it again is joining again
		if _, err := t.exec(ctx, forgetReplay, c.Replay.Hash, c.Op); err != nil {
			return err
		}
	}
	c.Op = same[0].Op
	return nil
}

// record reads a key, with what is pending beside the change except.
func (t tx) record(ctx context.Context, id, except string) (r apikey.Record, found bool, err error) {
	rows, err := rowsOf[recordRow](ctx, t, selectRecord, id)
	if err != nil {
		return r, false, err
	}
	if len(rows) == 1 {
		if r, err = rows[0].record(); err != nil {
			return r, false, err
		}
	}
	pending, err := rowsOf[pendingRow](ctx, t, selectPending, id)
	for _, p := range pending {
		if p.Op != except {
			r.Pending = append(r.Pending, p.pending())
		}
	}
	return r, len(rows) == 1, err
}

// plan decides what the change makes of the key and stores it. unchanged is the
// statement for a change that has nothing to do.
func (t tx) plan(ctx context.Context, b *apikey.Begun, found bool, plan apikey.Plan, unchanged string) error {
	planned, err := plan(b.Record, found)
	if err != nil {
		return planError{err}
	}
	c := &b.Change
	if planned.Unchanged {
		b.Unchanged = true
		if _, err := t.exec(ctx, unchanged, c.Op); err != nil || c.Replay == nil {
			return err
		}
		_, err = t.exec(ctx, answerReplay, answer(planned.Answer), c.Replay.Hash, c.Op)
		return err
	}
	c.Target, c.Successor = planned.Target, planned.Successor
	target, err := jsonText(c.Target)
	if err != nil {
		return err
	}
	successor := ""
	if c.Successor != nil {
		if successor, err = jsonText(c.Successor); err != nil {
			return err
		}
	}
	if _, err := t.exec(ctx, targetChange, target, successor, c.Op); err != nil {
		return err
	}
	if planned.Quota != nil {
		if err := t.take(ctx, *planned.Quota, *c); err != nil {
			return err
		}
	}
	if c.Successor != nil {
		return t.claimPublicKeys(ctx, nil, *c.Successor)
	}
	return t.claimPublicKeys(ctx, b.Record.PublicKeys, c.Target)
}

// answer is what a replay keeps: something, so that it counts as answered.
func answer(b []byte) []byte {
	if b == nil {
		return []byte("null")
	}
	return b
}

// claimPublicKeys takes the public keys that the target has and the key had not,
// in order of their thumbprints, so that two claims cannot wait for each other.
func (t tx) claimPublicKeys(ctx context.Context, had []apikey.PublicKey, d apikey.Definition) error {
	var kids []string
	for _, p := range d.PublicKeys {
		if !slices.ContainsFunc(had, func(h apikey.PublicKey) bool { return h.KID == p.KID }) {
			kids = append(kids, p.KID)
		}
	}
	if len(kids) == 0 {
		return nil
	}
	slices.Sort(kids)
	args, rows, marks := []any{d.ID}, []string{}, []string{}
	for i, kid := range kids {
		args = append(args, kid)
		rows = append(rows, "("+mark(i+2)+", $1)")
		marks = append(marks, mark(i+2))
	}
	if _, err := t.exec(ctx, "INSERT INTO public_keys (thumbprint, key_id) VALUES "+strings.Join(rows, ", ")+" ON CONFLICT (thumbprint) DO NOTHING", args...); err != nil {
		return err
	}
	taken, err := rowsOf[struct{ Thumbprint string }](ctx, t, "SELECT thumbprint FROM public_keys WHERE key_id <> $1 AND thumbprint IN ("+strings.Join(marks, ", ")+")", args...)
	if err == nil && len(taken) > 0 {
		return &apikey.Error{Kind: apikey.ErrPublicKeyInUse, Detail: "another key has this public key"}
	}
	return err
}

func mark(n int) string { return "$" + strconv.Itoa(n) }

// Promote implements [apikey.Ledger]. A change behind another in line is busy.
func (d *DB) Promote(ctx context.Context, op string, lease time.Duration, plan apikey.Plan) (begun apikey.Begun, err error) {
	err = d.transact(ctx, "promote", func(t tx) error {
		row, err := rowsOf[changeRow](ctx, t, promoteChange, millis(lease), op)
		if err != nil {
			return contended(err)
		}
		if len(row) == 0 {
			state, err := rowsOf[struct{ State string }](ctx, t, changeState, op)
			if err == nil && len(state) == 1 && state[0].State == string(apikey.ChangeQueued) {
				return &apikey.Error{Kind: apikey.ErrBusy, RetryAfter: retryAfter}
			}
			return cmp.Or(err, notFound())
		}
		begun = apikey.Begun{}
		if begun.Change, err = row[0].change(); err != nil {
			return err
		}
		record, found, err := t.record(ctx, begun.Change.KeyID, op)
		if err != nil {
			return err
		}
		begun.Record = record
		if err := t.countTouch(ctx); err != nil { // it may turn out to be unchanged
			return err
		}
		return contended(t.plan(ctx, &begun, found, plan, settleChange))
	})
	return begun, err
}
