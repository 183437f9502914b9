// Package ledgertest fills ledgers for tests and benchmarks.
package ledgertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// Epoch is when the first seeded key was made; the others follow a minute apart.
var Epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

var (
	purposes = []string{"billing", "invoice", "search", "mobile", "partner", "webhook", "report", "nightly", "ingest", "export"}
	roles    = []string{"worker", "gateway", "importer", "cron", "bot", "service"}
	teams    = []string{"payments", "growth", "platform", "data", "support"}
	scopes   = []string{"orders:read", "orders:write", "users:read", "users:write", "reports:read"}
)

// Owner names the owner of the i-th seeded key: half of all keys are spread over
// a thousand owners, the other half belongs to "acme".
func Owner(i int) string {
	if i%2 == 0 {
		return "acme"
	}
	return fmt.Sprintf("owner-%d", i/2%1000)
}

// Key makes the i-th key of a seeded ledger, the same each time: its name ends
// with its number ("billing worker 17"), one in 50 is disabled, one in 50
// revoked, one in 10 expires, one in 1000 has the label rare=yes.
func Key(i int) apikey.Record {
	r := rand.New(rand.NewPCG(1, uint64(i))) //nolint:gosec // reproducible; nothing secret
	at := Epoch.Add(time.Duration(i) * time.Minute)
	d := apikey.Definition{ID: fmt.Sprintf("key_live_%08x%018x", i, r.Uint64()), Kind: apikey.KindAPI, Owner: Owner(i),
		Name:        fmt.Sprintf("%s %s %d", purposes[r.IntN(len(purposes))], roles[r.IntN(len(roles))], i),
		Description: "calls the " + purposes[r.IntN(len(purposes))] + " API for the " + teams[r.IntN(len(teams))] + " team",
		Environment: apikey.Live, AuthMethod: apikey.ClientSecretBasic, Labels: map[string]string{"team": teams[r.IntN(len(teams))]},
		Scopes: []string{scopes[r.IntN(len(scopes))], "status:read"}, Audiences: []string{"https://api.example.com"},
		Token:  apikey.TokenSettings{Format: apikey.Opaque, Lifetime: apikey.Duration(15 * time.Minute)},
		Secret: &apikey.SecretInfo{Hint: "...x7Qf", CreatedAt: at}, CreatedAt: at, CreatedBy: "user:seed", UpdatedAt: at, Revision: 1}
	d.RootID = d.ID
	late := at.Add(time.Hour)
	switch {
	case i%50 == 7:
		d.DisabledAt = &late
	case i%50 == 8:
		d.RevokedAt, d.RevocationReason = &late, apikey.Unspecified
	}
	up := apikey.Upkeep{Op: fmt.Sprint("seed-", i), Open: d.DisabledAt == nil && d.RevokedAt == nil}
	if i%10 == 3 {
		end := Epoch.Add(20 * 365 * 24 * time.Hour).Add(time.Duration(i) * time.Hour)
		d.ExpiresAt, up.DueAt = &end, end
	}
	if i%1000 == 500 {
		d.Labels["rare"] = "yes"
	}
	return apikey.Record{Definition: d, Upkeep: up}
}

// Seed adds the first n seeded keys to db. 100,000 take some ten seconds.
func Seed(ctx context.Context, db *ledger.DB, n int) error {
	const atOnce = 10_000
	for from := 0; from < n; from += atOnce {
		records := make([]apikey.Record, 0, atOnce)
		for i := from; i < min(n, from+atOnce); i++ {
			records = append(records, Key(i))
		}
		if err := db.Import(ctx, records); err != nil {
			return err
		}
	}
	return nil
}
