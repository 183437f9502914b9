package apikey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Head is a place in the chain of events: an id and the MAC stored with it. Kept
// apart from the ledger, it proves later that nothing up to it was cut off or
// written anew. The zero value is none.
type Head struct {
	ID  int64
	MAC string // hex
}

// String is ID:MAC, as people note it.
func (h Head) String() string { return fmt.Sprintf("%d:%s", h.ID, h.MAC) }

// ChainCheck is what a check of the chain of events found.
type ChainCheck struct {
	Events   int64  // how many are as they were written, from the first on
	Head     Head   // the last of them
	FirstBad int64  // id of the first event that is altered or missing; 0: none
	Reason   string // what is wrong with it; "" if all is well
}

// Intact reports whether the whole chain is as it was written.
func (c ChainCheck) Intact() bool { return c.Reason == "" }

// EventChain is the record of events as something that can be checked. Errors
// are as those of [Ledger].
type EventChain interface {
	// Head is the newest event's id, 0 if there is none, and its MAC in hex.
	Head(ctx context.Context) (id int64, mac string, err error)
	// VerifyChain checks every event: that it is as it was written, at its place,
	// that none is missing, and that the chain reaches to the head the ledger keeps
	// and to noted, one kept elsewhere (zero: none). It may run while the ledger is
	// in use, and holds up no writer. progress (nil: none) hears now and then how
	// many events are checked. What is wrong stands in the answer; the error is for
	// a check that could not be made.
	VerifyChain(ctx context.Context, noted Head, progress func(n int64)) (ChainCheck, error)
}

// VerificationState is where a verification stands.
type VerificationState string

const (
	VerificationNone    VerificationState = "none" // this process has made none
	VerificationRunning VerificationState = "running"
	VerificationIntact  VerificationState = "intact"
	VerificationBroken  VerificationState = "broken"
	VerificationFailed  VerificationState = "failed" // it could not be made: nothing is known
)

// Verification is how far a process has come with checking the chain of events,
// or what it found. It is only as honest as that process: whoever can replace the
// program can have it say anything.
type Verification struct {
	State   VerificationState `json:"state" enum:"none,running,intact,broken,failed" doc:"none: this server has made none; failed: it could not be made, so that nothing is known"`
	Checked int64             `json:"checked" doc:"how many events are as they were written, from the first on, so far"`
	Total   int64             `json:"total" doc:"about how many there are: as many as when it began"`
	BegunAt *time.Time        `json:"begun_at" doc:"null: none has begun"`
	EndedAt *time.Time        `json:"ended_at" doc:"null: none has ended"`
	// Head is the last event of an intact chain.
	Head       string `json:"head,omitempty" doc:"of an intact record: its newest event, ID:MAC, to be noted elsewhere for tokenos audit verify --head" example:"42:9f2c61d0"`
	FirstWrong int64  `json:"first_wrong,omitzero" doc:"of a broken record: the id of the first event that is altered or missing"`
	Reason     string `json:"reason,omitempty" doc:"broken: what is wrong with that event; failed: why it could not be made"`
}

const (
	// verificationTime bounds one: tens of millions of events are checked within it.
	verificationTime = 30 * time.Minute
	// verificationFor is how long a result serves at least.
	verificationFor = 5 * time.Second
)

// verifier lets all callers share the verification under way, and remembers the
// last.
type verifier struct {
	mu     sync.Mutex
	last   Verification
	took   atomic.Int64  // how long the last one took, by a clock that nobody sets
	by     string        // who asked for it
	noted  Head          // of the last that was intact; only the one who verifies reads it
	wanted chan struct{} // told when one has begun that nobody makes yet
}

func newVerifier() verifier {
	return verifier{last: Verification{State: VerificationNone}, wanted: make(chan struct{}, 1)}
}

// VerifyEvents implements [API].
func (s *Service) VerifyEvents(ctx context.Context) (Verification, error) {
	if err := s.allowUnbound(ctx, "whether the record of events is as it was written"); err != nil {
		return Verification{}, err
	}
	c, err := CallerFrom(ctx)
	if err != nil {
		return Verification{}, err
	}
	return s.verifier.join(s.now(), c.Principal), nil
}

// Verification implements [API]. A result tells how many events of all owners
// there are, and what is wrong with one of any owner's.
func (s *Service) Verification(ctx context.Context) (Verification, error) {
	if err := s.allowUnbound(ctx, "whether the record of events is as it was written"); err != nil {
		return Verification{}, err
	}
	v := &s.verifier
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last, nil
}

// join returns the verification under way, or the last while it serves, else
// begins one.
func (v *verifier) join(now time.Time, by string) Verification {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last.State == VerificationRunning || v.last.serves(now, time.Duration(v.took.Load())) {
		return v.last
	}
	v.last, v.by = Verification{State: VerificationRunning, BegunAt: &now}, by
	v.wanted <- struct{}{} // there is room: the one before was taken, or it would still run
	return v.last
}

// serves reports whether the result is young enough to be told again to whoever
// asks for a verification. It costs a read of the whole record, so it serves for as
// long as it took: however often it is asked for, at most half of the time goes
// into it.
func (v Verification) serves(now time.Time, took time.Duration) bool {
	if v.State != VerificationIntact && v.State != VerificationBroken {
		return false
	}
	age := now.Sub(*v.EndedAt)
	return age >= 0 && age < max(verificationFor, took)
}

// edit changes what callers are told.
func (v *verifier) edit(f func(*Verification)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f(&v.last)
}

// keepVerifying makes the verifications that are asked for, until ctx ends.
func (s *Service) keepVerifying(ctx context.Context) {
	for {
		select {
		case <-s.verifier.wanted:
			s.verify(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// verifyIfAsked makes the verification that was asked for, if one was.
func (s *Service) verifyIfAsked(ctx context.Context) {
	select {
	case <-s.verifier.wanted:
		s.verify(ctx)
	default:
	}
}

// verify makes the verification that has begun.
func (s *Service) verify(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, verificationTime)
	defer cancel()
	began := time.Now()
	found, err := s.checkChain(within)
	if err == nil && found.Intact() {
		s.verifier.noted = found.Head
	}
	now := s.now()
	s.verifier.took.Store(int64(time.Since(began)))
	s.verifier.edit(func(v *Verification) {
		v.EndedAt, v.Checked = &now, found.Events
		switch {
		case err != nil:
			v.State, v.Reason = VerificationFailed, whyUnverified(ctx, within)
		case found.Intact():
			v.State, v.Head = VerificationIntact, found.Head.String()
		default:
			v.State, v.FirstWrong, v.Reason = VerificationBroken, found.FirstBad, found.Reason
		}
	})
	s.logVerified(ctx, found, err)
}

// checkChain checks against the head that this process found last, too: what was
// cut off since is seen.
func (s *Service) checkChain(ctx context.Context) (ChainCheck, error) {
	total, _, err := s.ledger.Head(ctx)
	if err != nil {
		return ChainCheck{}, err
	}
	s.verifier.edit(func(v *Verification) { v.Total = total })
	return s.ledger.VerifyChain(ctx, s.verifier.noted, func(n int64) {
		s.verifier.edit(func(v *Verification) { v.Checked = n })
	})
}

// whyUnverified says why a verification came to no result. What the database
// said is for the log.
func whyUnverified(ctx, within context.Context) string {
	switch {
	case ctx.Err() != nil:
		return "the server was stopped"
	case errors.Is(within.Err(), context.DeadlineExceeded):
		return "it took longer than " + Duration(verificationTime).String() + "; tokenos audit verify takes as long as it needs"
	}
	return "the ledger could not be read"
}

// logVerified keeps what was found apart from the database.
func (s *Service) logVerified(ctx context.Context, found ChainCheck, err error) {
	s.verifier.mu.Lock()
	by := s.verifier.by
	s.verifier.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.log.WarnContext(ctx, "events not verified", "by", by, "events", found.Events, "error", err)
	case found.Intact():
		s.log.InfoContext(ctx, "events verified", "by", by, "events", found.Events, "head", found.Head.String())
	default:
		s.log.ErrorContext(ctx, "events are not as they were written", "by", by, "event", found.FirstBad, "reason", found.Reason, "good", found.Events)
	}
}
