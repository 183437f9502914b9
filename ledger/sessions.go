package ledger

import (
	"context"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	readSession   = `SELECT hash, principal, data, address, user_agent, created_at, seen_at, expires_at FROM sessions WHERE hash = $1 AND expires_at > $2`
	readSessions  = `SELECT hash, principal, data, address, user_agent, created_at, seen_at, expires_at FROM sessions WHERE principal = $1 AND expires_at > $2 ORDER BY created_at DESC, hash LIMIT $3`
	insertSession = `INSERT INTO sessions (hash, principal, data, address, user_agent, created_at, seen_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	updateSession = `UPDATE sessions SET data = $2, seen_at = $3, expires_at = $4 WHERE hash = $1`
	deleteSession = `DELETE FROM sessions WHERE hash = $1`
	deletePersons = `DELETE FROM sessions WHERE principal = $1 AND hash <> $2`
	pruneSessions = `DELETE FROM sessions WHERE hash IN (SELECT hash FROM sessions WHERE expires_at < $1 LIMIT $2)`
)

// mostSessions bounds a person's list.
const mostSessions = 100

// sessionRow is one row of sessions.
type sessionRow struct {
	Hash, Principal              string
	Data                         []byte
	Address, UserAgent           string
	CreatedAt, SeenAt, ExpiresAt int64
}

func (r sessionRow) session() apikey.Session {
	return apikey.Session{Hash: r.Hash, Principal: r.Principal, Data: r.Data, Address: r.Address, UserAgent: r.UserAgent,
		CreatedAt: moment(r.CreatedAt), SeenAt: moment(r.SeenAt), ExpiresAt: moment(r.ExpiresAt)}
}

var _ apikey.Sessions = (*DB)(nil)

// Session implements [apikey.Sessions].
func (d *DB) Session(ctx context.Context, hash string, now time.Time) (apikey.Session, error) {
	found, err := readRows[sessionRow](ctx, d, readSession, hash, now.Unix())
	if err != nil {
		return apikey.Session{}, fault("read session", err)
	}
	if len(found) == 0 {
		return apikey.Session{}, notFound()
	}
	return found[0].session(), nil
}

// StartSession implements [apikey.Sessions].
func (d *DB) StartSession(ctx context.Context, s apikey.Session) error {
	return d.transact(ctx, "start session", func(t tx) error {
		if _, err := t.exec(ctx, pruneSessions, s.CreatedAt.Unix(), pruneAtOnce); err != nil {
			return err
		}
		_, err := t.exec(ctx, insertSession, s.Hash, s.Principal, s.Data, s.Address, s.UserAgent, s.CreatedAt.Unix(), s.SeenAt.Unix(), s.ExpiresAt.Unix())
		return err
	})
}

// KeepSession implements [apikey.Sessions].
func (d *DB) KeepSession(ctx context.Context, hash string, data []byte, seen, expires time.Time) error {
	return d.transact(ctx, "keep session", func(t tx) error {
		_, err := t.exec(ctx, updateSession, hash, data, seen.Unix(), expires.Unix())
		return err
	})
}

// EndSession implements [apikey.Sessions].
func (d *DB) EndSession(ctx context.Context, hash string) error {
	return d.transact(ctx, "end session", func(t tx) error {
		_, err := t.exec(ctx, deleteSession, hash)
		return err
	})
}

// SessionsOf implements [apikey.Sessions].
func (d *DB) SessionsOf(ctx context.Context, principal string, now time.Time) ([]apikey.Session, error) {
	found, err := readRows[sessionRow](ctx, d, readSessions, principal, now.Unix(), mostSessions)
	if err != nil {
		return nil, fault("list sessions", err)
	}
	out := make([]apikey.Session, 0, len(found))
	for _, r := range found {
		out = append(out, r.session())
	}
	return out, nil
}

// EndSessionsOf implements [apikey.Sessions].
func (d *DB) EndSessionsOf(ctx context.Context, principal, except string) (ended int, err error) {
	err = d.transact(ctx, "end sessions", func(t tx) error {
		n, err := t.exec(ctx, deletePersons, principal, except)
		ended = int(n)
		return err
	})
	return ended, err
}
