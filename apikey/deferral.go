package apikey

import (
	"sync"
	"time"
)

const (
	deferralsKept = 10_000           // bounds the deferrals of one process
	deferFirst    = time.Second      // after the first failure
	deferLongest  = 30 * time.Second // however many follow
)

// deferrals are the keys and changes whose background work failed although
// Hydra is ready. They are tried again after a while that grows, so that many
// of them neither keep Hydra busy nor the others waiting. The zero value has
// none.
type deferrals struct {
	mu    sync.Mutex
	tasks map[string]deferral
}

type deferral struct {
	until time.Time
	wait  time.Duration
}

// failed puts a task off.
func (d *deferrals) failed(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tasks == nil {
		d.tasks = map[string]deferral{}
	}
	if _, known := d.tasks[name]; !known && len(d.tasks) >= deferralsKept {
		return
	}
	wait := min(max(2*d.tasks[name].wait, deferFirst), deferLongest)
	d.tasks[name] = deferral{time.Now().Add(wait), wait}
}

func (d *deferrals) done(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tasks, name)
}

// waiting reports whether it is too early for the task.
func (d *deferrals) waiting(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.tasks[name].until)
}

// count forgets those that nobody has come back to for long, because another
// process has done them, and returns how many there are.
func (d *deferrals) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, t := range d.tasks {
		if time.Since(t.until) > 2*deferLongest {
			delete(d.tasks, name)
		}
	}
	return len(d.tasks)
}
