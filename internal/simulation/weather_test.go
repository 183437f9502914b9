package simulation

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/tokenos/tokenos/internal/hydratest"
)

// storm is something that fails for some steps.
type storm struct {
	name   string
	weight int
	steps  int  // at most
	late   bool // a request to Hydra may arrive when nobody waits for it any more
	real   bool // a server is killed
	begin  func(*simulation)
	end    func(*simulation)
}

// weather is what fails now.
type weather struct {
	now        *storm // nil: nothing
	until      int    // the step before which it ends
	ledgerDown bool
	hydraDown  bool // its token endpoint cannot be asked
	injected   []*hydratest.Injected
}

const (
	admin   = "/admin/"
	clients = "/admin/clients"
)

// ofProxy is a fault at Hydra's admin port.
func ofProxy(name string, weight int, faults ...hydratest.Fault) storm {
	return storm{name: name, weight: weight, steps: 6,
		begin: func(s *simulation) {
			for _, f := range faults {
				s.weather.injected = append(s.weather.injected, s.place.proxy.Inject(f))
			}
		},
		end: func(s *simulation) { s.place.proxy.Clear() }}
}

// ofLedger makes calls to the ledger fail.
func ofLedger(name string, weight int, before, unknown float64) storm {
	return storm{name: name, weight: weight, steps: 6,
		begin: func(s *simulation) {
			for i, r := range s.place.replicas {
				r.ledger.fail(before, unknown, rand.New(rand.NewPCG(s.seed, uint64(s.step*16+i))))
			}
		},
		end: func(s *simulation) {
			for _, r := range s.place.replicas {
				r.ledger.fail(0, 0, nil)
			}
		}}
}

func late(s storm) storm {
	s.late = true
	return s
}

// storms are the failures that come by chance.
func storms() []storm {
	slow := callTimeout + 200*time.Millisecond
	return []storm{
		ofProxy("hydra: answer dropped", 4, hydratest.DropAnswer().On("", admin).Chance(0.4)),
		ofProxy("hydra: reset before", 3, hydratest.Reset().On("", admin).Chance(0.5)),
		ofProxy("hydra: reset after", 4, hydratest.Reset().AfterWork().On("", admin).Chance(0.5)),
		ofProxy("hydra: 500 before", 3, hydratest.StatusBefore(500, 0).On("", admin).Chance(0.5)),
		ofProxy("hydra: 500 after", 3, hydratest.StatusAfter(500).On("", admin).Chance(0.5)),
		ofProxy("hydra: 503 always", 2, hydratest.StatusBefore(503, time.Second).On("", admin)),
		ofProxy("hydra: garbage", 2, hydratest.GarbageJSON().AfterWork().On("", clients).Chance(0.5), hydratest.GarbageHTML().On("", admin).Chance(0.3)),
		late(ofProxy("hydra: late request", 3, hydratest.Delay(slow).On("POST", clients), hydratest.Delay(slow).On("PUT", clients).Chance(0.6))),
		late(ofProxy("hydra: late answer", 1, hydratest.DelayAnswer(slow).On("", clients).Chance(0.4))),
		{name: "hydra: refused", weight: 2, steps: 5,
			begin: func(s *simulation) { s.place.proxy.Refuse() },
			end: func(s *simulation) {
				if err := s.place.proxy.Accept(); err != nil {
					s.t.Fatal(err)
				}
			}},
		ofLedger("ledger: calls fail", 5, 0.12, 0),
		ofLedger("ledger: answers lost", 5, 0, 0.2),
		ofLedger("ledger: both", 3, 0.06, 0.1),
	}
}

// disasters are real failures: the step in hundredths of the run at which each
// comes.
func (p *place) disasters() map[int]storm {
	out := map[int]storm{}
	if server := p.ledgerServer; server != nil {
		down := storm{name: "ledger: Postgres killed", steps: 4, real: true,
			begin: func(s *simulation) {
				s.weather.ledgerDown = true
				s.must(server.Kill())
			},
			end: func(s *simulation) { s.must(server.Start(s.t.Context())) }}
		out[22], out[61] = down, down
		out[43] = storm{name: "hydra: killed", steps: 4, late: true, real: true,
			begin: func(s *simulation) {
				s.weather.hydraDown = true
				s.must(p.hydra.Halt(s.t.Context()))
			},
			end: func(s *simulation) { s.must(p.hydra.Resume(s.t.Context())) }}
	}
	if server := p.hydraServer; server != nil {
		down := storm{name: "hydra: its Postgres killed", steps: 5, late: true, real: true,
			begin: func(s *simulation) {
				s.weather.hydraDown = true
				s.must(server.Kill())
			},
			end: func(s *simulation) {
				s.must(server.Start(s.t.Context()))
				s.must(p.hydra.Ready(s.t.Context()))
			}}
		out[22], out[43], out[61], out[82] = down, down, down, down
	}
	return out
}

func (s *simulation) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("-seed %d, step %d: %v", *seed, s.step, err)
	}
}

// change ends a storm whose time is over, and lets another come by chance or by
// plan.
func (s *simulation) change() {
	if s.weather.now != nil && s.step >= s.weather.until {
		s.calm()
	}
	if d, comes := s.planned[s.step]; comes {
		s.calm()
		s.brew(d)
		return
	}
	if s.weather.now != nil || !s.chance(9) {
		return
	}
	all, total := storms(), 0
	for _, o := range all {
		total += o.weight
	}
	at := s.rand.IntN(total)
	for _, o := range all {
		if at -= o.weight; at < 0 {
			s.brew(o)
			return
		}
	}
}

func (s *simulation) brew(o storm) {
	s.weather.now, s.weather.until = &o, s.step+1+s.rand.IntN(o.steps)
	s.tally.storms[o.name]++
	s.place.proxy.Seed(s.seed + uint64(s.step))
	o.begin(s)
}

// calm ends what fails and waits until all is whole again, and until no request
// is on its way.
func (s *simulation) calm() {
	now := s.weather.now
	if now == nil {
		return
	}
	now.end(s)
	for _, i := range s.weather.injected {
		s.tally.struck[now.name] += i.Struck()
	}
	if now.late {
		over := time.Now().Add(callTimeout + 500*time.Millisecond)
		s.place.await("late requests have arrived", func() bool { return time.Now().After(over) })
	}
	s.weather = weather{}
	ctx, cancel := context.WithTimeout(s.t.Context(), 40*time.Second)
	defer cancel()
	s.place.awaitWhole(ctx)
	s.strained = s.strained || now.late || now.real
}
