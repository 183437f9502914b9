package apikey

import (
	"context"
	"errors"
	"sync"
)

// leftoversKept bounds the leftovers of one process. What is forgotten waits
// for the end of its lease.
const leftoversKept = 1000

// leftovers are changes that this process began and whose next step the ledger
// did not take. They hold their keys, and nobody works on them: as soon as the
// ledger answers again it is told so, or everybody would wait for their leases
// to end. The zero value has none.
type leftovers struct {
	mu  sync.Mutex
	ops map[string]leftover
}

type leftover struct {
	attempt int  // under which this process held it
	giveUp  bool // else recovery takes it
}

func (l *leftovers) add(op string, attempt int, giveUp bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ops == nil {
		l.ops = map[string]leftover{}
	}
	if len(l.ops) < leftoversKept {
		l.ops[op] = leftover{attempt, giveUp}
	}
}

func (l *leftovers) drop(op string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ops, op)
}

// next returns one of them.
func (l *leftovers) next() (op string, left leftover, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for op, left := range l.ops {
		return op, left, true
	}
	return "", leftover{}, false
}

// leave notes a change that recovery should take up at once.
func (s *Service) leave(op string, attempt int) { s.left.add(op, attempt, false) }

// tidy tells the ledger about the leftovers. One that is given up is looked at
// once more later: if its lease has ended meanwhile, another process may have
// brought it to Hydra.
func (s *Service) tidy(ctx context.Context) error {
	for op, left, found := s.left.next(); found; op, left, found = s.left.next() {
		var err error
		if left.giveUp {
			err = s.ledger.Abandon(ctx, op, left.attempt, s.now().Add(confirmAfter))
		} else {
			err = s.ledger.Release(ctx, op, left.attempt, 0)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		s.left.drop(op)
	}
	return nil
}

// unanswered deals with a T1 whose commit was not answered. What narrows goes
// on, because it may count already; anything else is given up.
func (s *Service) unanswered(c Change, err error) error {
	if !errors.Is(err, ErrOutcomeUnknown) {
		return err
	}
	s.left.add(c.Op, 0, !c.Action.Narrows())
	// Also of one that is given up: if this process ends before it could tell the
	// ledger, recovery brings the change to its end.
	return &Error{Kind: ErrUnavailable, Pending: true, RetryAfter: retryAfter,
		Detail: "the ledger did not answer; the change may still take effect", Cause: err}
}
