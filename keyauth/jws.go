package keyauth

import (
	"regexp"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// signatures are the algorithms that can be allowed (RFC 7518 section 3.1): those
// whose verifier cannot sign.
var signatures = []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}

// kidForm leaves nothing that means something to a path, a query or a log.
var kidForm = regexp.MustCompile(`^[A-Za-z0-9._~:-]{1,128}$`)

// signed is a JWS in compact serialization (RFC 7515 section 7.1), read strictly
// and not yet verified.
type signed struct {
	kid, alg string
	claims   object
	jws      *jose.JSONWebSignature
}

// readSigned reads a signed token of one of the types typ. It refuses every header
// member but typ, kid and alg: none of the others (jwk, jku, x5u, x5c, crit, b64,
// ...) has a business here, and each has been used for an attack (RFC 8725
// sections 2 and 3).
func readSigned(token string, algorithms, typ []string) (*signed, *Error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, invalid(Malformed)
	}
	var decoded [3][]byte
	for i, p := range parts {
		var ok bool
		if decoded[i], ok = decode(p); !ok || len(decoded[i]) == 0 {
			return nil, invalid(Malformed)
		}
	}
	header, ok := readObject(decoded[0])
	if !ok {
		return nil, invalid(Malformed)
	}
	s := &signed{}
	if s.alg, ok = header.text("alg"); !ok || !slices.Contains(algorithms, s.alg) {
		return nil, invalid(BadAlgorithm)
	}
	kind, _ := header.text("typ")
	if s.kid, ok = header.text("kid"); !ok || !kidForm.MatchString(s.kid) || !slices.Contains(typ, kind) || len(header) != 3 {
		return nil, invalid(BadHeader)
	}
	if s.claims, ok = readObject(decoded[1]); !ok {
		return nil, invalid(Malformed)
	}
	var err error
	if s.jws, err = jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(s.alg)}); err != nil {
		return nil, invalid(Malformed) // without err, whose text may repeat the token's
	}
	return s, nil
}

// verify finds the key that signed s among those of its kid.
func (s *signed) verify(keys []publicKey) (publicKey, *Error) {
	why := UnknownKey
	for _, k := range keys {
		if k.alg != s.alg {
			continue
		}
		if _, err := s.jws.Verify(k.key); err == nil {
			return k, nil
		}
		why = BadSignature
	}
	return publicKey{}, invalid(why)
}
