package simulation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// forward puts the clock forward, by seconds up to weeks. Not while a request to
// Hydra may be on its way: its longest is over in less.
func (s *simulation) forward() {
	if s.weather.now != nil && s.weather.now.late {
		return
	}
	longest := []time.Duration{time.Minute, time.Hour, 24 * time.Hour, 10 * 24 * time.Hour}[s.rand.IntN(4)]
	s.place.clock.Advance(time.Second + time.Duration(s.rand.Int64N(int64(longest))))
}

// turn does the background work of a replica, which may die in it, and notes how
// far the clock's work has come.
func (s *simulation) turn(r *replica, doom string) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute) // to look; a turn takes less
	defer cancel()
	start, held := s.place.now(), s.holding(ctx)
	var err error
	turn := func() {
		work, end := context.WithTimeout(ctx, 8*time.Second)
		defer end()
		err = r.Service.Turn(work)
	}
	if doom == "" {
		turn()
	} else {
		s.dying(r, doom, turn)
	}
	if err != nil || held == nil {
		return
	}
	for id, busy := range s.holding(ctx) { // a task may have died, or been given up
		held[id] = held[id] || busy
	}
	var due []string
	s.must(insist(func() (err error) {
		due, err = s.place.replicas[0].Ledger.Due(ctx, time.Unix(start, 0), 1000)
		return err
	}))
	for _, k := range s.living() {
		if !held[k.id] && !slices.Contains(due, k.id) {
			k.turned = max(k.turned, start)
		}
	}
}

// insist calls again while the ledger's kept connections, which a killed server
// has broken, are being found out.
func insist(do func() error) (err error) {
	for range 30 {
		if err = do(); !errors.Is(err, apikey.ErrUnavailable) {
			break
		}
	}
	return err
}

// records are the ledger's keys.
func (s *simulation) records(ctx context.Context) (records []apikey.Record) {
	s.must(insist(func() (err error) {
		q := apikey.Query{Owners: s.owners, Sort: apikey.SortCreatedAt, Limit: 1000, Now: s.place.clock.Now()}
		records, _, err = s.place.replicas[0].Ledger.Keys(ctx, q)
		return err
	}))
	return records
}

// holding are the keys with a change under way; nil if that cannot be known.
func (s *simulation) holding(ctx context.Context) map[string]bool {
	if s.weather.ledgerDown {
		return nil
	}
	records := s.records(ctx)
	held := map[string]bool{}
	for _, r := range records {
		held[r.ID] = len(r.Pending) > 0
	}
	return held
}
