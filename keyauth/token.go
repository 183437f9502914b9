package keyauth

import (
	"slices"
	"time"
)

// token is what a good one says.
type token struct {
	who       Identity
	notBefore time.Time // zero if it does not say
	status    *place    // in a status list; nil if it names none

	kid, alg, thumbprint string    // of the key that signed it; "" for an opaque one
	at                   time.Time // when it was verified
}

// place is a key's place in a status list.
type place struct {
	uri   string
	index int
}

// judge checks what time and configuration say about a token; on each use of a
// remembered one, too.
func (v *Verifier) judge(t *token, now time.Time) *Error {
	leeway := v.config.Leeway
	switch {
	case !slices.ContainsFunc(t.who.Audience, func(a string) bool { return slices.Contains(v.config.Audiences, a) }):
		return invalid(BadAudience)
	case !now.Before(t.who.ExpiresAt.Add(leeway)):
		return invalid(Expired)
	case now.Add(leeway).Before(t.notBefore):
		return invalid(NotYetValid)
	case !t.who.KeyExpiresAt.IsZero() && !now.Before(t.who.KeyExpiresAt):
		return invalid(KeyExpired)
	}
	return nil
}

// weight is about how many bytes a cache keeps for a token.
func (t *token) weight() uint32 {
	n := entryWeight + len(t.who.KeyID) + len(t.who.RootID) + len(t.who.Owner) + len(t.who.Env) + len(t.kid) + len(t.thumbprint)
	for _, s := range t.who.Scopes {
		n += 16 + len(s)
	}
	for _, s := range t.who.Audience {
		n += 16 + len(s)
	}
	if t.status != nil {
		n += 32 + len(t.status.uri)
	}
	return uint32(n) //nolint:gosec // some hundred strings of at most 1 KiB
}

// readKey reads the claims about the key that only the token hook adds, from the
// place where it adds them. They may all be absent.
func (t *token) readKey(o object) bool {
	var ok [4]bool
	var expires string
	t.who.RootID, ok[0] = o.optional("root_id")
	t.who.Owner, ok[1] = o.optional("owner")
	t.who.Env, ok[2] = o.optional("env")
	expires, ok[3] = o.optional("key_expires_at")
	if ok != [4]bool{true, true, true, true} {
		return false
	}
	if expires != "" {
		at, err := time.Parse(time.RFC3339, expires)
		if err != nil || at.IsZero() {
			return false
		}
		t.who.KeyExpiresAt = at.UTC()
	}
	return t.readStatus(o)
}

// readStatus reads status (draft-ietf-oauth-status-list, "Referenced Token").
func (t *token) readStatus(o object) bool {
	raw, found := o["status"]
	if !found {
		return true
	}
	status, _ := raw.(map[string]any)
	list, _ := status["status_list"].(map[string]any)
	index, ok := object(list).whole("idx", maxIndex)
	uri, named := object(list).text("uri")
	if !ok || !named {
		return false
	}
	t.status = &place{uri: uri, index: index}
	return true
}

// readCommon reads what a JWT and an introspection must both say.
func (t *token) readCommon(o object) bool {
	var ok [3]bool
	t.who.KeyID, ok[0] = o.text("client_id")
	t.who.ExpiresAt, ok[1] = o.date("exp")
	t.notBefore, ok[2] = o.optionalDate("nbf")
	return ok == [3]bool{true, true, true} && len(t.who.KeyID) <= 255
}
