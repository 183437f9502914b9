package bench

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// hookedSide is a Hydra that asks us before it issues a token.
const hookedSide = "hooked"

// BenchmarkHook buys tokens at two Hydras on databases of the same kind, in
// turns: one issues them by itself, the other asks us first, who keep 100,000
// keys in memory. It also measures our part alone, by HTTP.
func BenchmarkHook(b *testing.B) {
	for _, name := range placeNames {
		b.Run(name, func(b *testing.B) {
			hook := apikeytest.NewHook(b)
			alone, asks := hydraOn(b, name, nil), hydraOn(b, name, hook.Setting())
			url := apikeytest.SQLiteURL(b)
			if name == "postgres" {
				url = pgtest.New(b, pgtest.Config{Durable: true}).URL(b)
			}
			w := apikeytest.NewWorld(b, apikeytest.Options{LedgerURL: url, Hydra: asks, Idle: true, Config: func(c *apikey.Config) {
				apikeytest.Hooked(c)
				c.Log = quiet
			}})
			fill(b, w.Ledger, many)
			hook.For(b, w)
			if err := w.Service.Refresh(b.Context()); err != nil {
				b.Fatal(err)
			}
			for _, format := range []apikey.TokenFormat{apikey.Opaque, apikey.JWT} {
				ours := keyFor(b, w, format)
				theirs := clientFor(b, alone, format)
				buy := func(p hydratest.Purchase) func(int, int) error {
					p.HTTP, p.Scopes = keptAlive(), []string{"orders:read"}
					return func(int, int) error { _, err := hydratest.Buy(b.Context(), p); return err }
				}
				for _, callers := range crowds {
					if format == apikey.JWT && callers > 1 {
						continue // Hydra's pool stops at several at once (docs/performance.md)
					}
					b.Run(fmt.Sprintf("%s/callers=%d", format, callers), func(b *testing.B) {
						measure(b, callers,
							side{name: hydraSide, call: buy(theirs)},
							side{name: hookedSide, call: buy(ours)})
					})
				}
			}
		})
	}
}

// hydraOn starts a Hydra that keeps its data in a database of its own.
func hydraOn(b *testing.B, name string, hook *hydradev.TokenHook) *hydradev.Server {
	b.Helper()
	c := hydradev.Config{Dir: b.TempDir(), TokenHook: hook}
	if name == "postgres" {
		c.DSN = pgtest.New(b, pgtest.Config{Durable: true}).URL(b) + "&max_conns=20&max_idle_conns=20"
	}
	h := hydratest.New(b, c)
	r := newRaw(h.AdminURL(), c)
	// Else it signs with RSA-4096, which hides everything else.
	if err := r.do("POST", "/admin/keys/hydra.jwt.access-token", map[string]string{"alg": "ES256", "use": "sig", "kid": "bench"}, 201, nil); err != nil {
		b.Fatal(err)
	}
	return h
}

// keyFor makes a key of ours, whose tokens the hook decides on.
func keyFor(b *testing.B, w *apikeytest.World, format apikey.TokenFormat) hydratest.Purchase {
	b.Helper()
	issued, err := w.Service.Create(as(b.Context()), apikey.CreateParams{Name: "bench", Owner: "bench", Scopes: []string{"orders:read"}, Token: &apikey.TokenParams{Format: format}})
	if err != nil {
		b.Fatal(err)
	}
	return hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: issued.Key.ID, Secret: issued.Secret.Reveal()}
}

// clientFor makes the same client in a Hydra without us.
func clientFor(b *testing.B, h *hydradev.Server, format apikey.TokenFormat) hydratest.Purchase {
	b.Helper()
	c := newOAuthClient(apikey.NewID(apikey.Live, time.Now()))
	secret := apikey.GenerateSecret().Reveal()
	c.Secret, c.Strategy = secret, string(format)
	if err := newRaw(h.AdminURL(), hydradev.Config{}).do("POST", "/admin/clients", c, 201, nil); err != nil {
		b.Fatal(err)
	}
	return hydratest.Purchase{TokenURL: h.TokenURL(), ID: c.ID, Secret: secret}
}

// BenchmarkDecide decides on one of 100,000 keys in memory, without HTTP.
func BenchmarkDecide(b *testing.B) {
	w := apikeytest.NewWorld(b, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		apikeytest.Hooked(c)
		c.Log = quiet
	}})
	fill(b, w.Ledger, many)
	if err := w.Service.Refresh(b.Context()); err != nil { // by hand: nothing tells of what was imported
		b.Fatal(err)
	}
	k := keyFor(b, w, apikey.Opaque)
	q := apikey.TokenRequest{ClientID: k.ID, Requested: []string{"orders:read"}, Granted: []string{"orders:read"}}
	b.ReportAllocs()
	for b.Loop() {
		if w.Service.Decide(b.Context(), q).Verdict != apikey.Allowed {
			b.Fatal("refused")
		}
	}
}

// BenchmarkFillMemory reads 100,000 keys from the ledger, as at every start, and
// then looks for news when there are none.
func BenchmarkFillMemory(b *testing.B) {
	for _, name := range placeNames {
		b.Run(name, func(b *testing.B) {
			url := apikeytest.SQLiteURL(b)
			if name == "postgres" {
				url = pgtest.New(b, pgtest.Config{Durable: true}).URL(b)
			}
			w := apikeytest.NewWorld(b, apikeytest.Options{LedgerURL: url, Idle: true})
			fill(b, w.Ledger, many)
			var fill, look, bytes float64
			n := 0
			for b.Loop() {
				before := heap()
				s, err := apikey.New(apikey.Config{Ledger: w.Ledger, Clients: w.Clients, ServerSecrets: []apikey.Secret{apikey.NewSecret(apikeytest.ServerSecret)}, Hook: true})
				if err != nil {
					b.Fatal(err)
				}
				start := time.Now()
				err = s.Refresh(b.Context())
				fill += millis(time.Since(start))
				if s.HookState().Keys < many || err != nil {
					b.Fatalf("%d keys, %v", s.HookState().Keys, err)
				}
				bytes += float64(heap()-before) / many
				start = time.Now()
				if err := s.Refresh(b.Context()); err != nil {
					b.Fatal(err)
				}
				look += millis(time.Since(start))
				n++
				runtime.KeepAlive(s)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(fill/float64(n), "fill-ms")
			b.ReportMetric(look/float64(n), "look-ms")
			b.ReportMetric(bytes/float64(n), "B/key")
		})
	}
}

func heap() uint64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
