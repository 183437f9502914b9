package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// freshWithin is how old the memory of keys may be before readiness says so.
const freshWithin = 10 * time.Second

// keepKeys keeps the memory of keys like the ledger until ctx ends.
func (s *Service) keepKeys(ctx context.Context) {
	tick := time.NewTicker(factsEvery)
	defer tick.Stop()
	failing, told := false, time.Now()
	for {
		err := s.Refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.log.WarnContext(ctx, "the memory of keys is not fresh; token requests are decided from what it knew", "error", err)
		case err == nil && failing:
			s.log.InfoContext(ctx, "the memory of keys is fresh again")
		}
		failing = err != nil
		if time.Since(told) >= time.Hour {
			told = time.Now()
			s.tellDenials(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Refresh brings the memory of keys to what the ledger says now; the first time
// it reads every key. [Service.Run] does so four times a second.
func (s *Service) Refresh(ctx context.Context) error {
	for more := true; more; {
		var err error
		if more, err = s.readOn(ctx); err != nil {
			return err
		}
	}
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	s.memory.filled, s.memory.fresh = true, time.Now()
	return nil
}

// readOn reads a bounded part of what there is to read. Between two looks others
// have the turn.
func (s *Service) readOn(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	m := s.memory
	err = m.withTurn(ctx, func(since uint64) error {
		if _, filled := m.size(); !filled && (!m.begun || m.after != "") {
			more = true
			return s.fill(ctx, since)
		}
		more, err = s.follow(ctx, since)
		return err
	})
	return more, err
}

// fill reads the next page of all keys. What is touched meanwhile is read again
// afterwards: the mark is from before.
func (s *Service) fill(ctx context.Context, since uint64) error {
	m := s.memory
	mark := m.mark
	if !m.begun {
		var err error
		if mark, err = s.ledger.Mark(ctx); err != nil {
			return err
		}
	}
	page, err := s.ledger.Facts(ctx, m.after, factsPage)
	if err != nil {
		return err
	}
	m.take(since, nil, page)
	m.begun, m.mark, m.after = true, mark, ""
	if len(page) == factsPage {
		m.after = page[len(page)-1].ID
	}
	return nil
}

// errOtherLedger: events that were seen are not there.
var errOtherLedger = errors.New("the ledger is older than before, restored perhaps; every key is read anew")

// follow reads the keys that were touched since the last look.
func (s *Service) follow(ctx context.Context, since uint64) (more bool, err error) {
	m := s.memory
	touches, next, more, err := s.ledger.Touches(ctx, m.mark, factsAtOnce)
	if err != nil {
		return false, err
	}
	if next.Event < m.mark.Event {
		m.forget()
		return false, errOtherLedger
	}
	ids, told := m.touched(touches)
	for len(ids) > 0 {
		some := ids[:min(len(ids), factsAtOnce)]
		found, err := s.ledger.FactsOf(ctx, some)
		if err != nil {
			return false, err
		}
		m.take(since, some, found)
		ids = ids[len(some):]
	}
	m.mark, m.told = next, told
	return more, nil
}

// touched are the keys of touches that were not told at the last look, and some
// of those to be read again.
func (m *snapshot) touched(touches []Touch) (ids []string, told map[Touch]struct{}) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	told = make(map[Touch]struct{}, len(touches))
	want := map[string]struct{}{}
	for _, t := range touches {
		told[t] = struct{}{}
		if _, before := m.told[t]; !before {
			want[t.KeyID] = struct{}{}
		}
	}
	for id := range m.again {
		if len(want) >= 4*factsAtOnce {
			break
		}
		want[id] = struct{}{}
	}
	for id := range want {
		ids = append(ids, id)
	}
	return ids, told
}

// forget empties the memory, so that it is filled anew; changes just accepted
// still count.
func (m *snapshot) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys, m.filled, m.begun, m.after, m.told = map[string]known{}, false, false, "", nil
}

// noteNarrowed has a change that narrows count here from T1 on. If it is not
// known whether T1 happened it counts until the ledger says no.
func (s *Service) noteNarrowed(in intent, begun Begun, err error) {
	lost := errors.Is(err, ErrOutcomeUnknown)
	if !s.cfg.Hook || !in.action.Narrows() || begun.Unchanged || err != nil && !lost {
		return
	}
	if !lost && !begun.Record.narrowedBy(PendingChange{Action: in.action}) {
		return
	}
	s.memory.narrow(in.id, in.action)
	if lost {
		s.memory.later(in.id)
	}
}

// remember reads keys that a change of this process has just altered, so that it
// counts here when it is answered.
func (s *Service) remember(ctx context.Context, ids ...string) {
	if !s.cfg.Hook || len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, rememberIn)
	defer cancel()
	if err := s.readKeys(ctx, ids); err != nil {
		s.memory.later(ids...)
	}
}

// touchedBy are the keys whose facts a change may alter.
func touchedBy(c Change) []string {
	switch {
	case c.Action.keepsDefinition():
		return nil
	case c.Successor != nil:
		return []string{c.KeyID, c.Successor.ID}
	}
	return []string{c.KeyID}
}

func (s *Service) readKeys(ctx context.Context, ids []string) error {
	return s.memory.withTurn(ctx, func(since uint64) error {
		found, err := s.ledger.FactsOf(ctx, ids)
		if err == nil {
			s.memory.take(since, ids, found)
		}
		return err
	})
}

// knowsKeys fails unless every key is in memory, as it was a moment ago.
func (s *Service) knowsKeys() error {
	s.memory.mu.RLock()
	filled, fresh := s.memory.filled, s.memory.fresh
	s.memory.mu.RUnlock()
	switch age := time.Since(fresh); {
	case !filled:
		return errors.New("not every key has been read from the ledger yet")
	case age > freshWithin:
		return fmt.Errorf("the memory of keys is %s old", age.Round(time.Second))
	}
	return nil
}
