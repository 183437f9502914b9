package apikey_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// bookless is a ledger whose answers to a batch can be lost, before or after it
// was added, and which can be away. It notes what it was given.
type bookless struct {
	apikey.Ledger
	mu     sync.Mutex
	before error // answered instead of adding
	after  error // answered although it was added
	die    string
	given  []apikey.UsageBatch
}

func (l *bookless) lose(before, after error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before, l.after = before, after
}

func (l *bookless) AddUsage(ctx context.Context, b apikey.UsageBatch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given = append(l.given, b)
	if l.die == "before" {
		runtime.Goexit()
	}
	if l.before != nil {
		return l.before
	}
	err := l.Ledger.AddUsage(ctx, b)
	if l.die == "after" {
		runtime.Goexit()
	}
	return errors.Join(err, l.after)
}

// booklessWorld is a world without background work, and its ledger.
func booklessWorld(t *testing.T, o apikeytest.Options) (*apikeytest.World, *bookless) {
	l := &bookless{}
	o.Idle = true
	o.Config = func(c *apikey.Config) {
		l.Ledger = c.Ledger
		c.Ledger = l
	}
	return apikeytest.NewWorld(t, o), l
}

var (
	errAway = &apikey.Error{Kind: apikey.ErrUnavailable, Cause: errors.New("away")}
	errLost = &apikey.Error{Kind: apikey.ErrUnavailable, Cause: apikey.ErrOutcomeUnknown}
)

// keyOf makes a key.
func keyOf(t *testing.T, w *apikeytest.World, owner string) string {
	t.Helper()
	issued, err := w.Service.Create(as(t), apikey.CreateParams{Name: "used", Owner: owner, Scopes: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	return issued.Key.ID
}

// noted notes n tokens of a key now.
func noted(w *apikeytest.World, id string, n int) {
	for range n {
		w.Service.NoteIssuance(apikey.Issuance{ID: id, At: w.Clock.Now(), Requested: []string{"a"}, Granted: []string{"a"}})
	}
}

// tokens is how many tokens the ledger has counted for a key in the last 30 days.
func tokens(t *testing.T, w *apikeytest.World, id string) int64 {
	t.Helper()
	u, err := w.Service.Usage(as(t), id, apikey.UsageParams{})
	if err != nil {
		t.Fatal(err)
	}
	return u.Totals.Issued
}

// A batch whose outcome is unknown is given again as it was until the ledger has
// it, before any other: whether it was added or not, it counts once.
func TestFlushUnknownOutcome(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"SQLite": apikeytest.SQLiteURL, "Postgres": pgtest.URL} {
		t.Run(name, func(t *testing.T) {
			w, l := booklessWorld(t, apikeytest.Options{LedgerURL: url(t)})
			id := keyOf(t, w, "unknown")
			want := int64(0)
			for i, lost := range [][2]error{{errLost, nil}, {nil, errLost}, {errLost, nil}, {errAway, nil}, {nil, errLost}} {
				l.lose(lost[0], lost[1])
				noted(w, id, i+1)
				want += int64(i + 1)
				if err := w.Service.Flush(t.Context()); !errors.Is(err, apikey.ErrUnavailable) {
					t.Fatalf("flush %d: %v", i, err)
				}
				l.lose(nil, nil)
				if i == 2 { // more is noted, and the ledger goes again
					continue
				}
				if err := w.Service.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := tokens(t, w, id); got != want {
					t.Fatalf("after flush %d: %d tokens, want %d", i, got, want)
				}
			}
			byNumber := map[int64]apikey.UsageBatch{}
			for _, b := range l.given {
				if was, again := byNumber[b.Number]; again && !cmp.Equal(was, b) {
					t.Errorf("batch %d was given in two forms:\n%s", b.Number, cmp.Diff(was, b))
				}
				byNumber[b.Number] = b
			}
			if len(byNumber) >= len(l.given) {
				t.Error("no batch was given twice")
			}
		})
	}
}

// While the ledger is away counts are kept, and written when it is back; the log
// tells of both once.
func TestFlushAway(t *testing.T) {
	log := &record{}
	l := &bookless{}
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		l.Ledger, c.Ledger = c.Ledger, l
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	}})
	first, second := keyOf(t, w, "away"), keyOf(t, w, "away")
	l.lose(errAway, nil)
	for range 50 {
		noted(w, first, 3)
		noted(w, second, 1)
		if err := w.Service.Flush(t.Context()); err == nil {
			t.Fatal("flushed to nowhere")
		}
	}
	if got, want := w.Service.UsageState(), (apikey.UsageState{Failures: 50, Waiting: 200}); got != want {
		t.Errorf("away: %+v, want %+v", got, want)
	}
	l.lose(nil, nil)
	if err := w.Service.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := w.Service.UsageState(), (apikey.UsageState{Batches: 2, Failures: 50, Written: 200}); got != want {
		t.Errorf("back: %+v, want %+v", got, want)
	}
	if a, b := tokens(t, w, first), tokens(t, w, second); a != 150 || b != 50 {
		t.Errorf("%d and %d tokens, want 150 and 50", a, b)
	}
	if err := w.Service.Flush(t.Context()); err != nil || len(l.given) != 52 {
		t.Errorf("%d batches, %v; want no more than 52: there was nothing to write", len(l.given), err)
	}
	for _, line := range []string{"counted tokens wait for the ledger", "the ledger takes counted tokens again"} {
		if n := bytes.Count(log.bytes(), []byte(line)); n != 1 {
			t.Errorf("%q is logged %d times, want once", line, n)
		}
	}
}

// What a process had not written when it died is lost, and nothing else: what it
// had written is there once, also for the process after it.
func TestFlushDeath(t *testing.T) {
	for die, want := range map[string]int64{"before": 5, "after": 12} {
		t.Run(die, func(t *testing.T) {
			url := apikeytest.SQLiteURL(t)
			w, l := booklessWorld(t, apikeytest.Options{LedgerURL: url})
			id := keyOf(t, w, "death")
			noted(w, id, 5)
			if err := w.Service.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			noted(w, id, 7)
			l.die = die
			died := make(chan struct{})
			go func() {
				defer close(died)
				_ = w.Service.Flush(context.WithoutCancel(t.Context()))
				t.Error("it did not die")
			}()
			<-died
			w.Close()
			next, _ := booklessWorld(t, apikeytest.Options{LedgerURL: url, Clock: w.Clock})
			if got := tokens(t, next, id); got != want {
				t.Errorf("%d tokens after the death, want %d", got, want)
			}
			noted(next, id, 1)
			if err := next.Service.Flush(t.Context()); err != nil || tokens(t, next, id) != want+1 {
				t.Errorf("the next process counts %d, %v; want %d", tokens(t, next, id), err, want+1)
			}
		})
	}
}

// Background work writes within moments, and what is left when it is told to end.
func TestRunFlushes(t *testing.T) {
	url := apikeytest.SQLiteURL(t)
	w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url})
	id := keyOf(t, w, "run")
	noted(w, id, 3)
	apikeytest.Eventually(t, "tokens are counted", func() bool { return tokens(t, w, id) == 3 })
	noted(w, id, 4)
	w.Close()
	next := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Idle: true, Clock: w.Clock})
	if got := tokens(t, next, id); got != 7 {
		t.Errorf("%d tokens after the end, want 7", got)
	}
}

// Of several processes on one Postgres that is killed again and again, every
// token noted is counted, and no other.
func TestFlushExactThroughKills(t *testing.T) {
	pg := pgtest.New(t, pgtest.Config{Durable: true})
	url := pg.URL(t)
	clock := &apikeytest.Clock{}
	var worlds []*apikeytest.World
	for range 3 {
		worlds = append(worlds, apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Clock: clock, Idle: true}))
	}
	var ids []string
	for range 10 {
		ids = append(ids, keyOf(t, worlds[0], "kills"))
	}
	stop := make(chan struct{})
	var work sync.WaitGroup
	var lost atomic.Int64
	counts := make([]atomic.Int64, len(ids))
	for _, w := range worlds {
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				for i, id := range ids {
					noted(w, id, i+1)
					counts[i].Add(int64(i + 1))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if w.Service.Flush(ctx) != nil {
					lost.Add(1)
				}
				cancel()
			}
		})
	}
	for range 4 {
		was := lost.Load()
		if err := pg.Kill(); err != nil {
			t.Error(err)
		}
		apikeytest.Eventually(t, "somebody fails to write", func() bool { return lost.Load() > was })
		if err := pg.Start(t.Context()); err != nil {
			t.Error(err)
		}
		before := counts[0].Load()
		apikeytest.Eventually(t, "they go on", func() bool { return counts[0].Load() > before+30 })
	}
	close(stop)
	work.Wait()
	for _, w := range worlds {
		apikeytest.Eventually(t, "the rest is written", func() bool { return w.Service.Flush(t.Context()) == nil })
	}
	for i, id := range ids {
		if got := tokens(t, worlds[0], id); got != counts[i].Load() {
			t.Errorf("key %d: %d tokens, %d were noted", i, got, counts[i].Load())
		}
	}
}

// What the ledger does not take when the program ends is told.
func TestRunEndsAway(t *testing.T) {
	log := &record{}
	l := &bookless{}
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: func(c *apikey.Config) {
		l.Ledger, c.Ledger = c.Ledger, l
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	}})
	id := keyOf(t, w, "ends")
	l.lose(errAway, nil)
	noted(w, id, 42)
	w.Close()
	if line := "counted tokens are lost: the program ends and the ledger does not take them\" tokens=42 "; !bytes.Contains(log.bytes(), []byte(line)) {
		t.Errorf("the log does not say %q:\n%s", line, log.bytes())
	}
}
