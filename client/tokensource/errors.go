package tokensource

import (
	"fmt"
	"time"
)

// Kind is a kind of failure. Its text is stable.
type Kind string

func (k Kind) Error() string { return "tokensource: " + string(k) }

// The ways in which no token can be had. errors.Is(err, ErrScope) tells them
// apart. Only ErrUnavailable passes by waiting; the others want somebody to act.
const (
	// ErrCredential: Hydra knows no such id, the secret or private key is another
	// one, or the key is revoked. Hydra does not say which.
	ErrCredential Kind = "credential_refused"
	// ErrMethod: the key authenticates in another way, see [Error.Want].
	ErrMethod Kind = "wrong_method"
	// ErrAlgorithm: the public key is registered for another algorithm, see
	// [Error.Want].
	ErrAlgorithm Kind = "wrong_algorithm"
	// ErrPublicKey: the key has no public key of this kid.
	ErrPublicKey Kind = "unknown_public_key"
	// ErrTokenURL: Hydra knows its token endpoint by another name, see
	// [Config.AssertionAudience].
	ErrTokenURL Kind = "wrong_token_url"
	// ErrClock: this machine's clock is more than a minute behind Hydra's.
	ErrClock Kind = "wrong_clock"
	// ErrScope and ErrAudience: the key may not have one of those asked for.
	ErrScope    Kind = "scope_not_allowed"
	ErrAudience Kind = "audience_not_allowed"
	// ErrDisabled: the credential is right and the key may buy nothing: it is
	// disabled, expired or ended by a rotation.
	ErrDisabled Kind = "key_disabled"
	// ErrRefused: Hydra refuses for another reason, see [Error.Code].
	ErrRefused Kind = "refused"
	// ErrUnavailable: Hydra, its database or the way to it does not work. This is
	// no statement about the key.
	ErrUnavailable Kind = "unavailable"
	// ErrAnswer: what answers is not a token endpoint: a wrong address, a page of a
	// proxy, a redirect.
	ErrAnswer Kind = "not_an_answer"
	// ErrSign: the private key did not sign, for example in an HSM that is away.
	ErrSign Kind = "cannot_sign"
)

// Error says why no token could be had. It holds no secret, assertion or token.
type Error struct {
	Kind   Kind
	Detail string // a sentence for people: what it means and what to do
	Want   string // what the key is registered with, for ErrMethod and ErrAlgorithm, if Hydra says it

	Status      int    // of the HTTP answer; 0: none
	Code        string // error of the answer (RFC 6749 section 5.2)
	Description string // error_description of the answer, shortened; "" if it is not fit to be shown

	RetryAfter time.Duration // what a 429 or 503 asks for, at most a minute; 0: nothing
	Cause      error         // what failed on this side, nil after an answer

	passing bool // worth another attempt at once
}

func (e *Error) Error() string {
	s := e.Kind.Error() + ": " + e.Detail
	if e.Status != 0 {
		s += fmt.Sprintf(" (%d", e.Status)
		if e.Code != "" {
			s += " " + e.Code
		}
		if e.Description != "" {
			s += ": " + e.Description
		}
		s += ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Is makes errors.Is(err, kind) true.
func (e *Error) Is(target error) bool { return target == error(e.Kind) }

func (e *Error) Unwrap() error { return e.Cause }
