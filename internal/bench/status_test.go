package bench

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// scatter fills the ledger with keys that end and pause in no order: as they are
// seeded, their states would compress to nothing.
func scatter(b *testing.B, w *apikeytest.World) {
	b.Helper()
	chance := rand.New(rand.NewPCG(1, 2)) // the same each time
	const atOnce = 10_000
	for from := 0; from < many; from += atOnce {
		var records []apikey.Record
		for i := from; i < from+atOnce; i++ {
			r := ledgertest.Key(i)
			r.DisabledAt, r.RevokedAt = nil, nil
			switch chance.IntN(50) {
			case 0:
				r.DisabledAt = &r.UpdatedAt
			case 1:
				r.RevokedAt, r.RevocationReason = &r.UpdatedAt, apikey.Unspecified
			}
			records = append(records, r)
		}
		if err := w.Ledger.Import(b.Context(), records); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStatusList draws the status list of 100,000 keys, of which one in 50
// is disabled and one in 50 revoked, scattered: by a process that has just begun
// (first), after one key was changed (changed), after nothing was (unchanged),
// and when what is known is fresh (known). list-B is the signed document.
func BenchmarkStatusList(b *testing.B) {
	for _, name := range placeNames {
		b.Run(name, func(b *testing.B) {
			url := apikeytest.SQLiteURL(b)
			if name == "postgres" {
				url = pgtest.New(b, pgtest.Config{Durable: true}).URL(b)
			}
			w := apikeytest.NewWorld(b, apikeytest.Options{LedgerURL: url, Config: func(c *apikey.Config) { c.Log = quiet }})
			scatter(b, w)
			issued, err := w.Service.Create(as(b.Context()), newKey("bench"))
			if err != nil {
				b.Fatal(err)
			}
			read := func(b *testing.B, s *apikey.Service) {
				list, err := s.StatusList(b.Context(), 0)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(list.JWT)), "list-B")
			}
			b.Run("first", func(b *testing.B) {
				for b.Loop() {
					s, err := apikey.New(apikey.Config{Ledger: w.Ledger, Clients: w.Clients, PublicURL: apikeytest.PublicURL,
						ServerSecrets: []apikey.Secret{apikey.NewSecret(apikeytest.ServerSecret)}, Now: w.Clock.Now, Log: quiet})
					if err != nil {
						b.Fatal(err)
					}
					read(b, s)
				}
			})
			b.Run("changed", func(b *testing.B) {
				read(b, w.Service)
				for n := 0; b.Loop(); n++ {
					b.StopTimer()
					var err error
					if n%2 == 0 {
						_, err = w.Service.Disable(as(b.Context()), issued.Key.ID, apikey.DisableParams{})
					} else {
						_, err = w.Service.Enable(as(b.Context()), issued.Key.ID, apikey.ActionParams{})
					}
					if err != nil {
						b.Fatal(err)
					}
					w.Clock.Advance(time.Second)
					b.StartTimer()
					read(b, w.Service)
				}
			})
			b.Run("unchanged", func(b *testing.B) {
				for b.Loop() {
					w.Clock.Advance(300 * time.Millisecond)
					read(b, w.Service)
				}
			})
			b.Run("known", func(b *testing.B) {
				for b.Loop() {
					read(b, w.Service)
				}
			})
		})
	}
}
