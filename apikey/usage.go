package apikey

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Denial is why a key was refused a token when it asked Hydra for one.
type Denial string

const (
	DeniedDisabled     Denial = "disabled"
	DeniedExpired      Denial = "expired"
	DeniedReplaced     Denial = "replaced" // its grace period is over
	DeniedRevoked      Denial = "revoked"
	DeniedUnknown      Denial = "unknown"       // nobody knew the key then
	DeniedNoCredential Denial = "no_credential" // every public key has ended
)

// issuance is one request for a token that was decided: Denied is "" if it was
// issued.
type issuance struct {
	ID        string
	At        time.Time // zero: now
	Denied    Denial
	Requested []string // scopes
	Granted   []string
}

// noteIssuance counts a request for a token. It works on memory alone and waits
// for nobody but others that note: [Service.Run] writes the counts down within
// a second. It keeps nothing of i but its values.
func (s *Service) noteIssuance(i issuance) {
	if i.At.IsZero() {
		i.At = s.cfg.Now()
	}
	s.book.note(i)
}

// What an entry of the book takes, about, beside its texts. It is a little more
// than was measured.
const (
	tallySize = 320 // with the place in the map, an hour and an outcome
	hourSize  = 96
	countSize = 48
	askedSize = 56

	// bookRoom bounds the book, what waits to be written included.
	bookRoom = 64 << 20
)

// outcomeIssued is the outcome of a request that got its token; the others are
// [Denial]s.
const outcomeIssued Denial = ""

// book counts issuances in memory until they are written. What finds no room, a
// token or one of its scopes, is left out and told. The zero value has no room.
type book struct {
	room int

	mu     sync.Mutex
	open   map[string]*keyTally // by id, since it was emptied
	size   int                  // of open, in bytes, about
	held   int                  // of what was taken out and is not written yet
	missed int64                // issuances of which something found no room, since it was emptied
}

// keyTally is what was noted of one key.
type keyTally struct {
	hours    []hourTally // few; in order of arrival
	usedAt   int64       // Unix seconds, as all here; 0: not
	deniedAt int64
	denial   Denial
	asked    []askedScope // each once, at most limits.Scopes
}

type hourTally struct {
	hour   int64
	counts []outcomeTally // each outcome once
}

type outcomeTally struct {
	outcome Denial
	tokens  int64
}

type askedScope struct {
	scope string
	at    int64
}

func newBook(room int) book { return book{room: room, open: map[string]*keyTally{}} }

func (b *book) note(i issuance) {
	at := i.At.Unix()
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.open[i.ID]
	if t == nil {
		if t = b.enter(i.ID); t == nil {
			return
		}
	}
	if n := t.count(at-at%3600, i.Denied); !b.take(n) {
		b.missed++
		return
	}
	t.add(at-at%3600, i.Denied, 1)
	t.last(at, i.Denied)
	fits := b.ask(t, i.Requested, at)
	if !slices.Equal(i.Requested, i.Granted) {
		fits = b.ask(t, i.Granted, at) && fits
	}
	if !fits {
		b.missed++
	}
}

// enter makes room for a key; nil: there is none, or no key has such an id.
func (b *book) enter(id string) *keyTally {
	if !ValidID(id) {
		return nil
	}
	if !b.take(tallySize + len(id)) {
		b.missed++
		return nil
	}
	t := &keyTally{}
	b.open[strings.Clone(id)] = t // or the whole request would be kept
	return t
}

// ask notes the scopes that were asked for, and whether there was room for all.
// What no key can have is left out.
func (b *book) ask(t *keyTally, scopes []string, at int64) bool {
	for _, s := range scopes {
		if t.known(s, at) || len(t.asked) >= limits.Scopes || len(s) > limits.ScopeLength || !scopeToken.MatchString(s) {
			continue
		}
		if !b.take(askedSize + len(s)) {
			return false
		}
		t.asked = append(t.asked, askedScope{strings.Clone(s), at})
	}
	return true
}

// take takes n bytes of the room, if they are left.
func (b *book) take(n int) bool {
	if b.size+b.held+n > b.room {
		return n == 0
	}
	b.size += n
	return true
}

// empty takes everything out. It counts as held until [book.hold] says less.
func (b *book) empty() (taken map[string]*keyTally, missed int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken, missed = b.open, b.missed
	b.open, b.missed = map[string]*keyTally{}, 0
	b.held += b.size
	b.size = 0
	return taken, missed
}

// hold says how many bytes wait to be written.
func (b *book) hold(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = n
}

// count is the room that one more of an outcome takes: nothing if it is known.
func (t *keyTally) count(hour int64, o Denial) int {
	for _, h := range t.hours {
		if h.hour != hour {
			continue
		}
		if slices.ContainsFunc(h.counts, func(c outcomeTally) bool { return c.outcome == o }) {
			return 0
		}
		return countSize
	}
	if len(t.hours) == 0 { // in tallySize
		return 0
	}
	return hourSize
}

// add counts n tokens of an outcome in an hour.
func (t *keyTally) add(hour int64, o Denial, n int64) {
	at := slices.IndexFunc(t.hours, func(h hourTally) bool { return h.hour == hour })
	if at < 0 {
		t.hours = append(t.hours, hourTally{hour: hour})
		at = len(t.hours) - 1
	}
	h := &t.hours[at]
	for i := range h.counts {
		if h.counts[i].outcome == o {
			h.counts[i].tokens += n
			return
		}
	}
	h.counts = append(h.counts, outcomeTally{o, n})
}

// last notes when the key was last used, or refused.
func (t *keyTally) last(at int64, o Denial) {
	switch {
	case o == outcomeIssued:
		t.usedAt = max(t.usedAt, at)
	case at >= t.deniedAt:
		t.deniedAt, t.denial = at, o
	}
}

// known notes a scope that was asked for before.
func (t *keyTally) known(scope string, at int64) bool {
	for i := range t.asked {
		if t.asked[i].scope == scope {
			t.asked[i].at = max(t.asked[i].at, at)
			return true
		}
	}
	return false
}

// merge adds what was noted later.
func (t *keyTally) merge(o *keyTally) {
	for _, h := range o.hours {
		for _, c := range h.counts {
			t.add(h.hour, c.outcome, c.tokens)
		}
	}
	t.last(o.usedAt, outcomeIssued)
	if o.denial != outcomeIssued {
		t.last(o.deniedAt, o.denial)
	}
	for _, a := range o.asked {
		if !t.known(a.scope, a.at) && len(t.asked) < limits.Scopes {
			t.asked = append(t.asked, a)
		}
	}
}

// size is what the tally of a key takes, as [book] counts it.
func (t *keyTally) size(id string) int {
	n := tallySize + len(id) + hourSize*max(0, len(t.hours)-1)
	for _, h := range t.hours {
		n += countSize * max(0, len(h.counts)-1)
	}
	for _, a := range t.asked {
		n += askedSize + len(a.scope)
	}
	return n
}

// tokens is how many issuances the tally counts.
func (t *keyTally) tokens() (n int64) {
	for _, h := range t.hours {
		for _, c := range h.counts {
			n += c.tokens
		}
	}
	return n
}

// usage is the tally as the ledger takes it.
func (t *keyTally) usage(id string) KeyUsage {
	u := KeyUsage{ID: id}
	if t.usedAt != 0 {
		u.LastUsedAt = time.Unix(t.usedAt, 0).UTC()
	}
	if t.denial != outcomeIssued {
		u.LastDenial = &LastDenial{Reason: t.denial, At: time.Unix(t.deniedAt, 0).UTC()}
	}
	for _, h := range t.hours {
		counts := NewTokenCounts()
		for _, c := range h.counts {
			counts.Add(c.outcome, c.tokens)
		}
		u.Hours = append(u.Hours, PeriodCounts{From: time.Unix(h.hour, 0).UTC(), TokenCounts: counts})
	}
	for _, a := range t.asked {
		at := time.Unix(a.at, 0).UTC()
		u.Asked = append(u.Asked, ScopeUsage{Scope: a.scope, LastAskedAt: &at})
	}
	return u
}

// mergeAll adds what was noted later, key by key.
func mergeAll(into, from map[string]*keyTally) {
	if len(into) == 0 {
		maps.Copy(into, from)
		return
	}
	for id, t := range from {
		if had := into[id]; had != nil {
			had.merge(t)
		} else {
			into[id] = t
		}
	}
}
