package apikey

import (
	"context"
	"time"
)

// UsageLedger is the part of [Ledger] that counts tokens. It keeps an hour's
// counts in the hour, and older ones in the day, never in both.
type UsageLedger interface {
	// AddUsage adds a batch, all of it or nothing. A batch that was added before
	// changes nothing, so one whose outcome is unknown may be given again as it
	// was, and must be before the writer's next. Keys that there are not, and
	// scopes that their keys do not have, are left out. Of a key's first denial for
	// a reason in an hour, whoever counts it, the same transaction writes the event
	// of its [KeyDenials].
	AddUsage(ctx context.Context, b UsageBatch) error
	// Usage reads the counts of one key. Zero for a key that there is not.
	Usage(ctx context.Context, q UsageQuery) (UsageRecord, error)
	// PruneUsage moves the counts of hours before a moment to their days, and
	// erases days, and what is known of writers, before theirs. All are the
	// beginnings of days.
	PruneUsage(ctx context.Context, hoursBefore, daysBefore, writersBefore time.Time) error
}

// UsageBatch is what one process has counted since its last batch.
type UsageBatch struct {
	Writer string     // the process, by a random name
	Number int64      // of the batch; each of a writer has a greater one
	At     time.Time  // when it was put together
	Keys   []KeyUsage // sorted by id, each once
}

// KeyUsage is what is added to the counts of one key.
type KeyUsage struct {
	ID         string
	Hours      []PeriodCounts // each hour once
	LastUsedAt time.Time      // zero: no token was issued
	LastDenial *LastDenial    // nil: none was refused
	Asked      []ScopeUsage   // each scope once, with its time
}

// KeyDenials are the tokens that a key was denied for a reason, and of which no
// event has told. There is one event for the first in an hour (UTC), so a program
// that goes on asking cannot fill the audit; it counts what came after the event
// before it.
type KeyDenials struct {
	KeyID, RootID, Owner string
	Kind                 Kind
	Revision             int64
	Reason               Denial
	Count                int64 // of hours whose counts have not been moved to their day
}

// Event tells of them, written at a moment. Nothing in it is of the requests.
func (d KeyDenials) Event(at time.Time) Event {
	return Event{At: at, Action: ActionDeny, KeyID: d.KeyID, RootID: d.RootID, Owner: d.Owner, Kind: d.Kind, Revision: d.Revision, Principal: System("hook").Principal,
		Before: map[string]any{}, After: map[string]any{"reason": d.Reason, "denied": d.Count}}
}

// UsageQuery asks for the counts of a key in the periods that begin at From or
// later and before To.
type UsageQuery struct {
	KeyID    string
	By       UsagePeriod
	From, To time.Time
}

// UsageRecord is what the ledger has counted.
type UsageRecord struct {
	Periods []PeriodCounts // in order; those without counts are left out
	Asked   []ScopeUsage   // those of the key's scopes that were ever asked for, sorted
}
