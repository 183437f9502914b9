package apikey

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// dealt is how it went with one key.
type dealt struct {
	outcome
	err error
}

// deal changes some keys side by side and returns the operation behind them.
// made are keys with a change under this operation: a process that died, or a
// batch that was held up, has begun it, and it is not begun again. An error
// means that not all could be decided; the operation then stays before them.
func (s *Service) deal(ctx context.Context, o OperationRecord, keys []Record, made []string) (OperationRecord, error) {
	results := make([]dealt, len(keys))
	var wg sync.WaitGroup
	for i, r := range keys {
		if slices.Contains(made, r.ID) {
			results[i].outcome = outcome{record: r, pending: true}
			continue
		}
		free, err := s.walks.hand(ctx)
		if err != nil {
			results[i].err = err
			continue
		}
		wg.Go(func() {
			defer free()
			results[i] = s.changeUnder(ctx, o, r)
		})
	}
	wg.Wait()
	for _, d := range results {
		if errors.Is(d.err, ErrOperationOver) {
			return o, d.err
		}
	}
	o.Failures = slices.Clone(o.Failures)
	for i, d := range results {
		if errors.Is(d.err, errNotPart) {
			continue
		}
		if undecided(d.err) && (o.Tries < triesAtMost || ctx.Err() != nil || s.clients.Ready(ctx) != nil) {
			return o, d.err
		}
		o.note(keys[i].ID, d, s)
	}
	last := keys[len(keys)-1]
	p := PositionOf(last, SortCreatedAt)
	o.Cursor, o.Tries = OperationCursor{last.Kind, &p}, 0
	return o, nil
}

// note counts one key.
func (o *OperationRecord) note(id string, d dealt, s *Service) {
	o.count(id, d.unchanged, d.err)
	r := d.record
	o.Management = o.Management || r.Kind == KindManagement
	switch {
	case d.err != nil:
	case d.pending:
		o.Unmeasured = true
		if r.Token.Format == JWT {
			o.Lifetime = max(o.Lifetime, r.Token.Lifetime)
		}
		o.TokensEndBy = later(o.TokensEndBy, r.TokensEndBy)
	default:
		o.Ends = latest(o.Ends, s.result(o.Action, r, false, nil).AccessEndsAt)
	}
}

// undecided reports whether a key may be tried again: nothing that failed has
// to do with the key itself.
func undecided(err error) bool {
	return slices.ContainsFunc([]error{ErrUnavailable, ErrBusy, ErrTimeout, context.Canceled, context.DeadlineExceeded}, func(e error) bool { return errors.Is(err, e) })
}

// changeUnder makes the change of one key, which lasts: neither the end of the
// slice nor of the process's work stops it half way.
func (s *Service) changeUnder(ctx context.Context, o OperationRecord, r Record) dealt {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyTime)
	defer cancel()
	in := intent{action: o.Action, id: r.ID, order: o.Order, actor: o.Actor, under: OperationHold{o.ID, o.Attempt}, plan: planFor(o.Action, o.Order, o.Actor)}
	// Whether there is anything to do is seen under the key's lock only: what is
	// just begun, or stands in line, does not show in what was read.
	run := s.change
	if o.Action.Narrows() && s.clients.Ready(ctx) != nil {
		run = s.accept
	}
	out, err := run(ctx, in)
	return dealt{out, err}
}

// accept is T1 of a change that narrows and whose calls must wait for Hydra:
// the first turn with Hydra takes it up.
func (s *Service) accept(ctx context.Context, in intent) (outcome, error) {
	begun, _, err := s.begin(ctx, in)
	if err != nil || begun.Unchanged {
		return outcome{record: begun.Record, unchanged: begun.Unchanged}, err
	}
	if begun.Change.State == ChangeBegun {
		if err := s.ledger.Release(ctx, begun.Change.Op, begun.Change.Attempt, 0); err != nil {
			s.leave(begun.Change.Op, begun.Change.Attempt)
		}
	}
	return accepted(begun.Record, begun.Change), nil
}
