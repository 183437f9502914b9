package apikey

import (
	"context"
	"sync"
	"time"
)

// Standing is what of a key decides about the tokens that it was issued. It may
// be shared: nothing of it is written to.
type Standing struct {
	Definition
	Narrowed      bool      // an accepted change ends or pauses the key
	TokensEndedAt time.Time // see [Upkeep]
}

// Standing is that of the record.
func (r Record) Standing() Standing {
	_, narrowed := r.NarrowedBy()
	return Standing{Definition: r.Definition, Narrowed: narrowed, TokensEndedAt: r.TokensEndedAt}
}

// active reports whether tokens of the key are good at now.
func (s Standing) active(now time.Time) bool {
	return !s.Narrowed && s.StatusAt(now) == StatusActive
}

// Standings is what each look-up of a token asks the ledger.
type Standings interface {
	// Standing is that of a key that lies within v; ErrNotFound as of
	// [Ledger.Key]. All that was committed before the call counts, or before the
	// look that the context's [WithGlance] made: what is remembered is told only
	// if the ledger says that nothing happened to the key since. now is the clock's.
	Standing(ctx context.Context, id string, v View, now time.Time) (Standing, error)
}

// glanceFor is how long the reads of one request share a look.
const glanceFor = 100 * time.Millisecond

// glance is a look at the ledger's mark that the reads of one request share.
type glance struct {
	mu   sync.Mutex
	at   time.Time // zero: not made yet
	mark StateMark
}

type glanceKey struct{}

// WithGlance is the context of a request whose look-ups may share one look at
// the ledger, made after this call. What is accepted meanwhile may or may not
// count for the request, as for any that runs at the same time.
func WithGlance(ctx context.Context) context.Context {
	return context.WithValue(ctx, glanceKey{}, &glance{})
}

// Glance is the mark of the context's look, if that was a moment ago, else of a
// new one.
func Glance(ctx context.Context, look func(context.Context) (StateMark, error)) (StateMark, error) {
	g, ok := ctx.Value(glanceKey{}).(*glance)
	if !ok {
		return look(ctx)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	begun := time.Now()
	if !g.at.IsZero() && begun.Sub(g.at) < glanceFor {
		return g.mark, nil
	}
	mark, err := look(ctx)
	if err == nil {
		g.at, g.mark = begun, mark
	}
	return mark, err
}
