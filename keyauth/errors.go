package keyauth

import (
	"errors"
	"time"
)

// The kinds of failure. Every error of [Verifier.Verify] is one of the first
// two, every refusal of [Verifier.Require] one of them all.
var (
	// ErrInvalidToken means that the token is good for nothing: 401
	// invalid_token (RFC 6750 section 3.1).
	ErrInvalidToken = errors.New("invalid token")
	// ErrUnavailable means that nobody can say now whether the token is good:
	// 503 with Retry-After. The caller should try again with the same token.
	ErrUnavailable = errors.New("unavailable")
	// ErrNoToken means that the request brought no bearer token: 401 without an
	// error code (RFC 6750 section 3).
	ErrNoToken = errors.New("no token")
	// ErrInsufficientScope means that the token is good, but not for this: 403
	// insufficient_scope.
	ErrInsufficientScope = errors.New("insufficient scope")
	// ErrHTTPSRequired means that the request came in clear: 403.
	ErrHTTPSRequired = errors.New("https required")
)

// Reason says in one word why; for logs and metrics, never for the caller.
type Reason string

// The reasons. With ErrInvalidToken:
const (
	Malformed    Reason = "malformed"     // not of an access token's form, a size above the limit, JSON that is not strict
	NotAccepted  Reason = "not_accepted"  // a JWT without Config.Issuer, an opaque token without introspection
	BadHeader    Reason = "header"        // typ, kid, or a member that has no business there (jwk, jku, crit, ...)
	BadAlgorithm Reason = "algorithm"     // not allowed
	UnknownKey   Reason = "unknown_key"   // the issuer has no such key, or not for this algorithm
	BadSignature Reason = "signature"     // does not verify
	BadClaims    Reason = "claims"        // a claim is missing, or of the wrong type
	BadIssuer    Reason = "issuer"        // another one
	BadAudience  Reason = "audience"      // meant for another API
	NotAKey      Reason = "not_a_key"     // not a key's own access token: sub is not client_id
	Bound        Reason = "bound"         // bound to a client's key or certificate (cnf), which this package does not check
	Expired      Reason = "expired"       // past exp
	NotYetValid  Reason = "not_yet_valid" // before nbf, or issued in the future
	KeyExpired   Reason = "key_expired"   // past key_expires_at
	Inactive     Reason = "inactive"      // introspection says so
	KeyRevoked   Reason = "key_revoked"   // INVALID in the status list
	KeyDisabled  Reason = "key_disabled"  // SUSPENDED in the status list
	BadStatus    Reason = "status"        // its status list is not ours, or says something unknown
)

// With ErrUnavailable, the service that gave no usable answer:
const (
	NoJWKS          Reason = "jwks"
	NoIntrospection Reason = "introspection"
	NotReady        Reason = "not_ready" // Hydra is not, so its "inactive" means nothing
	NoStatusList    Reason = "status_list"
	Busy            Reason = "busy"     // too many introspections at once
	Canceled        Reason = "canceled" // the caller has gone
)

// With the other kinds:
const (
	MissingToken Reason = "missing"
	MissingScope Reason = "scope"
	InClear      Reason = "in_clear"
)

// retryIn is what Retry-After says where nothing better is known.
const retryIn = 2 * time.Second

// Error is every error of this package but those of [New]. Its text repeats
// nothing that a caller sent.
type Error struct {
	Kind       error         // one of the Err variables
	Reason     Reason        //
	RetryAfter time.Duration // with ErrUnavailable; 0 otherwise
	cause      error
}

func (e *Error) Error() string {
	text := "keyauth: " + e.Kind.Error() + ": " + string(e.Reason)
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap gives the kind and, if there is one, the cause.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.cause}
}

func invalid(why Reason) *Error { return &Error{Kind: ErrInvalidToken, Reason: why} }

func unavailable(who Reason, cause error) *Error {
	if errors.Is(cause, ErrInvalidToken) {
		// That a status list is no good token says nothing against the caller's.
		cause = errors.New(cause.Error())
	}
	return &Error{Kind: ErrUnavailable, Reason: who, RetryAfter: retryIn, cause: cause}
}

// reasonOf is the reason of an error of this package, "" of any other.
func reasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}
