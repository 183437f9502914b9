package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

const (
	// headEvery is how often the head of the audit chain is logged: kept apart
	// from the ledger, it proves later that no event was cut off the end.
	headEvery = 10 * time.Minute
	// lookEvery is how often the log hears whether a part went or came back.
	lookEvery = 5 * time.Second
	lookTime  = 3 * time.Second
	// opsPatience is for health checks in flight, which take a second.
	opsPatience = 2 * time.Second
	// hookPatience is for token requests in flight, which take a quarter.
	hookPatience = time.Second
)

// listen opens a listener; whose says for what, wayOut what to do if it fails.
func listen(ctx context.Context, whose, address, wayOut string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		return l, nil
	}
	cause := err
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		cause = number // without "listen tcp 127.0.0.1:8080: bind:", which repeats us
	}
	return nil, withHint(fmt.Errorf("%s cannot listen on %s: %w", whose, address, cause), wayOut)
}

// served is one HTTP server on its listener.
type served struct {
	server   *http.Server
	listener net.Listener
}

// serve serves until the server is shut down (nil) or its listener fails.
func (s served) serve() error {
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", s.listener.Addr(), err)
	}
	return nil
}

// stop accepts nothing new and gives requests in flight the time in patience.
func (s served) stop(ctx context.Context, patience time.Duration) error {
	end, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.server.Shutdown(end); err != nil {
		return errors.Join(err, s.server.Close())
	}
	return nil
}

// sides are the servers of one process; only api is always there.
type sides struct {
	api       served
	hook, ops *served
}

// run serves all sides and does the background work, until ctx ends or a server
// fails. Then readiness says no, the API's requests in flight get the time in
// patience to end, and the hook, for which tokens wait, and ops, where readiness
// is asked, go last.
func (a *app) run(ctx context.Context, patience time.Duration, all sides) error {
	lasting := context.WithoutCancel(ctx)
	defer a.background(lasting)()
	failed := make(chan error, 3)
	go func() { failed <- all.api.serve() }()
	for _, side := range []*served{all.hook, all.ops} {
		if side != nil {
			go func() { failed <- side.serve() }()
		}
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		a.log.InfoContext(ctx, "stopping", "patience", patience.String())
	}
	a.stopping.Store(true)
	if cut := all.api.stop(lasting, patience); cut != nil {
		a.log.WarnContext(ctx, "requests were cut off at the end", "error", cut)
	}
	if all.hook != nil {
		if cut := all.hook.stop(lasting, hookPatience); cut != nil {
			a.log.WarnContext(ctx, "requests of hydra were cut off at the end", "error", cut)
		}
	}
	if all.ops != nil {
		if cut := all.ops.stop(lasting, opsPatience); cut != nil {
			a.log.WarnContext(ctx, "health checks were cut off at the end", "error", cut)
		}
	}
	return err
}

// background starts all work that no request asks for; stop ends it and waits.
func (a *app) background(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { a.service.Run(ctx) })
	work.Go(func() { every(ctx, headEvery, a.logHead) })
	down := map[string]bool{}
	work.Go(func() { every(ctx, lookEvery, func(ctx context.Context) { a.look(ctx, down) }) })
	return func() {
		cancel()
		work.Wait()
	}
}

// every does something now and then again after each pause, until ctx ends.
func every(ctx context.Context, pause time.Duration, do func(context.Context)) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (a *app) logHead(ctx context.Context) {
	id, mac, err := a.ledger.Head(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		a.log.WarnContext(ctx, "audit head not read", "error", err)
		return
	}
	a.log.InfoContext(ctx, "audit head", "event", id, "mac", mac)
}

// look logs each part that went away or came back since the last look; down
// holds those that are away. The metrics hear of it, and of the changes that are
// not done.
func (a *app) look(ctx context.Context, down map[string]bool) {
	for name, check := range a.parts() {
		within, cancel := context.WithTimeout(ctx, lookTime)
		err := check(within)
		cancel()
		if ctx.Err() != nil {
			return
		}
		a.metrics.observePart(name, err)
		switch {
		case err != nil && !down[name]:
			a.log.WarnContext(ctx, "a part does not answer; keys cannot be changed until it does", "part", name, "error", err)
		case err == nil && down[name]:
			a.log.InfoContext(ctx, "a part answers again", "part", name)
		}
		down[name] = err != nil
	}
	within, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	a.standing.look(within, a.ledger.Backlog)
}
