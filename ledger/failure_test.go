package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/pgtest"
	"github.com/tokenos/tokenos/ledger"
)

// A full disk is told as such, loses nothing that was answered, and once there
// is room the ledger goes on.
func TestSQLiteFull(t *testing.T) {
	db := open(t, ledger.Config{URL: sqliteURL(t)})
	if err := db.Room(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	kept := 0
	for ; ; kept++ {
		begun, err := db.Begin(t.Context(), asking(apikey.ActionCreate, definition(func(d *apikey.Definition) { d.Description = strings.Repeat("x", 500) })))
		if err == nil {
			err = db.Finish(t.Context(), finishing(begun.Change))
		}
		if err != nil {
			wantError(t, "a full disk", err, apikey.ErrUnavailable)
			var e *apikey.Error
			if !errors.As(err, &e) || e.Detail != "the ledger's disk is full" {
				t.Errorf("got %v", err)
			}
			break
		}
	}
	if err := db.Room(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	created(t, db, nil)
	if _, n, err := db.Keys(t.Context(), apikey.Query{Kind: apikey.KindAPI, Count: true}); err != nil || n != kept+1 {
		t.Errorf("got %d keys, %v; want %d", n, err, kept+1)
	}
	if v, err := db.VerifyChain(t.Context(), apikey.Head{}, nil); err != nil || !v.Intact() || v.Events != int64(kept+1) {
		t.Errorf("got %+v, %v", v, err)
	}
}

// While a read is under way a write does not wait, nor the other way round.
func TestSQLiteReadsBesideWrites(t *testing.T) {
	db := open(t, ledger.Config{URL: sqliteURL(t)})
	d := created(t, db, nil)
	b := asking(apikey.ActionUpdate, d)
	b.Plan = func(apikey.Record, bool) (apikey.Planned, error) { // inside the write transaction
		record(t, db, d.ID)
		return apikey.Planned{Target: d}, nil
	}
	begin(t, db, b)
}

// A Postgres that is gone or hangs is unavailable, in time; when it is back the
// ledger goes on by itself with all that was answered.
func TestPostgresGoneAndBack(t *testing.T) {
	server := pgtest.New(t, pgtest.Config{})
	db := open(t, ledger.Config{URL: server.URL(t)})
	d := created(t, db, nil)
	for name, fail := range map[string]func() error{"killed": server.Kill, "stopped": server.Stop, "frozen": server.Freeze} {
		begun := begin(t, db, asking(apikey.ActionUpdate, d))
		if err := fail(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		wantError(t, name+": ping", db.Ping(ctx), apikey.ErrUnavailable)
		wantError(t, name+": finish", db.Finish(ctx, finishing(begun.Change)), apikey.ErrUnavailable)
		_, err := db.Key(ctx, d.ID, apikey.View{})
		wantError(t, name+": key", err, apikey.ErrUnavailable)
		cancel()
		if err := errors.Join(server.Thaw(), server.Start(t.Context())); err != nil {
			t.Fatal(err)
		}
		if err := db.Finish(t.Context(), finishing(begun.Change)); err != nil {
			t.Errorf("%s: finish once it is back: %v", name, err)
		}
		record(t, db, d.ID)
	}
	if v, err := db.VerifyChain(t.Context(), apikey.Head{}, nil); err != nil || !v.Intact() || v.Events != 4 {
		t.Errorf("got %+v, %v", v, err)
	}
}

// crowd runs f at the same time on each of the ledgers, n times each.
func crowd(n int, ledgers []*ledger.DB, f func(db *ledger.DB, i int)) {
	var wg sync.WaitGroup
	for i := range n {
		for _, db := range ledgers {
			wg.Go(func() { f(db, i) })
		}
	}
	wg.Wait()
}

// together is two processes' ledgers on one Postgres, and one on SQLite.
func together(t *testing.T, test func(t *testing.T, ledgers []*ledger.DB)) {
	t.Run("SQLite", func(t *testing.T) {
		test(t, []*ledger.DB{open(t, ledger.Config{URL: sqliteURL(t)})})
	})
	t.Run("two on Postgres", func(t *testing.T) {
		url := pgtest.URL(t)
		test(t, []*ledger.DB{open(t, ledger.Config{URL: url}), open(t, ledger.Config{URL: url})})
	})
}

// Of any number that change one key at once, one at a time gets it; every change
// sees the one before it, and the chain has one event for each.
func TestOneKeyManyWriters(t *testing.T) {
	together(t, func(t *testing.T, ledgers []*ledger.DB) {
		d := created(t, ledgers[0], nil)
		var done atomic.Int64
		crowd(8, ledgers, func(db *ledger.DB, _ int) {
			for mine := 0; mine < 5; {
				b := asking(apikey.ActionUpdate, d)
				b.Plan = func(r apikey.Record, _ bool) (apikey.Planned, error) {
					target := r.Definition
					target.Revision++
					return apikey.Planned{Target: target}, nil
				}
				begun, err := db.Begin(t.Context(), b)
				if errors.Is(err, apikey.ErrBusy) {
					continue
				}
				if err == nil {
					err = db.Finish(t.Context(), finishing(begun.Change))
				}
				if err != nil {
					t.Error(err)
					return
				}
				mine++
				done.Add(1)
			}
		})
		if r := record(t, ledgers[0], d.ID); r.Revision != 1+done.Load() || done.Load() != int64(40*len(ledgers)) {
			t.Errorf("revision %d after %d changes", r.Revision, done.Load())
		}
		if v, err := ledgers[0].VerifyChain(t.Context(), apikey.Head{}, nil); err != nil || !v.Intact() || v.Events != 1+done.Load() {
			t.Errorf("got %+v, %v", v, err)
		}
	})
}

// Of twins with one Idempotency-Key, exactly one begins, and the same holds for
// a public key, a stale change and a queued one; nobody hangs or deadlocks.
func TestOnlyOneWins(t *testing.T) {
	together(t, func(t *testing.T, ledgers []*ledger.DB) {
		race := func(what string, refusal apikey.ErrorKind, try func(db *ledger.DB, i int) (bool, error)) {
			t.Helper()
			var won atomic.Int64
			crowd(10, ledgers, func(db *ledger.DB, i int) {
				switch ok, err := try(db, i); {
				case ok && err == nil:
					won.Add(1)
				case err != nil && !errors.Is(err, refusal):
					t.Errorf("%s: %v", what, err)
				}
			})
			if won.Load() != 1 {
				t.Errorf("%s: %d won, want 1", what, won.Load())
			}
		}
		begins := func(b apikey.Begin, db *ledger.DB) (bool, error) {
			_, err := db.Begin(t.Context(), b)
			return err == nil, err
		}
		race("twins", apikey.ErrIdempotencyRunning, func(db *ledger.DB, _ int) (bool, error) {
			return begins(withReplay(asking(apikey.ActionCreate, definition(nil)), "twins"), db)
		})
		race("public key", apikey.ErrPublicKeyInUse, func(db *ledger.DB, i int) (bool, error) {
			return begins(asking(apikey.ActionCreate, definition(func(d *apikey.Definition) {
				for n := range 3 { // in another order each time
					d.PublicKeys = append(d.PublicKeys, apikey.PublicKey{KID: fmt.Sprint("kid", (i+n)%3)})
				}
			})), db)
		})
		d := created(t, ledgers[0], nil)
		held := begin(t, ledgers[0], asking(apikey.ActionUpdate, d)).Change
		if err := ledgers[0].Release(t.Context(), held.Op, 0, 0); err != nil {
			t.Fatal(err)
		}
		race("take", "", func(db *ledger.DB, _ int) (bool, error) { return db.Take(t.Context(), held.Op, 0, time.Minute) })
		held.Attempt++
		wait := asking(apikey.ActionRevoke, d)
		wait.Wait = true
		begin(t, ledgers[0], wait)
		if err := ledgers[0].Finish(t.Context(), finishing(held)); err != nil {
			t.Fatal(err)
		}
		race("promote", apikey.ErrNotFound, func(db *ledger.DB, _ int) (bool, error) {
			_, err := db.Promote(t.Context(), wait.Change.Op, time.Minute, wait.Plan)
			return err == nil, err
		})
	})
}
