package apikey

import (
	"context"
	"sync"
	"time"
	"unique"
)

const (
	factsEvery   = 250 * time.Millisecond // how soon a change of another process counts
	factsPage    = 2000                   // keys of one read while the memory fills
	factsAtOnce  = 500                    // keys of one read by id, and touches of one look
	factsTimeout = 5 * time.Second        // one look at the ledger
	rememberIn   = 250 * time.Millisecond // for a change of ours; the next look sees it too
	absentFor    = time.Second            // how long an id is known to be no key's
	absentMost   = 4096
)

// snapshot is the memory of all keys: what a token request needs, about 200
// bytes a key, kept like the ledger by following its touches (facts.go).
//
// Only one reads the ledger and takes over what it says at a time, who has the
// turn; so what is taken over is never older than what was there. A change that
// narrows is noted without the turn, the moment it is accepted: what was read
// before does not undo it.
type snapshot struct {
	turn chan struct{} // holds one while somebody has the turn

	mu      sync.RWMutex
	keys    map[string]known
	filled  bool // every key is there
	fresh   time.Time
	ticks   uint64               // of reads and notes, in their order
	notes   map[string]note      // by key
	again   map[string]struct{}  // keys to read at the next look
	absents map[string]time.Time // ids that are no key's, and until when that is believed

	// Of who has the turn:
	begun bool // the memory is being filled, or is
	after string
	mark  Mark
	told  map[Touch]struct{} // at the last look
}

// note is a change that narrows, just accepted by this process.
type note struct {
	tick     uint64
	narrowed narrowing
}

// narrowing is what an accepted change will do, the stronger the greater.
type narrowing uint8

const (
	notNarrowed narrowing = iota
	beingReplaced
	beingDisabled
	beingRevoked
)

func narrowingOf(a Action) narrowing {
	switch a {
	case ActionRevoke:
		return beingRevoked
	case ActionDisable:
		return beingDisabled
	case ActionCompleteRotation:
		return beingReplaced
	}
	return notNarrowed
}

// known is what is kept of a key. Moments are Unix seconds; NoExpiry: never.
type known struct {
	root       string
	owner      unique.Handle[string]
	expiresAt  int64
	endsAt     int64
	disabledTo int64 // before it the key is disabled
	signsTo    int64 // before it the key has a credential
	status     int64 // its place in the status lists
	revoked    bool
	test       bool
	narrowed   narrowing
}

func newSnapshot() *snapshot {
	return &snapshot{turn: make(chan struct{}, 1), keys: map[string]known{}, notes: map[string]note{},
		again: map[string]struct{}{}, absents: map[string]time.Time{}}
}

func knownFrom(f KeyFacts) known {
	k := known{root: f.RootID, owner: unique.Make(f.Owner), expiresAt: secondsOf(f.ExpiresAt), endsAt: secondsOf(f.EndsAt),
		signsTo: secondsOf(f.CredentialEndsAt), revoked: f.Revoked, test: f.Environment == Test, narrowed: narrowingOf(f.Narrowed), status: f.StatusIndex}
	if f.RootID == f.ID {
		k.root = f.ID // one text for both
	}
	if f.Disabled {
		k.disabledTo = secondsOf(f.DisabledUntil)
	}
	if f.NoCredential {
		k.signsTo = 0
	}
	return k
}

func secondsOf(t time.Time) int64 {
	if t.IsZero() {
		return NoExpiry
	}
	return t.Unix()
}

// denial is why the key gets no token at now, in the order of [Definition.StatusAt];
// "": it gets one.
func (k known) denial(at time.Time) Denial {
	now := at.Unix()
	switch {
	case k.revoked || k.narrowed == beingRevoked:
		return DeniedRevoked
	case now < k.disabledTo || k.narrowed == beingDisabled:
		return DeniedDisabled
	case now >= k.expiresAt:
		return DeniedExpired
	case now >= k.endsAt || k.narrowed == beingReplaced:
		return DeniedReplaced
	case now >= k.signsTo:
		return DeniedNoCredential
	}
	return ""
}

// withTurn runs f when it has the turn, or fails with ctx. since is to be passed
// to [snapshot.take] with what f reads.
func (m *snapshot) withTurn(ctx context.Context, f func(since uint64) error) error {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-m.turn }()
	m.mu.Lock()
	m.ticks++
	since := m.ticks
	m.mu.Unlock()
	return f(since)
}

// take takes over what was read of the keys asked for since the tick; who was
// not found does not exist.
func (m *snapshot) take(since uint64, asked []string, found []KeyFacts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	missing := make(map[string]struct{}, len(asked))
	for _, id := range asked {
		missing[id] = struct{}{}
	}
	for _, f := range found {
		k := knownFrom(f)
		if n, noted := m.notes[f.ID]; noted && n.tick > since {
			k.narrowed = max(k.narrowed, n.narrowed)
		} else {
			delete(m.notes, f.ID)
		}
		m.keys[f.ID] = k
		delete(missing, f.ID)
		delete(m.absents, f.ID)
		delete(m.again, f.ID)
	}
	for id := range missing {
		delete(m.keys, id)
		delete(m.notes, id)
		delete(m.again, id)
	}
}

// narrow notes that a change was accepted that ends or pauses the key.
func (m *snapshot) narrow(id string, a Action) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ticks++
	n := max(m.notes[id].narrowed, narrowingOf(a))
	m.notes[id] = note{m.ticks, n}
	if k, found := m.keys[id]; found {
		k.narrowed = max(k.narrowed, n)
		m.keys[id] = k
	}
}

// later has the next look read these keys.
func (m *snapshot) later(ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		m.again[id] = struct{}{}
		delete(m.absents, id)
	}
}

// find looks a key up in memory. sure is false if the ledger must be asked.
func (m *snapshot) find(id string) (k known, found, sure bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !m.filled {
		return known{}, false, false
	}
	if k, found = m.keys[id]; found {
		return k, true, true
	}
	until, absent := m.absents[id]
	return known{}, false, absent && time.Now().Before(until)
}

// absent notes that an id is no key's.
func (m *snapshot) absent(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.absents) >= absentMost {
		clear(m.absents)
	}
	m.absents[id] = time.Now().Add(absentFor)
}

// size is the number of keys in memory, and whether all are there.
func (m *snapshot) size() (keys int, filled bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.keys), m.filled
}

// state is the number of keys in memory, and when it was last like the ledger;
// zero: not every key is there.
func (m *snapshot) state() (keys int, fresh time.Time) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.filled {
		fresh = m.fresh
	}
	return len(m.keys), fresh
}
