package simulation

import (
	"slices"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// subject is one key and what its callers were told of it.
type subject struct {
	n        int // by age; names it in messages
	id       string
	owner    string
	job      string // of its create; successors inherit it
	replaces *subject
	possible []facts // at least one is true
	gone     bool    // for sure
	changing bool    // when last seen, a change was under way
	revision int64   // last seen
	secrets  []apikey.Secret
	kids     []string // of public keys that were ever asked for
	tokens   []token
	history  []string

	// turned is the last moment up to which the background work has surely done
	// what the clock asked of it.
	turned int64
	// late: a request to Hydra may be on its way that nobody waits for.
	late bool
	// unborn are rotations whose successor nobody was told of.
	unborn int
	// lostRotations are rotations in place that were not answered and may still
	// take effect; until the next quiet point.
	lostRotations int
	rotatedAt     int64 // the last one in place, answered or not
}

// credential is one of a subject's: a secret or a key pair.
type credential struct {
	secret apikey.Secret
	hint   string
	kid    string
	pair   *apikeytest.Pair // nil: it is a secret
}

// token is an access token that was bought with a subject's credential.
type token struct {
	value string
	ended bool // an answer says so
	// doomed: an operation that is under way ends it.
	doomed bool
}

const credentialsKept = 4

// credentials are those that work and the last few that do not any more.
func (s *simulation) credentials(k *subject) (out []credential) {
	for _, secret := range k.secrets {
		out = append(out, credential{secret: secret, hint: hintOf(secret)})
	}
	for _, kid := range k.kids {
		if pair := s.pairs[kid]; pair != nil {
			out = append(out, credential{kid: kid, pair: pair})
		}
	}
	return out
}

// hintOf is what may be shown of a secret: its last four characters.
func hintOf(s apikey.Secret) string {
	v := s.Reveal()
	return "..." + v[len(v)-4:]
}

func (k *subject) learnSecret(s apikey.Secret) {
	if s.IsZero() || slices.ContainsFunc(k.secrets, func(o apikey.Secret) bool { return o.Equal(s) }) {
		return
	}
	if k.secrets = append(k.secrets, s); len(k.secrets) > credentialsKept {
		k.secrets = k.secrets[1:]
	}
}

// learnKids notes the public keys of all possibilities.
func (k *subject) learnKids() {
	for _, f := range k.possible {
		for _, p := range f.keys {
			if !slices.Contains(k.kids, p.kid) {
				k.kids = append(k.kids, p.kid)
			}
		}
	}
	for i := 0; len(k.kids) > 2*credentialsKept && i < len(k.kids); {
		if _, named := k.named(k.kids[i]); named {
			i++
			continue
		}
		k.kids = slices.Delete(k.kids, i, i+1)
	}
}

// named reports whether any possibility has the public key.
func (k *subject) named(kid string) (publicKey, bool) {
	for _, f := range k.possible {
		if p, found := f.publicKey(kid); found {
			return p, true
		}
	}
	return publicKey{}, false
}

// some reports whether some possibility has the property.
func (k *subject) some(is func(facts) bool) bool { return slices.ContainsFunc(k.possible, is) }

// decided returns what is true of the key, if there is one possibility only.
func (k *subject) decided() (facts, bool) {
	if len(k.possible) != 1 || len(k.possible[0].queue)+len(k.possible[0].ops) > 0 {
		return facts{}, false
	}
	return k.possible[0], true
}

func (k *subject) method() apikey.AuthMethod { return k.possible[0].method }

// note adds a line to the key's history.
func (k *subject) note(line string) {
	if k.history = append(k.history, line); len(k.history) > 40 {
		k.history = k.history[1:]
	}
}

// before and after are what may be true of the keys beside this one in its chain.
func (s *simulation) beside(k *subject, f facts) (out []beside) {
	befores := []*facts{nil}
	if k.replaces != nil {
		befores = pointers(s.drained(k.replaces, false))
	}
	afters := []*facts{nil}
	if next := s.byID[f.replacedBy]; next != nil {
		afters = pointers(s.drained(next, false))
	}
	for _, b := range befores {
		for _, a := range afters {
			out = append(out, beside{b, a})
		}
	}
	return out
}

func pointers(all []facts) []*facts {
	var out []*facts
	for _, f := range all {
		out = append(out, &f)
	}
	return out
}

// drained are the possibilities with any number of the requests in line done
// (fully: all of them, but what operations have not brought to an end).
func (s *simulation) drained(k *subject, fully bool) []facts {
	return drain(k.possible, fully, fully && !s.operating(k.owner), s.place.now())
}

// drain does any number of what is in line, or all of what stands in the key's
// own line, and all that operations on the owner will do.
func drain(possible []facts, own, ops bool, now int64) (out []facts) {
	for _, f := range possible {
		if (!own || len(f.queue) == 0) && (!ops || len(f.ops) == 0) {
			out = append(out, f)
		}
		if len(f.queue) > 0 {
			rest := line{f.queue[1:], f.ops}
			out = append(out, drain(f.after(f.queue[0], rest, now), own, ops, now)...)
		}
		for i, q := range f.ops { // side by side, but those of one kind go one after the other
			if slices.ContainsFunc(f.ops[:i], func(o *request) bool { return o.does == q.does }) {
				continue
			}
			rest := line{f.queue, slices.Delete(slices.Clone(f.ops), i, i+1)}
			out = append(out, drain(f.after(q, rest, now), own, ops, now)...)
		}
	}
	return distinct(out)
}

// after is what is possible once a request that stood in line is done.
func (f facts) after(q *request, rest line, now int64) []facts {
	next := []facts{q.effect(f, beside{}, q.since).self}
	if passed(f.end(), now) && (q.does == doComplete || q.owner != "") { // the clock may have been first
		next = append(next, f)
	}
	for i := range next {
		next[i].line = rest
	}
	return next
}
