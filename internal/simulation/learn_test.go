package simulation

import (
	"fmt"
	"slices"

	"github.com/tokenos/tokenos/apikey"
)

// learn draws from the answers to requests for one key, made at the same time,
// what is now possible. The answers must be those of some order.
func (s *simulation) learn(qs []*request, as []answer, again bool) {
	k := qs[0].key
	if len(qs) > 1 { // any of them may have found the key before ended by another
		for i, q := range qs {
			s.mayEnd(q, as[i])
		}
	}
	before := s.drained(k, false)
	var after []facts
	for _, order := range permutations(len(qs)) {
		possible := before
		for _, i := range order {
			possible = s.fold(k, drain(possible, false, false, s.place.now()), qs[i], as[i], len(qs) == 1 && !again, again)
		}
		after = append(after, possible...)
	}
	if len(after) == 0 {
		shown := ""
		for i, q := range qs {
			shown += fmt.Sprintf("%s, from %d to %d: %s %s\n  ", q, as[i].from, as[i].to, as[i].kind(), as[i].shown())
		}
		s.fail(k, "the answers\n  %sfit no order of what was possible:\n  %s", shown, explain(before))
	}
	if a := as[0]; k.changing && len(qs) == 1 && (a.refused() || qs[0].dryRun) {
		after = before // what was under way may still come
	}
	k.possible = distinct(after)
	if len(k.possible) > 400 {
		s.fail(k, "%d possibilities", len(k.possible))
	}
	for i, q := range qs {
		if len(qs) == 1 {
			s.mayEnd(q, as[i])
		}
		s.consequences(q, as[i], again)
	}
	k.learnKids()
}

// fold is what is possible after one request and its answer. alone: nothing else
// was going on, so the answer is compared member for member. again: the request
// was made before without an answer, and may have been carried out then.
func (s *simulation) fold(k *subject, possible []facts, q *request, a answer, alone, again bool) (out []facts) {
	for _, f := range possible {
		if a.refused() && (busy(kindOf(a.err)) || !alone) || a.unsure() || again {
			out = append(out, f)
			// Force may have ended the older credential, and then failed.
			if g, had := f.retired(a.to); had && q.does == doRotate && q.rotate.Force && !q.dryRun {
				out = append(out, g)
			}
		}
		for _, b := range s.beside(k, f) {
			for at := a.from; at <= a.to; at++ {
				e := q.effect(f, b, at)
				switch {
				case a.refused() && alone && !busy(kindOf(a.err)):
					if e.refusal == kindOf(a.err) || s.tolerated(q, a, at) {
						out = append(out, f)
					}
				case a.refused():
				case a.pending && !q.dryRun: // whether it is still needed is seen when its turn comes
					out = append(out, s.inLine(q, a, f))
				case e.refusal != "":
				default:
					out = append(out, s.carriedOut(k, q, a, f, e, at, alone)...)
				}
			}
		}
	}
	return distinct(out)
}

// tolerated are refusals for what the model does not know to the second.
func (s *simulation) tolerated(q *request, a answer, at int64) bool {
	switch kindOf(a.err) {
	case apikey.ErrRotationPending: // two rotations in place within two seconds
		// ... or the older one, which force completes, waits for Hydra.
		older := q.key.replaces
		waits := older != nil && (s.weather.now != nil || older.changing || len(older.possible) > 1)
		return q.does == doRotate && (at-q.key.rotatedAt <= 3 || q.rotate.Force && waits)
	case apikey.ErrPrecondition:
		return q.update.IfMatch > 0
	}
	return false
}

// inLine is an accepted request that waits: it is done for sure, unless an
// earlier one makes it void.
func (s *simulation) inLine(q *request, a answer, f facts) facts {
	if a.key != nil && a.key.ID != q.key.id { // it ends the key before
		return f
	}
	waiting := *q
	waiting.waits, waiting.since = true, a.from
	f.queue = append(slices.Clone(f.queue), &waiting)
	return f
}

// carriedOut is what is possible once the request is carried out, if the answer
// is that of it.
func (s *simulation) carriedOut(k *subject, q *request, a answer, f facts, e effect, at int64, alone bool) []facts {
	g := e.self
	g.line = f.line
	if a.err != nil || a.died || q.dryRun || a.key == nil {
		return []facts{g}
	}
	if q.update.IfMatch > 0 && (q.update.IfMatch < k.revision || a.revision > q.update.IfMatch+1) && alone {
		return nil
	}
	shown := factsOf(*a.key)
	switch {
	case q.does == doRotate && (e.born != nil) != (a.mode == apikey.RotationSuccessor):
		return nil
	case e.born != nil:
		if g.replacedBy = a.key.ID; alone && (unix(a.previous) != g.end() || !e.born.shows(shown, a.to)) {
			return nil
		}
		return []facts{g}
	case q.does == doRotate && g.secret == untold:
		g.secret = shown.secret
	case a.key.ID != k.id: // the key before was completed
		if alone && (e.before == nil || !e.before.shows(shown, a.to)) {
			return nil
		}
		return []facts{g}
	}
	if alone && !g.shows(shown, a.to) {
		return nil
	}
	return []facts{g}
}

// consequences are what an answer means for other keys, for credentials and for
// tokens.
func (s *simulation) consequences(q *request, a answer, again bool) {
	k := q.key
	inPlace := q.does == doRotate && q.rotate.GracePeriod != nil && *q.rotate.GracePeriod == 0
	if q.does == doRotate && !q.dryRun && (!a.refused() || kindOf(a.err) == apikey.ErrUnavailable) {
		if inPlace || a.mode == apikey.RotationInPlace {
			k.rotatedAt = a.to
		}
		if a.err != nil || a.died {
			if inPlace {
				k.lostRotations++
			} else {
				k.unborn++
			}
		}
	}
	if a.err != nil || a.died || q.dryRun || a.pending {
		return
	}
	if q.does == doRotate {
		if a.mode == apikey.RotationSuccessor {
			s.meet(*a.key, a.secret, k)
			return
		}
		k.learnSecret(a.secret)
	}
	if again { // its tokens may be of after it was carried out
		return
	}
	switch q.does {
	case doDisable, doRevoke, doTokens:
		k.endTokens()
	case doRotate:
		if a.mode == apikey.RotationInPlace {
			k.endTokens()
		}
	case doComplete:
		if at := unix(a.key.EndsAt); at >= a.from && at <= a.to {
			s.byID[a.key.ID].endTokens()
		}
	}
}

func (k *subject) endTokens() {
	for i := range k.tokens {
		k.tokens[i].ended = true
	}
}

// mayEnd notes that the request may have ended, or surely will end, the key
// before its own.
func (s *simulation) mayEnd(q *request, a answer) {
	k := q.key.replaces
	if q.dryRun || k == nil || q.does != doComplete && (q.does != doRotate || !q.rotate.Force) {
		return
	}
	var more []facts
	waiting := &request{does: doComplete, by: q.by, key: k, waits: true, since: a.from}
	surely := a.err == nil && a.pending && q.does == doComplete && a.key.ID == k.id
	for _, f := range s.drained(k, false) {
		if surely {
			f.queue = append(slices.Clone(f.queue), waiting)
			more = append(more, f)
			continue
		}
		more = append(more, f)
		for at := a.from; at <= a.to; at++ {
			e := waiting.effect(f, beside{}, at)
			if e.refusal == "" && !e.nothing {
				e.self.ends, e.self.line = at, f.line
				more = append(more, e.self)
				e.self.ends = sometime // by what was accepted and is done later
				if a.unsure() || a.pending || q.does == doRotate {
					more = append(more, e.self)
				}
			}
		}
	}
	k.possible = distinct(more)
}

// meet adds a key that was told of or found.
func (s *simulation) meet(shown apikey.Key, secret apikey.Secret, before *subject) *subject {
	k := s.byID[shown.ID]
	if k == nil {
		k = &subject{n: len(s.subjects), id: shown.ID, owner: shown.Owner, job: shown.Labels["job"], replaces: before, possible: []facts{factsOf(shown)}, turned: shown.CreatedAt.Unix()}
		s.subjects = append(s.subjects, k)
		s.byID[k.id] = k
		s.inheritOwn(k)
		s.mayReach(k)
		k.note(fmt.Sprintf("step %d: first seen", s.step))
	}
	k.learnSecret(secret)
	k.learnKids()
	return k
}

// permutations are the orders of n things.
func permutations(n int) [][]int {
	out := [][]int{{}}
	for i := range n {
		var next [][]int
		for _, p := range out {
			for at := range len(p) + 1 {
				next = append(next, slices.Insert(slices.Clone(p), at, i))
			}
		}
		out = next
	}
	return out
}

func explain(possible []facts) string {
	s := ""
	for i, f := range possible {
		if i == 6 {
			s += fmt.Sprintf("... and %d more\n  ", len(possible)-i)
			break
		}
		s += f.String() + "\n  "
	}
	return s
}
