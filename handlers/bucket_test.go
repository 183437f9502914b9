package handlers

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// since is a clock that the test sets: the time since noon. The cache of a
// limiter looks at it from goroutines of its own.
type since struct{ atomic.Int64 }

func (s *since) now() time.Time {
	return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).Add(time.Duration(s.Load()))
}

func (s *since) advance(d time.Duration) { s.Add(int64(d)) }

// atNoon is a limiter whose clock the test sets.
func atNoon(t *testing.T, l Limit, size int) (*limiter, *since) {
	t.Helper()
	clock := &since{}
	out, err := newLimiter("test", "too many", l, size, clock.now)
	if err != nil {
		t.Fatal(err)
	}
	return out, clock
}

// However many addresses come, no more than the bound are remembered.
func TestBucketsAreBounded(t *testing.T) {
	l, _ := atNoon(t, Limit{PerMinute: 1, Burst: 1}, 1000)
	for i := range 50_000 {
		l.take(fmt.Sprint(i))
	}
	l.bucket.CleanUp()
	if got := l.bucket.EstimatedSize(); got > 1000 || got < 500 {
		t.Errorf("%d buckets, want at most 1000", got)
	}
}

// An address that floods stays limited while many others come and go: they do
// not drive its bucket out.
func TestFloodStaysLimited(t *testing.T) {
	l, _ := atNoon(t, Limit{PerMinute: 1, Burst: 5}, 1000)
	passed := 0
	for i := range 30_000 {
		l.take(fmt.Sprint(i))
		if i%10 == 0 && !l.take("flood").refused {
			passed++
		}
	}
	// A bucket may be lost before the cache knows how often it is used.
	if passed > 50 {
		t.Errorf("%d of 3,000 passed, want few more than 5", passed)
	}
}

// A bucket is kept while it is not full or its refusals have been logged a
// moment ago, and goes afterwards.
func TestBucketsExpire(t *testing.T) {
	for _, test := range []struct {
		limit Limit
		kept  time.Duration
		gone  time.Duration
	}{
		{Limit{PerMinute: 600, Burst: 10}, time.Minute, 70 * time.Second},
		{Limit{PerMinute: 1, Burst: 10}, 10 * time.Minute, 610 * time.Second},
	} {
		l, clock := atNoon(t, test.limit, 1000)
		l.take("a")
		for _, wait := range []time.Duration{test.kept, test.kept} {
			clock.advance(wait)
			l.bucket.CleanUp()
			if _, found := l.bucket.GetIfPresent("a"); !found {
				t.Errorf("%+v: gone %s after its last use", test.limit, wait)
			}
		}
		clock.advance(test.gone)
		l.bucket.CleanUp()
		if got := l.bucket.EstimatedSize(); got != 0 {
			t.Errorf("%+v: still there after %s", test.limit, test.gone)
		}
	}
}

// Limiters leave no goroutine behind: every handler makes some.
func TestLimitersHaveNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	var kept [50]*limiters
	for i := range kept {
		var err error
		if kept[i], err = newLimiters(Limits{Address: Limit{60, 1}, Caller: Limit{60, 1}}, time.Now); err != nil {
			t.Fatal(err)
		}
	}
	end := time.After(10 * time.Second)
	for runtime.NumGoroutine() > before+10 { // each cache has one for a moment
		select {
		case <-end:
			t.Fatalf("%d goroutines more", runtime.NumGoroutine()-before)
		default:
			runtime.Gosched()
		}
	}
	runtime.KeepAlive(kept)
}

// A clock that goes back adds nothing, and what is given back is cut to a full
// bucket.
func TestBucketArithmetic(t *testing.T) {
	l, clock := atNoon(t, Limit{PerMinute: 60, Burst: 3}, 10)
	for range 3 {
		if l.take("a").refused {
			t.Fatal("refused within the burst")
		}
	}
	clock.advance(-10 * time.Second)
	if !l.take("a").refused {
		t.Error("passed when the clock went back")
	}
	clock.advance(10 * time.Second)
	if !l.take("a").refused {
		t.Error("passed when the clock came again")
	}
	for range 10 {
		l.giveBack("a")
	}
	if got := l.take("a").left; got != 2 {
		t.Errorf("%d left, want 2 of a full bucket", got)
	}
	// A whole window of odd length fills it whole, in spite of rounding.
	l, clock = atNoon(t, Limit{PerMinute: 7, Burst: 3}, 10)
	for range 3 {
		l.take("a")
	}
	clock.advance(l.window())
	if got := l.take("a"); got.refused || got.left != 2 {
		t.Errorf("after a window: %+v", got)
	}
}

// Requests about one key are counted whatever their address; ids that no key
// can have are one.
func TestLimitSelf(t *testing.T) {
	limits, err := newLimiters(Limits{Self: Limit{PerMinute: 1, Burst: 2}}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(Config{})
	s.limits = limits
	for i, test := range []struct {
		id      string
		refused bool
	}{
		{"key_live_a", false}, {"key_live_a", false}, {"key_live_a", true}, {"key_live_b", false},
		{"not / an id", false}, {"nor % this", false}, {"", true},
	} {
		err := s.limitSelf(t.Context(), test.id)
		if errors.Is(err, apikey.ErrRateLimited) != test.refused || (err != nil) != test.refused {
			t.Errorf("%d, %q: got %v", i, test.id, err)
		}
	}
}
