package apikey

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	flushEvery  = time.Second
	flushAtOnce = 256              // keys a batch: others that write wait for one at most
	lastFlush   = 10 * time.Second // for what is left when the program ends
	missedEvery = time.Minute      // between lines about one outage
)

// flusher writes the book down, batch by batch. A batch that was handed to the
// ledger stays as it is until the ledger says that it has it: if the answer is
// lost it may have been added, and the same batch is not added twice.
type flusher struct {
	mu      sync.Mutex           // one flush at a time; never held by those that note
	waiting map[string]*keyTally // by id: not handed to the ledger yet
	sealed  *UsageBatch          // handed to the ledger, nil: none
	size    int                  // of sealed in the book's room
	tokens  int64                // that sealed counts
	writer  string
	number  int64 // of the last batch

	missed int64     // issuances without room of which nobody was told yet
	failed time.Time // since when the ledger takes nothing; zero: it does
	told   time.Time // when the log was last told

	sums usageSums
}

// usageSums are what [UsageState] is read from: without the lock, which a flush
// holds for as long as the ledger takes.
type usageSums struct{ batches, failures, written, lost, waiting atomic.Int64 }

// UsageState is how the counting of tokens goes, since the process began.
type UsageState struct {
	Batches  int64 // taken by the ledger
	Failures int64 // times that the ledger did not take one, which is tried again
	Written  int64 // tokens in Batches
	Lost     int64 // tokens of which something found no room and is not counted
	Waiting  int64 // tokens counted and not in the ledger, as of the last flush
}

// UsageState tells how the counting of tokens goes. It waits for nobody.
func (s *Service) UsageState() UsageState {
	u := &s.flusher.sums
	return UsageState{Batches: u.batches.Load(), Failures: u.failures.Load(), Written: u.written.Load(), Lost: u.lost.Load(), Waiting: u.waiting.Load()}
}

func newFlusher() flusher { return flusher{waiting: map[string]*keyTally{}, writer: rand.Text()} }

// keepFlushed writes the counts down every second, and what is left when ctx
// ends.
func (s *Service) keepFlushed(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	lasting := context.WithoutCancel(ctx) // a commit that is cut off would have to be made again
	for {
		select {
		case <-tick.C:
			_ = s.flush(lasting) // it is told and made again
		case <-ctx.Done():
			end, cancel := context.WithTimeout(lasting, lastFlush)
			defer cancel()
			if err := s.flush(end); err != nil {
				s.log.ErrorContext(ctx, "counted tokens are lost: the program ends and the ledger does not take them", "tokens", s.flusher.left(), "error", err)
			}
			return
		}
	}
}

// flush writes down what is counted, and stops at the first failure. What is
// not written stays.
func (s *Service) flush(ctx context.Context) error {
	f := &s.flusher
	f.mu.Lock()
	defer f.mu.Unlock()
	taken, missed := s.book.empty()
	mergeAll(f.waiting, taken)
	f.missed += missed
	f.sums.lost.Add(missed)
	err := s.writeDown(ctx)
	held := f.size
	for id, t := range f.waiting {
		held += t.size(id)
	}
	s.book.hold(held)
	f.sums.waiting.Store(f.unwritten())
	s.tellFlush(ctx, err)
	return err
}

// writeDown hands over the batch that is sealed, if any, and then all that waits.
func (s *Service) writeDown(ctx context.Context) error {
	f := &s.flusher
	if f.sealed != nil {
		if err := s.add(ctx); err != nil {
			return err
		}
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(f.waiting)), flushAtOnce) {
		f.seal(ids, s.now())
		if err := s.add(ctx); err != nil {
			return err
		}
	}
	return nil
}

// seal makes a batch of some that wait.
func (f *flusher) seal(ids []string, now time.Time) {
	f.number++
	f.sealed, f.size, f.tokens = &UsageBatch{Writer: f.writer, Number: f.number, At: now}, 0, 0
	for _, id := range ids {
		t := f.waiting[id]
		delete(f.waiting, id)
		f.sealed.Keys = append(f.sealed.Keys, t.usage(id))
		f.size += t.size(id)
		f.tokens += t.tokens()
	}
}

// add hands the sealed batch to the ledger.
func (s *Service) add(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, finishTimeout)
	defer cancel()
	err := s.ledger.AddUsage(ctx, *s.flusher.sealed)
	f := &s.flusher
	if err != nil {
		f.sums.failures.Add(1)
		return err
	}
	f.sums.batches.Add(1)
	f.sums.written.Add(f.tokens)
	f.sealed, f.size, f.tokens = nil, 0, 0
	return nil
}

// left is how many tokens are counted and not written.
func (f *flusher) left() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unwritten()
}

// unwritten is left for who holds the lock.
func (f *flusher) unwritten() int64 {
	n := f.tokens
	for _, t := range f.waiting {
		n += t.tokens()
	}
	return n
}

// tellFlush logs when the ledger stops taking counts and when it takes them
// again, and what found no room, at most once a minute.
func (s *Service) tellFlush(ctx context.Context, err error) {
	f, now := &s.flusher, time.Now()
	if err == nil && !f.failed.IsZero() {
		s.log.InfoContext(ctx, "the ledger takes counted tokens again", "after", now.Sub(f.failed).Round(time.Second).String())
		f.failed, f.told = time.Time{}, time.Time{}
	}
	if now.Sub(f.told) < missedEvery {
		return
	}
	if f.missed > 0 {
		s.log.ErrorContext(ctx, "tokens, or scopes that were asked for, are not counted: there is no room until the ledger takes what is there", "tokens", f.missed)
		f.missed, f.told = 0, now
	}
	if err != nil {
		if f.failed.IsZero() {
			f.failed = now
		}
		s.log.WarnContext(ctx, "counted tokens wait for the ledger", "since", f.failed.UTC().Format(time.RFC3339), "error", err)
		f.told = now
	}
}
