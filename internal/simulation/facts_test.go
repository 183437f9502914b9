package simulation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokenos/tokenos/apikey"
)

// facts are what can be true of a key, as far as its callers can know. Moments
// are Unix seconds; zero is never.
type facts struct {
	gone, revoked bool
	disabled      bool
	until         int64 // of the pause
	expires, ends int64
	replacedBy    string // untold: by a key that nobody was told of
	name, team    string
	scopes        string
	token         apikey.TokenSettings
	method        apikey.AuthMethod
	secret        string // the hint; untold: one that nobody was told
	keys          []publicKey
	// withOwner: the pause that ends last began with the owner's. own is then when
	// a shorter one of the key's own ends, which no read shows; zero: none.
	withOwner bool
	own       int64
	line
}

// line is what was accepted, and will be done for sure.
type line struct {
	queue []*request // in the line of the key, one after the other
	ops   []*request // of operations on the owner, which come to the key sometime
}

type publicKey struct {
	kid      string
	expires  int64
	replaced bool
}

const (
	// untold stands for what nobody was told.
	untold = "?"
	// sometime is a moment that has passed, nobody was told when.
	sometime = int64(1)
)

// factsOf are the facts that a key as answered shows.
func factsOf(k apikey.Key) facts {
	f := facts{
		revoked: k.RevokedAt != nil, disabled: k.DisabledAt != nil, until: unix(k.DisabledUntil), withOwner: k.DisabledWithOwner, expires: unix(k.ExpiresAt), ends: unix(k.EndsAt),
		name: k.Name, team: k.Labels["team"], scopes: strings.Join(k.Scopes, " "), token: k.Token, method: k.AuthMethod,
	}
	if k.ReplacedBy != nil {
		f.replacedBy = *k.ReplacedBy
	}
	if k.Secret != nil {
		f.secret = k.Secret.Hint
	}
	for _, p := range k.PublicKeys {
		f.keys = append(f.keys, publicKey{p.KID, unix(p.ExpiresAt), p.ReplacedAt != nil})
	}
	return f
}

// end is when the key ends by the clock.
func (f facts) end() int64 {
	if f.ends != 0 && (f.expires == 0 || f.ends < f.expires) {
		return f.ends
	}
	return f.expires
}

func passed(moment, at int64) bool { return moment != 0 && at >= moment }

// paused reports whether the key is disabled at the moment.
func (f facts) paused(at int64) bool { return f.disabled && !passed(f.until, at) }

// open reports whether the key may buy tokens at the moment.
func (f facts) open(at int64) bool {
	return !f.gone && !f.revoked && !f.paused(at) && !passed(f.end(), at) && (f.method.HasSecret() || len(f.live(at)) > 0)
}

// over reports whether the key is neither active nor disabled at the moment.
func (f facts) over(at int64) bool {
	return f.gone || f.revoked || !f.paused(at) && passed(f.end(), at)
}

// live are the public keys that authenticate at the moment.
func (f facts) live(at int64) []publicKey {
	return slices.DeleteFunc(slices.Clone(f.keys), func(p publicKey) bool { return passed(p.expires, at) })
}

func (f facts) publicKey(kid string) (publicKey, bool) {
	i := slices.IndexFunc(f.keys, func(p publicKey) bool { return p.kid == kid })
	if i < 0 {
		return publicKey{}, false
	}
	return f.keys[i], true
}

// takes reports whether Hydra takes the credential at the moment.
func (f facts) takes(c credential, at int64) bool {
	if !f.open(at) || f.method.HasSecret() != (c.pair == nil) {
		return false
	}
	if c.pair == nil {
		return f.secret == c.hint
	}
	p, found := f.publicKey(c.kid)
	return found && !passed(p.expires, at)
}

// turns are the moments after from, up to and with to, at which the clock alone
// changes what the key may do; with both ends.
func (f facts) turns(from, to int64) []int64 {
	out := []int64{from, to}
	consider := func(at int64) {
		if at > from && at < to {
			out = append(out, at)
		}
	}
	consider(f.until)
	consider(f.expires)
	consider(f.ends)
	for _, p := range f.keys {
		consider(p.expires)
	}
	return out
}

// seen are the facts as a read at the moment shows them: what the clock has
// done may or may not have been written down.
func (f facts) seen(at int64) facts {
	if !f.paused(at) {
		f.disabled, f.until, f.withOwner = false, 0, false
	}
	f.keys, f.own, f.line = f.live(at), 0, line{}
	return f
}

// shows reports whether a read at the moment that showed g is one of f.
func (f facts) shows(g facts, at int64) bool {
	a, b := f.seen(at), g.seen(at)
	if a.secret == untold && b.secret != "" {
		a.secret = b.secret
	}
	if a.replacedBy == untold && b.replacedBy != "" {
		a.replacedBy = b.replacedBy
	}
	if a.ends == sometime && passed(b.ends, at) {
		a.ends = b.ends
	}
	return a.String() == b.String()
}

func (f facts) String() string {
	var out []string
	say := func(on bool, what string, args ...any) {
		if on {
			out = append(out, fmt.Sprintf(what, args...))
		}
	}
	say(f.gone, "gone")
	say(f.revoked, "revoked")
	say(f.disabled, "disabled until %d", f.until)
	say(f.withOwner, "with its owner, by itself until %d", f.own)
	say(f.expires != 0, "expires %d", f.expires)
	say(f.ends != 0, "ends %d", f.ends)
	say(f.replacedBy != "", "replaced by %s", f.replacedBy)
	say(true, "%s %s [%s] %s/%s %s %s", f.name, f.team, f.scopes, f.token.Format, f.token.Lifetime, f.method, f.secret)
	for _, p := range f.keys {
		say(true, "key %.6s expires %d replaced %v", p.kid, p.expires, p.replaced)
	}
	for _, q := range f.queue {
		say(true, "then %s", q)
	}
	for _, q := range f.ops {
		say(true, "sometime %s", q)
	}
	return strings.Join(out, ", ")
}

// distinct are the possibilities without those that say the same.
func distinct(all []facts) []facts {
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(f facts) bool {
		s := f.String()
		was := seen[s]
		seen[s] = true
		return was
	})
}
