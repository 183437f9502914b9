package hydradev

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	firstPause  = 50 * time.Millisecond // before the first restart
	longestWait = 5 * time.Second       // between two restarts at most
	healthy     = 10 * time.Second      // a process that lived so long starts the pauses anew
)

// watch is the supervision of Hydra between a start and the next stop.
type watch struct {
	ctx  context.Context // ends when Hydra is to be stopped
	stop context.CancelFunc
	done chan struct{} // closed when Hydra is gone and stays so
}

func newWatch() *watch {
	ctx, stop := context.WithCancel(context.Background())
	return &watch{ctx: ctx, stop: stop, done: make(chan struct{})}
}

// keep starts Hydra again, on the same ports, each time it dies, with pauses that
// double, until the watch is stopped; then it stops Hydra.
func (s *Server) keep(w *watch, c *child) {
	defer close(w.done)
	pause := firstPause
	for {
		select {
		case <-w.ctx.Done():
			c.end(stopGrace)
			return
		case <-c.done:
		}
		if w.ctx.Err() != nil {
			return
		}
		if time.Since(c.started) > healthy {
			pause = firstPause
		}
		s.out.say("Hydra (process %d) ended by itself (%v): starting it again in %s", c.pid(), ending(c), pause)
		next, ok := s.again(w, &pause)
		if !ok {
			return
		}
		c = next
		go s.settleLater(w, c)
	}
}

// again pauses and starts a process, as often as the system refuses to. It
// reports false when the watch was stopped meanwhile.
func (s *Server) again(w *watch, pause *time.Duration) (*child, bool) {
	for {
		t := time.NewTimer(*pause)
		select {
		case <-t.C:
		case <-w.ctx.Done():
			t.Stop()
			return nil, false
		}
		*pause = min(2**pause, longestWait)
		c, err := s.spawn()
		if err == nil {
			return c, true
		}
		s.out.say("%v: trying again in %s", err, *pause)
	}
}

// settleLater gives a restarted Hydra its signing key once it is ready; a
// database in memory has lost it.
func (s *Server) settleLater(w *watch, c *child) {
	ctx, cancel := context.WithTimeoutCause(w.ctx, startTime, errSlow)
	defer cancel()
	if err := s.settle(ctx, c); err != nil && w.ctx.Err() == nil && c.running() {
		s.out.say("after a restart: %v", err)
	}
}

// ending says how a process ended.
func ending(c *child) string {
	if c.err == nil {
		return "exit status 0"
	}
	return c.err.Error()
}

// Stop ends Hydra for good: asks it, kills it after 5 s or when ctx ends, gives
// the data folder back, and removes it with [Config.Memory]. Hydra is gone when
// Stop returns. Further calls do nothing.
func (s *Server) Stop(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	before := s.stopped
	s.stopped = true
	s.mu.Unlock()
	if before {
		return nil
	}
	s.halt(ctx)
	return s.folder.close()
}

// Halt ends Hydra like [Server.Stop], but keeps its data, so that [Server.Resume]
// can start it again at the same ports. Halting what is not running does nothing.
func (s *Server) Halt(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.halt(ctx)
	return nil
}

// halt stops the watch and with it Hydra.
func (s *Server) halt(ctx context.Context) {
	s.mu.Lock()
	w := s.watch
	s.watch = nil
	s.mu.Unlock()
	if w == nil {
		return
	}
	w.stop()
	select {
	case <-w.done:
		return
	case <-ctx.Done():
	}
	_ = s.Kill() // in haste
	<-w.done
}

// Resume starts a halted Hydra again at the same ports and returns once it is
// ready. If it is running, Resume waits until it is ready. It fails after
// [Server.Stop], and with one sentence if a port was taken meanwhile.
func (s *Server) Resume(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	stopped, running := s.stopped, s.watch != nil
	s.mu.Unlock()
	if stopped {
		return errors.New("hydradev: resume Hydra: it was stopped for good")
	}
	if running {
		return s.Ready(ctx)
	}
	if _, err := choosePorts(s.at.public, s.at.admin); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errSlow)
	defer cancel()
	return s.launch(ctx)
}

// Ready waits until Hydra answers on both ports that it can work, for example
// after [Server.Kill].
func (s *Server) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTime, errSlow)
	defer cancel()
	return waitReady(ctx, s.at, nil)
}

// Kill ends the process as kill -9 does, without a word to Hydra, and returns once
// it is gone. It comes back by itself at the same ports; see [Server.Ready]. Nil
// if there is no process.
func (s *Server) Kill() error {
	s.mu.Lock()
	c := s.child
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	if err := c.kill(); err != nil {
		return fmt.Errorf("hydradev: kill Hydra: %w", err)
	}
	<-c.done
	return nil
}
