package handlers

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"
)

// Limit is a token bucket: Burst requests at once, PerMinute of them
// afterwards. The zero value is no limit.
type Limit struct {
	PerMinute int // zero: no limit; at most 10,000,000
	Burst     int // 1 to 10,000,000; any where there is no limit
}

const (
	// maxBuckets bounds what one limit remembers, in addresses or callers: with
	// some 300 bytes each about 10 MB. Whoever has more addresses than that only
	// makes a limit forget, which gives each of them a full bucket, as a new
	// address has.
	maxBuckets = 32 << 10
	// quietFor is how long a refused address or caller is not logged again.
	quietFor = time.Minute
	// slack covers that the cache may take an entry out a second early.
	slack = 5 * time.Second
	// mostTokens bounds Limit, so that no duration made of it overflows.
	mostTokens = 10_000_000
)

// limiter holds a limit for many: one bucket for each key, an address or a
// caller. A nil limiter has no limit. Safe for concurrent use.
type limiter struct {
	name   string // in headers and log lines
	says   string // to who is refused
	limit  Limit
	rate   rate.Limit
	now    func() time.Time
	bucket *otter.Cache[string, *bucket]
}

// bucket is what one address or caller has left.
type bucket struct {
	mu     sync.Mutex
	tokens *rate.Limiter
	logged time.Time // when a refusal was logged last
}

// newLimiter makes a limiter that remembers at most size keys; nil for a limit
// of zero.
func newLimiter(name, says string, l Limit, size int, now func() time.Time) (*limiter, error) {
	if l.PerMinute == 0 {
		return nil, nil
	}
	if l.PerMinute < 0 || l.PerMinute > mostTokens || l.Burst < 1 || l.Burst > mostTokens {
		return nil, fmt.Errorf("handlers: limit %s: PerMinute must be from 0 to %d, and Burst from 1", name, mostTokens)
	}
	out := &limiter{name: name, says: says, limit: l, rate: rate.Limit(float64(l.PerMinute) / 60), now: now}
	// A bucket nobody used for its window is full, as a new one is.
	idle := max(out.window(), quietFor) + slack
	var err error
	out.bucket, err = otter.New(&otter.Options[string, *bucket]{
		MaximumSize:      size,
		ExpiryCalculator: otter.ExpiryAccessing[string, *bucket](idle),
		Clock:            clock{now: now, start: now()},
	})
	if err != nil {
		return nil, fmt.Errorf("handlers: limit %s: %w", name, err)
	}
	return out, nil
}

// window is how long an empty bucket takes to fill.
func (l *limiter) window() time.Duration {
	return time.Duration(l.limit.Burst) * time.Minute / time.Duration(l.limit.PerMinute)
}

// standing is how a key stands with a limit. The zero value is that of a limit
// that does not exist.
type standing struct {
	of      *limiter
	bucket  *bucket
	left    int           // whole tokens
	next    time.Duration // until there is one more
	refused bool
}

// take takes one token of the key's bucket, if there is one.
func (l *limiter) take(key string) standing {
	if l == nil {
		return standing{}
	}
	b, _ := l.bucket.ComputeIfAbsent(key, func() (*bucket, bool) {
		return &bucket{tokens: rate.NewLimiter(l.rate, l.limit.Burst)}, false
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	// The time is read under the lock: a rate.Limiter that is told an earlier
	// time than before counts the time between twice.
	now := l.now()
	out := standing{of: l, bucket: b, refused: !b.tokens.AllowN(now, 1)}
	left := max(b.tokens.TokensAt(now), 0)
	whole := math.Floor(left + 1e-9) // a token that only rounding keeps from being whole
	out.left = int(whole)
	out.next = time.Duration((whole + 1 - left) / float64(l.rate) * float64(time.Second))
	return out
}

// loud reports whether a refusal is to be logged: the first within quietFor.
func (got standing) loud() bool {
	got.bucket.mu.Lock()
	defer got.bucket.mu.Unlock()
	now := got.of.now()
	if !got.bucket.logged.IsZero() && now.Sub(got.bucket.logged) < quietFor {
		return false
	}
	got.bucket.logged = now
	return true
}

// giveBack puts a token that take took into the key's bucket again.
func (l *limiter) giveBack(key string) {
	if l == nil {
		return
	}
	if b, found := l.bucket.GetIfPresent(key); found {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.tokens.AllowN(l.now(), -1) // never fails; more than a full bucket is cut to one
	}
}

// clock lets a cache follow the limits' own clock, without a goroutine: what
// has expired goes when the cache is used.
type clock struct {
	now   func() time.Time
	start time.Time
}

// NowNano counts from the start, since that does not go back when the machine's
// clock is set.
func (c clock) NowNano() int64                    { return int64(c.now().Sub(c.start)) }
func (clock) Tick(time.Duration) <-chan time.Time { return nil }
