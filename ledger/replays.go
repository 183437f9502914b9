package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// replayRow is a stored request; State is "" when its change is not kept.
type replayRow struct {
	Hash      []byte
	Request   []byte
	Salt      []byte
	ServerKey string
	Op        string
	KeyID     string
	Action    string
	Answer    []byte
	CreatedAt int64
	State     string
}

// Replay implements [apikey.Ledger].
func (d *DB) Replay(ctx context.Context, hash []byte) (apikey.Replay, error) {
	// Bound, not put together by bun: see doc.go.
	rows, err := d.read.DB.QueryContext(ctx, `SELECT r.hash, r.request, r.salt, r.server_key, r.op, r.key_id, r.action, r.answer, r.created_at,
		COALESCE(c.state, '') AS state FROM replays r LEFT JOIN changes c ON c.op = r.op WHERE r.hash = $1`, hash)
	if err != nil {
		return apikey.Replay{}, fault("read replay", err)
	}
	var found []replayRow
	if err := d.read.ScanRows(ctx, rows, &found); err != nil {
		return apikey.Replay{}, fault("read replay", err)
	}
	if len(found) == 0 {
		return apikey.Replay{}, notFound()
	}
	r := found[0]
	state := apikey.ChangeState(r.State)
	switch {
	case r.Answer != nil: // also of a change that was not needed
		state = apikey.ChangeDone
	case state == "": // pruned before it was answered
		state = apikey.ChangeAbandoned
	}
	return apikey.Replay{Hash: r.Hash, Request: r.Request, Salt: r.Salt, ServerKey: r.ServerKey, Op: r.Op, KeyID: r.KeyID,
		Answer: r.Answer, State: state, Action: apikey.Action(r.Action), At: moment(r.CreatedAt)}, nil
}

// pruneAtOnce bounds how long other writers wait for a prune.
const pruneAtOnce = 500

// Prune implements [apikey.Ledger]. Salts are gone for good when it returns nil
// on SQLite; for Postgres see the package documentation. A change that is still
// to be rechecked, or part of a running operation, stays.
func (d *DB) Prune(ctx context.Context, replaysBefore, changesBefore time.Time) error {
	for _, p := range []struct {
		text   string
		before time.Time
	}{
		{`DELETE FROM replays WHERE hash IN (SELECT hash FROM replays WHERE created_at < $1 LIMIT $2)`, replaysBefore},
		{`DELETE FROM changes WHERE op IN (SELECT op FROM changes WHERE at < $1 AND (state = 'done' OR state = 'abandoned'
			AND recheck_at = 1152921504606846976) AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = changes.operation AND o.state = 'running') LIMIT $2)`, changesBefore},
	} {
		for n := int64(pruneAtOnce); n == pruneAtOnce; {
			err := d.transact(ctx, "prune", func(t tx) (err error) {
				n, err = t.exec(ctx, p.text, p.before.Unix(), pruneAtOnce)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	if !d.dialect.single {
		return nil
	}
	return fault("prune", d.emptyLog(ctx))
}

// emptyLog moves SQLite's write-ahead log into the file and cuts it to nothing:
// it still holds pages as they were before the erasure.
func (d *DB) emptyLog(ctx context.Context) error {
	var busy, pages, moved int
	err := d.write.DB.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
	if err == nil && busy != 0 {
		return errors.New("a reader held on to the write-ahead log; try again")
	}
	return err
}
