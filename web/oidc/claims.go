package oidc

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Person is who signed in, as the ID token says.
type Person struct {
	Subject string
	Name    string // for people; "" if no claim has one
	Role    string // one of Claims.Roles
	Owners  []string
}

// Claims says what the provider's claims mean. A claim is named by its name, or by
// a path with dots into objects ("realm_access.roles").
type Claims struct {
	Role string
	// Roles are the values of the claim that give each role, the strongest role
	// first. A person has the first that one of the values gives.
	Roles []Role
	// Owners is the claim that names the owners a person is bound to. "": nobody
	// is bound to any.
	Owners string
	// AllOwners is the value that stands for all owners. "": there is none.
	AllOwners string
}

// Role is what the values of a claim come to.
type Role struct {
	Name   string
	Values []string
}

const (
	maxText   = 255 // of a subject (OpenID Connect Core section 2)
	maxName   = 100
	maxOwners = 100
)

func (c Claims) person(subject string, claims map[string]any) (Person, error) {
	p := Person{Subject: subject, Name: nameIn(claims)}
	if !printable(subject, maxText) {
		return Person{}, ErrRefused
	}
	has := texts(at(claims, c.Role))
	for _, r := range c.Roles {
		if slices.ContainsFunc(r.Values, func(v string) bool { return slices.Contains(has, v) }) {
			p.Role = r.Name
			break
		}
	}
	if p.Role == "" {
		return Person{}, ErrNoRole
	}
	if c.Owners == "" {
		return p, nil
	}
	// Without owners a caller sees all keys, so whoever is to be bound must not
	// come out with none.
	owners := texts(at(claims, c.Owners))
	if c.AllOwners != "" && slices.Contains(owners, c.AllOwners) {
		return p, nil
	}
	for _, o := range owners {
		if printable(o, maxName) {
			p.Owners = append(p.Owners, o)
		}
	}
	slices.Sort(p.Owners)
	p.Owners = slices.Compact(p.Owners)
	if len(p.Owners) == 0 || len(p.Owners) > maxOwners {
		return Person{}, ErrNoOwners
	}
	return p, nil
}

// at finds a claim: by its whole name, which may hold dots ("https://x.test/role"),
// else by its path.
func at(claims map[string]any, path string) any {
	if v, ok := claims[path]; ok {
		return v
	}
	name, rest, found := strings.Cut(path, ".")
	inner, ok := claims[name].(map[string]any)
	if !found || !ok {
		return nil
	}
	return at(inner, rest)
}

// texts is a claim as a list: of one text, or of several.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

func nameIn(claims map[string]any) string {
	for _, claim := range []string{"name", "preferred_username", "email"} {
		if s, ok := claims[claim].(string); ok && printable(s, maxName) {
			return s
		}
	}
	return ""
}

// printable reports whether a text may be shown and kept: not empty, not long,
// and without what could reorder or hide the text around it.
func printable(s string, most int) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= most &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
