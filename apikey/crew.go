package apikey

import (
	"context"
	"errors"
	"sync"
	"time"
)

// task is one piece of background work: a change, by its op, or what is due for
// a key, by its id.
type task struct {
	name string
	do   func(context.Context) error
}

// crew does tasks side by side, within bounds and none of a name twice at the
// same time. A task that hangs (Hydra may take many seconds to fail) holds up
// no other.
type crew struct {
	places chan struct{}
	mu     sync.Mutex
	at     map[string]bool
	all    sync.WaitGroup
}

func newCrew() *crew {
	return &crew{places: make(chan struct{}, turnAtOnce), at: map[string]bool{}}
}

// begin starts the tasks that nobody is at, waiting for a place for each until
// ctx ends, and calls done after each.
func (c *crew) begin(ctx context.Context, tasks []task, done func(error)) {
	for _, t := range tasks {
		if !c.enter(t.name) {
			continue
		}
		select {
		case c.places <- struct{}{}:
		case <-ctx.Done():
			c.leave(t.name)
			return
		}
		c.all.Go(func() {
			defer func() {
				<-c.places
				c.leave(t.name)
			}()
			done(t.run(ctx))
		})
	}
}

func (c *crew) enter(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at[name] {
		return false
	}
	c.at[name] = true
	return true
}

func (c *crew) leave(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.at, name)
}

// run does the task with a deadline for its work in the ledger; calls to Hydra
// have one of their own. Another process being faster is no failure.
func (t task) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, busyWait+finishTimeout+time.Second)
	defer cancel()
	err := t.do(ctx)
	if errors.Is(err, ErrBusy) || errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
