package ledger

import (
	"context"
	"sync"

	"github.com/tokenos/tokenos/apikey"
)

// sharedLook lets calls that come at the same time share a look at the mark. A
// call has part only in a look that begins after it came, so that whatever was
// committed before it counts: while one is under way, those that come wait for
// the next, all for the same.
type sharedLook struct {
	turn chan struct{} // holds one while somebody looks

	mu   sync.Mutex
	next *jointLook // that has not begun; nil: nobody waits for one
}

// jointLook is a look that whoever came first makes for all who wait for it.
type jointLook struct {
	done  chan struct{}
	given bool // up, because who was to make it went away
	mark  apikey.StateMark
	err   error
}

func newSharedLook() sharedLook { return sharedLook{turn: make(chan struct{}, 1)} }

// at is the mark as of some moment after the call.
func (s *sharedLook) at(ctx context.Context, look func(context.Context) (apikey.StateMark, error)) (apikey.StateMark, error) {
	for {
		l, first := s.join()
		if first {
			s.lead(ctx, l, look)
			return l.mark, l.err
		}
		select {
		case <-l.done:
			if !l.given {
				return l.mark, l.err
			}
		case <-ctx.Done():
			return apikey.StateMark{}, waited(ctx)
		}
	}
}

// join is the next look. first: the caller is to make it.
func (s *sharedLook) join() (l *jointLook, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first = s.next == nil; first {
		s.next = &jointLook{done: make(chan struct{})}
	}
	return s.next, first
}

// close ends the joining of the next look: who comes now waits for another.
func (s *sharedLook) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = nil
}

// lead makes the look when the one under way is over.
func (s *sharedLook) lead(ctx context.Context, l *jointLook, look func(context.Context) (apikey.StateMark, error)) {
	defer close(l.done)
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
		s.close()
		l.mark, l.err = look(ctx)
		l.given = l.err != nil && ctx.Err() != nil
	case <-ctx.Done():
		s.close()
		l.given, l.err = true, waited(ctx)
	}
}

func waited(ctx context.Context) error { return fault("read the states' mark", context.Cause(ctx)) }
