package ledger_test

import (
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/ledger"
)

// Where more keys have a status than are gathered, the count is still right, and
// stops where it may.
func TestCountMost(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		const disabled, revoked = 2100, 2050
		var all []apikey.Record
		for i := range disabled + revoked + 10 {
			r := ledgertest.Key(i)
			r.DisabledAt, r.RevokedAt, r.RevocationReason = nil, nil, ""
			switch {
			case i < disabled:
				r.DisabledAt = &r.UpdatedAt
			case i < disabled+revoked:
				r.RevokedAt, r.RevocationReason = &r.UpdatedAt, apikey.Unspecified
			}
			all = append(all, r)
		}
		if err := db.Import(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			status     apikey.Status
			most, want int
		}{
			{apikey.StatusDisabled, 0, disabled}, {apikey.StatusDisabled, 1001, 1001}, {apikey.StatusDisabled, 5000, disabled},
			{apikey.StatusRevoked, 0, revoked}, {apikey.StatusRevoked, 7, 7}, {apikey.StatusActive, 0, 10}, {apikey.StatusActive, 9, 9}, {"", 1, 1},
		} {
			for _, owners := range [][]string{nil, {"acme", ledgertest.Owner(1)}} {
				q := apikey.Query{Kind: apikey.KindAPI, Status: c.status, Now: now, Count: true, CountMost: c.most, Owners: owners}
				_, got, err := db.Keys(t.Context(), q)
				if err != nil || owners == nil && got != c.want || got > c.want {
					t.Errorf("%q of %v up to %d: counts %d, %v, want %d", c.status, owners, c.most, got, err, c.want)
				}
			}
		}
	})
}
