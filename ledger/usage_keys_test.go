package ledger_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

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
