package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/ledger"
)

// BenchmarkKeys measures one page of 50 keys out of 100,000.
func BenchmarkKeys(b *testing.B) {
	queries := []struct {
		name  string
		query apikey.Query
	}{
		{"owner with half of all", apikey.Query{Owner: "acme"}},
		{"owner with 50", apikey.Query{Owner: "owner-77"}},
		{"owner by name", apikey.Query{Owner: "acme", Sort: apikey.SortName}},
		{"two owners", apikey.Query{Owners: []string{"owner-77", "owner-78"}}},
		{"all", apikey.Query{}},
		{"common word", apikey.Query{Words: []string{"billing"}}},
		{"two common words", apikey.Query{Words: []string{"billing", "gateway"}}},
		{"rare word", apikey.Query{Words: []string{"54321"}}},
		{"word prefix with 1111", apikey.Query{Words: []string{"543"}}},
		{"word that nothing has", apikey.Query{Words: []string{"zebra"}}},
		{"common word of small owner", apikey.Query{Owner: "owner-77", Words: []string{"bil"}}},
		{"one letter", apikey.Query{Words: []string{"b"}}},
		{"two prefixes never together", apikey.Query{Words: []string{"12", "13"}}},
		{"worst: common words never together", apikey.Query{Words: []string{"billing", "invoice", "search"}}},
		{"scope", apikey.Query{Scope: "orders:read"}},
		{"rare label", apikey.Query{LabelKey: "rare", LabelValue: "yes"}},
		{"disabled of owner", apikey.Query{Owner: "acme", Status: apikey.StatusDisabled}},
		{"active", apikey.Query{Status: apikey.StatusActive}},
		{"revoked by name", apikey.Query{Status: apikey.StatusRevoked, Sort: apikey.SortName}},
		{"expired: none", apikey.Query{Status: apikey.StatusExpired}},
		{"id prefix", apikey.Query{IDPrefix: "key_live_0000a"}},
		{"count of owner", apikey.Query{Owner: "acme", Count: true}},
	}
	for name, url := range databases {
		b.Run(name, func(b *testing.B) {
			db := open(b, ledger.Config{URL: url(b)})
			if err := ledgertest.Seed(b.Context(), db, 100_000); err != nil {
				b.Fatal(err)
			}
			for _, q := range queries {
				b.Run(q.name, func(b *testing.B) {
					q.query.Kind, q.query.Limit, q.query.Now, q.query.Descending = apikey.KindAPI, 51, time.Now(), true
					for b.Loop() {
						if _, _, err := db.Keys(b.Context(), q.query); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}

// BenchmarkKey measures the read of one key out of 100,000.
func BenchmarkKey(b *testing.B) {
	for name, url := range databases {
		b.Run(name, func(b *testing.B) {
			db := open(b, ledger.Config{URL: url(b)})
			if err := ledgertest.Seed(b.Context(), db, 100_000); err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				if _, err := db.Key(b.Context(), ledgertest.Key(i%100_000).ID, apikey.View{Owners: []string{ledgertest.Owner(i % 100_000)}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkChange measures T1 and T2 of an update together.
func BenchmarkChange(b *testing.B) {
	for name, url := range databases {
		b.Run(name, func(b *testing.B) {
			db := open(b, ledger.Config{URL: url(b)})
			d := created(b, db, nil)
			n := 0
			for b.Loop() {
				n++
				d.Description = fmt.Sprint("now ", n)
				apply(b, db, apikey.ActionUpdate, d)
			}
		})
	}
}
