package ledger_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/ledger"
)

// flushed adds what 10,000 of the seeded keys were used for in a second, in
// batches as the service does.
func flushed(b *testing.B, db *ledger.DB, number *int64, from int, at time.Time) {
	var keys []apikey.KeyUsage
	for i := range 10_000 {
		r := ledgertest.Key((from + i) % 100_000)
		u := apikey.KeyUsage{ID: r.ID, LastUsedAt: at, Hours: []apikey.PeriodCounts{{From: at.Truncate(time.Hour), TokenCounts: apikey.TokenCounts{Issued: 2}}}}
		for _, s := range r.Scopes {
			u.Asked = append(u.Asked, apikey.ScopeUsage{Scope: s, LastAskedAt: &at})
		}
		keys = append(keys, u)
	}
	slices.SortFunc(keys, func(a, b apikey.KeyUsage) int { return strings.Compare(a.ID, b.ID) })
	for some := range slices.Chunk(keys, 256) {
		*number++
		if err := db.AddUsage(b.Context(), apikey.UsageBatch{Writer: "bench", Number: *number, At: at, Keys: some}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAddUsage measures the flush of 10,000 keys, of 100,000.
func BenchmarkAddUsage(b *testing.B) {
	for name, url := range databases {
		b.Run(name, func(b *testing.B) {
			db := open(b, ledger.Config{URL: url(b)})
			if err := ledgertest.Seed(b.Context(), db, 100_000); err != nil {
				b.Fatal(err)
			}
			number, at := int64(0), time.Now().UTC().Truncate(time.Second)
			for what, step := range map[string]time.Duration{"same hour": time.Second, "new hour": time.Hour} {
				b.Run(what, func(b *testing.B) {
					for b.Loop() {
						at = at.Add(step)
						flushed(b, db, &number, 0, at)
					}
				})
			}
		})
	}
}

// BenchmarkUnusedKeys measures pages of 50 keys out of 100,000 by what is not
// used: the oldest 5,000 never were, the others within the last 70 days.
func BenchmarkUnusedKeys(b *testing.B) {
	for name, url := range databases {
		b.Run(name, func(b *testing.B) {
			db := open(b, ledger.Config{URL: url(b)})
			if err := ledgertest.Seed(b.Context(), db, 100_000); err != nil {
				b.Fatal(err)
			}
			number := int64(0)
			last := time.Now().UTC().Truncate(time.Second)
			for from := 5_000; from <= 90_000; from += 5_000 {
				flushed(b, db, &number, from, last.Add(-time.Duration(100_000-from)*time.Minute))
			}
			if err := db.Exec(b.Context(), "ANALYZE"); err != nil {
				b.Fatal(err)
			}
			measure := func(name string, q apikey.Query) {
				b.Run(name, func(b *testing.B) {
					q.Kind, q.Limit, q.Now = apikey.KindAPI, 51, last
					for b.Loop() {
						if _, _, err := db.Keys(b.Context(), q); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			month, long := last.Add(-30*24*time.Hour), last.Add(-500*24*time.Hour)
			measure("longest unused", apikey.Query{Sort: apikey.SortLastUsedAt})
			measure("last used", apikey.Query{Sort: apikey.SortLastUsedAt, Descending: true})
			measure("unused for 30 days, newest", apikey.Query{UnusedSince: month, Descending: true})
			measure("unused for 30 days, longest unused", apikey.Query{UnusedSince: month, Sort: apikey.SortLastUsedAt})
			measure("unused for 30 days, of owner with 50", apikey.Query{Owner: "owner-77", UnusedSince: month, Sort: apikey.SortLastUsedAt})
			measure("unused for 500 days: few are older", apikey.Query{UnusedSince: long, Descending: true})
			measure("unused since before all: none", apikey.Query{UnusedSince: ledgertest.Epoch, Descending: true})
			measure("scope unused for 30 days, newest", apikey.Query{ScopeUnusedSince: month, Descending: true})
			measure("scope unused for 30 days, of owner with half", apikey.Query{Owner: "acme", ScopeUnusedSince: month, Sort: apikey.SortName})
			measure("scope unused for 30 days, active", apikey.Query{Status: apikey.StatusActive, ScopeUnusedSince: month, Sort: apikey.SortLastUsedAt})
			measure("scope unused since before all: none", apikey.Query{ScopeUnusedSince: ledgertest.Epoch, Descending: true})
			measure("worst: the oldest 5,000, newest first", apikey.Query{UnusedSince: last.Add(-80 * 24 * time.Hour), Descending: true})
			measure("the oldest 5,000, longest unused", apikey.Query{UnusedSince: last.Add(-80 * 24 * time.Hour), Sort: apikey.SortLastUsedAt})
			measure("both", apikey.Query{UnusedSince: month, ScopeUnusedSince: month, Descending: true})
			measure("unused and a rare word", apikey.Query{Words: []string{"54321"}, UnusedSince: last})
		})
	}
}
