package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	firstWord = 2 * time.Second // what takes longer says so
	nextWord  = 5 * time.Second
)

// busy tells a person on stderr, after two seconds and then every five, that
// work goes on; line gets the time since its start. stop ends it.
func (p program) busy(line func(since time.Duration) string) (stop func()) {
	quit := make(chan struct{})
	var talk sync.WaitGroup
	talk.Go(func() {
		start := time.Now()
		next := time.NewTimer(firstWord)
		defer next.Stop()
		for {
			select {
			case <-quit:
				return
			case <-next.C:
				fmt.Fprintln(p.stderr, line(time.Since(start).Round(time.Second)))
				next.Reset(nextWord)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(quit)
		talk.Wait()
	})
}

// still is a line for work that has nothing to count.
func still(what string) func(time.Duration) string {
	return func(since time.Duration) string { return fmt.Sprintf("%s: still at it after %s", what, since) }
}

// progressLine tells how far an operation on an owner has come.
type progressLine struct {
	done, total, waiting atomic.Int64
}

func (p *progressLine) set(o apikey.Operation) {
	p.done.Store(int64(o.Done))
	p.total.Store(int64(o.Total))
	p.waiting.Store(int64(o.Waiting))
}

func (p *progressLine) text(since time.Duration) string {
	line := fmt.Sprintf("%d of %d keys after %s", p.done.Load(), p.total.Load(), since)
	if n := p.waiting.Load(); n > 0 {
		line += fmt.Sprintf("; %d wait for Hydra", n)
	}
	return line
}
