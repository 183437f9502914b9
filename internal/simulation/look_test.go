package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// calmly is a context for looking, which nothing disturbs.
func (s *simulation) calmly() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	return apikey.WithCaller(ctx, s.admin.caller), cancel
}

// seen looks at a key and those beside it, and tries their credentials.
func (s *simulation) seen(k *subject) {
	for _, r := range s.place.replicas {
		for id := range r.ledger.unsureOf() {
			if o := s.byID[id]; o != nil && (s.weather.now == nil || s.weather.now.late) {
				o.late = true
			}
		}
	}
	s.look(k)
	s.try(k)
	if k.replaces != nil {
		s.look(k.replaces)
		s.try(k.replaces)
	}
	if f, ok := k.decided(); ok && s.byID[f.replacedBy] != nil {
		s.look(s.byID[f.replacedBy])
		s.try(s.byID[f.replacedBy])
	}
}

// look reads a key and compares it with what is possible. What the read decides
// is decided.
func (s *simulation) look(k *subject) {
	if s.weather.ledgerDown || k.gone {
		return
	}
	ctx, cancel := s.calmly()
	defer cancel()
	var key apikey.Key
	err := insist(func() (err error) {
		key, err = s.place.inspector.Get(ctx, k.id)
		return err
	})
	switch {
	case errors.Is(err, apikey.ErrNotFound):
		if !k.some(func(f facts) bool { return f.gone }) {
			s.fail(k, "it is gone")
		}
		k.possible, k.gone = []facts{{gone: true}}, true
	case err != nil:
		s.fail(k, "it cannot be read: %v", err)
	default:
		s.noSecret("get", key)
		s.compare(ctx, k, key)
	}
}

// compare compares a key as it was read with what is possible.
func (s *simulation) compare(ctx context.Context, k *subject, key apikey.Key) {
	now, shown := s.place.now(), factsOf(key)
	k.changing = slices.Contains(key.Flags, apikey.FlagChanging)
	possible := s.drained(k, !k.changing)
	fits := slices.ContainsFunc(possible, func(f facts) bool { return !f.gone && f.shows(shown, now) })
	lost := slices.Contains(key.Flags, apikey.FlagCredentialUnknown) && k.lostRotations > 0
	switch {
	case !fits && !lost:
		s.fail(k, "at %d it is shown as\n  %s\npossible is\n  %s", now, shown, explain(possible))
	case slices.Contains(key.Flags, apikey.FlagDrifted):
		s.fail(k, "Hydra no longer has its client")
	case key.Revision < k.revision:
		s.fail(k, "revision %d came after %d", key.Revision, k.revision)
	}
	k.revision = key.Revision
	if next := shown.replacedBy; next != "" && s.byID[next] == nil {
		s.adopt(ctx, next, k)
	}
	if f, ok := k.decided(); !ok || f.String() != shown.String() {
		k.note(fmt.Sprintf("step %d, %d: revision %d, %v: %s", s.step, now, key.Revision, key.Flags, shown))
	}
	if !k.changing {
		k.possible = s.narrowed(possible, shown, now)
	}
	k.learnKids()
}

// narrowed are the possibilities that a read of a key that nobody is changing
// leaves: what it shows, and what no read shows.
func (s *simulation) narrowed(possible []facts, shown facts, now int64) (out []facts) {
	for _, f := range possible {
		if !f.gone && f.shows(shown, now) {
			g := shown
			g.line = f.line
			if g.withOwner && !g.revoked && !passed(f.own, now) {
				g.own = f.own
			}
			out = append(out, g)
		}
	}
	if len(out) == 0 { // its secret was lost
		return []facts{shown}
	}
	return distinct(out)
}

// adopt takes in the successor that a rotation without an answer has made.
func (s *simulation) adopt(ctx context.Context, id string, before *subject) {
	key, err := s.place.inspector.Get(ctx, id)
	if err != nil {
		s.fail(before, "its successor %s cannot be read: %v", id, err)
	}
	if before.unborn == 0 {
		s.fail(before, "it has the successor %s that nobody asked for", id)
	}
	before.unborn--
	s.meet(key, apikey.Secret{}, before)
}

// try tries every credential of a key at Hydra's token endpoint, as far as it is
// decided whether it works, and its tokens.
func (s *simulation) try(k *subject) {
	if s.weather.hydraDown || k.late {
		return
	}
	now, possible := s.place.now(), s.drained(k, false)
	for _, c := range s.credentials(k) {
		yes, no := false, false
		var method apikey.AuthMethod
		for _, f := range possible {
			if c.pair == nil && f.method.HasSecret() {
				if method != "" && f.method != method {
					yes, no = true, true // by which of the two is open
				}
				method = f.method
			}
			for _, at := range f.turns(min(k.turned, now), now) {
				takes := f.takes(c, at)
				yes, no = yes || takes, no || !takes
			}
		}
		if yes == no {
			s.tally.undecided++
			continue
		}
		s.tally.tried++
		if err := s.buy(k, c, method); (err == nil) != yes {
			s.fail(k, "at %d, turned at %d, its credential %s%.6s works: %v (%v); it is\n  %s", now, k.turned, c.hint, c.kid, err == nil, err, explain(possible))
		}
	}
	s.tryTokens(k, now, possible)
}

// buy buys a token with a credential and keeps it; the error is Hydra's refusal.
func (s *simulation) buy(k *subject, c credential, method apikey.AuthMethod) error {
	f := apikeytest.Fixture{TokenURL: s.place.hydra.TokenURL()}
	shown := apikey.Key{Definition: apikey.Definition{ID: k.id, Scopes: []string{"base"}, AuthMethod: method}}
	if c.pair != nil {
		shown.AuthMethod = apikey.PrivateKeyJWT
	} else if method == "" {
		shown.AuthMethod = apikey.ClientSecretBasic
	}
	value, err := f.Buy(s.t, shown, c.secret, c.pair)
	if hydratest.Status(err) == 0 {
		s.fail(k, "Hydra does not answer: %v", err)
	}
	if err != nil {
		if status := hydratest.Status(err); status >= 500 {
			s.fail(k, "Hydra answers: %v", err)
		}
		return err
	}
	if !strings.Contains(value, ".") || len(k.tokens) == 0 {
		k.tokens = append(k.tokens, token{value: value})
	}
	if len(k.tokens) > 3 {
		k.tokens = k.tokens[1:]
	}
	return nil
}

// tryTokens checks that tokens are dead that an answer or the clock has ended.
func (s *simulation) tryTokens(k *subject, now int64, possible []facts) {
	closed := true
	for _, f := range possible {
		for _, at := range f.turns(min(k.turned, now), now) {
			closed = closed && !f.open(at)
		}
	}
	k.tokens = slices.DeleteFunc(k.tokens, func(t token) bool {
		if !closed && !t.ended {
			return false
		}
		s.tally.introspected++
		if hydratest.Introspect(s.t, s.place.hydra.AdminURL(), t.value) {
			s.fail(k, "at %d, turned at %d, a token of it is active; ended by an answer: %v; it is\n  %s", now, k.turned, t.ended, explain(possible))
		}
		return true
	})
}
