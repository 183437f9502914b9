// Package crashtest kills the program with SIGKILL in the midst of its work,
// again and again, and then asks Hydra and the ledger what became of every
// request: no lost key, no key that was answered and does not work, no client
// in Hydra that the ledger does not know, the audit chain intact, for every
// Idempotency-Key exactly one key, and no token counted twice.
package crashtest

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

var (
	runs = flag.Int("runs", 100, "how often the program is killed, on each database; a sixteenth of it, at least 6 times, while it counts tokens")
	seed = flag.Uint64("seed", 0, "of the random choices; 0 takes one from the clock")
)

const workers = 4

func TestMain(m *testing.M) { os.Exit(hydratest.Main(pgtestMain{m})) }

// pgtestMain ends the shared Postgres before hydratest ends the shared Hydra.
type pgtestMain struct{ m *testing.M }

func (p pgtestMain) Run() int { return pgtest.Main(p.m) }

// On SQLite, one process: a killed one is started again.
func TestCrashSQLite(t *testing.T) {
	crash(t, "sqlite://"+filepath.Join(t.TempDir(), "ledger.db"))
}

// On Postgres: what a killed process held is taken over when its lease ends.
func TestCrashPostgres(t *testing.T) {
	crash(t, pgtest.URL(t))
}

// seedOnce makes and tells the seed of the random choices.
func seedOnce(t *testing.T) {
	t.Helper()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", *seed)
}

func crash(t *testing.T, ledger string) {
	seedOnce(t)
	t.Logf("%d kills", *runs)
	r := rand.New(rand.NewPCG(*seed, 1))
	p := newProduct(t, ledger)
	p.start()

	var wg sync.WaitGroup
	stop := make(chan struct{})
	all := make([]*worker, workers)
	for i := range all {
		all[i] = newWorker(t, p, i, rand.New(rand.NewPCG(*seed, uint64(i+2))))
		wg.Go(func() { all[i].work(stop) })
	}
	for range *runs {
		time.Sleep(time.Duration(20+r.IntN(250)) * time.Millisecond) // the random point
		p.kill()
		p.start()
	}
	close(stop)
	wg.Wait()
	p.quiesce()
	answered, unanswered := 0, 0
	for _, w := range all {
		w.settle()
		answered += w.answered
		unanswered += w.unanswered
	}
	time.Sleep(lifetime + 3*time.Second) // until the last key that ends has ended
	t.Logf("%d requests answered, %d not", answered, unanswered)
	if answered < *runs || unanswered < *runs/10 {
		t.Errorf("the kills hit too little: %d answered and %d unanswered requests in %d runs", answered, unanswered, *runs)
	}
	p.quiesce()
	for _, w := range all {
		w.check()
	}
	p.noOrphans()
	p.kill()
	p.verifyChain()
}
