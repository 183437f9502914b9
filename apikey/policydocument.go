package apikey

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// Bounds of a policy document.
const (
	maxPolicyBytes    = 1 << 20
	maxPolicyProblems = 100
	maxPolicyDepth    = 16
	maxPolicyItems    = 1000    // of a list, and of the catalogue
	maxPolicyKeys     = 1000000 // of max_keys

	leastLifetime = Duration(time.Minute)
	mostLifetime  = Duration(36500 * 24 * time.Hour)
)

// ParsePolicies reads policies from JSON, strictly: a member that is unknown,
// given twice or null, a number where a duration with a unit belongs, a scope
// that is not in the catalogue, a rule under which no key could be made and any
// other contradiction is refused. The error is an *[InvalidError] that lists
// every problem with its place (an RFC 6901 pointer that begins with "#"), the
// first hundred at least.
func ParsePolicies(raw []byte) (Policies, error) {
	d := &policyDocument{}
	if len(raw) > maxPolicyBytes {
		d.add("#", "too_long", "has more than 1 MiB", "")
		return Policies{}, d.err()
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		d.add("#", "malformed", "is not JSON in UTF-8", "")
		return Policies{}, d.err()
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	root, err := d.value(dec, "#", 0)
	if err != nil {
		d.add("#", "malformed", "nests deeper than policies do", "")
		return Policies{}, d.err()
	}
	p := d.policies(root)
	if len(d.fields) == 0 {
		d.together(p)
	}
	if more := len(d.fields) - maxPolicyProblems; more > 0 {
		d.fields = append(d.fields[:maxPolicyProblems], FieldError{Pointer: "#", Code: "too_many", Detail: "has " + itoa(more) + " more problems"})
	}
	if err := d.err(); err != nil {
		return Policies{}, err
	}
	return p, nil
}

// policyDocument gathers what is wrong while it reads.
type policyDocument struct{ validation }

func (d *policyDocument) policies(root any) (p Policies) {
	d.members("#", root, map[string]func(string, any){
		"scopes": func(at string, v any) { p.Scopes = d.catalogue(at, v) },
		"live":   func(at string, v any) { p.Live = d.policy(at, v) },
		"test":   func(at string, v any) { p.Test = d.policy(at, v) },
		"owners": func(at string, v any) { p.Owners = d.owners(at, v) },
	}, nil)
	return p
}

func (d *policyDocument) owners(at string, v any) map[string]OwnerPolicy {
	var out map[string]OwnerPolicy
	d.members(at, v, nil, func(at, name string, v any) {
		w := &validation{}
		if w.text(at, name, 1, limits.OwnerLength, "") != name || w.err() != nil {
			d.add(at, "invalid_owner", "no key can have such an owner", "write it as it stands in its keys: 1 to 100 characters in NFC, without space around it")
		}
		var own OwnerPolicy
		d.members(at, v, map[string]func(string, any){
			"live": func(at string, v any) { own.Live = d.policy(at, v) },
			"test": func(at string, v any) { own.Test = d.policy(at, v) },
		}, nil)
		if out == nil {
			out = map[string]OwnerPolicy{}
		}
		out[name] = own
	})
	return out
}

func (d *policyDocument) policy(at string, v any) (p Policy) {
	d.members(at, v, map[string]func(string, any){
		"max_lifetime":     func(at string, v any) { p.MaxLifetime = d.duration(at, v, leastLifetime, mostLifetime) },
		"never_expires":    func(at string, v any) { p.NeverExpires = d.boolean(at, v) },
		"default_lifetime": func(at string, v any) { p.DefaultLifetime = d.duration(at, v, leastLifetime, mostLifetime) },
		"auth_methods":     func(at string, v any) { p.AuthMethods = words(d, at, v, authMethods...) },
		"scopes":           func(at string, v any) { p.Scopes = d.scopes(at, v) },
		"audiences":        func(at string, v any) { p.Audiences = d.audiences(at, v) },
		"max_grace_period": func(at string, v any) { p.MaxGracePeriod = d.duration(at, v, 0, maxGracePeriod) },
		"max_keys":         func(at string, v any) { p.MaxKeys = d.integer(at, v, maxPolicyKeys) },
		"token": func(at string, v any) {
			d.members(at, v, map[string]func(string, any){
				"max_lifetime": func(at string, v any) {
					p.Token.MaxLifetime = d.duration(at, v, limits.TokenLifetimeMin, limits.TokenLifetimeMax)
				},
				"formats": func(at string, v any) { p.Token.Formats = words(d, at, v, Opaque, JWT) },
			}, nil)
		},
	}, nil)
	return p
}

func (d *policyDocument) catalogue(at string, v any) []ScopeInfo {
	list, ok := d.list(at, v, 1)
	if !ok {
		return nil
	}
	var out []ScopeInfo
	for i, item := range list {
		here := at + "/" + itoa(i)
		var s ScopeInfo
		d.members(here, item, map[string]func(string, any){
			"name":        func(at string, v any) { s.Name = d.text(at, v); d.scope(at, s.Name) },
			"title":       func(at string, v any) { s.Title = d.validation.text(at, d.text(at, v), 0, limits.NameLength, "") },
			"description": func(at string, v any) { s.Description = d.validation.text(at, d.text(at, v), 0, maxDescription, "\n") },
		}, nil)
		if o, ok := item.(object); ok && o.members["name"] == nil {
			d.add(here+"/name", "required", "is required", "")
		}
		if slices.ContainsFunc(out, func(other ScopeInfo) bool { return other.Name == s.Name }) {
			d.add(here+"/name", "duplicate", "is in the catalogue twice", "")
		}
		out = append(out, s)
	}
	return out
}

func (d *policyDocument) scopes(at string, v any) []string {
	out := d.texts(at, v, 1)
	for i, s := range out {
		d.scope(at+"/"+itoa(i), s)
	}
	return out
}

// audiences may be empty: then a key can have none.
func (d *policyDocument) audiences(at string, v any) []string {
	out := d.texts(at, v, 0)
	for i, s := range out {
		d.audience(at+"/"+itoa(i), s)
	}
	return out
}

// together checks what members mean beside each other: the rules as they are
// for each environment, and for each owner.
func (d *policyDocument) together(p Policies) {
	known := map[string]bool{}
	for _, s := range p.Scopes {
		known[s.Name] = true
	}
	d.contradictions("#/live", known, p.Live, p.Live)
	d.contradictions("#/test", known, p.Test, p.Test)
	for _, owner := range slices.Sorted(maps.Keys(p.Owners)) {
		own, at := p.Owners[owner], "#/owners/"+escapePointer(owner)
		d.contradictions(at+"/live", known, own.Live, own.Live.over(p.Live))
		d.contradictions(at+"/test", known, own.Test, own.Test.over(p.Test))
	}
}

// contradictions checks rules, of which own are written at the place. known is
// the catalogue.
func (d *policyDocument) contradictions(at string, known map[string]bool, own, rules Policy) {
	if rules.MaxLifetime != nil && rules.DefaultLifetime != nil && *rules.DefaultLifetime > *rules.MaxLifetime && (own.MaxLifetime != nil || own.DefaultLifetime != nil) {
		member := "/default_lifetime"
		if own.DefaultLifetime == nil {
			member = "/max_lifetime"
		}
		d.add(at+member, "contradiction", "default_lifetime would be longer than max_lifetime", "set both here, or shorten the default")
	}
	for i, s := range own.Scopes {
		if len(known) > 0 && !known[s] {
			d.add(at+"/scopes/"+itoa(i), "unknown_scope", "is not in the catalogue", "add it to scopes at the top")
		}
	}
}
