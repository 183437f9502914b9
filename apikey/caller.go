package apikey

import (
	"context"
	"slices"
)

// Right is what a caller may do; for programs, a scope of its access token.
type Right string

const (
	KeysRead         Right = "keys:read"
	KeysWrite        Right = "keys:write"
	AuditRead        Right = "audit:read"
	TokensIntrospect Right = "tokens:introspect"
	Admin            Right = "admin" // implies the others, and management keys
)

// ManagementRights are all rights, the scopes a management key may hold.
var ManagementRights = []Right{KeysRead, KeysWrite, AuditRead, TokensIntrospect, Admin}

// ManagementAudience is the audience of tokens meant for this product's own
// API. No ordinary key may have it.
const ManagementAudience = "tokenos"

// Caller is who calls. It travels in the context.
type Caller struct {
	Principal string   // "key:<root id>", "user:<subject>" or "system:<part>"
	Rights    []Right  // what it may do
	Owners    []string // the owners it is bound to; empty: all
	Address   string   // the peer's address as far as it can be trusted
	UserAgent string   // at most 200 characters
	RequestID string
}

// May reports whether the caller has the right.
func (c Caller) May(r Right) bool {
	return slices.Contains(c.Rights, r) || slices.Contains(c.Rights, Admin)
}

// Sees reports whether keys of the owner exist for the caller.
func (c Caller) Sees(owner string) bool {
	return len(c.Owners) == 0 || slices.Contains(c.Owners, owner)
}

// System is the caller for what the product does by itself or for the operator
// at its own command line. It may do everything.
func System(part string) Caller {
	return Caller{Principal: "system:" + part, Rights: []Right{Admin}}
}

type callerKey struct{}

// WithCaller returns a context that carries the caller.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom returns the caller in ctx; without one it fails with
// [ErrUnauthenticated].
func CallerFrom(ctx context.Context) (Caller, error) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	if !ok {
		return Caller{}, fail(ErrUnauthenticated, "the request carries no credentials")
	}
	return c, nil
}
