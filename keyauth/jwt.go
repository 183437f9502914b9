package keyauth

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// accessTokenTypes are the values of typ. Hydra writes "JWT"; RFC 9068 section 2.1
// wants "at+jwt" or the whole media type.
var accessTokenTypes = []string{"JWT", "at+jwt", "application/at+jwt"}

// verifyJWT verifies a JWT without asking anybody about it: Hydra's own
// introspection calls one inactive as soon as a newer signing key exists.
func (v *Verifier) verifyJWT(ctx context.Context, raw string) (*token, bool, *Error) {
	key := sha256.Sum256([]byte(raw))
	now := v.config.Now()
	if t, found := v.jwts.GetIfPresent(key); found && fresh(t, now, v.config.JWTFresh) {
		return t, true, v.recheck(ctx, t, now)
	}
	s, err := readSigned(raw, v.config.Algorithms, accessTokenTypes)
	if err != nil {
		return nil, false, err
	}
	// What costs nothing comes first, the network last.
	t, err := v.readClaims(s.claims, now)
	if err != nil {
		return nil, false, err
	}
	keys, err := v.issuerKeys.find(ctx, s.kid)
	if err != nil {
		return nil, false, err
	}
	signer, err := s.verify(keys)
	if err != nil {
		return nil, false, err
	}
	t.kid, t.alg, t.thumbprint, t.at = s.kid, s.alg, signer.thumbprint, now
	if v.config.JWTFresh > 0 {
		v.jwts.Set(key, t)
	}
	return t, false, v.checkStatus(ctx, t)
}

// fresh reports whether what was learnt at t.at is still believed. A clock that
// went back makes it doubtful.
func fresh(t *token, now time.Time, limit time.Duration) bool {
	age := now.Sub(t.at)
	return age >= 0 && age < limit
}

// recheck judges a remembered JWT by all that may have changed.
func (v *Verifier) recheck(ctx context.Context, t *token, now time.Time) *Error {
	if err := v.judge(t, now); err != nil {
		return err
	}
	keys, err := v.issuerKeys.find(ctx, t.kid)
	if err != nil {
		return err
	}
	if !contains(keys, t.alg, t.thumbprint) {
		return invalid(UnknownKey)
	}
	return v.checkStatus(ctx, t)
}

// readClaims reads the claims of an access token (RFC 9068 section 2.2, with what
// Hydra makes of it) and judges all of them but the signature and the status. What
// is under ext is never read: a hook may put a second owner or scope there.
func (v *Verifier) readClaims(o object, now time.Time) (*token, *Error) {
	t := &token{}
	issuer, issued := o.text("iss")
	subject, subjected := o.text("sub")
	at, dated := o.date("iat")
	var audience, scope bool
	t.who.Audience, audience = o.audience()
	t.who.Scopes, scope = o.scopes()
	_, identified := o.optional("jti")
	if !t.readCommon(o) || !t.readKey(o) || !issued || !subjected || !dated || !audience || !scope || !identified {
		return nil, invalid(BadClaims)
	}
	switch _, bound := o["cnf"]; {
	case issuer != v.config.Issuer:
		return nil, invalid(BadIssuer)
	case bound:
		return nil, invalid(Bound)
	case subject != t.who.KeyID:
		return nil, invalid(NotAKey)
	case v.config.Now().Add(v.config.Leeway).Before(at):
		return nil, invalid(NotYetValid)
	case t.who.ExpiresAt.Before(at):
		return nil, invalid(BadClaims)
	}
	if err := v.judge(t, now); err != nil {
		return nil, err
	}
	return t, nil
}

// scopes reads scp, a list, or scope, a string; with Hydra's strategy "both" they
// say the same. One must be there, if only empty: an ID token has neither.
func (o object) scopes() ([]string, bool) {
	raw, listed := o["scp"]
	text, written := o["scope"]
	var list, line []string
	var ok bool
	if listed {
		if list, ok = texts(raw); !ok {
			return nil, false
		}
		if list, ok = scopes(list); !ok {
			return nil, false
		}
	}
	if written {
		if line, ok = words(text); !ok {
			return nil, false
		}
	}
	switch {
	case listed && written:
		return list, slices.Equal(list, line)
	case written:
		return line, true
	}
	return list, listed
}

// formatOf tells the formats apart by their dots. Five parts are a JWE, which
// nobody here can read; Hydra's opaque tokens have one dot.
func formatOf(token string) Format {
	switch strings.Count(token, ".") {
	case 2:
		return JWT
	case 0, 1:
		return Opaque
	}
	return ""
}
