package simulation

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// effect is what a request does if it is carried out: to its key, to the key
// before it in the rotation chain (nil: nothing), and the key that comes to be.
type effect struct {
	self    facts
	before  *facts
	born    *facts
	refusal apikey.ErrorKind // "": none
	// nothing says that an action had nothing left to do.
	nothing bool
}

// beside are the keys before and after the request's own in its chain, as they
// may be; nil: none.
type beside struct {
	before *facts
	after  *facts
}

// effect is the rules of docs/api.md as a function: what the request does to a
// key at a moment.
func (q *request) effect(f facts, b beside, at int64) effect {
	was := f
	f.keys, f.line = slices.Clone(f.keys), line{}
	e := q.rule(f, b, at)
	if q.dryRun && e.refusal == "" {
		return effect{self: was}
	}
	return e
}

func (q *request) rule(f facts, b beside, at int64) effect {
	refuse := func(k apikey.ErrorKind) effect { return effect{self: f, refusal: k} }
	switch {
	case f.gone:
		return refuse(apikey.ErrNotFound)
	case q.does == doRevoke:
		was := f.revoked
		f.revoked = true
		return effect{self: f, nothing: was}
	case q.does == doDelete:
		if !f.revoked {
			return refuse(apikey.ErrNotRevoked)
		}
		f.gone = true
		return effect{self: f}
	case q.does == doComplete:
		return q.completes(f, b, at)
	case f.revoked:
		return refuse(apikey.ErrRevoked)
	}
	own := f.own
	switch q.does {
	case doDisable:
		was := f.seen(at)
		f = f.pausedBy(q, at)
		return effect{self: f, nothing: f.seen(at).String() == was.String()}
	case doEnable:
		if q.owner != "" && (!f.disabled || !q.all && !f.withOwner) {
			return effect{self: f, nothing: true}
		}
		switch {
		case f.replacedBy != "" && passed(f.ends, at):
			return refuse(apikey.ErrReplaced)
		case passed(f.end(), at):
			return refuse(apikey.ErrExpired)
		}
		was := f.disabled
		f.disabled = was && q.owner != "" && !q.all && f.own != 0 && !passed(f.own, at)
		f.until, f.own, f.withOwner = 0, 0, false
		if f.disabled {
			f.until = own
		}
		return effect{self: f, nothing: !was}
	case doUpdate:
		return q.updates(f, at)
	case doAddKey:
		return q.adds(f, at)
	case doRemoveKey:
		return q.removes(f, at)
	case doRotate:
		return q.rotates(f, b, at)
	}
	return effect{self: f} // tokens/revoke
}

// pausedBy is the key paused by a request for it or for its owner. It may be
// paused both ways: shown is the pause that ends last, its own if both end at
// once. A newer pause takes the place of the older one of its way.
func (f facts) pausedBy(q *request, at int64) facts {
	type pause struct {
		on    bool
		until int64 // 0: without end
	}
	var own, with pause
	switch {
	case !f.paused(at):
	case f.withOwner:
		with = pause{true, f.until}
		own = pause{f.own != 0 && !passed(f.own, at), f.own}
	default:
		own = pause{true, f.until}
	}
	if q.owner != "" {
		with = pause{true, q.until}
	} else {
		own = pause{true, q.until}
	}
	outlasts := own.until != 0 && (with.until == 0 || with.until > own.until)
	f.disabled, f.own = true, 0
	if f.withOwner = with.on && (!own.on || outlasts); !f.withOwner {
		f.until = own.until
		return f
	}
	f.until = with.until
	if own.on {
		f.own = own.until
	}
	return f
}

func (q *request) updates(f facts, at int64) effect {
	refuse := func(k apikey.ErrorKind) effect { return effect{self: f, refusal: k} }
	p := q.update
	method := f.method
	if p.AuthMethod != nil {
		method = *p.AuthMethod
	}
	expires := f.expires
	if p.ExpiresAt.Set {
		expires = unix(p.ExpiresAt.Value)
	}
	if f.replacedBy != "" {
		later := expires != f.expires && (expires == 0 || f.expires != 0 && expires > f.expires)
		more := p.Scopes != nil && slices.ContainsFunc(*p.Scopes, func(s string) bool { return !slices.Contains(strings.Fields(f.scopes), s) })
		if later || more || method != f.method || p.Token != nil {
			return refuse(apikey.ErrReplaced)
		}
	}
	switch {
	case method != f.method && !f.method.HasSecret():
		return refuse(apikey.ErrInvalid)
	case expires != f.expires && passed(expires, at):
		return refuse(apikey.ErrInvalid)
	}
	was := f.String()
	f.method, f.expires = method, expires
	if p.Name != nil {
		f.name = *p.Name
	}
	if p.Scopes != nil {
		f.scopes = strings.Join(slices.Sorted(slices.Values(*p.Scopes)), " ")
	}
	if team, set := p.Labels["team"]; set {
		f.team = ""
		if team != nil {
			f.team = *team
		}
	}
	if p.Token != nil {
		f.token.Format = cmp.Or(p.Token.Format, f.token.Format)
		if p.Token.Lifetime != nil {
			f.token.Lifetime = *p.Token.Lifetime
		}
	}
	return effect{self: f, nothing: f.String() == was}
}

func (q *request) adds(f facts, at int64) effect {
	switch {
	case f.replacedBy != "":
		return effect{self: f, refusal: apikey.ErrReplaced}
	case f.method.HasSecret():
		return effect{self: f, refusal: apikey.ErrInvalid}
	}
	have := f.live(at)
	if len(have) == 0 {
		have = f.keys[len(f.keys)-1:]
	}
	f.keys = append(slices.Clone(have), q.fresh...)
	return effect{self: f}
}

func (q *request) removes(f facts, at int64) effect {
	p, found := f.publicKey(q.kid)
	if !found {
		return effect{self: f, refusal: apikey.ErrNotFound}
	}
	rest := slices.DeleteFunc(slices.Clone(f.keys), func(p publicKey) bool { return p.kid == q.kid })
	g := f
	g.keys = rest
	if len(rest) == 0 || !passed(p.expires, at) && len(g.live(at)) == 0 {
		return effect{self: f, refusal: apikey.ErrLastCredential}
	}
	return effect{self: g}
}

// replaced reports whether the key has a successor and works on beside it.
func (f facts) replaced(at int64) bool {
	return f.replacedBy != "" && !f.revoked && f.ends != 0 && !passed(f.end(), at)
}

// graceOf reports whether the credential before the key's own works still.
func graceOf(f facts, before *facts, at int64) bool {
	if f.revoked {
		return false
	}
	if before != nil && !before.gone && !before.revoked && before.end() != 0 && !passed(before.end(), at) {
		return true
	}
	return slices.ContainsFunc(f.live(at), func(p publicKey) bool { return p.replaced && p.expires != 0 })
}

// retired are the facts without the public keys that a rotation replaced, and
// whether one of those was live.
func (f facts) retired(at int64) (facts, bool) {
	replaced := func(p publicKey) bool { return p.replaced }
	had := slices.ContainsFunc(f.live(at), replaced)
	f.keys = slices.DeleteFunc(slices.Clone(f.keys), replaced)
	return f, had
}

func (q *request) completes(f facts, b beside, at int64) effect {
	if g, had := f.retired(at); had {
		switch {
		case f.revoked:
			return effect{self: f, refusal: apikey.ErrRevoked}
		case len(g.live(at)) == 0:
			return effect{self: f, refusal: apikey.ErrLastCredential}
		}
		return effect{self: g}
	}
	end := func(f facts) (facts, bool) {
		if f.revoked || f.replacedBy == "" || passed(f.end(), at) {
			return f, true
		}
		f.ends = at
		if q.waits {
			f.ends = sometime
		}
		return f, false
	}
	if !f.replaced(at) && b.before != nil && graceOf(f, b.before, at) {
		before, nothing := end(*b.before)
		return effect{self: f, before: &before, nothing: nothing}
	}
	f, nothing := end(f)
	return effect{self: f, nothing: nothing}
}

// overlapping are the live public keys that a rotation replaces.
func (f facts) overlapping(at, deadline int64) (keys []publicKey) {
	for _, p := range f.live(at) {
		if p.replaced {
			continue
		}
		p.replaced = true
		if p.expires == 0 || deadline < p.expires {
			p.expires = deadline
		}
		keys = append(keys, p)
	}
	return keys
}

func (q *request) rotates(f facts, b beside, at int64) effect {
	refuse := func(k apikey.ErrorKind) effect { return effect{self: f, refusal: k} }
	method := cmp.Or(q.rotate.AuthMethod, f.method)
	var before *facts
	switch {
	case f.replacedBy != "" && (b.after == nil || !b.after.gone && !b.after.revoked):
		return refuse(apikey.ErrReplaced)
	case passed(f.end(), at):
		return refuse(apikey.ErrExpired)
	case graceOf(f, b.before, at) && !q.rotate.Force:
		return refuse(apikey.ErrRotationPending)
	case method.HasSecret() == (len(q.fresh) > 0):
		return refuse(apikey.ErrInvalid)
	}
	if q.rotate.Force && graceOf(f, b.before, at) && b.before != nil && !passed(b.before.end(), at) {
		ended := *b.before
		ended.ends = at
		before = &ended
	}
	grace := int64(24 * time.Hour / time.Second)
	if q.rotate.GracePeriod != nil {
		grace = int64(time.Duration(*q.rotate.GracePeriod) / time.Second)
	}
	deadline := at + grace
	give := func(f *facts) {
		f.method, f.keys, f.secret = method, slices.Clone(q.fresh), ""
		if method.HasSecret() {
			f.secret = untold
		}
	}
	switch {
	case grace == 0:
		give(&f)
		return effect{self: f, before: before}
	case !method.HasSecret() && !f.method.HasSecret():
		f.keys = append(f.overlapping(at, deadline), q.fresh...)
		return effect{self: f, before: before}
	}
	if g, had := f.retired(at); had {
		if len(g.live(at)) == 0 {
			return refuse(apikey.ErrLastCredential)
		}
		f = g
	}
	born := f
	born.replacedBy, born.ends, born.line = "", 0, line{}
	give(&born)
	f.replacedBy = untold
	if f.ends == 0 || deadline < f.ends {
		f.ends = deadline
	}
	return effect{self: f, before: before, born: &born}
}
