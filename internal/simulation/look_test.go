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
	if errors.Is(err, apikey.ErrNotFound) {
		if !k.some(func(f facts) bool { return f.gone }) {
			s.fail(k, "it is gone")
		}
		k.possible, k.gone = []facts{{gone: true}}, true
		return
	}
	if err != nil {
		s.fail(k, "it cannot be read: %v", err)
	}
	s.noSecret("get", key)
	now := s.place.now()
	changing := slices.Contains(key.Flags, apikey.FlagChanging)
	k.changing = changing
	shown, possible := factsOf(key), s.drained(k, !changing)
	if slices.Contains(key.Flags, apikey.FlagDrifted) {
		s.fail(k, "Hydra no longer has its client")
	}
	fits := slices.ContainsFunc(possible, func(f facts) bool { return !f.gone && f.shows(shown, now) })
	if lost := slices.Contains(key.Flags, apikey.FlagCredentialUnknown); !fits && !(lost && k.lostRotations > 0) {
		s.fail(k, "at %d it is shown as\n  %s\npossible is\n  %s", now, shown, explain(possible))
	}
	if key.Revision < k.revision {
		s.fail(k, "revision %d came after %d", key.Revision, k.revision)
	}
	k.revision = key.Revision
	if next := shown.replacedBy; next != "" && s.byID[next] == nil {
		s.adopt(ctx, next, k)
	}
	if f, ok := k.decided(); !ok || f.String() != shown.String() {
		k.note(fmt.Sprintf("step %d, %d: revision %d, %v: %s", s.step, now, key.Revision, key.Flags, shown))
	}
	if !changing {
		k.possible = []facts{shown}
	}
	k.learnKids()
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
	s.meet(key, apikey.Secret{}, before, key.CreatedAt.Unix())
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

// get reads a key as a caller: what is answered is possible.
func (s *simulation) get() {
	k := s.pick(nil)
	if k == nil {
		return
	}
	p := s.who(k.owner)
	if s.chance(25) {
		p = s.reader
	}
	ctx, cancel := s.as(p, s.patient(nil))
	defer cancel()
	key, err := s.replica().Service.Get(ctx, k.id)
	s.tally.answers[answer{err: err}.kind()]++
	if err != nil {
		if kind := kindOf(err); kind != apikey.ErrUnavailable && (kind != apikey.ErrNotFound || !k.some(func(f facts) bool { return f.gone })) {
			s.fail(k, "get was answered %v", err)
		}
		return
	}
	now, shown := s.place.now(), factsOf(key)
	lost := slices.Contains(key.Flags, apikey.FlagCredentialUnknown) && k.lostRotations > 0
	if !lost && !slices.ContainsFunc(s.drained(k, false), func(f facts) bool { return !f.gone && f.shows(shown, now) }) {
		s.fail(k, "get at %d answered\n  %s\npossible is\n  %s", now, shown, explain(k.possible))
	}
}

// anyone is a caller, and the owner it is bound to.
func (s *simulation) anyone() *party {
	all := []*party{s.admin, s.reader, s.parties[s.owners[0]], s.parties[s.owners[1]]}
	return all[s.rand.IntN(len(all))]
}

// list lists keys as a caller, who sees its own only.
func (s *simulation) list() {
	p := s.anyone()
	ctx, cancel := s.as(p, s.patient(nil))
	defer cancel()
	q := apikey.ListParams{Limit: 1 + s.rand.IntN(200), Owner: s.owners[s.rand.IntN(2)]}
	if p.owner != "" && s.chance(70) {
		q.Owner = ""
	}
	page, err := s.replica().Service.List(ctx, q)
	s.tally.answers[answer{err: err}.kind()]++
	if err != nil && !busy(kindOf(err)) {
		s.fail(nil, "list was answered %v", err)
	}
	s.noSecret("list", page)
	for _, key := range page.Data {
		if p.owner != "" && key.Owner != p.owner {
			s.fail(s.byID[key.ID], "%s sees it in a list", p.name)
		}
	}
}

// feed reads events as a caller, who sees its own only.
func (s *simulation) feed() {
	p := s.anyone()
	ctx, cancel := s.as(p, s.patient(nil))
	defer cancel()
	page, err := s.replica().Service.Events(ctx, apikey.FeedParams{After: max(0, s.head.ID-int64(s.rand.IntN(60))), Limit: 100})
	s.tally.answers[answer{err: err}.kind()]++
	if err != nil && !busy(kindOf(err)) {
		s.fail(nil, "events was answered %v", err)
	}
	s.noSecret("events", page)
	for _, e := range page.Data {
		if p.owner != "" && e.Owner != p.owner {
			s.fail(s.byID[e.KeyID], "%s sees its event %d", p.name, e.ID)
		}
	}
}

// trespass lets a caller ask what it may not: of another owner's key, or without
// the right to write. Nothing comes of it.
func (s *simulation) trespass() {
	k := s.pick(nil)
	if k == nil {
		return
	}
	q := []func(*subject) *request{s.newUpdate, s.newDisable, s.newRotate, s.newAddKey, s.newRemoveKey,
		func(k *subject) *request { return s.newAction(doEnable, k) }, func(k *subject) *request { return s.newAction(doRevoke, k) },
		func(k *subject) *request { return s.newAction(doDelete, k) }, func(k *subject) *request { return s.newAction(doTokens, k) },
		func(k *subject) *request { return s.newAction(doComplete, k) }}[s.rand.IntN(10)](k)
	if q == nil {
		return
	}
	want := apikey.ErrNotFound
	q.by = s.parties[s.owners[0]]
	if k.owner == s.owners[0] {
		q.by = s.parties[s.owners[1]]
	}
	if s.chance(40) {
		q.by, want = s.reader, apikey.ErrForbidden
	}
	a := s.put(q, s.replica(), "", false)
	s.tally.answers["trespass: "+a.kind()]++
	if kind := kindOf(a.err); a.err == nil || kind != want && !busy(kind) {
		s.fail(k, "%s was answered %v, %v; want %s", q, a.key, a.err, want)
	}
	ctx, cancel := s.as(q.by, s.patient(nil))
	defer cancel()
	if _, err := s.replica().Service.Get(ctx, k.id); want == apikey.ErrNotFound && kindOf(err) != want && !busy(kindOf(err)) {
		s.fail(k, "%s reads it: %v", q.by.name, err)
	}
	if page, err := s.replica().Service.KeyEvents(ctx, k.id, apikey.PageParams{}); want == apikey.ErrNotFound && (err == nil || len(page.Data) > 0) {
		s.fail(k, "%s reads its events", q.by.name)
	}
	s.seen(k)
}
