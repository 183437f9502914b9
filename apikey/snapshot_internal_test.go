package apikey

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

// factsOf are the facts of a record, as the ledger draws them.
func factsOf(r Record) KeyFacts {
	moment := func(t *time.Time) time.Time {
		if t == nil {
			return time.Time{}
		}
		return *t
	}
	f := KeyFacts{ID: r.ID, RootID: r.RootID, Owner: r.Owner, Environment: r.Environment, Revoked: r.RevokedAt != nil, Disabled: r.DisabledAt != nil,
		DisabledUntil: moment(r.DisabledUntil), ExpiresAt: moment(r.ExpiresAt), EndsAt: moment(r.EndsAt)}
	if r.AuthMethod.HasSecret() {
		return f
	}
	f.NoCredential = len(r.PublicKeys) == 0
	for _, p := range r.PublicKeys {
		if p.ExpiresAt == nil {
			f.CredentialEndsAt = time.Time{}
			break
		}
		f.CredentialEndsAt = later(f.CredentialEndsAt, *p.ExpiresAt)
	}
	return f
}

// The memory says of every key, at every moment, what its record says: a token
// is refused exactly when the record is not open, and for its status.
func TestDenialFollowsStatus(t *testing.T) {
	base := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	r := rand.New(rand.NewPCG(1, 2))
	moment := func() *time.Time {
		if r.IntN(2) == 0 {
			return nil
		}
		at := base.Add(time.Duration(r.IntN(5)-2) * time.Second)
		return &at
	}
	for range 20_000 {
		var rec Record
		rec.ID, rec.RootID, rec.Owner, rec.Environment = "key_live_x", "key_live_x", "o", Live
		rec.ExpiresAt, rec.EndsAt, rec.DisabledAt, rec.DisabledUntil = moment(), moment(), moment(), moment()
		if r.IntN(4) == 0 {
			rec.RevokedAt = moment()
		}
		if rec.AuthMethod = ClientSecretBasic; r.IntN(3) == 0 {
			rec.AuthMethod = PrivateKeyJWT
			for range r.IntN(3) {
				rec.PublicKeys = append(rec.PublicKeys, PublicKey{ExpiresAt: moment()})
			}
		}
		now := base.Add(time.Duration(r.IntN(5)-2) * time.Second)
		why, status := knownFrom(factsOf(rec)).denial(now), rec.StatusAt(now)
		want := map[Status][]Denial{StatusRevoked: {DeniedRevoked}, StatusDisabled: {DeniedDisabled}, StatusExpired: {DeniedExpired, DeniedReplaced}, StatusActive: {"", DeniedNoCredential}}
		ok := false
		for _, d := range want[status] {
			ok = ok || d == why
		}
		if !ok || (why == "") != rec.OpenAt(now) {
			t.Fatalf("at %v: %q for %s, open %v: %+v", now, why, status, rec.OpenAt(now), rec.Definition)
		}
	}
}

// A change that is accepted while its key is read counts, whatever was read; a
// read that began after it says what is so.
func TestNoteOutlivesRead(t *testing.T) {
	m := newSnapshot()
	f := KeyFacts{ID: "k", RootID: "k", Owner: "o", Environment: Live}
	denied := func() Denial { return m.keys["k"].denial(time.Unix(1000, 0)) }
	read := func(between func()) {
		t.Helper()
		if err := m.withTurn(t.Context(), func(since uint64) error {
			between()
			m.take(since, []string{"k"}, []KeyFacts{f})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	read(func() {})
	for _, c := range []struct {
		action Action
		want   Denial
	}{{ActionDisable, DeniedDisabled}, {ActionRevoke, DeniedRevoked}, {ActionCompleteRotation, DeniedReplaced}} {
		if read(func() { m.narrow("k", c.action) }); denied() != c.want {
			t.Errorf("%s during a read: %q", c.action, denied())
		}
		if read(func() {}); denied() != "" {
			t.Errorf("%s, read later: %q", c.action, denied())
		}
	}
	m.forget()
	m.narrow("k", ActionDisable) // nothing is known of the key yet
	if m.narrow("k", ActionRevoke); len(m.keys) != 0 {
		t.Error("a note makes a key")
	}
	m = newSnapshot()
	read(func() { m.narrow("k", ActionDisable) })
	if denied() != DeniedDisabled {
		t.Errorf("accepted before the key was first read: %q", denied())
	}
	if len(m.notes) != 1 {
		t.Errorf("%d notes", len(m.notes))
	}
	if read(func() {}); len(m.notes) != 0 {
		t.Errorf("%d notes are kept", len(m.notes))
	}
}

// What is remembered of strangers' ids is bounded.
func TestMemoryIsBounded(t *testing.T) {
	m := newSnapshot()
	for i := range 3 * absentMost {
		m.absent(NewID(Live, time.Unix(int64(i), 0)))
	}
	if len(m.absents) > absentMost {
		t.Errorf("%d absent ids", len(m.absents))
	}
}

// A hundred thousand keys fit into 32 MB of memory.
func TestMemoryOfManyKeys(t *testing.T) {
	const many, most = 100_000, 32 << 20
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before, m := heap(), newSnapshot()
	for from := 0; from < many; from += factsPage {
		page := make([]KeyFacts, factsPage)
		for i := range page {
			id := NewID(Live, time.UnixMilli(int64(from+i)))
			page[i] = KeyFacts{ID: id, RootID: strings.Clone(id), Owner: fmt.Sprint("owner-", (from+i)%1000), Environment: Live, ExpiresAt: time.Unix(int64(i), 0)}
		}
		m.take(1, nil, page)
	}
	used := heap() - before
	if n, _ := m.size(); n != many || used > most {
		t.Errorf("%d keys in %d bytes; want %d in at most %d", n, used, many, most)
	}
	t.Logf("%d bytes a key", used/many)
	runtime.KeepAlive(m)
}
