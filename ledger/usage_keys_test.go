package ledger_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/ledger"
)

// usedAt is when the i-th seeded key was last used; zero: never.
func usedAt(i int, r apikey.Record) time.Time {
	if i%3 == 0 {
		return time.Time{}
	}
	return r.CreatedAt.Add(time.Duration(i%400) * time.Hour)
}

// askedIn is when the seeded key last asked for a scope of it.
func askedIn(r apikey.Record, scope string) (at time.Time, asked bool) {
	i, err := strconv.ParseInt(r.ID[len("key_live_"):len("key_live_")+8], 16, 64)
	if err != nil || i%3 == 0 || scope == "status:read" && i%4 == 0 {
		return at, false
	}
	at = usedAt(int(i), r)
	if scope == "status:read" {
		at = at.Add(-time.Duration(i%30) * time.Hour)
	}
	return at, true
}

// use counts what the seeded keys were used for, and tells their records.
func use(t testing.TB, db *ledger.DB, all []apikey.Record) {
	t.Helper()
	b := apikey.UsageBatch{Writer: "seed", At: now}
	for i := range all {
		r := &all[i]
		if r.LastUsedAt = usedAt(i, *r); r.LastUsedAt.IsZero() {
			continue
		}
		u := apikey.KeyUsage{ID: r.ID, LastUsedAt: r.LastUsedAt}
		for _, s := range r.Scopes {
			if at, asked := askedIn(*r, s); asked {
				u.Asked = append(u.Asked, apikey.ScopeUsage{Scope: s, LastAskedAt: &at})
			}
		}
		b.Keys = append(b.Keys, u)
	}
	for some := range slices.Chunk(b.Keys, 256) {
		b.Number++
		b.Keys = some
		if err := db.AddUsage(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// unusedQueries select by use, at moments before, between and after all.
func unusedQueries() (out []apikey.Query) {
	for _, d := range []time.Duration{time.Second, 48 * time.Hour, 10 * 24 * time.Hour, 365 * 24 * time.Hour} {
		since := ledgertest.Epoch.Add(d)
		out = append(out, apikey.Query{UnusedSince: since}, apikey.Query{ScopeUnusedSince: since, Owner: "acme", Status: apikey.StatusActive},
			apikey.Query{UnusedSince: since, ScopeUnusedSince: since, Words: []string{"worker"}}, apikey.Query{ScopeUnusedSince: since, Owners: []string{"owner-1", "acme"}})
	}
	return out
}

// What is not used is listed in the order in which it was made, over days of
// which some have many keys and most have none.
func TestKeysUnusedByCreation(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		var all []apikey.Record
		for i := range 3000 {
			r := ledgertest.Key(i)
			r.CreatedAt = ledgertest.Epoch.Add(time.Duration(i/750)*10*24*time.Hour + time.Duration(i%750)*time.Second)
			all = append(all, r)
		}
		if err := db.Import(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		for _, q := range []apikey.Query{{UnusedSince: now}, {ScopeUnusedSince: now}, {UnusedSince: now, Owner: "acme"}, {UnusedSince: now, Status: apikey.StatusDisabled}, {UnusedSince: time.Unix(1<<40, 0)},
			{UnusedSince: ledgertest.Epoch.Add(30*24*time.Hour + time.Minute), Status: apikey.StatusActive}} {
			for _, q.Descending = range []bool{false, true} {
				q.Kind, q.Now, q.Limit = apikey.KindAPI, now, 350
				ids, count := pages(t, db, q)
				want := listed(q, all, make([][]string, len(all)))
				if diff := gocmp.Diff(want, ids); diff != "" || count != len(want) {
					t.Errorf("query %+v: count %d, want %d; ids differ: %.600s", q, count, len(want), diff)
				}
			}
		}
	})
}
