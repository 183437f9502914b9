package keyauth

import (
	"errors"
	"strings"
)

// readIntrospection reads the answer of TokenOS's /v1/introspect: RFC 7662 section
// 2.2 with root_id, owner and env beside the rest. Only "active": true is a yes.
func readIntrospection(body []byte, issuer string) (*token, *Error) {
	return readActive(body, issuer, func(o object) object { return o })
}

// readHydraIntrospection reads the answer of Hydra's own introspection, which has
// what the token hook added under ext. From there only those claims are taken:
// Hydra puts everything that a hook says there, a second client_id as well. What
// Hydra calls active may also be a refresh token.
func readHydraIntrospection(body []byte, issuer string) (*token, *Error) {
	if o, ok := readObject(body); ok && o["active"] == true {
		if use, said := o["token_use"].(string); !said {
			return nil, garbled("token_use is a string")
		} else if use != "access_token" {
			return nil, invalid(Inactive)
		}
	}
	return readActive(body, issuer, func(o object) object {
		ext, _ := o["ext"].(map[string]any)
		return ext
	})
}

// readActive reads an answer whose claims about the key are where added says. An
// answer that is not such is nobody's fault but the service's: ErrUnavailable.
func readActive(body []byte, issuer string, added func(object) object) (*token, *Error) {
	o, ok := readObject(body)
	if !ok {
		return nil, garbled("it is one JSON object")
	}
	active, ok := o["active"].(bool)
	if !ok {
		return nil, garbled("active is true or false")
	}
	if !active {
		return nil, invalid(Inactive)
	}
	t := &token{}
	if !t.readCommon(o) {
		return nil, garbled("client_id, exp and nbf are of their types")
	}
	if t.who.Audience, ok = o.audience(); !ok && o["aud"] != nil {
		return nil, garbled("aud is a list of strings")
	}
	if t.who.Scopes, ok = words(o["scope"]); !ok && o["scope"] != nil {
		return nil, garbled("scope is a string of scopes") // Hydra leaves an empty one out
	}
	if err := sameKind(o, t, issuer); err != nil {
		return nil, err
	}
	if !t.readKey(added(o)) {
		return nil, garbled("root_id, owner, env, key_expires_at and status are of their types")
	}
	return t, nil
}

// sameKind refuses what is active and yet not a key's own bearer token for us.
func sameKind(o object, t *token, issuer string) *Error {
	kind, said := o["token_type"].(string)
	ext, _ := o["ext"].(map[string]any)
	_, bound := o["cnf"]
	_, boundToo := ext["cnf"]
	switch {
	case bound || boundToo || said && !strings.EqualFold(kind, "Bearer"):
		return invalid(Bound)
	case o["sub"] != t.who.KeyID:
		return invalid(NotAKey)
	case issuer != "" && o["iss"] != nil && o["iss"] != issuer:
		return invalid(BadIssuer)
	}
	return nil
}

func garbled(want string) *Error { return unavailable(NoIntrospection, strange(want)) }

var errClosed = errors.New("the verifier is closed")
