package apikey

import (
	"context"
	"sync"
	"time"
)

// shared lets all who ask for the same share the look under way, and remembers the
// last one that succeeded: what it asks is dear.
type shared[T any] struct {
	serves time.Duration // how long a look is remembered, by the service's clock
	limit  time.Duration // of one look

	mu     sync.Mutex
	flight *look[T]
	last   *look[T]
}

// look is one look.
type look[T any] struct {
	done chan struct{}
	at   time.Time
	said T // said and err are valid after done is closed
	err  error
}

// ask returns what the last look saw while it serves, else waits for the one under
// way, starting one if there is none. The error is the look's, or the context's.
func (u *shared[T]) ask(ctx context.Context, now time.Time, do func(context.Context) (T, error)) (T, error) {
	l := u.join(ctx, now, do)
	select {
	case <-l.done:
		return l.said, l.err
	case <-ctx.Done():
		var nothing T
		return nothing, context.Cause(ctx)
	}
}

func (u *shared[T]) join(ctx context.Context, now time.Time, do func(context.Context) (T, error)) *look[T] {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last != nil && !now.Before(u.last.at) && now.Sub(u.last.at) < u.serves {
		return u.last
	}
	if u.flight != nil {
		return u.flight
	}
	l := &look[T]{done: make(chan struct{}), at: now}
	u.flight = l
	// The look is everybody's: it does not end with the caller who began it.
	go u.run(context.WithoutCancel(ctx), l, do)
	return l
}

func (u *shared[T]) run(ctx context.Context, l *look[T], do func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(ctx, u.limit)
	defer cancel()
	l.said, l.err = do(ctx)
	u.mu.Lock()
	u.flight = nil
	if l.err == nil {
		u.last = l
	}
	u.mu.Unlock()
	close(l.done)
}
