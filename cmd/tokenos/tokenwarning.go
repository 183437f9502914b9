package main

import (
	"slices"
	"strings"
	"time"
)

const (
	longestLife = 24 * time.Hour   // of a key's tokens, by the rules of package apikey
	leeway      = 30 * time.Second // by which keyauth lets clocks differ
)

// mind is something to say about a decoded JWT; see is "" if there is no need.
type mind struct {
	code string
	see  func(s *inspection, now time.Time) string
}

var minds = []mind{
	{"not_access", (*inspection).otherKind},
	{"unsigned", (*inspection).unsigned},
	{"expired", (*inspection).over},
	{"not_yet_valid", (*inspection).tooEarly},
	{"long_lived", (*inspection).longLived},
	{"no_issuer", (*inspection).noIssuer},
	{"no_audience", (*inspection).noAudience},
	{"no_scope", (*inspection).noScope},
	{"not_a_key", (*inspection).notAKey},
	{"bound", (*inspection).bound},
	{"no_status", (*inspection).noStatus},
}

func (s *inspection) text(name string) string {
	text, _ := s.Claims[name].(string)
	return text
}

// otherKind tells tokens of other kinds by what only they have.
func (s *inspection) otherKind(time.Time) string {
	_, nonce := s.Claims["nonce"]
	_, hash := s.Claims["at_hash"]
	iss := s.text("iss")
	switch {
	case nonce || hash:
		return "this is an ID token (OpenID Connect), which says who signed in and opens no API"
	case iss != "" && iss == s.text("sub") && s.Claims["client_id"] == nil:
		return "this is a client assertion, which is for Hydra alone: `tokenos assertion explain` looks at it"
	}
	return ""
}

func (s *inspection) unsigned(time.Time) string {
	switch alg, _ := s.Header["alg"].(string); {
	case alg == "" || strings.EqualFold(alg, "none"):
		return "it is not signed: anybody can have made it"
	case strings.HasPrefix(alg, "HS"):
		return "it is signed with a shared secret (" + alg + "): whoever can check it can also make it"
	}
	return ""
}

func (s *inspection) over(now time.Time) string {
	exp, ok := s.time("exp")
	switch {
	case !ok:
		return "it has no exp that is a time, so no API should take it"
	case !now.Before(exp):
		return "it expired " + span(now.Sub(exp)) + " ago"
	}
	return s.keyOver(now)
}

func (s *inspection) keyOver(now time.Time) string {
	if at, err := time.Parse(time.RFC3339, s.text("key_expires_at")); err == nil && !now.Before(at) {
		return "the key that it was issued to expired at " + at.UTC().Format(time.RFC3339)
	}
	return ""
}

func (s *inspection) tooEarly(now time.Time) string {
	for _, name := range []string{"nbf", "iat"} {
		if at, ok := s.time(name); ok && at.After(now.Add(leeway)) {
			return "its " + name + " lies in the future: the clock of this machine or of the issuer is wrong"
		}
	}
	return ""
}

func (s *inspection) longLived(time.Time) string {
	exp, ok := s.time("exp")
	iat, also := s.time("iat")
	if ok && also && exp.Sub(iat) > longestLife {
		return "it lives " + span(exp.Sub(iat)) + ": who finds it can use it for as long"
	}
	return ""
}

func (s *inspection) noIssuer(time.Time) string {
	switch iss := s.text("iss"); {
	case iss == "":
		return "it does not say who issued it (iss), so no API can know whose keys check it"
	case !strings.HasPrefix(iss, "https://"):
		return "its issuer has no https URL: its public keys could be forged on the way"
	}
	return ""
}

func (s *inspection) noAudience(time.Time) string {
	switch aud := s.Claims["aud"].(type) {
	case string:
		if aud != "" {
			return ""
		}
	case []any:
		if slices.ContainsFunc(aud, func(v any) bool { t, ok := v.(string); return ok && t != "" }) {
			return ""
		}
	}
	return "it is meant for no API (aud is empty): ask for one with the parameter audience when you buy it"
}

func (s *inspection) noScope(time.Time) string {
	list, _ := s.Claims["scp"].([]any)
	if len(list) > 0 || s.text("scope") != "" || s.text("scp") != "" {
		return ""
	}
	return "it allows nothing (no scope): ask for scopes with the parameter scope when you buy it"
}

func (s *inspection) notAKey(time.Time) string {
	switch id := s.text("client_id"); {
	case id == "":
		return "it does not say which client it was issued to (client_id)"
	case id != s.text("sub"):
		return "it stands for another than its client (sub is not client_id): a person's, not a key's own"
	}
	return ""
}

func (s *inspection) bound(time.Time) string {
	if _, found := s.Claims["cnf"]; found {
		return "it is bound to its client's key or certificate (cnf): alone it is of no use"
	}
	return ""
}

func (s *inspection) noStatus(time.Time) string {
	if _, found := s.Claims["status"]; !found {
		return "it names no status list: where tokens are not looked up it works to its exp, also if its key is disabled"
	}
	return ""
}
