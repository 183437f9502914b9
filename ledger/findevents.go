package ledger

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/tokenos/tokenos/apikey"
)

// What an event tells stands in its payload alone, exactly as its MAC covers it,
// and no index leads from an action to its events: nothing but the key, the owner
// and the time is asked for often enough to be paid for at each change. So whoever
// asks for an action or a principal has the events looked through, a stretch of
// ids at a time, and at most so many at once.
const (
	stretch    = 20_000
	stretches  = 10
	clocksSkew = time.Minute // by which the clocks of two processes may differ
)

const (
	newestEvent = `SELECT id FROM events ORDER BY id DESC LIMIT 1`
	// Time goes with the ids, but for what the clocks of two processes differ by.
	firstSince = `SELECT id FROM events WHERE at >= $1 ORDER BY at, id LIMIT 1`
)

// FindEvents implements [apikey.Ledger].
func (d *DB) FindEvents(ctx context.Context, q apikey.EventQuery) (apikey.EventsFound, error) {
	w, err := d.eventBounds(ctx, q)
	if err != nil || q.Limit <= 0 {
		return apikey.EventsFound{Seen: w.seen(q.Descending)}, err
	}
	size := cmp.Or(d.stretch, stretch)
	if q.Action == "" && q.Principal == "" {
		size = w.high - w.low // an index leads to all that is asked for
	}
	var out apikey.EventsFound
	for range cmp.Or(d.stretches, stretches) {
		part := w.part(q, size)
		if part.Limit = q.Limit - len(out.Events); part.Limit == 0 || w.empty() {
			break
		}
		rows, err := d.Events(ctx, part)
		if err != nil {
			return apikey.EventsFound{}, err
		}
		if len(rows) == part.Limit {
			w.to(rows[len(rows)-1].ID, q.Descending)
		} else {
			w.past(part, q.Descending)
		}
		for _, e := range rows {
			if matches(e, q) {
				out.Events = append(out.Events, e)
			}
		}
	}
	out.Seen, out.More = w.seen(q.Descending), !w.empty()
	return out, nil
}

// window is what is still to be looked at: the ids between low and high.
type window struct{ low, high int64 }

func (w window) empty() bool { return w.low+1 >= w.high }

// seen is the id up to which everything was looked at.
func (w window) seen(descending bool) int64 {
	if descending {
		return w.high
	}
	return w.low
}

// part is the next stretch of the window.
func (w window) part(q apikey.EventQuery, size int64) apikey.EventQuery {
	q.After, q.Before = w.low, min(w.high, w.low+size+1)
	if q.Descending {
		q.After, q.Before = max(w.low, w.high-size-1), w.high
	}
	return q
}

// past leaves a stretch behind, to the event of an id.
func (w *window) past(part apikey.EventQuery, descending bool) {
	if descending {
		w.high = part.After + 1
	} else {
		w.low = part.Before - 1
	}
}

func (w *window) to(id int64, descending bool) {
	if descending {
		w.high = id
	} else {
		w.low = id
	}
}

// eventBounds are the ids between which the events lie that are asked for. What
// comes afterwards is left to the next call, so that a feed misses nothing.
func (d *DB) eventBounds(ctx context.Context, q apikey.EventQuery) (window, error) {
	w := window{low: q.After}
	newest, err := readRows[idRow](ctx, d, newestEvent)
	if err != nil {
		return w, fault("read events", err)
	}
	for _, r := range newest {
		w.high = r.ID + 1
	}
	if q.Before > 0 {
		w.high = min(w.high, q.Before)
	}
	if q.Since.IsZero() {
		return w, nil
	}
	first, err := readRows[idRow](ctx, d, firstSince, q.Since.Add(-clocksSkew).Unix())
	if err != nil {
		return w, fault("read events", err)
	}
	if len(first) == 0 {
		w.low = max(w.low, w.high-1) // nothing is so young
	}
	for _, r := range first {
		w.low = max(w.low, r.ID-1)
	}
	return w, nil
}

// idRow is the id of one event.
type idRow struct{ ID int64 }

// mentions leaves out most payloads that do not say what is asked for; matches
// those that only seem to, because one of their own texts says the same.
func mentions(sel *bun.SelectQuery, q apikey.EventQuery) error {
	for _, m := range [][2]string{{"action", string(q.Action)}, {"principal", q.Principal}} {
		if m[1] == "" {
			continue
		}
		text, err := jsonText(m[1])
		if err != nil {
			return err
		}
		sel.Where("payload LIKE ? ESCAPE '!'", "%"+likeText.Replace(`"`+m[0]+`":`+text)+"%")
	}
	if !q.Since.IsZero() {
		sel.Where("at >= ?", q.Since.Unix())
	}
	return nil
}

// likeText makes a text stand for itself in a pattern.
var likeText = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

func matches(e apikey.Event, q apikey.EventQuery) bool {
	return (q.Action == "" || e.Action == q.Action) && (q.Principal == "" || e.Principal == q.Principal)
}
