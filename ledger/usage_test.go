package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/pgtest"
	"github.com/tokenos/tokenos/ledger"
)

// batch is one of a writer, of what the keys were used for at start.
func batch(writer string, number int64, keys ...apikey.KeyUsage) apikey.UsageBatch {
	slices.SortFunc(keys, func(a, b apikey.KeyUsage) int { return strings.Compare(a.ID, b.ID) })
	return apikey.UsageBatch{Writer: writer, Number: number, At: start, Keys: keys}
}

// issued is the use of a key: n tokens at a moment, with the scopes asked for.
func issued(id string, n int64, at time.Time, scopes ...string) apikey.KeyUsage {
	u := apikey.KeyUsage{ID: id, LastUsedAt: at, Hours: []apikey.PeriodCounts{counted(at.Truncate(time.Hour), n, nil)}}
	for _, s := range scopes {
		u.Asked = append(u.Asked, apikey.ScopeUsage{Scope: s, LastAskedAt: &at})
	}
	return u
}

func counted(from time.Time, issued int64, denied map[apikey.Denial]int64) apikey.PeriodCounts {
	c := apikey.NewTokenCounts()
	c.Add("", issued)
	for reason, n := range denied {
		c.Add(reason, n)
	}
	return apikey.PeriodCounts{From: from, TokenCounts: c}
}

func add(t testing.TB, db *ledger.DB, b apikey.UsageBatch) {
	t.Helper()
	if err := db.AddUsage(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// usage reads all counts of a key.
func usage(t testing.TB, db *ledger.DB, id string, by apikey.UsagePeriod) apikey.UsageRecord {
	t.Helper()
	u, err := db.Usage(t.Context(), apikey.UsageQuery{KeyID: id, By: by, From: start.Add(-1000 * 24 * time.Hour), To: start.Add(1000 * 24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// rowsIn counts the rows of a table that are about a key.
func rowsIn(t testing.TB, db *ledger.DB, table, id string) (n int) {
	t.Helper()
	n, err := db.Number(t.Context(), "SELECT COUNT(*) FROM "+table+" WHERE key_id = $1", id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A batch is added once, however often it is given; the next one of its writer,
// and another writer's, is added to it.
func TestAddUsageOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		id := created(t, db, nil).ID
		later := start.Add(90 * time.Minute)
		for _, b := range []apikey.UsageBatch{
			batch("a", 1, issued(id, 2, start, "orders:read")),
			batch("a", 1, issued(id, 2, start, "orders:read")),
			batch("a", 3, apikey.KeyUsage{ID: id, Hours: []apikey.PeriodCounts{counted(start, 1, map[apikey.Denial]int64{"expired": 4}), counted(later.Truncate(time.Hour), 0, map[apikey.Denial]int64{"disabled": 1})},
				LastUsedAt: later, LastDenial: &apikey.LastDenial{Reason: "disabled", At: later}}),
			batch("a", 2, issued(id, 100, later, "orders:read")),
			batch("a", 3, issued(id, 100, later, "orders:read")),
			batch("b", 1, issued(id, 10, start.Add(time.Second), "orders:read")),
		} {
			add(t, db, b)
		}
		at := start.Add(time.Second)
		want := apikey.UsageRecord{Periods: []apikey.PeriodCounts{counted(start, 13, map[apikey.Denial]int64{"expired": 4}), counted(start.Add(time.Hour), 0, map[apikey.Denial]int64{"disabled": 1})},
			Asked: []apikey.ScopeUsage{{Scope: "orders:read", LastAskedAt: &at}}}
		if diff := cmp.Diff(want, usage(t, db, id, apikey.ByHour)); diff != "" {
			t.Errorf("by hour (-want +got):\n%s", diff)
		}
		want.Periods = []apikey.PeriodCounts{counted(start.Truncate(24*time.Hour), 13, map[apikey.Denial]int64{"expired": 4, "disabled": 1})}
		if diff := cmp.Diff(want, usage(t, db, id, apikey.ByDay)); diff != "" {
			t.Errorf("by day (-want +got):\n%s", diff)
		}
		r := record(t, db, id)
		if !r.LastUsedAt.Equal(later) || r.LastDenial == nil || *r.LastDenial != (apikey.LastDenial{Reason: "disabled", At: later}) {
			t.Errorf("last used %v, last denial %+v", r.LastUsedAt, r.LastDenial)
		}
	})
}

// What comes late does not put back when a key was last used, refused, or asked
// for a scope.
func TestAddUsageLate(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		id := created(t, db, nil).ID
		for i, at := range []time.Time{start.Add(time.Hour), start} {
			u := issued(id, 1, at, "orders:read")
			u.LastDenial = &apikey.LastDenial{Reason: apikey.Denial(fmt.Sprint("reason ", i)), At: at}
			add(t, db, batch(fmt.Sprint("writer ", i), 1, u))
		}
		r := record(t, db, id)
		if at := start.Add(time.Hour); !r.LastUsedAt.Equal(at) || r.LastDenial.Reason != "reason 0" || !r.LastDenial.At.Equal(at) || !usage(t, db, id, apikey.ByDay).Asked[0].LastAskedAt.Equal(at) {
			t.Errorf("last used %v, denial %+v", r.LastUsedAt, r.LastDenial)
		}
	})
}

// Nothing is kept about keys that there are not, nor about scopes that a key
// does not have; the rest of the batch counts.
func TestAddUsageOfNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		id := created(t, db, nil).ID
		nobody := []apikey.KeyUsage{issued(id, 1, start, "orders:read", "orders:write", "' OR 1=1 --")}
		for i := range 700 { // more than a statement takes
			nobody = append(nobody, issued(fmt.Sprintf("key_live_%04d", i), 1, start, "orders:read"))
		}
		add(t, db, batch("a", 1, nobody...))
		for _, table := range []string{"usage_hours", "usage_scopes"} {
			all, err := db.Number(t.Context(), "SELECT COUNT(*) FROM "+table)
			if n := rowsIn(t, db, table, id); err != nil || n != 1 || all != 1 {
				t.Errorf("%s: %d rows, %d of the key, %v; want 1", table, all, n, err)
			}
		}
	})
}

// A change that read the key before it was used does not undo that, and use
// touches neither the revision nor anything else of the record.
func TestChangeKeepsUse(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		d := created(t, db, nil)
		before := record(t, db, d.ID)
		d.Description = "changed"
		begun := begin(t, db, asking(apikey.ActionUpdate, d))
		u := issued(d.ID, 1, start.Add(time.Minute), "orders:read")
		u.LastDenial = &apikey.LastDenial{Reason: apikey.DeniedDisabled, At: start}
		add(t, db, batch("a", 1, u))
		r := record(t, db, d.ID)
		r.LastUsedAt, r.LastDenial, r.Pending = time.Time{}, nil, nil
		if diff := cmp.Diff(before, r); diff != "" {
			t.Errorf("use changed the record (-before +after):\n%s", diff)
		}
		if err := db.Finish(t.Context(), finishing(begun.Change)); err != nil {
			t.Fatal(err)
		}
		if r := record(t, db, d.ID); !r.LastUsedAt.Equal(start.Add(time.Minute)) || r.LastDenial == nil || r.Description != "changed" {
			t.Errorf("after the change: last used %v, denial %v, %q", r.LastUsedAt, r.LastDenial, r.Description)
		}
	})
}

// unasked tells whether the key is found by a scope that was not asked for since.
func unasked(t *testing.T, db *ledger.DB, id string, since time.Time) bool {
	t.Helper()
	found, _, err := db.Keys(t.Context(), apikey.Query{Kind: apikey.KindAPI, ScopeUnusedSince: since, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(found, func(r apikey.Record) bool { return r.ID == id })
}

// A key is found by the scopes that it has now: one that is taken away no longer
// counts and is forgotten, one that is given was never asked for.
func TestScopesFollowTheKey(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		d := created(t, db, func(d *apikey.Definition) { d.Scopes = []string{"a", "b"} })
		since := start.Add(time.Hour)
		add(t, db, batch("w", 1, issued(d.ID, 1, since, "a")))
		if !unasked(t, db, d.ID, since) {
			t.Error("a key with a scope never asked for is not found")
		}
		d.Scopes = []string{"a"}
		apply(t, db, apikey.ActionUpdate, d)
		if unasked(t, db, d.ID, since) {
			t.Error("it is found by a scope that it no longer has")
		}
		if !unasked(t, db, d.ID, since.Add(time.Second)) {
			t.Error("it is not found by its one scope, a second later")
		}
		d.Scopes = []string{"b", "c"}
		apply(t, db, apikey.ActionUpdate, d)
		if n := rowsIn(t, db, "usage_scopes", d.ID); !unasked(t, db, d.ID, since) || n != 0 {
			t.Errorf("after new scopes: %d rows of scopes", n)
		}
		add(t, db, batch("w", 2, issued(d.ID, 1, since, "b", "c")))
		if unasked(t, db, d.ID, since) {
			t.Error("it is found although it asked for both")
		}
	})
}

// With its record a key's counts go, also those that are being written.
func TestDeleteUsage(t *testing.T) {
	together(t, func(t *testing.T, ledgers []*ledger.DB) {
		db := ledgers[0]
		for range 10 {
			d := created(t, db, nil)
			add(t, db, batch("w"+d.ID, 1, issued(d.ID, 1, start.Add(-30*24*time.Hour), "orders:read"), issued(d.ID, 1, start)))
			prune(t, db, start.Truncate(24*time.Hour), time.Time{})
			begun := begin(t, db, asking(apikey.ActionDelete, d))
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := db.Finish(t.Context(), finishing(begun.Change)); err != nil {
					t.Error(err)
				}
			})
			crowd(4, ledgers, func(db *ledger.DB, i int) {
				if err := db.AddUsage(t.Context(), batch(fmt.Sprintf("%p %d %s", db, i, d.ID), 1, issued(d.ID, 1, start, "orders:read"))); err != nil {
					t.Error(err)
				}
			})
			wg.Wait()
			for _, table := range []string{"usage_hours", "usage_days", "usage_scopes"} {
				if n := rowsIn(t, db, table, d.ID); n != 0 {
					t.Errorf("%s: %d rows of a deleted key", table, n)
				}
			}
		}
	})
}

// Counts are exact while several write for the same keys, in any order, while
// keys are changed, hours are moved and batches are given twice.
func TestUsageIsExact(t *testing.T) {
	together(t, func(t *testing.T, ledgers []*ledger.DB) {
		const keys, rounds = 40, 15
		var ids []string
		for range keys {
			ids = append(ids, created(t, ledgers[0], nil).ID)
		}
		var writers, changed atomic.Int64
		stop := make(chan struct{})
		var beside sync.WaitGroup
		beside.Go(func() { // changes and moves go on beside it
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				d := record(t, ledgers[0], ids[i%keys]).Definition
				d.Labels, d.Revision = map[string]string{"n": fmt.Sprint(i)}, d.Revision+1
				apply(t, ledgers[0], apikey.ActionUpdate, d)
				changed.Add(1)
				prune(t, ledgers[len(ledgers)-1], start.Truncate(24*time.Hour), time.Time{})
				prune(t, ledgers[0], start.Truncate(24*time.Hour), time.Time{})
			}
		})
		crowd(4, ledgers, func(db *ledger.DB, _ int) {
			writer := fmt.Sprint("w", writers.Add(1))
			for n := range int64(rounds) {
				var all []apikey.KeyUsage
				for i, id := range ids {
					all = append(all, issued(id, int64(i+1), start.Add(-time.Duration(n)*7*time.Hour), "orders:read"))
				}
				b := batch(writer, n+1, all...)
				for range 2 {
					if err := db.AddUsage(t.Context(), b); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
		close(stop)
		beside.Wait()
		for i, id := range ids {
			sum := int64(0)
			for _, p := range usage(t, ledgers[0], id, apikey.ByDay).Periods {
				sum += p.Issued
			}
			if want := writers.Load() * rounds * int64(i+1); sum != want {
				t.Errorf("key %d: %d tokens, want %d", i, sum, want)
			}
			if r := record(t, ledgers[0], id); !r.LastUsedAt.Equal(start) {
				t.Errorf("key %d: last used %v, want %v", i, r.LastUsedAt, start)
			}
		}
		if changed.Load() == 0 {
			t.Error("nothing was changed beside it")
		}
	})
}

// A batch whose commit may still come is waited for, not counted beside it.
func TestAddUsageWaitsForItsTwin(t *testing.T) {
	url := pgtest.URL(t)
	db := open(t, ledger.Config{URL: url})
	id := created(t, db, nil).ID
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // its work is committed
	twin, err := conn.Begin(t.Context())
	if err == nil {
		_, err = twin.Exec(t.Context(), "INSERT INTO usage_writers (id, number, at) VALUES ('w', 1, 0)")
	}
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() { answered <- db.AddUsage(t.Context(), batch("w", 1, issued(id, 5, start))) }()
	for until, waits := time.Now().Add(2*time.Second), 0; waits == 0; {
		waits, err = db.Number(t.Context(), "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
		if err != nil || time.Now().After(until) {
			t.Fatalf("it does not wait: %v", err)
		}
	}
	if err := twin.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if p := usage(t, db, id, apikey.ByDay).Periods; len(p) != 0 {
		t.Errorf("counted beside its twin: %v", p)
	}
}
