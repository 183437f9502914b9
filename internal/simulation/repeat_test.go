package simulation

import (
	"fmt"
	"slices"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// replaysFor is how long an Idempotency-Key is repeated: within its day.
const replaysFor = int64(20 * time.Hour / time.Second)

// entry is a request with an Idempotency-Key and how it was answered first.
type entry struct {
	q        *request
	at       int64
	answered *answer // nil: not yet
}

// twins are one request with an Idempotency-Key, sent several times at once: all
// answers are the same.
func (s *simulation) twins() {
	q := s.newCreate()
	if k := s.pick(nil); k != nil && s.chance(60) {
		q = s.newRotate(k)
		q.dryRun = false
	}
	if q.header = s.header(100); q.does == doCreate {
		q.create.IdempotencyKey = q.header
	}
	as := s.together(slices.Repeat([]*request{q}, 2+s.rand.IntN(2)))
	first := as[0]
	for _, a := range as {
		switch {
		case a.err == nil && first.err != nil:
			first = a
		case a.err == nil && (a.key.ID != first.key.ID || !a.secret.Equal(first.secret)):
			s.fail(q.key, "%s: twins were answered differently", q)
		case a.unsure() && first.refused():
			first = a
		}
	}
	s.digest(q, first)
}

// repeat makes an earlier request again with its Idempotency-Key.
func (s *simulation) repeat() {
	s.journal = slices.DeleteFunc(s.journal, func(e *entry) bool { return s.place.now()-e.at > replaysFor })
	if len(s.journal) == 0 {
		return
	}
	e := s.journal[len(s.journal)-1-s.rand.IntN(min(len(s.journal), 12))]
	if e.answered != nil && s.chance(15) {
		s.misuse(e)
		return
	}
	a := s.put(e.q, s.replica(), "", e.answered == nil)
	s.tally.answers["repeated: "+a.kind()]++
	s.sound(e.q, a)
	if e.answered == nil {
		s.answeredLater(e, a)
		return
	}
	if first := e.answered; a.err == nil {
		same := a.key == nil && first.key == nil || a.key != nil && first.key != nil && a.key.ID == first.key.ID && a.secret.Equal(first.secret)
		if !same || a.pending != first.pending && !first.pending || !first.pending && a.revision != first.revision {
			s.fail(e.q.key, "%s, repeated, was answered %+v; first %+v", e.q, a.key, first.key)
		}
	} else if k := kindOf(a.err); first.pending && (k == apikey.ErrRevoked || k == apikey.ErrInvalid && passed(e.q.until, a.to)) && e.q.key.some(func(f facts) bool { return f.revoked }) {
		return // what stood in line was void, and is asked for anew
	} else if !busy(k) && k != apikey.ErrReplayExpired && k != apikey.ErrNotFound {
		s.fail(e.q.key, "%s, repeated, was answered %v", e.q, a.err)
	} else if !busy(k) {
		s.excused(e, k)
	}
}

// excused checks that a repetition is refused for a reason: the key is gone, or
// its secret is another by now.
func (s *simulation) excused(e *entry, k apikey.ErrorKind) {
	made := e.q.key
	if e.answered.key != nil && (e.q.does == doCreate || e.q.does == doRotate) {
		made = s.byID[e.answered.key.ID]
	}
	gone := made.some(func(f facts) bool { return f.gone }) || e.q.key != nil && e.q.key.some(func(f facts) bool { return f.gone })
	other := made.some(func(f facts) bool {
		return !e.answered.secret.IsZero() && f.secret != hintOf(e.answered.secret)
	})
	if !gone && (k == apikey.ErrNotFound || !other) {
		s.fail(made, "%s, repeated, was answered %s", e.q, k)
	}
}

// answeredLater learns from the answer to a request that had none before.
func (s *simulation) answeredLater(e *entry, a answer) {
	if a.err == nil {
		e.answered = &a
	}
	if e.q.does == doCreate {
		if a.refused() && kindOf(a.err) == apikey.ErrInvalid { // its expires_at has passed meanwhile
			return
		}
		s.created(e.q, a)
		return
	}
	k := e.q.key
	k.note(fmt.Sprintf("step %d, %d: again: %s: %s", s.step, a.from, e.q, a.kind()))
	s.learn([]*request{e.q}, []answer{a}, true)
	s.seen(k)
	if f, ok := k.decided(); ok && a.err == nil && a.key != nil && a.key.ID == k.id && !a.secret.IsZero() && f.secret != hintOf(a.secret) {
		s.fail(k, "%s, repeated, was answered with a secret that is not the key's", e.q)
	}
}

// misuse sends an answered request's Idempotency-Key with another body.
func (s *simulation) misuse(e *entry) {
	q := *e.q
	switch q.does {
	case doCreate:
		q.create.Name = "another"
	case doRotate:
		q.rotate.GracePeriod = new(apikey.Duration(7 * time.Minute))
	default:
		return
	}
	a := s.put(&q, s.replica(), "", false)
	s.tally.answers["misused: "+a.kind()]++
	if k := kindOf(a.err); a.err == nil || k != apikey.ErrIdempotencyMismatch && !busy(k) && k != apikey.ErrNotFound {
		s.fail(q.key, "%s with the Idempotency-Key of another request was answered %v", &q, a.err)
	}
}
