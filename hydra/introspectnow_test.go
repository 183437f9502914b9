package hydra_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
)

func TestIntrospectNow(t *testing.T) {
	// A remembered answer does not do, nor that to a question which was under
	// way when the call came.
	d := newDesk(t, active("key_test_1", time.Now().Add(time.Hour)))
	h := d.against(t, func(c *hydra.Config) { c.CallTimeout = 20 * time.Second })
	for i := 1; i <= 3; i++ {
		info, err := h.IntrospectNow(deadline(t), "token")
		if err != nil || d.questions() != i || info.Age > 10*time.Second {
			t.Fatalf("got %+v, %v after %d questions, want %d", info, err, d.questions(), i)
		}
	}
	d.set(false, active("key_test_1", time.Now().Add(time.Hour)), no)
	d.arrivals, d.leave = make(chan struct{}), make(chan struct{})
	var first, second error
	var wg sync.WaitGroup
	wg.Go(func() { _, first = h.IntrospectNow(deadline(t), "token") })
	<-d.arrivals
	wg.Go(func() { _, second = h.IntrospectNow(deadline(t), "token") })
	time.AfterFunc(50*time.Millisecond, func() { // the second has joined the first by then, or not: it makes no difference
		d.leave <- struct{}{}
		for range d.arrivals {
			d.leave <- struct{}{}
		}
	})
	wg.Wait()
	close(d.arrivals)
	if first != nil || !errors.Is(second, apikey.ErrUnauthenticated) {
		t.Errorf("got %v, and %v, want unauthenticated", first, second)
	}
}
