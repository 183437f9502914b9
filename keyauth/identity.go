package keyauth

import (
	"context"
	"slices"
	"time"
)

// Identity is who calls: the key whose access token came with the request.
type Identity struct {
	KeyID  string // the key's id, equal to the token's client_id; never empty
	RootID string // first key of the rotation chain, stable for ever: store this one; "" if the token does not say
	Owner  string // whose key it is; "" if the token does not say
	Env    string // "live" or "test"; "" if the token does not say

	Scopes   []string // what the token may do; may be empty
	Audience []string // whom it is meant for, among them this API

	ExpiresAt    time.Time // of the token
	KeyExpiresAt time.Time // of the key; zero for never, or if the token does not say
}

// Allows reports whether the token has every one of the scopes. They are compared
// whole and in their case: "read" is neither "readwrite" nor "READ".
func (i Identity) Allows(scopes ...string) bool {
	for _, s := range scopes {
		if !slices.Contains(i.Scopes, s) {
			return false
		}
	}
	return true
}

// copied keeps callers from writing into what others are given.
func (i Identity) copied() Identity {
	i.Scopes, i.Audience = slices.Clone(i.Scopes), slices.Clone(i.Audience)
	return i
}

type contextKey struct{}

// FromContext returns who calls; false if the request did not pass
// [Verifier.Require].
func FromContext(ctx context.Context) (Identity, bool) {
	i, ok := ctx.Value(contextKey{}).(Identity)
	return i, ok
}
