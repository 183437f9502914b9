package apikey

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// taken is what the book holds of a key.
func taken(t *testing.T, b *book, id string) KeyUsage {
	t.Helper()
	open, _ := b.empty()
	b.hold(0)
	if open[id] == nil {
		t.Fatalf("nothing was noted of %s", id)
	}
	return open[id].usage(id)
}

// What is noted of a key is counted by hour and outcome, with when it was last
// used and refused, and each scope's last time, denied or not.
func TestNote(t *testing.T) {
	b := newBook(bookRoom)
	at := func(d time.Duration) *time.Time { return new(noon.Add(d)) }
	for _, i := range []issuance{
		{At: noon, Requested: []string{"a"}, Granted: []string{"a"}},
		{At: noon.Add(59*time.Minute + 59*time.Second), Requested: []string{"a", "b"}, Granted: []string{"a", "b"}},
		{At: noon.Add(time.Hour), Denied: DeniedDisabled, Requested: []string{"c"}},
		{At: noon.Add(time.Hour), Denied: DeniedExpired},
		{At: noon.Add(-time.Second), Denied: DeniedRevoked},
		{At: noon.Add(time.Hour), Denied: DeniedExpired, Granted: []string{"d"}},
		{At: noon.Add(10 * time.Minute), Requested: []string{"b"}},
	} {
		i.ID = "k"
		b.note(i)
	}
	hour := func(d time.Duration, issued int64, by map[Denial]int64) PeriodCounts {
		p := PeriodCounts{From: noon.Add(d), TokenCounts: NewTokenCounts()}
		p.Add("", issued)
		for reason, n := range by {
			p.Add(reason, n)
		}
		return p
	}
	want := KeyUsage{ID: "k", LastUsedAt: *at(59*time.Minute + 59*time.Second), LastDenial: &LastDenial{DeniedExpired, noon.Add(time.Hour)},
		Hours: []PeriodCounts{hour(0, 3, nil), hour(time.Hour, 0, map[Denial]int64{DeniedDisabled: 1, DeniedExpired: 2}), hour(-time.Hour, 0, map[Denial]int64{DeniedRevoked: 1})},
		Asked: []ScopeUsage{{"a", at(59*time.Minute + 59*time.Second)}, {"b", at(59*time.Minute + 59*time.Second)}, {"c", at(time.Hour)}, {"d", at(time.Hour)}}}
	if diff := cmp.Diff(want, taken(t, &b, "k")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What cannot be of a key is not noted: it would only fill memory, and spoil the
// batch that it came in.
func TestNoteHostile(t *testing.T) {
	b := newBook(bookRoom)
	for _, id := range []string{"", ".", "..", "a b", "a/b", "a\x00", "\xff", strings.Repeat("a", 129), "'; DROP TABLE keys --"} {
		b.note(issuance{ID: id, At: noon})
	}
	if open, missed := b.empty(); len(open) != 0 || missed != 0 {
		t.Errorf("%d keys noted, %d missed", len(open), missed)
	}
	many := []string{"", "a b", "\x00", "\xff", "\"", "é", strings.Repeat("s", 129)}
	for i := range 300 {
		many = append(many, fmt.Sprint("scope:", i))
	}
	b.note(issuance{ID: "k", At: noon, Requested: many})
	if u := taken(t, &b, "k"); len(u.Asked) != limits.Scopes || u.Asked[0].Scope != "scope:0" {
		t.Errorf("%d scopes, the first %q", len(u.Asked), u.Asked[0].Scope)
	}
}

// The texts of a request are not kept alive by what is noted of it, and the book
// takes no more memory than its room, whatever is noted: keys it knows are still
// counted, others are missed and told.
func TestNoteBounded(t *testing.T) {
	const room = 4 << 20
	for name, note := range map[string]func(n int) issuance{
		"many keys": func(n int) issuance {
			return issuance{ID: fmt.Sprint("key_live_", n), At: noon, Requested: []string{"orders:read"}}
		},
		"many hours and outcomes": func(n int) issuance {
			return issuance{ID: fmt.Sprint("key_live_", n%100), At: noon.Add(time.Duration(n) * time.Hour), Denied: Denial(fmt.Sprint(n % 3))}
		},
		"many scopes": func(n int) issuance {
			return issuance{ID: fmt.Sprint("key_live_", n/100), At: noon, Requested: []string{fmt.Sprint(strings.Repeat("s", 100), n)}}
		},
		"large requests": func(n int) issuance {
			body := strings.Repeat("x", 1<<14) + fmt.Sprint("key_live_", n) + " scope"
			return issuance{ID: body[1<<14 : len(body)-6], At: noon, Requested: []string{body[len(body)-5:]}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(room)
			before := heap()
			for n := range 60_000 {
				b.note(note(n))
			}
			if used := heap() - before; used > room*5/4 {
				t.Errorf("%d bytes of memory, the room is %d", used, room)
			}
			if b.size > room {
				t.Errorf("takes %d of a room of %d", b.size, room)
			}
			if _, missed := b.empty(); missed == 0 || b.held < room*9/10 {
				t.Errorf("%d missed, and %d bytes are noted", missed, b.held)
			}
			runtime.KeepAlive(&b)
		})
	}
}

// heap is how much memory is in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A full book goes on counting the keys that it knows, and takes new ones when
// there is room again.
func TestNoteFull(t *testing.T) {
	b := newBook(2 * (tallySize + 8))
	for _, id := range []string{"a", "b", "c", "a", "c", "b", "d"} {
		b.note(issuance{ID: id, At: noon})
	}
	open, missed := b.empty()
	if len(open) != 2 || open["a"].tokens() != 2 || open["b"].tokens() != 2 || missed != 3 {
		t.Errorf("%d keys, %d missed; want 2 and 3", len(open), missed)
	}
	b.note(issuance{ID: "c", At: noon}) // what was taken is still held
	b.hold(0)
	b.note(issuance{ID: "d", At: noon})
	if open, missed := b.empty(); open["c"] != nil || open["d"] == nil || missed != 1 {
		t.Errorf("noted %d keys, %d missed; want d alone", len(open), missed)
	}
}

// Nothing is lost or counted twice while many note and others empty the book.
func TestNoteTogether(t *testing.T) {
	b := newBook(bookRoom)
	const noters, each = 8, 5000
	var all, emptier sync.WaitGroup
	stop := make(chan struct{})
	sum := map[string]*keyTally{}
	emptier.Go(func() {
		for done := false; !done; {
			select {
			case <-stop:
				done = true
			default:
			}
			open, _ := b.empty()
			mergeAll(sum, open)
		}
	})
	for range noters {
		all.Go(func() {
			for n := range each {
				b.note(issuance{ID: fmt.Sprint("k", n%7), At: noon.Add(time.Duration(n) * time.Minute), Requested: []string{fmt.Sprint("s", n%5)}, Denied: []Denial{"", DeniedExpired}[n%2]})
			}
		})
	}
	all.Wait()
	close(stop)
	emptier.Wait()
	total := int64(0)
	for _, tally := range sum {
		total += tally.tokens()
		if len(tally.asked) != 5 {
			t.Errorf("%d scopes, want 5", len(tally.asked))
		}
	}
	if total != noters*each || len(sum) != 7 {
		t.Errorf("%d tokens of %d keys, want %d of 7", total, len(sum), noters*each)
	}
}

// Periods are whole, of UTC, within what is kept and what has come, whatever is
// asked for.
func TestUsageQuery(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 30, 0, 0, time.UTC)
	s := &Service{cfg: Config{Now: func() time.Time { return now }, HoursKept: hoursKept, DaysKept: daysKept}}
	day := func(n int) time.Time { return time.Date(2026, 11, 23+n, 0, 0, 0, 0, time.UTC) }
	hour := func(n int) time.Time { return day(0).Add(time.Duration(n) * time.Hour) }
	in := func(t time.Time) *time.Time { return new(t.In(time.FixedZone("", -5*3600))) }
	for name, c := range map[string]struct {
		p        UsageParams
		from, to time.Time
	}{
		"nothing asked":              {UsageParams{}, day(-30), day(1)},
		"hours":                      {UsageParams{By: ByHour}, hour(-12), hour(13)},
		"to alone":                   {UsageParams{To: in(day(-1))}, day(-31), day(-1)},
		"to within a day":            {UsageParams{To: in(day(-1).Add(1))}, day(-31), day(0)},
		"from within an hour":        {UsageParams{By: ByHour, From: in(hour(3).Add(59 * time.Minute)), To: in(hour(5))}, hour(3), hour(5)},
		"one moment":                 {UsageParams{By: ByHour, From: in(hour(3)), To: in(hour(3).Add(1))}, hour(3), hour(4)},
		"longer than hours are kept": {UsageParams{By: ByHour, From: in(day(-100))}, day(-14), hour(13)},
		"longer than days are kept":  {UsageParams{From: in(time.Time{})}, day(-400), day(1)},
		"to in the future":           {UsageParams{From: in(day(-1)), To: in(day(100_000))}, day(-1), day(1)},
		"all in the future":          {UsageParams{From: in(day(5)), To: in(day(6))}, day(5), day(5)},
		"all forgotten":              {UsageParams{By: ByHour, From: in(day(-30)), To: in(day(-29))}, day(-14), day(-14)},
	} {
		q, err := s.usageQuery(c.p)
		if err != nil || !q.From.Equal(c.from) || !q.To.Equal(c.to) || q.From.Location() != time.UTC {
			t.Errorf("%s: %v to %v, %v; want %v to %v", name, q.From, q.To, err, c.from, c.to)
		}
	}
	for name, p := range map[string]UsageParams{"week": {By: "week"}, "backwards": {From: in(day(0)), To: in(day(-1))}, "nothing between": {From: in(day(0)), To: in(day(0))}, "from now on": {From: in(day(1))}} {
		if _, err := s.usageQuery(p); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
