package ledger

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tokenos/tokenos/apikey"
)

// counter makes looks whose mark is their number; each waits to be let go.
type counter struct {
	mu    sync.Mutex
	begun int64
	leave chan error
}

func newCounter() *counter { return &counter{leave: make(chan error)} }

func (c *counter) look(ctx context.Context) (apikey.StateMark, error) {
	c.mu.Lock()
	c.begun++
	n := c.begun
	c.mu.Unlock()
	select {
	case err := <-c.leave:
		return apikey.StateMark{Event: n}, err
	case <-ctx.Done():
		return apikey.StateMark{}, ctx.Err()
	}
}

// seen is what a call was given.
type seen struct {
	mark int64
	err  error
}

// ask calls from a goroutine of its own.
func ask(ctx context.Context, s *sharedLook, c *counter, n int) chan seen {
	out := make(chan seen, n)
	for range n {
		go func() {
			m, err := s.at(ctx, c.look)
			out <- seen{m.Event, err}
		}()
	}
	return out
}

// Who comes while a look is under way has no part in it: all of them share the
// next, however many they are, and one who comes alone waits for nobody.
func TestSharedLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSharedLook(), newCounter()
		first := ask(t.Context(), &s, c, 1)
		synctest.Wait()
		crowd := ask(t.Context(), &s, c, 50)
		synctest.Wait()
		if c.begun != 1 {
			t.Fatalf("%d looks at the same time", c.begun)
		}
		c.leave <- nil
		if got := <-first; got != (seen{1, nil}) {
			t.Errorf("the first: %+v", got)
		}
		synctest.Wait()
		last := ask(t.Context(), &s, c, 1)
		synctest.Wait()
		c.leave <- nil
		c.leave <- nil
		for range 50 {
			if got := <-crowd; got != (seen{2, nil}) {
				t.Errorf("of the crowd: %+v", got)
			}
		}
		if got := <-last; got != (seen{3, nil}) {
			t.Errorf("the last: %+v", got)
		}
	})
}

// A look that fails fails for all that share it, and the next is made anew.
func TestSharedLookFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, broken := newSharedLook(), newCounter(), errors.New("broken")
		first := ask(t.Context(), &s, c, 1)
		synctest.Wait()
		crowd := ask(t.Context(), &s, c, 3)
		synctest.Wait()
		c.leave <- nil
		<-first
		c.leave <- broken
		for range 3 {
			if got := <-crowd; !errors.Is(got.err, broken) {
				t.Errorf("of the crowd: %+v", got)
			}
		}
		again := ask(t.Context(), &s, c, 1)
		c.leave <- nil
		if got := <-again; got != (seen{3, nil}) {
			t.Errorf("afterwards: %+v", got)
		}
	})
}

// Who goes away takes nobody with it, whether it was to look, looks, or waits.
func TestSharedLookLeavers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSharedLook(), newCounter()
		looking, stopLooking := context.WithCancel(t.Context())
		waiting, stopWaiting := context.WithCancel(t.Context())
		looks := ask(looking, &s, c, 1)
		synctest.Wait()
		leads := ask(waiting, &s, c, 1) // it is to make the next
		synctest.Wait()
		shares, waits := ask(t.Context(), &s, c, 2), ask(waiting, &s, c, 1)
		synctest.Wait()
		stopWaiting()
		for _, gone := range []chan seen{leads, waits} {
			if got := <-gone; !errors.Is(got.err, context.Canceled) || !errors.Is(got.err, apikey.ErrUnavailable) {
				t.Errorf("who waited: %+v", got)
			}
		}
		synctest.Wait() // those that stay have begun anew
		stopLooking()
		if got := <-looks; !errors.Is(got.err, context.Canceled) {
			t.Errorf("who looked: %+v", got)
		}
		c.leave <- nil
		for range 2 {
			if got := <-shares; got != (seen{2, nil}) {
				t.Errorf("who stayed: %+v", got)
			}
		}
	})
}
