// Package simulation lets several callers do thousands of random things to keys,
// on a real Hydra and real ledgers, while the clock jumps, processes die and
// whatever can fail fails, and checks after every step that what the callers
// were told is true: every answered credential works until its stated end and
// not after, nothing of another owner is seen, and once all is quiet Hydra's
// clients are the ledger's projection and the audit tells the whole story.
//
// With one seed the steps are the same again, but for what runs at the same time:
//
//	go test ./internal/simulation -run Postgres -seed 12 -steps 1000 -v
//
// A plain run takes the same seed each time, so that it tells of a change what
// the change did; make simulate takes new ones, to find what nobody knows yet.
//
// The model (facts, rules, learn) is of what callers were told: for each key the
// set of what is possible. A request that was not answered makes it larger, a
// read makes it smaller, and an answer that fits nothing in it is a failure.
package simulation

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

var (
	seed  = flag.Uint64("seed", 1, "of the random choices; 0 takes one from the clock")
	steps = flag.Int("steps", 1000, "how many, on each database")
)

// quietEvery is how many steps lie between two quiet points.
const quietEvery = 100

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// One process on SQLite, beside a Hydra whose Postgres is killed now and then.
func TestSimulationSQLite(t *testing.T) {
	server := pgtest.New(t, pgtest.Config{})
	own := hydratest.New(t, hydradev.Config{DSN: server.URL(t)})
	p := newPlace(t, own, apikeytest.SQLiteURL(t), 1)
	p.hydraServer = server
	simulate(t, p, 1)
}

// Two processes on one Postgres, which is killed now and then, as is Hydra.
func TestSimulationPostgres(t *testing.T) {
	server := pgtest.New(t, pgtest.Config{})
	p := newPlace(t, hydratest.New(t, hydradev.Config{}), server.URL(t), 2)
	p.ledgerServer = server
	simulate(t, p, 2)
}

// party is a caller.
type party struct {
	name   string
	caller apikey.Caller
	owner  string // to which it is bound; "": all
}

// simulation is one run.
type simulation struct {
	t     *testing.T
	place *place
	seed  uint64
	step  int
	rand  *rand.Rand // of this step

	owners        []string
	parties       map[string]*party // by owner
	admin, reader *party

	subjects []*subject
	byID     map[string]*subject
	pairs    map[string]*apikeytest.Pair // by kid
	journal  []*entry
	creates  map[string]*request // by job
	jobs     map[string]*subject

	operations []*ownerOperation // on owners, that are not known to be over
	weather    weather
	planned    map[int]storm
	strained   bool // something has failed for real since the last quiet point
	head       apikey.Head
	tally      tally
}

// tally counts what was done.
type tally struct {
	operations, answers, storms, struck map[string]int
	tried, undecided, introspected      int
	turnedAway, quiet                   int
}

func simulate(t *testing.T, p *place, run uint64) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d -steps %d", *seed, *steps)
	s := &simulation{t: t, place: p, seed: *seed + run, byID: map[string]*subject{}, pairs: map[string]*apikeytest.Pair{},
		parties: map[string]*party{}, creates: map[string]*request{}, jobs: map[string]*subject{}, planned: map[int]storm{},
		tally: tally{operations: map[string]int{}, answers: map[string]int{}, storms: map[string]int{}, struck: map[string]int{}}}
	write := []apikey.Right{apikey.KeysRead, apikey.KeysWrite, apikey.AuditRead}
	for _, name := range []string{"a", "b"} {
		owner := fmt.Sprintf("sim-%d-%s", run, name)
		s.owners = append(s.owners, owner)
		s.parties[owner] = &party{name, apikeytest.Caller(write, owner), owner}
	}
	s.admin = &party{"admin", apikeytest.Caller([]apikey.Right{apikey.Admin}), ""}
	s.reader = &party{"reader", apikeytest.Caller([]apikey.Right{apikey.KeysRead, apikey.AuditRead}), ""}
	for hundredth, d := range p.disasters() {
		s.planned[max(1, *steps*hundredth/100)] = d
	}
	start := time.Now()
	for s.step = 1; s.step <= *steps; s.step++ {
		s.rand = rand.New(rand.NewPCG(s.seed, uint64(s.step)))
		s.change()
		o := s.choose()
		s.tally.operations[o.name]++
		o.do(s)
		for range 2 {
			if k := s.pick(nil); k != nil {
				s.look(k)
				s.try(k)
			}
		}
		if s.step%quietEvery == 0 || s.step == *steps {
			s.quiet()
		}
	}
	s.report(time.Since(start))
}

// fail ends the test with all that is needed to see why.
func (s *simulation) fail(k *subject, format string, args ...any) {
	s.t.Helper()
	where := ""
	if k != nil {
		where = fmt.Sprintf("key #%d %s: ", k.n, k.id)
	}
	if s.weather.now != nil {
		where += "(" + s.weather.now.name + ") "
	}
	reason := fmt.Sprintf("-seed %d, step %d: %s", *seed, s.step, where) + fmt.Sprintf(format, args...)
	text := reason
	if k != nil {
		text += "\nits history:\n  " + strings.Join(k.history, "\n  ")
		for _, o := range s.subjects {
			if f, ok := k.decided(); o == k.replaces || ok && f.replacedBy == o.id {
				text += fmt.Sprintf("\nhistory of #%d beside it:\n  ", o.n) + strings.Join(o.history, "\n  ")
			}
		}
	}
	// The reason comes last: what shows only the end of a log shows it.
	s.t.Fatalf("the services said last:\n%s\n%s", s.place.log, text+"\n"+reason)
}

// report prints what was done, and checks that it was something.
func (s *simulation) report(took time.Duration) {
	list := func(m map[string]int) string {
		var out []string
		for _, name := range slices.Sorted(maps.Keys(m)) {
			out = append(out, fmt.Sprintf("%s %d", name, m[name]))
		}
		return strings.Join(out, ", ")
	}
	for _, r := range s.place.replicas {
		for what, n := range r.ledger.struck {
			s.tally.struck[what] += n
		}
	}
	t := s.tally
	s.t.Logf("%d steps in %v, %d quiet points, %d keys\noperations: %s\nanswers: %s\nfailing for a while: %s\nrequests struck: %s\n"+
		"credentials tried %d times, undecided %d times; %d dead tokens introspected; %d turned away in calm weather",
		*steps, took.Round(time.Second), t.quiet, len(s.subjects), list(t.operations), list(t.answers), list(t.storms), list(t.struck),
		t.tried, t.undecided, t.introspected, t.turnedAway)
	if t.turnedAway > *steps/50 {
		s.t.Errorf("%d requests turned away in calm weather", t.turnedAway)
	}
	if t.tried < *steps || t.introspected < *steps/20 || *steps >= 500 && len(t.struck) < 8 {
		s.t.Errorf("too little was tried or failed")
	}
}
