package apikey

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Policies are the operator's rules for keys of kind api, beside the limits that
// every key keeps ([DefaultLimits]). Management keys are the operator's own and
// are not ruled. The zero value has no rules. [ParsePolicies] makes checked ones.
//
// A policy never breaks an existing key: it is asked when a key is made, and of
// a patch only what the patch changes. [Service.PolicyViolations] lists the keys
// that were made under other rules.
type Policies struct {
	// Scopes is the catalogue. If there is one, no other scope may be granted.
	Scopes []ScopeInfo            `json:"scopes,omitempty"`
	Live   Policy                 `json:"live,omitzero"`
	Test   Policy                 `json:"test,omitzero"`
	Owners map[string]OwnerPolicy `json:"owners,omitempty"`
}

// ScopeInfo is one scope of the catalogue, with words for people.
type ScopeInfo struct {
	Name        string `json:"name" doc:"as it is granted, exactly" example:"orders:read"`
	Title       string `json:"title,omitempty" example:"Read orders"`
	Description string `json:"description,omitempty"`
}

// OwnerPolicy holds one owner's own rules: each member that is given stands in
// the place of the environment's.
type OwnerPolicy struct {
	Live Policy `json:"live,omitzero"`
	Test Policy `json:"test,omitzero"`
}

// Policy rules the keys of one environment, or of one owner in it. A member that
// is nil is not given. What [Policies.For] returns has every default filled in;
// there nil means that anything goes.
type Policy struct {
	MaxLifetime     *Duration    `json:"max_lifetime,omitempty" doc:"longest time from the making of a credential to expires_at; absent: any" example:"90d"`
	NeverExpires    *bool        `json:"never_expires,omitempty" doc:"may expires_at be null; by default only where there is no max_lifetime"`
	DefaultLifetime *Duration    `json:"default_lifetime,omitempty" doc:"where a create leaves expires_at out; absent: never, if that is allowed" example:"30d"`
	AuthMethods     []AuthMethod `json:"auth_methods,omitzero" doc:"allowed ones, the default first"`
	Scopes          []string     `json:"scopes,omitzero" doc:"allowed ones; absent: any"`
	Audiences       []string     `json:"audiences,omitzero" doc:"allowed ones; absent: any, empty: none"`
	MaxGracePeriod  *Duration    `json:"max_grace_period,omitempty" doc:"longest grace period of a rotation" example:"7d"`
	Token           TokenPolicy  `json:"token,omitzero"`
	MaxKeys         *int         `json:"max_keys,omitempty" doc:"most keys of one owner that are neither revoked nor replaced; absent: any number"`
}

// TokenPolicy rules the token settings of keys.
type TokenPolicy struct {
	MaxLifetime *Duration     `json:"max_lifetime,omitempty" doc:"the default is 15m, or this if it is shorter" example:"1h"`
	Formats     []TokenFormat `json:"formats,omitzero" doc:"allowed ones, the default first"`
}

// maxGracePeriod is the longest grace period there is.
const maxGracePeriod = Duration(30 * 24 * time.Hour)

var authMethods = []AuthMethod{ClientSecretBasic, ClientSecretPost, PrivateKeyJWT}

// For returns the rules for the owner's keys in an environment: the owner's own
// before the environment's, with defaults filled in. An owner without rules of
// its own, "" too, has the environment's.
func (p Policies) For(owner string, env Environment) Policy {
	rules, own := p.Live, p.Owners[owner].Live
	if env == Test {
		rules, own = p.Test, p.Owners[owner].Test
	}
	return own.over(rules).filled(p.Scopes)
}

// over lays p over base, member by member.
func (p Policy) over(base Policy) Policy {
	return Policy{
		MaxLifetime:     cmp.Or(p.MaxLifetime, base.MaxLifetime),
		NeverExpires:    cmp.Or(p.NeverExpires, base.NeverExpires),
		DefaultLifetime: cmp.Or(p.DefaultLifetime, base.DefaultLifetime),
		AuthMethods:     given(p.AuthMethods, base.AuthMethods),
		Scopes:          given(p.Scopes, base.Scopes),
		Audiences:       given(p.Audiences, base.Audiences),
		MaxGracePeriod:  cmp.Or(p.MaxGracePeriod, base.MaxGracePeriod),
		Token: TokenPolicy{
			MaxLifetime: cmp.Or(p.Token.MaxLifetime, base.Token.MaxLifetime),
			Formats:     given(p.Token.Formats, base.Token.Formats),
		},
		MaxKeys: cmp.Or(p.MaxKeys, base.MaxKeys),
	}
}

// given is the first list that is given. An empty one is.
func given[T any](lists ...[]T) []T {
	for _, l := range lists {
		if l != nil {
			return slices.Clone(l)
		}
	}
	return nil
}

// filled fills in what is not given. What must end somewhere ends there unless a
// create says otherwise.
func (p Policy) filled(catalogue []ScopeInfo) Policy {
	grace, life := maxGracePeriod, limits.TokenLifetimeMax
	never := p.MaxLifetime == nil
	p.NeverExpires = cmp.Or(p.NeverExpires, &never)
	if !*p.NeverExpires {
		p.DefaultLifetime = cmp.Or(p.DefaultLifetime, p.MaxLifetime)
	}
	p.AuthMethods = leading(ClientSecretBasic, given(p.AuthMethods, authMethods))
	if p.Scopes == nil && len(catalogue) > 0 {
		for _, s := range catalogue {
			p.Scopes = append(p.Scopes, s.Name)
		}
	}
	p.MaxGracePeriod = cmp.Or(p.MaxGracePeriod, &grace)
	p.Token.MaxLifetime = cmp.Or(p.Token.MaxLifetime, &life)
	p.Token.Formats = leading(Opaque, given(p.Token.Formats, []TokenFormat{Opaque, JWT}))
	return p
}

// leading moves first to the front of the list, if it is in it.
func leading[T comparable](first T, list []T) []T {
	if i := slices.Index(list, first); i > 0 {
		list = slices.Insert(slices.Delete(list, i, i+1), 0, first)
	}
	return list
}

// policyFor returns the rules for an owner's keys of kind api.
func (s *Service) policyFor(owner string, env Environment) Policy {
	return s.cfg.Policies.For(owner, env)
}

// unruled is the policy of management keys.
func unruled() Policy { return Policies{}.For("", Live) }

// ruling returns the policy for a key.
func (p Policies) ruling(d Definition) Policy {
	if d.Kind != KindAPI {
		return unruled()
	}
	return p.For(d.Owner, d.Environment)
}

// The methods below are for a policy that [Policies.For] returned.

// authMethod, token and end are what a create gets that does not say.
func (p Policy) authMethod() AuthMethod { return p.AuthMethods[0] }

func (p Policy) token() TokenSettings {
	return TokenSettings{Format: p.Token.Formats[0], Lifetime: min(defaultTokenLifetime, *p.Token.MaxLifetime)}
}

func (p Policy) end(now time.Time) *time.Time {
	if p.DefaultLifetime == nil {
		return nil
	}
	at := now.Add(time.Duration(*p.DefaultLifetime))
	return &at
}

// longestGrace bounds the grace period of a rotation.
func (p Policy) longestGrace() Duration { return *p.MaxGracePeriod }

// violates notes that a rule refuses the member at pointer, unless something
// else is wrong with it already. limit is the rule's value, as text.
func (v *validation) violates(pointer, rule, limit, detail, fix string) {
	if slices.ContainsFunc(v.fields, func(f FieldError) bool { return f.Pointer == pointer }) {
		return
	}
	v.fields = append(v.fields, FieldError{Pointer: pointer, Code: "policy", Rule: rule, Limit: limit, Detail: detail, Fix: fix})
}

// checkMethod checks how a key may authenticate.
func (p Policy) checkMethod(v *validation, pointer string, m AuthMethod) {
	if !slices.Contains(p.AuthMethods, m) {
		v.violates(pointer, "auth_methods", listed(p.AuthMethods), "the policy does not allow this auth_method", "use one of "+listed(p.AuthMethods))
	}
}

// checkGracePeriod checks how long both credentials of a rotation may work.
func (p Policy) checkGracePeriod(v *validation, pointer string, d Duration) {
	if most := p.longestGrace(); d > most {
		v.violates(pointer, "max_grace_period", most.String(), "is longer than the policy allows", "at most "+most.String())
	}
}

// checkList checks the items of one list against those allowed; nil allows all.
// What the key has already is not asked about.
func (p Policy) checkList(v *validation, pointer, rule string, asked, had, allowed []string) {
	if allowed == nil {
		return
	}
	for i, s := range asked {
		if !slices.Contains(allowed, s) && !slices.Contains(had, s) {
			v.violates(pointer+"/"+itoa(i), rule, listed(allowed), "the policy does not allow this one", "see "+rule+" in GET /v1/policies")
		}
	}
}

// checkToken checks what changes between two token settings.
func (p Policy) checkToken(v *validation, had, is TokenSettings) {
	if is.Format != had.Format && !slices.Contains(p.Token.Formats, is.Format) {
		v.violates("#/token/format", "token.formats", listed(p.Token.Formats), "the policy does not allow this format", "use "+listed(p.Token.Formats))
	}
	if most := *p.Token.MaxLifetime; is.Lifetime > had.Lifetime && is.Lifetime > most {
		v.violates("#/token/lifetime", "token.max_lifetime", most.String(), "is longer than the policy allows", "at most "+most.String())
	}
}

// listed shows the items of a rule, at most twenty.
func listed[T ~string](items []T) string {
	const most = 20
	var words []string
	for _, s := range items[:min(len(items), most)] {
		words = append(words, string(s))
	}
	text := strings.Join(words, ", ")
	if more := len(items) - most; more > 0 {
		text += " and " + itoa(more) + " more"
	}
	return text
}
