package assertion

import (
	"cmp"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/apikey"
)

// finding is what a step saw.
type finding struct {
	result    Result
	seen, fix string
	expected  string // instead of the step's
	answer    string // instead of the step's
	after     string // the step after which Hydra sees it; empty: this one
}

func good(seen string) finding     { return finding{result: OK, seen: seen} }
func bad(seen, fix string) finding { return finding{result: Failed, seen: seen, fix: fix} }
func unknown(seen string) finding  { return finding{result: Unknown, seen: seen} }

// Hydra's answers.
const (
	invalidClient  = "401 invalid_client"
	invalidRequest = "400 invalid_request"
	serverError    = "500 error"
	jtiKnown       = "400 jti_known"
	notIssued      = "400 unauthorized_client, or 403 access_denied by the token hook"
)

// step is one of Hydra's questions. The verdict may be good although an open one is
// unknown: only Hydra knows, or only TokenOS.
type step struct {
	name     string
	expected string
	answer   string // Hydra's, if it fails
	open     bool
	run      func(*examination) finding
}

// steps are in Hydra's order.
var steps = []step{
	{"form", "a JWT: three parts in base64url with dots between them, up to 64 KiB", invalidClient, false, (*examination).form},
	{"claims", "a JSON object in the second part", invalidClient, false, (*examination).readClaims},
	{"client_id", "the key's id, as sub or in the form", invalidClient, false, (*examination).clientID},
	{"key", "a key that authenticates by private_key_jwt", invalidClient, true, (*examination).key},
	{"alg", "the algorithm of the key's public keys", invalidClient, false, (*examination).algorithm},
	{"kid", "the name (kid) of one of the key's public keys", invalidRequest, false, (*examination).keyID},
	{"signature", "made with the private key that goes with the public key", invalidClient, false, (*examination).signature},
	{"exp", "a time to come; Hydra has no leeway", serverError, false, (*examination).expiry},
	{"iat", "absent, or a time that has come; Hydra has no leeway", serverError, false, (*examination).issuedAt},
	{"nbf", "absent, or a time that has come; Hydra has no leeway", serverError, false, (*examination).notBefore},
	{"iss", "the key's id", invalidClient, false, (*examination).issuer},
	{"sub", "the key's id", invalidClient, false, (*examination).subject},
	{"jti", "a text that is new for each request", invalidClient, false, (*examination).id},
	{"jti_unused", "no assertion with this jti before, of any key, also in a request that failed", jtiKnown, true, (*examination).unused},
	{"aud", "Hydra's token URL, exactly as Hydra names it", invalidClient, false, (*examination).audience},
	{"status", "an active key", notIssued, true, (*examination).status},
}

// examination is an assertion under way through the steps: what one read the next
// ones use.
type examination struct {
	Options
	text   string
	jws    *jose.JSONWebSignature // nil: the form is wrong
	kid    string                 // "" for none
	claims map[string]any         // nil: they cannot be read
	who    string                 // the client_id that Hydra looks for; "" for none

	registered []public // those that Hydra knows now; nil if none is known
	algorithms string   // that of the registered ones
	comparable bool     // the algorithm is the registered one
	named      int      // the registered one that Hydra tries; below zero for none
}

// Explain makes all of Hydra's checks. Longer assertions than 64 KiB are not read:
// those of an ordinary key have a few hundred bytes.
func Explain(token string, o Options) Report {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	x := &examination{Options: o, text: token, named: -1}
	x.register()
	var r Report
	first, undecided := len(steps)*2, false
	for i, s := range steps {
		f := s.run(x)
		r.Checks = append(r.Checks, Check{Name: s.name, Result: f.result, Seen: f.seen, Expected: cmp.Or(f.expected, s.expected), Fix: f.fix})
		undecided = undecided || f.result == Unknown && !s.open
		at := i * 2
		if f.after != "" {
			at = slices.IndexFunc(steps, func(s step) bool { return s.name == f.after })*2 + 1
		}
		if f.result == Failed && at < first {
			first, r.Because, r.Answer = at, s.name, cmp.Or(f.answer, s.answer)
		}
	}
	switch {
	case r.Because != "":
		r.Verdict = Refused
	case undecided:
		r.Verdict = Undecided
	default:
		r.Verdict = Accepted
	}
	return r
}

// ClientID is the id of the key that Hydra would look for, "" if it would look for
// none: what the form says, else the assertion's sub. It may be anything.
func ClientID(token string, o Options) string {
	x := &examination{Options: o, text: token}
	x.form()
	x.readClaims()
	x.clientID()
	return x.who
}

// public is a registered public key.
type public struct {
	kid string
	key any
}

// register lists the public keys that Hydra knows now: one that has ended is taken
// out.
func (x *examination) register() {
	all := x.PublicKeys
	if x.Key != nil {
		all = x.Key.PublicKeys
	}
	for _, k := range (apikey.Definition{PublicKeys: all}).LivePublicKeys(x.Now) {
		var jwk jose.JSONWebKey
		if text := compact(k.JWK); jwk.UnmarshalJSON([]byte(text)) == nil && jwk.IsPublic() {
			x.registered = append(x.registered, public{k.KID, jwk.Key})
		}
	}
	if len(all) > 0 {
		x.algorithms = all[0].Alg
	}
}
