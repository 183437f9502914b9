package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// as is a context of a caller. While something fails, or the key is held by who
// knows whom, nobody waits for long.
func (s *simulation) as(p *party, patient bool) (context.Context, context.CancelFunc) {
	limit := 400 * time.Millisecond
	if patient {
		limit = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), limit)
	return apikey.WithCaller(ctx, p.caller), cancel
}

// patient reports whether the key can be expected to answer at once.
func (s *simulation) patient(k *subject) bool {
	if s.weather.now != nil || s.strained {
		return false
	}
	if k == nil {
		return true
	}
	_, decided := k.decided()
	return decided && !k.late && !k.changing
}

// doomed is the step at which a process dies, in so many of a hundred cases.
func (s *simulation) doomed(percent int) string {
	if !s.chance(percent) {
		return ""
	}
	return []string{afterT1, beforeT2, afterT2}[s.rand.IntN(3)]
}

// request makes one request and learns from its answer.
func (s *simulation) request(q *request) {
	if q == nil {
		return
	}
	if q.key != nil {
		s.look(q.key)
		if q.key.replaces != nil { // which force or a completion would end
			s.look(q.key.replaces)
		}
	}
	a := s.put(q, s.replica(), s.doomed(8), false)
	s.digest(q, a)
}

// put makes a request of a replica, which dies at the step, if it comes to it.
func (s *simulation) put(q *request, r *replica, doom string, again bool) (a answer) {
	ctx, cancel := s.as(q.by, s.patient(q.key) && !again || doom != "")
	defer cancel()
	from := s.place.now()
	if doom == "" {
		a = q.ask(ctx, r.Service)
	} else {
		a.died = true
		s.dying(r, doom, func() {
			b := q.ask(ctx, r.Service)
			a = b
		})
	}
	a.from, a.to = from, s.place.now()
	return a
}

// dying runs act in a process that dies at the step, and replaces the process.
func (s *simulation) dying(r *replica, step string, act func()) {
	r.ledger.doom(step)
	done := make(chan struct{})
	go func() {
		defer close(done)
		act()
	}()
	<-done
	r.ledger.doom("")
	r.restart(s.t)
	if s.chance(50) && !s.weather.ledgerDown {
		ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
		defer cancel()
		s.must(insist(func() error { return r.ledger.release(ctx) }))
	}
}

// digest learns from the answer to a request that was made alone.
func (s *simulation) digest(q *request, a answer) {
	s.count(q, a)
	s.sound(q, a)
	if q.header != "" && (!a.refused() || kindOf(a.err) == apikey.ErrUnavailable) && !q.dryRun {
		e := &entry{q: q, at: a.from}
		if a.err == nil && !a.died {
			e.answered = &a
		}
		s.journal = append(s.journal, e)
	}
	if q.does == doCreate {
		s.created(q, a)
		return
	}
	q.key.note(fmt.Sprintf("step %d, %d: %s: %s", s.step, a.from, q, a.kind()))
	s.learn([]*request{q}, []answer{a}, false)
	s.seen(q.key)
}

// count notes the answer. In calm weather nobody is turned away.
func (s *simulation) count(q *request, a answer) {
	s.tally.answers[a.kind()]++
	if s.patient(q.key) && !a.died && (a.unsure() || a.refused() && busy(kindOf(a.err))) {
		s.tally.turnedAway++
		s.t.Logf("step %d: in calm weather %s was answered %v", s.step, q, a.err)
	}
}

// secretMark begins every client secret.
const secretMark = "tos_"

// sound checks what holds for every answer: no secret in it, no key of another
// owner, and a dry run that says so.
func (s *simulation) sound(q *request, a answer) {
	if a.err != nil {
		if strings.Contains(a.err.Error(), secretMark) {
			s.fail(q.key, "%s: an error with a secret", q)
		}
		if k := kindOf(a.err); k == apikey.ErrInternal || k == apikey.ErrDrifted || k == apikey.ErrPublicKeyInUse {
			s.fail(q.key, "%s was answered %v", q, a.err)
		}
		return
	}
	if a.died {
		return
	}
	s.noSecret(q.String(), a.key)
	s.noSecret(q.String(), a.others)
	for _, o := range a.others {
		k := s.byID[o.ID]
		if k != nil && k.owner != q.key.owner {
			s.fail(q.key, "%s names #%d of %s", q, k.n, k.owner)
		}
	}
	if a.key != nil && q.by.owner != "" && a.key.Owner != q.by.owner {
		s.fail(q.key, "%s shows a key of %s", q, a.key.Owner)
	}
	if q.dryRun && !a.shownDry {
		s.fail(q.key, "%s does not say that it is a dry run", q)
	}
	wantSecret := (q.does == doCreate || q.does == doRotate && !q.dryRun) && a.key.AuthMethod.HasSecret()
	if wantSecret == a.secret.IsZero() {
		s.fail(q.key, "%s: answered with a secret: %v, want %v", q, !a.secret.IsZero(), wantSecret)
	}
}

// noSecret checks that what was answered shows no secret.
func (s *simulation) noSecret(what string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.Contains(string(raw), secretMark) {
		s.fail(nil, "%s was answered with a secret in it", what)
	}
}

// created learns from the answer to a create.
func (s *simulation) created(q *request, a answer) {
	job := q.create.Labels["job"]
	s.creates[job] = q
	switch {
	case a.refused():
		if !busy(kindOf(a.err)) {
			s.fail(nil, "%s was answered %v", q, a.err)
		}
		return
	case a.err != nil || a.died:
		return
	}
	k := s.meet(*a.key, a.secret, nil)
	k.note(fmt.Sprintf("step %d, %d: %s: %s", s.step, a.from, q, a.kind()))
	if s.jobs[job] != nil && s.jobs[job] != k {
		s.fail(k, "%s made a second key beside #%d", q, s.jobs[job].n)
	}
	s.jobs[job] = k
	if want := unix(q.create.ExpiresAt.Value); a.key.Status != apikey.StatusActive && want == 0 || unix(a.key.ExpiresAt) != want && len(k.history) == 2 {
		s.fail(k, "%s was answered %+v", q, a.key)
	}
	s.seen(k)
}

// burst makes two to four requests for one key at the same time.
func (s *simulation) burst() {
	k := s.pick(nil)
	if k == nil {
		return
	}
	makers := []func(*subject) *request{s.newUpdate, s.newDisable, s.newRotate, s.newRotate,
		func(k *subject) *request { return s.newAction(doEnable, k) }, func(k *subject) *request { return s.newAction(doTokens, k) },
		func(k *subject) *request { return s.newAction(doComplete, k) }}
	s.look(k)
	var qs []*request
	for range 2 + s.rand.IntN(3) {
		q := makers[s.rand.IntN(len(makers))](k)
		q.dryRun, q.update.IfMatch = false, 0
		qs = append(qs, q)
	}
	as := s.together(qs)
	for i, q := range qs {
		k.note(fmt.Sprintf("step %d, %d: at once: %s: %s", s.step, as[i].from, q, as[i].kind()))
		s.tally.answers[as[i].kind()]++
		s.sound(q, as[i])
	}
	s.learn(qs, as, false)
	s.seen(k)
}

// together makes requests at the same time, of any replica.
func (s *simulation) together(qs []*request) []answer {
	as, from := make([]answer, len(qs)), s.place.now()
	var wg sync.WaitGroup
	for i, q := range qs {
		r, patient := s.replica(), s.patient(q.key)
		wg.Go(func() {
			ctx, cancel := s.as(q.by, patient)
			defer cancel()
			as[i] = q.ask(ctx, r.Service)
		})
	}
	wg.Wait()
	for i := range as {
		as[i].from, as[i].to = from, s.place.now()
	}
	return as
}
