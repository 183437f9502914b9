package simulation

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// The steps of a change after which a process can be made to die.
const (
	afterT1  = "after T1"
	beforeT2 = "before T2"
	afterT2  = "after T2"
)

// fragile is the ledger of one process: its calls can fail before they reach the
// database, or reach it and lose their answer, and the process can die at a step.
type fragile struct {
	apikey.Ledger

	mu      sync.Mutex
	rand    *rand.Rand
	before  float64        // chance that a call fails before it reaches the database
	unknown float64        // chance that a write is done and its answer lost
	fatal   string         // the step at which the process dies; "": none
	open    map[string]int // changes that the process holds, with their attempts
	struck  map[string]int
	muffled map[string]bool // keys with a T2 that was done and not answered
	unsure  map[string]bool // keys with a call to Hydra that nobody knows the end of
}

func newFragile(l apikey.Ledger) *fragile {
	return &fragile{Ledger: l, rand: rand.New(rand.NewPCG(0, 0)), open: map[string]int{}, struck: map[string]int{}, unsure: map[string]bool{}, muffled: map[string]bool{}}
}

// fail sets the chances of failure and starts their source anew.
func (l *fragile) fail(before, unknown float64, r *rand.Rand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before, l.unknown, l.rand = before, unknown, r
}

// doom sets the step at which the process dies; "" for none.
func (l *fragile) doom(step string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fatal = step
}

// hold notes that the process holds a change, or (attempt below zero) that it
// does not any more.
func (l *fragile) hold(op string, attempt int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[op] = attempt; attempt < 0 {
		delete(l.open, op)
	}
}

// release ends the leases of the changes that the process, which is gone or at
// rest, has not brought to an end: as time does.
func (l *fragile) release(ctx context.Context) error {
	l.mu.Lock()
	open := maps.Clone(l.open)
	l.mu.Unlock()
	for op, attempt := range open {
		if err := l.Ledger.Release(ctx, op, attempt, 0); err != nil && !errors.Is(err, apikey.ErrNotFound) {
			return err
		}
		l.hold(op, -1)
	}
	return nil
}

func (l *fragile) strike(chance float64, what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if chance == 0 || l.rand.Float64() >= chance {
		return false
	}
	l.struck[what]++
	return true
}

func (l *fragile) chances() (before, unknown float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.before, l.unknown
}

func (l *fragile) dooms(step string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal == step
}

func (l *fragile) muffle(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.muffled[id] = true
}

// answeredAll reports whether every T2 of the key was answered.
func (l *fragile) answeredAll(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.muffled[id]
}

// dieAt ends the goroutine if its process dies at the step of the change.
func (l *fragile) dieAt(step string) {
	l.mu.Lock()
	fatal := l.fatal == step
	if fatal {
		l.struck["process died "+step]++
	}
	l.mu.Unlock()
	if fatal {
		runtime.Goexit()
	}
}

var errInjected = errors.New("a failure of the test")

// away makes a read or a write fail before it reaches the database.
func (l *fragile) away() error {
	if before, _ := l.chances(); l.strike(before, "ledger call failed before") {
		return &apikey.Error{Kind: apikey.ErrUnavailable, RetryAfter: time.Second, Cause: errInjected}
	}
	return nil
}

// lost loses the answer of a write that was done.
func (l *fragile) lost() error {
	if _, unknown := l.chances(); l.strike(unknown, "ledger answer lost") {
		return &apikey.Error{Kind: apikey.ErrUnavailable, RetryAfter: time.Second, Cause: errors.Join(apikey.ErrOutcomeUnknown, errInjected)}
	}
	return nil
}

// write is a write with all that can happen to it.
func (l *fragile) write(do func() error) error {
	if err := l.away(); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return l.lost()
}

func read[T any](l *fragile, do func() (T, error)) (T, error) {
	if err := l.away(); err != nil {
		var none T
		return none, err
	}
	return do()
}

func (l *fragile) Key(ctx context.Context, id string, v apikey.View) (apikey.Record, error) {
	return read(l, func() (apikey.Record, error) { return l.Ledger.Key(ctx, id, v) })
}

func (l *fragile) Standing(ctx context.Context, id string, v apikey.View, now time.Time) (apikey.Standing, error) {
	return read(l, func() (apikey.Standing, error) { return l.Ledger.Standing(ctx, id, v, now) })
}

func (l *fragile) Keys(ctx context.Context, q apikey.Query) ([]apikey.Record, int, error) {
	if err := l.away(); err != nil {
		return nil, 0, err
	}
	return l.Ledger.Keys(ctx, q)
}

func (l *fragile) Replay(ctx context.Context, hash []byte) (apikey.Replay, error) {
	return read(l, func() (apikey.Replay, error) { return l.Ledger.Replay(ctx, hash) })
}

func (l *fragile) Events(ctx context.Context, q apikey.EventQuery) ([]apikey.Event, error) {
	return read(l, func() ([]apikey.Event, error) { return l.Ledger.Events(ctx, q) })
}

func (l *fragile) Begin(ctx context.Context, b apikey.Begin) (begun apikey.Begun, err error) {
	l.hold(b.Change.Op, 0)
	err = l.write(func() error { begun, err = l.Ledger.Begin(ctx, b); return err })
	if err == nil && !begun.Unchanged {
		l.dieAt(afterT1)
	}
	return begun, err
}

func (l *fragile) Promote(ctx context.Context, op string, lease time.Duration, plan apikey.Plan) (begun apikey.Begun, err error) {
	l.hold(op, 0)
	err = l.write(func() error { begun, err = l.Ledger.Promote(ctx, op, lease, plan); return err })
	if err == nil && !begun.Unchanged {
		l.dieAt(afterT1)
	}
	return begun, err
}

func (l *fragile) Take(ctx context.Context, op string, attempt int, lease time.Duration) (mine bool, err error) {
	err = l.write(func() error { mine, err = l.Ledger.Take(ctx, op, attempt, lease); return err })
	if mine {
		l.hold(op, attempt+1)
	}
	if err == nil && mine {
		l.dieAt(afterT1)
	}
	return mine && err == nil, err
}

func (l *fragile) Finish(ctx context.Context, f apikey.Finish) error {
	l.dieAt(beforeT2)
	done := false
	err := l.write(func() error {
		err := l.Ledger.Finish(ctx, f)
		done = err == nil || errors.Is(err, apikey.ErrOutcomeUnknown)
		return err
	})
	if done && (err != nil || l.dooms(afterT2)) {
		l.muffle(f.Target.ID)
		if f.Successor != nil {
			l.muffle(f.Successor.Target.ID)
		}
	}
	l.dieAt(afterT2)
	return err
}

func (l *fragile) Abandon(ctx context.Context, op string, attempt int, recheck time.Time) error {
	return l.write(func() error { return l.Ledger.Abandon(ctx, op, attempt, recheck) })
}

// Release shortens the wait: it runs by the database's clock.
func (l *fragile) Release(ctx context.Context, op string, attempt int, wait time.Duration) error {
	return l.write(func() error { return l.Ledger.Release(ctx, op, attempt, wait/20) })
}

func (l *fragile) Rechecked(ctx context.Context, op string) error {
	return l.write(func() error { return l.Ledger.Rechecked(ctx, op) })
}

func (l *fragile) Claim(ctx context.Context, id, op string) error {
	return l.write(func() error { return l.Ledger.Claim(ctx, id, op) })
}

// observed is Hydra as one process reaches it. It notes of which keys a call's
// end is unknown: a request may still be on its way.
type observed struct {
	apikey.Clients
	ledger *fragile
}

func (o *observed) note(id string, err error) error {
	if errors.Is(err, apikey.ErrOutcomeUnknown) {
		o.ledger.mu.Lock()
		o.ledger.unsure[id] = true
		o.ledger.mu.Unlock()
	}
	return err
}

func (o *observed) Create(ctx context.Context, w apikey.ClientWrite) error {
	return o.note(w.Definition.ID, o.Clients.Create(ctx, w))
}

func (o *observed) Put(ctx context.Context, w apikey.ClientWrite) error {
	late := w.Late
	w.Late = func() {
		_ = o.note(w.Definition.ID, apikey.ErrOutcomeUnknown)
		if late != nil {
			late()
		}
	}
	return o.note(w.Definition.ID, o.Clients.Put(ctx, w))
}

func (o *observed) Delete(ctx context.Context, id string) error {
	return o.note(id, o.Clients.Delete(ctx, id))
}

// unsureOf are the keys noted since the last time.
func (l *fragile) unsureOf() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.unsure
	l.unsure = map[string]bool{}
	return out
}
