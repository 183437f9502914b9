package simulation

import (
	"slices"

	"github.com/tokenos/tokenos/apikey"
)

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

// self lets somebody who has a secret of a key read the key by it, and now and
// then end it. Only the secret that is the key's does, also while it is paused
// or over.
func (s *simulation) self() {
	k := s.pick(func(f facts) bool { return f.method.HasSecret() })
	if k == nil || len(k.secrets) == 0 || s.weather.hydraDown || k.late {
		return
	}
	s.look(k)
	secret := k.secrets[s.rand.IntN(len(k.secrets))]
	right, wrong := true, true
	for _, f := range s.drained(k, false) {
		is := !f.gone && !f.revoked && f.method.HasSecret() && f.secret == hintOf(secret)
		right, wrong = right && is, wrong && !is
	}
	if right == wrong || k.lostRotations > 0 {
		return
	}
	if right && s.chance(15) {
		q := s.newAction(doRevoke, k)
		q.held, q.header, q.dryRun = secret, "", false
		s.request(q)
		return
	}
	ctx, cancel := s.as(s.reader, s.patient(k)) // whose rights are not used
	defer cancel()
	own := apikey.Credential{Method: apikey.ClientSecretBasic, ID: k.id, Secret: secret}
	self, err := s.replica().Service.Self(ctx, apikey.HolderCredential{Own: own})
	s.tally.answers["self: "+answer{err: err}.kind()]++
	switch kind := kindOf(err); {
	case err == nil && (!right || self.ID != k.id), err != nil && kind != apikey.ErrUnavailable && (right || kind != apikey.ErrUnauthenticated):
		s.fail(k, "self with %s, which is right: %v, was answered %+v, %v", hintOf(secret), right, self, err)
	case err != nil && s.patient(k) && kind == apikey.ErrUnavailable:
		s.tally.turnedAway++
	}
	s.noSecret("self", self)
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
