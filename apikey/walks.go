package apikey

import (
	"context"
	"sync"
)

// walks are the operations that this process carries on. The zero value has
// none.
type walks struct {
	mu               sync.Mutex
	narrowing, other int
	held             map[string]int // id and attempt of those that could not be let go
	once             sync.Once
	hands            chan struct{}
}

// enter takes a place, and reports whether there was one.
func (w *walks) enter(narrows bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	count, most := &w.other, widenAtOnce
	if narrows {
		count, most = &w.narrowing, narrowAtOnce
	}
	if *count == most {
		return false
	}
	*count++
	return true
}

func (w *walks) leave(narrows bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if narrows {
		w.narrowing--
	} else {
		w.other--
	}
}

// hand waits for one of the hands that change keys, until ctx ends.
func (w *walks) hand(ctx context.Context) (free func(), err error) {
	w.once.Do(func() { w.hands = make(chan struct{}, keysAtOnce) })
	if err := ctx.Err(); err != nil { // select would choose either
		return nil, err
	}
	select {
	case w.hands <- struct{}{}:
		return func() { <-w.hands }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *walks) hold(id string, attempt int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		w.held = map[string]int{}
	}
	w.held[id] = attempt
}

func (w *walks) drop(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.held, id)
}

func (w *walks) heldNow() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[string]int, len(w.held))
	for id, attempt := range w.held {
		out[id] = attempt
	}
	return out
}
