package simulation

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// How patient the services are. A lease runs by the database's clock, which
// nobody can put forward, so waits for one are shortened.
const (
	callTimeout   = 700 * time.Millisecond
	changeTimeout = 2 * time.Second
	lease         = 3 * time.Second
)

// place is an installation: replicas on one ledger, a Hydra, and what can fail.
type place struct {
	t        *testing.T
	clock    *apikeytest.Clock
	hydra    *hydradev.Server
	proxy    *hydratest.Proxy // before Hydra's admin port
	replicas []*replica
	// inspector sees through a service whose ways to the ledger and to Hydra do
	// not fail on purpose. It changes nothing.
	inspector *apikey.Service
	log       *recentLog

	ledgerServer *pgtest.Server // nil: the ledger is a file
	hydraServer  *pgtest.Server // nil: Hydra's database is a file
}

// replica is one process.
type replica struct {
	*apikeytest.World
	ledger *fragile
	config apikey.Config
}

// restart replaces the process by a new one, which remembers nothing.
func (r *replica) restart(t *testing.T) {
	t.Helper()
	fresh, err := apikey.New(r.config)
	if err != nil {
		t.Fatal(err)
	}
	r.Service = fresh
}

// newPlace makes the installation: n replicas on the ledger.
func newPlace(t *testing.T, own *hydradev.Server, ledgerURL string, n int) *place {
	p := &place{t: t, clock: &apikeytest.Clock{}, hydra: own, proxy: hydratest.NewProxy(t, own.AdminURL()), log: &recentLog{}}
	log := slog.New(slog.NewTextHandler(p.log, nil))
	for range n {
		r := &replica{}
		r.World = apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: ledgerURL, Hydra: own, AdminURL: p.proxy.URL(), Clock: p.clock, Idle: true,
			HydraWith: func(c *hydra.Config) { c.CallTimeout, c.Log = callTimeout, log },
			Config: func(c *apikey.Config) {
				r.ledger = newFragile(c.Ledger)
				c.Ledger, c.Log, c.ChangeTimeout, c.Lease = r.ledger, log, changeTimeout, lease
				c.Clients = &observed{Clients: c.Clients, ledger: r.ledger}
				r.config = *c
			}})
		p.replicas = append(p.replicas, r)
	}
	direct, err := hydra.New(hydra.Config{AdminURL: own.AdminURL(), PublicURL: own.PublicURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(direct.Close)
	c := p.replicas[0].config
	c.Ledger, c.Clients = p.replicas[0].Ledger, direct
	if p.inspector, err = apikey.New(c); err != nil {
		t.Fatal(err)
	}
	return p
}

// now is the installation's clock in Unix seconds.
func (p *place) now() int64 { return p.clock.Now().Unix() }

// await polls until ok, for at most half a minute.
func (p *place) await(what string, ok func() bool) {
	p.t.Helper()
	for until := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			p.t.Fatalf("%s\nnot within half a minute: %s", p.log, what)
		}
	}
}

// awaitWhole waits until every replica reaches the ledger and Hydra.
func (p *place) awaitWhole(ctx context.Context) {
	p.t.Helper()
	p.await("every replica reaches the ledger and Hydra", func() bool {
		for _, r := range p.replicas {
			if r.Ledger.Ping(ctx) != nil || r.Clients.Ready(ctx) != nil {
				return false
			}
		}
		return true
	})
}

// recentLog keeps the last lines that the services wrote, and whether any of
// them held a secret.
type recentLog struct {
	mu    sync.Mutex
	lines []string
	leak  string
}

var _ io.Writer = (*recentLog)(nil)

func (l *recentLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := string(b)
	if strings.Contains(line, secretMark) {
		l.leak = line
	}
	l.lines = append(l.lines, line)
	if len(l.lines) > 60 {
		l.lines = l.lines[len(l.lines)-60:]
	}
	return len(b), nil
}

func (l *recentLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "")
}

// leaked returns a line with a secret in it; "": there is none.
func (l *recentLog) leaked() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leak
}
