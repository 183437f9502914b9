package ledger

import (
	"context"
	"strconv"
	"strings"

	"github.com/tokenos/tokenos/apikey"
)

// narrowingSQL are the actions that end or pause a key, as a list in SQL. An empty
// text is put behind the action that is compared with it: SQLite would else go by
// the index of all changes that narrow, those of days ago as well, and not by that
// of what is begun or queued.
var narrowingSQL = func() string {
	quoted := make([]string, len(apikey.NarrowingActions))
	for i, a := range apikey.NarrowingActions {
		quoted[i] = "'" + string(a) + "'"
	}
	return "(" + strings.Join(quoted, ", ") + ")"
}()

// Both states apart, because each has an index of its own. A touch is one
// transaction's alone; two changes of one millisecond would have the same sum.
var (
	stateMark = markOf("")
	// lookMark is the mark of at most so many accepted changes of each state.
	lookMark = markOf(" LIMIT " + strconv.Itoa(lookoutNarrowed+1))
	// The completion of a rotation does nothing to a key that none has given an end.
	narrowedKeys = `SELECT k.status_index, c.action FROM changes c JOIN keys k ON k.id = c.key_id WHERE c.state = 'begun' AND c.action || '' IN ` + narrowingSQL + hasRotation + `
		UNION ALL SELECT k.status_index, c.action FROM changes c JOIN keys k ON k.id = c.key_id WHERE c.state = 'queued' AND c.action || '' IN ` + narrowingSQL + hasRotation
)

const (
	hasRotation = ` AND (c.action <> 'rotation.completed' OR k.ends_at < 1152921504606846976)`
	allStates   = `SELECT k.status_index, k.revoked_at, k.disabled_at, k.disabled_until, k.expires_at, k.ends_at FROM keys k`
	// Of a key that is gone the last event is its deletion. If there is another, its
	// end is among them, and nobody tells its place any more.
	changedStates = `SELECT COALESCE(k.status_index, -1), k.revoked_at, k.disabled_at, k.disabled_until, k.expires_at, k.ends_at
		FROM (SELECT key_id, COUNT(*) AS many FROM events WHERE id > $1 AND denial = 0 GROUP BY key_id) e LEFT JOIN keys k ON k.id = e.key_id WHERE k.id IS NOT NULL OR e.many > 1`
)

func markOf(most string) string {
	return `SELECT c.event_id - c.quiet, s.last, n.many, n.total FROM chain c, status_indexes s,
		(SELECT COUNT(*) AS many, COALESCE(CAST(SUM(touched % 1000000000) AS BIGINT), 0) AS total FROM (
			SELECT touched FROM (SELECT touched FROM changes WHERE state = 'begun' AND action || '' IN ` + narrowingSQL + most + `) b
			UNION ALL SELECT touched FROM (SELECT touched FROM changes WHERE state = 'queued' AND action || '' IN ` + narrowingSQL + most + `) q) accepted) n
		WHERE c.id = 1 AND s.id = 1`
}

// StateMark implements [apikey.States].
func (d *DB) StateMark(ctx context.Context) (apikey.StateMark, error) {
	return d.markBy(ctx, stateMark)
}

func (d *DB) lookMark(ctx context.Context) (apikey.StateMark, error) { return d.markBy(ctx, lookMark) }

func (d *DB) markBy(ctx context.Context, text string) (m apikey.StateMark, err error) {
	err = d.prepared[text].QueryRowContext(ctx).Scan(&m.Event, &m.LastIndex, &m.Narrowing, &m.NarrowingSum)
	return m, fault("read the states' mark", err)
}

// Narrowed implements [apikey.States].
func (d *DB) Narrowed(ctx context.Context) (out []apikey.NarrowedState, err error) {
	err = d.each(ctx, narrowedKeys, func(scan func(...any) error) error {
		var n apikey.NarrowedState
		err := scan(&n.StatusIndex, &n.Action)
		out = append(out, n)
		return err
	})
	return out, fault("read narrowed keys", err)
}

// KeyStates implements [apikey.States].
func (d *DB) KeyStates(ctx context.Context, since int64, f func(apikey.KeyState)) (all bool, err error) {
	all = true
	row := func(scan func(...any) error) error {
		var index int64
		var at [5]*int64
		if err := scan(&index, &at[0], &at[1], &at[2], &at[3], &at[4]); err != nil {
			return err
		}
		if index < 0 {
			all = false
			return nil
		}
		f(apikey.KeyState{StatusIndex: index, RevokedAt: *at[0], DisabledAt: *at[1], DisabledUntil: *at[2], ExpiresAt: *at[3], EndsAt: *at[4]})
		return nil
	}
	if since < 0 {
		err = d.each(ctx, allStates, row)
	} else {
		err = d.each(ctx, changedStates, row, since)
	}
	return all, fault("read states", err)
}

// each reads rows one by one, so that many of them take no memory.
func (d *DB) each(ctx context.Context, text string, row func(scan func(...any) error) error, args ...any) error {
	rows, err := d.read.DB.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
