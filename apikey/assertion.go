package apikey

import (
	"encoding/json"
	"math"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxAssertion = 8 << 10   // bytes
	lastNumber   = 1<<53 - 1 // the largest whole number that every JSON reader keeps
)

// claims are those of a client assertion that Hydra looks at (RFC 7523 section
// 3). Their names in another case count here and not at Hydra, which is asked
// about this very subject.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	ID        string   `json:"jti"`
	Expires   *float64 `json:"exp"` // seconds, as the two below (RFC 7519 section 2, NumericDate)
	IssuedAt  *float64 `json:"iat"`
	NotBefore *float64 `json:"nbf"`
}

// readAssertion reads a client assertion whose subject can be a key's id, and
// refuses what Hydra would not take, whatever the time. It does not verify the
// signature: Hydra does. The error is ErrUnauthenticated and says what to mend.
func readAssertion(assertion Secret) (claims, error) {
	var c claims
	text := assertion.Reveal()
	if len(text) > maxAssertion {
		return c, refused("is longer than 8 KiB")
	}
	algorithms := make([]jose.SignatureAlgorithm, len(Algorithms))
	for i, a := range Algorithms {
		algorithms[i] = jose.SignatureAlgorithm(a)
	}
	signed, err := jose.ParseSignedCompact(text, algorithms)
	if err != nil {
		return c, refused("is not a JWT signed with one of the algorithms for private_key_jwt")
	}
	switch {
	case json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &c) != nil:
		return c, refused("has claims that cannot be read")
	case !ValidID(c.Subject) || c.Issuer != c.Subject:
		return c, refused("must have the key's id as iss and sub")
	case c.ID == "":
		return c, refused("must have a jti")
	case c.Expires == nil || math.Abs(*c.Expires) > lastNumber:
		return c, refused("must have an exp, in seconds since 1970")
	}
	return c, nil
}

// timely has no leeway, because Hydra has none and answers an assertion that has
// expired, or comes from the future, with 500 (fact 4.26).
func (c claims) timely(at time.Time) error {
	now := at.Unix()
	switch {
	case int64(*c.Expires) <= now:
		return refused("has expired")
	case ahead(c.IssuedAt, now), ahead(c.NotBefore, now):
		return refused("is not valid yet: its iat or nbf lies in the future")
	}
	return nil
}

func ahead(at *float64, now int64) bool {
	return at != nil && (math.Abs(*at) > lastNumber || int64(*at) > now)
}

func refused(why string) error { return fail(ErrUnauthenticated, "the assertion "+why) }
