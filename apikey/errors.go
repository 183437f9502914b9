package apikey

import (
	"errors"
	"strings"
	"time"
)

// ErrorKind is a kind of failure. Its text is the stable code that REST answers, the command
// line and the dashboard share; docs/problems.md explains each.
type ErrorKind string

func (k ErrorKind) Error() string { return string(k) }

// The ways a call can fail. errors.Is(err, ErrNotFound) holds on both sides of
// the wire.
const (
	ErrMalformed            ErrorKind = "malformed"              // 400: not even readable
	ErrUnauthenticated      ErrorKind = "unauthenticated"        // 401
	ErrForbidden            ErrorKind = "forbidden"              // 403: a right is missing
	ErrHTTPSRequired        ErrorKind = "https_required"         // 403
	ErrNotFound             ErrorKind = "not_found"              // 404: absent, or another owner's
	ErrBusy                 ErrorKind = "busy"                   // 409: another change of this key is under way
	ErrExpired              ErrorKind = "expired"                // 409: enable on an expired key
	ErrRevoked              ErrorKind = "revoked"                // 409: anything but delete on a revoked key
	ErrNotRevoked           ErrorKind = "not_revoked"            // 409: delete before revoke
	ErrLastCredential       ErrorKind = "last_credential"        // 409: removing the last public key
	ErrPublicKeyInUse       ErrorKind = "public_key_in_use"      // 409: the same public key on a second key
	ErrDrifted              ErrorKind = "drifted"                // 409: Hydra no longer has the client
	ErrReplaced             ErrorKind = "replaced"               // 409: the key has a successor, which is the one to change
	ErrRotationPending      ErrorKind = "rotation_pending"       // 409: the rotation before is not over yet
	ErrIdempotencyRunning   ErrorKind = "idempotency_running"    // 409: the first request is still running
	ErrReplayExpired        ErrorKind = "replay_expired"         // 409: the secret can no longer be repeated
	ErrIdempotencyMismatch  ErrorKind = "idempotency_mismatch"   // 422: same Idempotency-Key, another request
	ErrPrecondition         ErrorKind = "precondition_failed"    // 412: If-Match
	ErrPreconditionRequired ErrorKind = "precondition_required"  // 428
	ErrInvalid              ErrorKind = "invalid"                // 422: see [InvalidError]
	ErrUnavailable          ErrorKind = "unavailable"            // 503: Hydra or the ledger; nothing was changed, or see Error.Pending
	ErrInternal             ErrorKind = "internal"               // 500: also what a client makes of an unknown code
	ErrMethodNotAllowed     ErrorKind = "method_not_allowed"     // 405
	ErrUnsupportedMediaType ErrorKind = "unsupported_media_type" // 415
	ErrTooLarge             ErrorKind = "too_large"              // 413
	ErrTimeout              ErrorKind = "timeout"                // 503: our own deadline
	ErrRateLimited          ErrorKind = "rate_limited"           // 429: not processed
)

// Error is a failure with words that may be shown to the caller. Detail never
// repeats what the caller sent; Cause is for the log alone.
type Error struct {
	Kind       ErrorKind
	Detail     string        // a sentence for people; "" for the kind's own
	Pending    bool          // the change may still take effect
	RetryAfter time.Duration // when to try again; zero: do not say
	RequestID  string        // set by the client from the problem document
	Cause      error
}

func (e *Error) Error() string {
	s := string(e.Kind)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the kind and the cause, so errors.Is finds both.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// fail makes an [Error] with words for the caller.
func fail(kind ErrorKind, detail string) error { return &Error{Kind: kind, Detail: detail} }

// FieldError is one thing wrong with the input (RFC 9457 section 3.1's
// "errors" example): where, what, and how to mend it. Never the value.
type FieldError struct {
	Pointer string `json:"pointer" doc:"JSON pointer into the request body, or ?name for a query parameter" example:"#/scopes/0"`
	Detail  string `json:"detail"`
	Fix     string `json:"fix,omitempty"`
	Code    string `json:"code,omitempty" example:"alg_mismatch"`
	Rule    string `json:"rule,omitempty" doc:"with code policy: which rule, as GET /v1/policies names it" example:"max_lifetime"`
	Limit   string `json:"limit,omitempty" doc:"with code policy: the rule's value" example:"90d"`
}

// InvalidError lists everything wrong with the input at once.
type InvalidError struct{ Fields []FieldError }

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Pointer + " " + f.Detail
	}
	return "invalid: " + strings.Join(parts, "; ")
}

// Unwrap makes errors.Is(err, ErrInvalid) hold.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

// The ways a call to Hydra can fail, beside [ErrNotFound].
var (
	// ErrClientExists: the client id is taken (Hydra's 409).
	ErrClientExists = errors.New("client exists")
	// ErrNotSent: Hydra did not do it: not reached, or it said no. Wraps
	// alongside ErrUnavailable when it is worth trying again.
	ErrNotSent = errors.New("not applied at hydra")
	// ErrOutcomeUnknown: the answer was lost (time-out, dropped connection,
	// 5xx); Hydra may have done it, or may still do it.
	ErrOutcomeUnknown = errors.New("outcome unknown")
)
