package ledger

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	lookoutKeys   = 5_000 // kept, some kB each
	lookoutEvents = 500   // beyond so many since the last look all are forgotten
	// Beyond so many accepted changes nothing is remembered: to read them each time
	// would cost far more than to read the key.
	lookoutNarrowed = 500
	// lookoutLead is how long before the clock has something to do for a key it
	// is read each time: what the clock did may write no event, and the clocks of
	// processes differ.
	lookoutLead = 10 * time.Second
)

var narrowedIDs = `SELECT key_id FROM changes WHERE state = 'begun' AND action || '' IN ` + narrowingSQL + `
	UNION ALL SELECT key_id FROM changes WHERE state = 'queued' AND action || '' IN ` + narrowingSQL

const eventIDs = `SELECT key_id FROM events WHERE id > $1 AND denial = 0 ORDER BY id LIMIT $2`

// lookout keeps what was read of keys for as long as nothing happens to them.
// Each call compares the ledger's mark of now with that of the last call. If they
// differ, the keys are forgotten that events or accepted changes tell of. The
// zero value knows nothing.
type lookout struct {
	turn   chan struct{} // holds one while somebody catches up
	shared sharedLook

	mu       sync.Mutex
	begun    bool
	mark     apikey.StateMark
	writes   int64    // of this process when the mark was read
	narrowed []string // as of the mark
	turns    uint64   // how often somebody caught up
	keys     map[string]apikey.Record
}

// Standing implements [apikey.Standings]. SQLite is this process's alone, so
// while it has written nothing there is nothing to ask.
func (d *DB) Standing(ctx context.Context, id string, v apikey.View, now time.Time) (apikey.Standing, error) {
	turns, crowded, err := d.catchUp(ctx)
	if err != nil {
		return apikey.Standing{}, err
	}
	if r, found := d.lookout.find(id, now); found && !crowded {
		if len(v.Owners) > 0 && !slices.Contains(v.Owners, r.Owner) {
			return apikey.Standing{}, notFound()
		}
		return r.Standing(), nil
	}
	r, err := d.Key(ctx, id, v)
	if err != nil {
		return apikey.Standing{}, err
	}
	if !crowded {
		d.lookout.keep(turns, r)
	}
	return r.Standing(), nil
}

// find is what is known of a key, unless the clock may have done something.
func (l *lookout) find(id string, now time.Time) (apikey.Record, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, found := l.keys[id]
	if found && !r.DueAt.IsZero() && !now.Add(lookoutLead).Before(r.DueAt) {
		return r, false
	}
	return r, found
}

// keep remembers a key that was read after somebody had caught up for the turns-th
// time, unless somebody has since: it may be one that was forgotten then.
func (l *lookout) keep(turns uint64, r apikey.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if turns != l.turns {
		return
	}
	if len(l.keys) >= lookoutKeys {
		for id := range l.keys { // any
			delete(l.keys, id)
			break
		}
	}
	l.keys[r.ID] = r
}

// upToDate reports whether the mark, or the number of writes, is that of the last
// look.
func (l *lookout) upToDate(same func(*lookout) bool) (turns uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turns, l.begun && same(l)
}

// catchUp forgets the keys to which something happened. crowded: it does not know
// of all.
func (d *DB) catchUp(ctx context.Context) (turns uint64, crowded bool, err error) {
	l := &d.lookout
	if d.alone() {
		writes := d.writes.Load()
		if turns, ok := l.upToDate(func(l *lookout) bool { return l.writes == writes }); ok {
			return turns, false, nil
		}
	} else {
		mark, err := apikey.Glance(ctx, d.shareMark)
		if err != nil || mark.Narrowing > lookoutNarrowed {
			return 0, true, err
		}
		if turns, ok := l.upToDate(func(l *lookout) bool { return l.mark == mark }); ok {
			return turns, false, nil
		}
	}
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, false, fault("read key", ctx.Err())
	}
	defer func() { <-l.turn }()
	writes := d.writes.Load()
	mark, err := d.lookMark(ctx)
	if err != nil || mark.Narrowing > lookoutNarrowed {
		return 0, true, err
	}
	same := func(l *lookout) bool {
		if l.mark == mark { // what was written concerns nobody
			l.writes = writes
		}
		return l.mark == mark
	}
	if turns, ok := l.upToDate(same); ok {
		return turns, false, nil
	}
	turns, err = d.forget(ctx, mark, writes)
	return turns, false, err
}

// shareMark is the mark of now, read together with those who ask meanwhile.
func (d *DB) shareMark(ctx context.Context) (apikey.StateMark, error) {
	return d.lookout.shared.at(ctx, d.lookMark)
}

// alone reports whether nobody but this process can write, and it is still there.
func (d *DB) alone() bool { return d.dialect.single && d.lock != nil && !d.closed.Load() }

// forget takes the new mark over. Accepted changes are read before events: one
// that is done in between is in both. Only who has the turn comes here.
func (d *DB) forget(ctx context.Context, mark apikey.StateMark, writes int64) (uint64, error) {
	l := &d.lookout
	narrowed, err := d.ids(ctx, narrowedIDs)
	if err != nil {
		return 0, err
	}
	gone, all := slices.Concat(l.narrowed, narrowed), true
	if many := mark.Event - l.mark.Event; l.begun && many >= 0 && many <= lookoutEvents {
		touched, err := d.ids(ctx, eventIDs, l.mark.Event, 2*lookoutEvents)
		if err != nil {
			return 0, err
		}
		gone, all = append(gone, touched...), len(touched) == 2*lookoutEvents
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if all {
		l.keys = map[string]apikey.Record{}
	}
	for _, id := range gone {
		delete(l.keys, id)
	}
	l.begun, l.mark, l.writes, l.narrowed = true, mark, writes, narrowed
	l.turns++
	return l.turns, nil
}

// ids reads keys' ids.
func (d *DB) ids(ctx context.Context, text string, args ...any) (out []string, err error) {
	err = d.each(ctx, d.sql(text), func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		out = append(out, id)
		return err
	}, args...)
	return out, fault("read touched keys", err)
}
