package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/ledger"
)

// flushed adds what some of the seeded keys were used for in a second, in batches
// as the service does.
func flushed(b *testing.B, db *ledger.DB, number *int64, from, n int, at time.Time) {
	var keys []apikey.KeyUsage
	for i := range n {
		r := ledgertest.Key(from + i)
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
						flushed(b, db, &number, 0, 10_000, at)
					}
				})
			}
		})
	}
}

// BenchmarkUnusedKeys measures pages of 50 keys by what is not used, out of 10,000
// and of 100,000: the oldest 5 % never were, the others within the last 70 days,
// older ones earlier.
func BenchmarkUnusedKeys(b *testing.B) {
	for name, url := range databases {
		for _, n := range []int{10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				db := open(b, ledger.Config{URL: url(b)})
				unusedKeys(b, db, n, partlyUsed(b, db, n))
			})
		}
	}
}

// partlyUsed seeds n keys and what they were used for. It tells the last use.
func partlyUsed(b *testing.B, db *ledger.DB, n int) (last time.Time) {
	if err := ledgertest.Seed(b.Context(), db, n); err != nil {
		b.Fatal(err)
	}
	number, step := int64(0), n/20
	last = time.Now().UTC().Truncate(time.Second)
	for from := step; from < n; from += step {
		flushed(b, db, &number, from, step, last.Add(-70*24*time.Hour*time.Duration(n-from-step)/time.Duration(n)))
	}
	if err := db.Exec(b.Context(), "ANALYZE"); err != nil {
		b.Fatal(err)
	}
	return last
}

func unusedKeys(b *testing.B, db *ledger.DB, n int, last time.Time) {
	const day = 24 * time.Hour
	month, never := last.Add(-30*day), last.Add(-80*day)
	for _, m := range []struct {
		name string
		q    apikey.Query
	}{
		{"longest unused", apikey.Query{Sort: apikey.SortLastUsedAt}},
		{"last used", apikey.Query{Sort: apikey.SortLastUsedAt, Descending: true}},
		{"unused for 30 days, longest unused", apikey.Query{UnusedSince: month, Sort: apikey.SortLastUsedAt}},
		{"unused for 30 days, newest", apikey.Query{UnusedSince: month, Descending: true}},
		{"unused for 30 days, oldest", apikey.Query{UnusedSince: month}},
		{"unused for 30 days, by name", apikey.Query{UnusedSince: month, Sort: apikey.SortName}},
		{"unused for 30 days, of owner with 50", apikey.Query{Owner: "owner-77", UnusedSince: month, Sort: apikey.SortLastUsedAt}},
		{"unused for 30 days, of owner with half, newest", apikey.Query{Owner: "acme", UnusedSince: month, Descending: true}},
		{"never used, longest unused", apikey.Query{UnusedSince: never, Sort: apikey.SortLastUsedAt}},
		{"never used, newest", apikey.Query{UnusedSince: never, Descending: true}},
		{"never used, by name", apikey.Query{UnusedSince: never, Sort: apikey.SortName}},
		{"unused for 55 days, newest", apikey.Query{UnusedSince: last.Add(-55 * day), Descending: true}},
		{"none", apikey.Query{UnusedSince: ledgertest.Epoch, Descending: true}},
		{"scope unused for 30 days, active, longest unused", apikey.Query{Status: apikey.StatusActive, ScopeUnusedSince: month, Sort: apikey.SortLastUsedAt}},
		{"scope unused for 30 days, newest", apikey.Query{ScopeUnusedSince: month, Descending: true}},
		{"scope never used, newest", apikey.Query{ScopeUnusedSince: never, Descending: true}},
		{"both never used, newest", apikey.Query{UnusedSince: never, ScopeUnusedSince: never, Descending: true}},
		{"never used, and a rare word", apikey.Query{Words: []string{fmt.Sprint(n / 50)}, UnusedSince: never, Descending: true}},
	} {
		b.Run(m.name, func(b *testing.B) {
			m.q.Kind, m.q.Limit, m.q.Now = apikey.KindAPI, 51, last
			for b.Loop() {
				if _, _, err := db.Keys(b.Context(), m.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
