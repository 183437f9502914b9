package simulation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// settling is what must pass until nothing is due for a second look any more.
const settling = 35 * time.Second

// quiet ends everything that fails, lets all work come to its end and then
// checks everything.
func (s *simulation) quiet() {
	s.calm()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	ctx = apikey.WithCaller(ctx, s.admin.caller)
	s.place.awaitWhole(ctx)
	s.learnOperations(ctx)
	for range 3 {
		s.drainWork(ctx)
		s.place.clock.Advance(settling)
	}
	s.drainWork(ctx)
	s.endOperations()
	s.strained = false
	turned := s.place.now()
	s.takeStock(ctx)
	own := map[string]int64{}
	for _, r := range s.records(ctx) {
		own[r.ID] = unix(r.OwnDisabledUntil)
	}
	for _, k := range s.living() {
		k.turned = turned
		s.look(k)
		if k.gone {
			continue
		}
		k.decideOwn(own[k.id], s.place.now())
		if _, ok := k.decided(); !ok {
			s.fail(k, "it is not decided at a quiet point:\n  %s", explain(k.possible))
		}
		s.checkSecret(ctx, k)
		k.late, k.lostRotations, k.unborn = false, 0, 0
		s.try(k)
	}
	s.checkChain(ctx)
	s.checkClients(ctx, turned)
	s.checkStories(ctx, turned)
	s.checkRotations(turned)
	if line := s.place.log.leaked(); line != "" {
		s.fail(nil, "a secret was logged: %s", line)
	}
	s.tally.quiet++
}

// checkSecret checks that a key whose secret nobody was told says so.
func (s *simulation) checkSecret(ctx context.Context, k *subject) {
	f := k.possible[0]
	told := slices.ContainsFunc(k.secrets, func(o apikey.Secret) bool { return hintOf(o) == f.secret })
	if f.revoked || f.secret == "" || told {
		return
	}
	for _, r := range s.place.replicas {
		if !r.ledger.answeredAll(k.id) { // the process cannot know that its answer was lost
			return
		}
	}
	key, err := s.place.inspector.Get(ctx, k.id)
	s.must(err)
	if !slices.Contains(key.Flags, apikey.FlagCredentialUnknown) {
		s.fail(k, "nobody was told its secret, and it does not say so")
	}
}

// drainWork does background work until there is none.
func (s *simulation) drainWork(ctx context.Context) {
	s.place.await("no background work is left", func() bool {
		for _, r := range s.place.replicas {
			if err := r.Service.Turn(ctx); err != nil {
				s.t.Logf("step %d: turn: %v", s.step, err)
			}
			s.must(insist(func() error { return r.ledger.release(ctx) }))
			r.restart(s.t) // forgets what it put off
		}
		return s.idle(ctx)
	})
}

// idle reports whether nothing is under way or due.
func (s *simulation) idle(ctx context.Context) bool {
	db := s.place.replicas[0].Ledger
	due, err1 := db.Due(ctx, s.place.clock.Now(), 10)
	queued, err2 := db.Queued(ctx, 10)
	rechecks, err3 := db.Rechecks(ctx, s.place.clock.Now(), 10)
	for _, err := range []error{err1, err2, err3} {
		s.must(err)
	}
	held := 0
	for _, busy := range s.holding(ctx) {
		if busy {
			held++
		}
	}
	stale, err4 := db.Stale(ctx, 10) // also of keys that never came to be
	free, err5 := db.FreeOperations(ctx, false, 10)
	s.must(errors.Join(err4, err5))
	return len(due)+len(queued)+len(rechecks)+len(stale)+len(free)+held == 0 && !s.running(ctx)
}

// takeStock compares the ledger's keys with those that callers know of: each was
// answered, or made by a request without an answer, and each create made one.
func (s *simulation) takeStock(ctx context.Context) {
	seen := map[string]bool{}
	for _, owner := range s.owners {
		for cursor := ""; ; {
			page, err := s.place.inspector.List(ctx, apikey.ListParams{Owner: owner, Limit: 200, Cursor: cursor, Sort: "created_at"})
			s.must(err)
			for _, key := range page.Data {
				seen[key.ID] = true
				s.account(ctx, key)
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
	}
	for _, k := range s.living() {
		if !seen[k.id] && !k.some(func(f facts) bool { return f.gone }) {
			s.fail(k, "it is not listed")
		}
	}
}

// account checks where a key of the ledger comes from.
func (s *simulation) account(ctx context.Context, key apikey.Key) {
	if key.Replaces != nil {
		before := s.byID[*key.Replaces]
		if s.byID[key.ID] == nil {
			if before == nil {
				s.fail(nil, "the key %s replaces %s, which nobody knows", key.ID, *key.Replaces)
			}
			s.adopt(ctx, key.ID, before)
		}
		return
	}
	job := key.Labels["job"]
	if s.creates[job] == nil {
		s.fail(nil, "the key %s of job %q was not asked for", key.ID, job)
	}
	if s.jobs[job] == nil {
		s.jobs[job] = s.meet(key, apikey.Secret{}, nil)
	}
	if s.jobs[job].id != key.ID {
		s.fail(s.jobs[job], "the request that made it also made %s", key.ID)
	}
}

// checkChain verifies the audit chain, up to the head and beyond the one noted
// last.
func (s *simulation) checkChain(ctx context.Context) {
	db := s.place.replicas[0].Ledger
	v, err := db.VerifyChain(ctx, s.head, nil)
	s.must(err)
	if !v.Intact() {
		s.fail(nil, "the audit chain: event %d: %s", v.FirstBad, v.Reason)
	}
	id, mac, err := db.Head(ctx)
	s.must(err)
	s.head = apikey.Head{ID: id, MAC: mac}
}

// checkRotations checks that no chain has more than two keys that are not over.
func (s *simulation) checkRotations(at int64) {
	chains := map[*subject][]*subject{}
	for _, k := range s.living() {
		root := k
		for root.replaces != nil {
			root = root.replaces
		}
		if f, ok := k.decided(); ok && !f.over(at) {
			chains[root] = append(chains[root], k)
		}
	}
	for root, keys := range chains {
		working := slices.DeleteFunc(keys, func(k *subject) bool { return k.possible[0].replacedBy != "" && passed(k.possible[0].end(), at) })
		if len(working) > 2 {
			s.fail(root, "%d keys of its chain are not over", len(working))
		}
	}
}
