package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

// The memory of keys follows two things. Events come in the order of their
// commits, so that an id is a place to go on from. Changes do not: on Postgres
// one may be written early and committed late, and a lock that orders them would
// let one stopped process hold up every disable. So each change that narrows
// carries the number of the transaction that last wrote it, and a reader goes on
// from the oldest transaction that was still running when it last looked: what
// it has not seen was committed by that one or a later one. It sees some rows
// again and misses none, however long a transaction takes. In a restored
// database the numbers of old rows mean nothing; at worst those are read again.
//
// SQLite has one writer at a time, so there a count of writes is enough.

// strength orders the changes of the key k that narrow by how much they do. The
// completion of a rotation does nothing to a key that none has given an end.
const strength = `CASE WHEN action = 'key.revoked' THEN 3 WHEN action = 'key.disabled' THEN 2 WHEN action = 'rotation.completed' AND k.ends_at < 1152921504606846976 THEN 1 ELSE 0 END`

var narrowing = []apikey.Action{"", apikey.ActionCompleteRotation, apikey.ActionDisable, apikey.ActionRevoke}

const (
	selectFacts = `SELECT k.id, k.status_index, k.root_id, k.owner, k.environment, k.expires_at, k.ends_at, k.disabled_at, k.disabled_until, k.revoked_at,
		CASE WHEN k.auth_method = 'private_key_jwt' THEN k.definition ELSE '' END AS signing,
		COALESCE((SELECT ` + strength + ` FROM changes WHERE key_id = k.id AND state = 'begun'), 0) AS begun,
		COALESCE((SELECT MAX(` + strength + `) FROM changes WHERE key_id = k.id AND state = 'queued'), 0) AS queued FROM keys k`

	countTouch   = `UPDATE chain SET touches = touches + 1 WHERE id = 1`
	selectMark   = `SELECT event_id - quiet AS event_id, {horizon} AS horizon FROM chain WHERE id = 1`
	touchedAfter = `SELECT key_id, op, touched AS at FROM changes WHERE action IN ('key.disabled', 'key.revoked', 'rotation.completed')
		AND touched >= ? AND (touched, op) > (?, ?) ORDER BY touched, op LIMIT ?`
	eventsAfter = `SELECT id AS at, key_id FROM events WHERE id > ? AND denial = 0 ORDER BY id LIMIT ?`
)

// countTouch makes the next {touch} of this transaction a new one. On Postgres
// the transaction's own number is that, and the row is not locked.
func (t tx) countTouch(ctx context.Context) error {
	if !t.d.dialect.single {
		return nil
	}
	_, err := t.exec(ctx, countTouch)
	return err
}

// factsRow is what is read of a key.
type factsRow struct {
	ID, RootID, Owner, Environment                          string
	ExpiresAt, EndsAt, DisabledAt, DisabledUntil, RevokedAt int64
	Signing                                                 string // the definition of a key that needs public keys
	Begun, Queued                                           int
	StatusIndex                                             int64
}

func (r factsRow) facts() (apikey.KeyFacts, error) {
	f := apikey.KeyFacts{ID: r.ID, RootID: r.RootID, Owner: r.Owner, Environment: apikey.Environment(r.Environment),
		Revoked: r.RevokedAt < never, Disabled: r.DisabledAt < never, DisabledUntil: moment(r.DisabledUntil),
		ExpiresAt: moment(r.ExpiresAt), EndsAt: moment(r.EndsAt), Narrowed: narrowing[max(r.Begun, r.Queued)], StatusIndex: r.StatusIndex}
	if r.Signing == "" {
		return f, nil
	}
	var d struct {
		PublicKeys []struct {
			ExpiresAt *time.Time `json:"expires_at"`
		} `json:"public_keys"`
	}
	if err := json.Unmarshal([]byte(r.Signing), &d); err != nil {
		return f, undecodable("keys", r.ID, err)
	}
	f.NoCredential = len(d.PublicKeys) == 0
	for _, p := range d.PublicKeys {
		if p.ExpiresAt == nil {
			f.CredentialEndsAt = time.Time{}
			break
		}
		if p.ExpiresAt.After(f.CredentialEndsAt) {
			f.CredentialEndsAt = *p.ExpiresAt
		}
	}
	return f, nil
}

// Facts implements [apikey.Facts].
func (d *DB) Facts(ctx context.Context, after string, limit int) ([]apikey.KeyFacts, error) {
	return d.facts(ctx, " WHERE k.id > ? ORDER BY k.id LIMIT ?", after, limit)
}

// FactsOf implements [apikey.Facts].
func (d *DB) FactsOf(ctx context.Context, ids []string) ([]apikey.KeyFacts, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return d.facts(ctx, " WHERE k.id IN (?)", bun.List(ids))
}

func (d *DB) facts(ctx context.Context, which string, args ...any) ([]apikey.KeyFacts, error) {
	var rows []factsRow
	if err := d.read.NewRaw(selectFacts+which, args...).Scan(ctx, &rows); err != nil {
		return nil, fault("read facts", err)
	}
	out := make([]apikey.KeyFacts, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = r.facts(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Mark implements [apikey.Facts].
func (d *DB) Mark(ctx context.Context) (m apikey.Mark, err error) {
	var row struct{ EventID, Horizon int64 }
	err = d.read.NewRaw(d.sql(selectMark)).Scan(ctx, &row)
	return apikey.Mark{Event: row.EventID, Horizon: row.Horizon}, fault("read mark", err)
}

// touchRow is a change or an event.
type touchRow struct {
	KeyID, Op string
	At        int64
}

// Touches implements [apikey.Facts]. The horizon is looked up before the changes
// are read, so that none falls between.
func (d *DB) Touches(ctx context.Context, since apikey.Mark, limit int) (touches []apikey.Touch, next apikey.Mark, more bool, err error) {
	head, err := d.Mark(ctx)
	if err != nil {
		return nil, since, false, err
	}
	next = since
	if next.Op == "" { // a new stretch
		next.Next = head.Horizon
	}
	var changed, events []touchRow
	if err := d.read.NewRaw(touchedAfter, next.Horizon, next.Touched, next.Op, limit).Scan(ctx, &changed); err != nil {
		return nil, since, false, fault("read touched changes", err)
	}
	if head.Event != since.Event {
		if err := d.read.NewRaw(eventsAfter, since.Event, limit).Scan(ctx, &events); err != nil {
			return nil, since, false, fault("read touched keys", err)
		}
	}
	for _, r := range append(changed, events...) {
		touches = append(touches, apikey.Touch(r))
	}
	if n := len(changed); n == limit {
		next.Touched, next.Op, more = changed[n-1].At, changed[n-1].Op, true
	} else {
		next.Horizon, next.Touched, next.Op = next.Next, 0, ""
	}
	switch n := len(events); {
	case head.Event < since.Event: // another database than before
		next.Event = head.Event
	case n > 0:
		next.Event = events[n-1].At
	}
	return touches, next, more || len(events) == limit, nil
}
