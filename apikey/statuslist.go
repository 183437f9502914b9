package apikey

import (
	"context"
	"fmt"
	"math"
	"time"
)

// StatusLists tell verifiers of JWTs, who ask nobody, which keys have ended or
// are paused (draft-ietf-oauth-status-list). [Service] has them; anybody may
// read them: they name no key.
type StatusLists interface {
	// StatusList is list n as it is now: no change that counted a second ago is
	// missing. ErrNotFound for a list that no key is in; ErrUnavailable while the
	// ledger does not answer and what is known is older than the list's TTL.
	StatusList(ctx context.Context, n int64) (StatusList, error)
	// StatusListKeys are the public keys that lists are signed with.
	StatusListKeys(ctx context.Context) (StatusListKeys, error)
}

// StatusList is one list.
type StatusList struct {
	JWT string // compact, media type application/statuslist+jwt
	// ETag is a weak one with its quotes (RFC 9110 section 8.8.3): lists that say
	// the same in the same minute have the same, in all processes.
	ETag string
	TTL  time.Duration // how long a verifier may go without asking again
}

// The statuses of draft-ietf-oauth-status-list section 7.1, two bits each.
const (
	statusValid     = 0 // active, or not given to a key yet
	statusInvalid   = 1 // expired or revoked; the key may be gone
	statusSuspended = 2 // disabled

	statusBits    = 2
	statusPerByte = 8 / statusBits
	// statusListSize is how many keys are in one list. An index stays below it,
	// because Hydra writes numbers from there on as 1e+06 into a JWT.
	statusListSize = 1_000_000
)

// StatusPlace is where a key with this [Upkeep.StatusIndex] stands: the list,
// and the index within it.
func StatusPlace(index int64) (list, at int64) {
	return index / statusListSize, index % statusListSize
}

// StatusListURI is the address of list n on a server whose public URL is base.
func StatusListURI(base string, n int64) string { return fmt.Sprintf("%s/status/%d", base, n) }

// KeyState is what a status list needs of a key. Moments are Unix seconds,
// [NoExpiry] for never.
type KeyState struct {
	StatusIndex   int64
	RevokedAt     int64
	DisabledAt    int64
	DisabledUntil int64
	ExpiresAt     int64
	EndsAt        int64
}

// StateMark tells whether keys may have changed their state between two reads,
// other than by the clock: equal marks, equal states.
type StateMark struct {
	Event     int64 // the newest of a change
	LastIndex int64 // the last [Upkeep.StatusIndex] that was given
	// Of the accepted changes that end or pause a key and are not done: how many,
	// and a sum that another set of as many does not have.
	Narrowing, NarrowingSum int64
}

// NarrowedState is a key that an accepted change ends or pauses.
type NarrowedState struct {
	StatusIndex int64
	Action      Action
}

// States is what the status lists are drawn from.
type States interface {
	// StateMark is the mark of now.
	StateMark(ctx context.Context) (StateMark, error)
	// Narrowed lists the keys that accepted changes end or pause. A change that is
	// done between this and a later KeyStates is in both, never in neither.
	Narrowed(ctx context.Context) ([]NarrowedState, error)
	// KeyStates calls f with the state of each key that an event after since is
	// of, or of every key for -1. all is false if a key has ended since and is gone:
	// its place cannot be told, and only reading every key leaves it out.
	KeyStates(ctx context.Context, since int64, f func(KeyState)) (all bool, err error)
}

// keyState is a KeyState in 16 bytes: when a pause ends, and when the key does.
type keyState struct{ pausedUntil, end int64 }

// goneState is that of a key whose record is gone, or of none.
var goneState = keyState{end: math.MinInt64}

func (k KeyState) compact() keyState {
	s := keyState{pausedUntil: math.MinInt64, end: min(k.ExpiresAt, k.EndsAt)}
	if k.DisabledAt != NoExpiry {
		s.pausedUntil = k.DisabledUntil
	}
	if k.RevokedAt != NoExpiry {
		s = goneState
	}
	return s
}

// at is the status at now, and the next moment at which the clock changes it.
func (s keyState) at(now int64) (status byte, next int64) {
	switch {
	case s == goneState:
		return statusInvalid, NoExpiry
	case now < s.pausedUntil:
		return statusSuspended, s.pausedUntil
	case now >= s.end:
		return statusInvalid, NoExpiry
	}
	return statusValid, s.end
}

// statesAt packs the statuses of list n: two bits each, the first key's lowest
// (section 4.1 of the draft). Places that no key has got yet are valid: whoever
// has fetched a list must not refuse a key that is made afterwards.
func statesAt(n int64, states []keyState, narrowed []NarrowedState, now int64) (packed []byte, next int64) {
	packed, next = make([]byte, statusListSize/statusPerByte), NoExpiry
	from := n * statusListSize
	for i, s := range states[min(from, int64(len(states))):min(from+statusListSize, int64(len(states)))] {
		status, change := s.at(now)
		next = min(next, change)
		packed[i/statusPerByte] |= status << (i % statusPerByte * statusBits)
	}
	for _, k := range narrowed {
		i := k.StatusIndex - from
		if i < 0 || i >= statusListSize || k.StatusIndex < int64(len(states)) && states[k.StatusIndex] == goneState {
			continue
		}
		status := byte(statusInvalid)
		if k.Action == ActionDisable && packed[i/statusPerByte]>>(i%statusPerByte*statusBits)&3 != statusInvalid {
			status = statusSuspended
		}
		packed[i/statusPerByte] &^= 3 << (i % statusPerByte * statusBits)
		packed[i/statusPerByte] |= status << (i % statusPerByte * statusBits)
	}
	return packed, next
}
