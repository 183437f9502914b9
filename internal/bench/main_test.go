// Package bench measures the service and its REST API beside raw calls of the
// same Hydra, in one run and in turns, so that a busy machine slows both:
//
//	make bench
//
// Each benchmark prints, for every side of the comparison, the median and the
// 99th percentile of one call in milliseconds, and the ratio of the medians
// (x-hydra: our time over Hydra's); the median number of calls a second of the
// turns (/s), and the processor time that a call took in all processes (cpu-us),
// which tells most on a busy machine. Nothing is asserted: docs/performance.md
// holds what was measured and how to read it.
//
// All databases are on disk and durable, ours and Hydra's alike: SQLite with
// synchronous=FULL, Postgres with fsync. Each holds 100,000 keys.
package bench

import (
	"fmt"
	"os"
	"testing"

	"github.com/tokenos/tokenos/internal/hydratest"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(m)) }

const (
	many = 100_000 // keys in the ledger and clients in Hydra
	some = 10_000  // keys in the smaller ledger, to see whether lists stay flat
	page = 50      // keys of a page; also what a small owner and a rare label have
)

// crowds are the numbers of callers at the same time.
var crowds = []int{1, 8}

// BenchmarkKeys measures each operation on SQLite and on Postgres, with one
// caller and with eight.
func BenchmarkKeys(b *testing.B) {
	operations := []struct {
		name string
		run  func(b *testing.B, p *place, callers int)
	}{
		{"get", get},
		{"authenticate", authenticate},
		{"create", create},
		{"patch", patch},
		{"disable-enable", disableEnable},
		{"rotate-in-place", rotate},
		{"rotate-successor", succeed},
	}
	for _, name := range placeNames {
		b.Run(name, func(b *testing.B) {
			p := build(b, name, nil)
			fill(b, p.Ledger, many)
			fill(b, p.small.Ledger, some)
			fillHydra(b, p, name, many)
			b.Run("list", func(b *testing.B) { lists(b, p) })
			for _, o := range operations {
				for _, callers := range crowds {
					b.Run(fmt.Sprintf("%s/callers=%d", o.name, callers), func(b *testing.B) { o.run(b, p, callers) })
				}
			}
		})
	}
}

// BenchmarkSlowHash makes keys on an empty Hydra that hashes secrets as it does
// when nobody says otherwise: 25,000 rounds of PBKDF2 instead of 1,000.
func BenchmarkSlowHash(b *testing.B) {
	for _, name := range placeNames {
		b.Run(name, func(b *testing.B) {
			p := build(b, name, map[string]any{"oauth2.hashers.pbkdf2.iterations": 25_000})
			for _, callers := range crowds {
				b.Run(fmt.Sprintf("create/callers=%d", callers), func(b *testing.B) { create(b, p, callers) })
			}
		})
	}
}
