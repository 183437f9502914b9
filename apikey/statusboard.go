package apikey

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	statusFresh    = 250 * time.Millisecond // how old what is known may be without looking again
	statusPatience = 500 * time.Millisecond // for a look, before what was known is served
	statusLook     = 10 * time.Second       // the longest look
	// Beyond so many events since the last look all keys are read instead of those
	// that changed.
	statusEvents = 5_000
	// After so long all keys are read once more, beside the looks.
	statusReload     = 10 * time.Minute
	statusReloadTime = time.Minute // the longest that may take
)

// statusBoard keeps this process's status lists. It looks at the ledger when
// somebody asks and what is known is no longer fresh: never when nobody does,
// and once for all who ask at the same time. The zero value knows nothing.
type statusBoard struct {
	mu    sync.Mutex
	under *statusGlance // the look that is under way
	seen  *statusSight  // nil: none has succeeded yet

	reloading bool
	anew      *statusSight // all keys read anew, for the next look to go on from; nil: none

	keysOf int64 // epoch of keys
	keys   StatusListKeys
}

// statusGlance is one look under way.
type statusGlance struct {
	done chan struct{}
	err  error // valid after done is closed
}

// statusSight is what a look found. It is not changed afterwards.
type statusSight struct {
	asOf   time.Time // all that counted at this moment is in it
	loaded time.Time // when all keys were read
	mark   StateMark
	states []keyState // by StatusIndex
	// narrowed are those that a change counts for which is not done.
	narrowed []NarrowedState
	next     int64 // when the clock changes a status, in Unix seconds
	lists    []statusPage
}

// statusPage is one list, packed and signed.
type statusPage struct {
	deflated
	slot int64 // of its signature
	StatusList
}

var _ StatusLists = (*Service)(nil)

// StatusList implements [StatusLists].
func (s *Service) StatusList(ctx context.Context, n int64) (StatusList, error) {
	if s.cfg.PublicURL == "" {
		return StatusList{}, fail(ErrNotFound, "there are no status lists here")
	}
	arrived := s.cfg.Now()
	patience := time.NewTimer(statusPatience)
	defer patience.Stop()
	for {
		seen, glance := s.status.begin(ctx, arrived.Add(-statusFresh), s)
		if glance == nil {
			return seen.list(n)
		}
		usable := func() bool {
			return seen != nil && !s.cfg.Now().Before(seen.asOf) && s.cfg.Now().Sub(seen.asOf) < s.cfg.StatusTTL
		}
		late := patience.C
		if !usable() {
			late = nil
		}
		select {
		case <-glance.done:
			switch {
			case glance.err == nil:
			case usable():
				return seen.list(n)
			default:
				return StatusList{}, unavailable("the ledger does not answer, and what is known of the keys is too old", glance.err)
			}
		case <-late:
			if usable() {
				return seen.list(n)
			}
		case <-ctx.Done():
			return StatusList{}, unavailable("the status list was not drawn in time", context.Cause(ctx))
		}
	}
}

func (v *statusSight) list(n int64) (StatusList, error) {
	if n < 0 || n >= int64(len(v.lists)) {
		return StatusList{}, fail(ErrNotFound, "there is no such status list")
	}
	return v.lists[n].StatusList, nil
}

// begin returns what is known, and the look to wait for if that is from before
// need; nil if it will do.
func (b *statusBoard) begin(ctx context.Context, need time.Time, s *Service) (*statusSight, *statusGlance) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen != nil && !b.seen.asOf.Before(need) && !b.seen.asOf.After(s.cfg.Now()) {
		return b.seen, nil
	}
	if b.under == nil {
		b.under = &statusGlance{done: make(chan struct{})}
		// The look is everybody's: it does not end with the caller who began it.
		go b.look(context.WithoutCancel(ctx), b.under, b.from(), s)
	}
	return b.seen, b.under
}

// from is what the next look goes on from: what is known, or what was read anew,
// with the lists that were drawn since.
func (b *statusBoard) from() *statusSight {
	if b.anew == nil || b.seen == nil {
		return b.seen
	}
	anew := *b.anew
	anew.lists, anew.next = b.seen.lists, 0 // all is packed again, and drawn where it differs
	b.anew = nil
	return &anew
}

func (b *statusBoard) look(ctx context.Context, g *statusGlance, before *statusSight, s *Service) {
	ctx, cancel := context.WithTimeout(ctx, statusLook)
	defer cancel()
	next, err := s.lookAtStates(ctx, before)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.seen = next
		if age := next.asOf.Sub(next.loaded); (age >= statusReload || age < 0) && !b.reloading && b.anew == nil {
			b.reloading = true
			go b.reload(context.WithoutCancel(ctx), s)
		}
	}
	g.err, b.under = err, nil
	close(g.done)
}

// reload reads all keys anew. Nobody waits for it: at many keys it takes longer
// than a look may, and the looks go on meanwhile.
func (b *statusBoard) reload(ctx context.Context, s *Service) {
	ctx, cancel := context.WithTimeout(ctx, statusReloadTime)
	defer cancel()
	sight, err := s.readAllStates(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "the states of keys were not read anew", "error", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reloading = false
	if err == nil {
		b.anew = sight
	}
}

func (s *Service) readAllStates(ctx context.Context) (*statusSight, error) {
	mark, err := s.ledger.StateMark(ctx)
	if err != nil {
		return nil, err
	}
	sight := &statusSight{asOf: s.cfg.Now(), mark: mark}
	// Read before the states: a change that is done in between is in both.
	if sight.narrowed, err = s.ledger.Narrowed(ctx); err != nil {
		return nil, err
	}
	return sight, s.readStates(ctx, sight, nil)
}

// lookAtStates finds out what has become of the keys since before (nil: nothing
// is known), and draws the lists anew if it matters.
func (s *Service) lookAtStates(ctx context.Context, before *statusSight) (*statusSight, error) {
	now := s.cfg.Now()
	if before == nil {
		sight, err := s.readAllStates(ctx)
		if err != nil {
			return nil, err
		}
		sight.asOf, sight.loaded = now, now
		return sight, s.draw(sight, true)
	}
	mark, err := s.ledger.StateMark(ctx)
	if err != nil {
		return nil, err
	}
	sight := *before
	sight.asOf, sight.mark = now, mark
	changed := mark != before.mark
	if changed {
		// Read before the states: a change that is done in between is in both.
		if sight.narrowed, err = s.ledger.Narrowed(ctx); err != nil {
			return nil, err
		}
		if err := s.readStates(ctx, &sight, before); err != nil {
			return nil, err
		}
	}
	return &sight, s.draw(&sight, changed)
}

// readStates brings the states up to date: of the keys that something happened
// to, or of all.
func (s *Service) readStates(ctx context.Context, sight, before *statusSight) error {
	set := func(k KeyState) {
		for int64(len(sight.states)) <= k.StatusIndex {
			sight.states = append(sight.states, goneState)
		}
		sight.states[k.StatusIndex] = k.compact()
	}
	if before != nil && sight.mark.Event >= before.mark.Event && sight.mark.Event-before.mark.Event <= statusEvents && sight.mark.LastIndex >= before.mark.LastIndex {
		sight.states = slices.Clone(before.states)
		all, err := s.ledger.KeyStates(ctx, before.mark.Event, set)
		if err != nil {
			return err
		}
		if all && int64(len(sight.states)) > sight.mark.LastIndex {
			return nil
		}
	}
	sight.loaded = sight.asOf
	sight.states = make([]keyState, 0, sight.mark.LastIndex+1)
	if _, err := s.ledger.KeyStates(ctx, -1, set); err != nil {
		return err
	}
	for int64(len(sight.states)) <= sight.mark.LastIndex {
		sight.states = append(sight.states, goneState)
	}
	return nil
}

// draw packs and signs the lists as far as they say something else than before,
// or were signed too long ago.
func (s *Service) draw(sight *statusSight, changed bool) error {
	start, now := time.Now(), sight.asOf
	slot := now.Unix() / int64(statusSlot/time.Second)
	repack := changed || now.Unix() >= sight.next
	last, _ := StatusPlace(int64(len(sight.states)) - 1)
	pages := make([]statusPage, last+1)
	copy(pages, sight.lists)
	sight.lists = pages
	if repack {
		sight.next = NoExpiry
	}
	for n := range pages {
		page := &pages[n]
		packed := page.packed
		if repack {
			var next int64
			packed, next = statesAt(int64(n), sight.states, sight.narrowed, now.Unix())
			sight.next = min(sight.next, next)
		}
		if page.slot == slot && bytes.Equal(packed, page.packed) {
			continue
		}
		small, err := page.deflate(packed)
		if err != nil {
			return err
		}
		list, err := s.derive.statusJWT(StatusListURI(s.cfg.PublicURL, int64(n)), small.zlib(), s.cfg.StatusTTL, now)
		if err != nil {
			return err
		}
		*page = statusPage{small, slot, list}
	}
	if changed {
		s.log.Debug("status lists drawn", "keys", len(sight.states)-1, "narrowing", len(sight.narrowed), "duration_ms", time.Since(start).Milliseconds())
	}
	return nil
}

// StatusListKeys implements [StatusLists].
func (s *Service) StatusListKeys(context.Context) (StatusListKeys, error) {
	epoch := statusEpochAt(s.cfg.Now())
	b := &s.status
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.keys.JWKS == nil || b.keysOf != epoch {
		keys, err := s.derive.statusKeysAt(epoch)
		if err != nil {
			return StatusListKeys{}, &Error{Kind: ErrInternal, Cause: err}
		}
		b.keys, b.keysOf = keys, epoch
	}
	return b.keys, nil
}
