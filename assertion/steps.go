package assertion

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/tokenos/tokenos/apikey"
)

const maxToken = 64 << 10 // bytes

const useLibrary = "have a JWT library make it"

// form reads the three parts. Hydra takes out white space and padding first. It also
// takes the JSON form of a JWS (fosite v0.49.0 does), of which RFC 7523 section 3
// does not know.
func (x *examination) form() finding {
	if len(x.text) > maxToken {
		return bad(fmt.Sprintf("%d bytes", len(x.text)), useLibrary+", and put no certificates into its header")
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, x.text)
	if text == "" {
		f := bad("nothing", "send the assertion as client_assertion")
		f.answer = invalidRequest
		return f
	}
	if strings.HasPrefix(text, "{") {
		return unknown("JSON, perhaps of a JWS; not every Hydra takes that form, and RFC 7523 does not know it")
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return bad(mistaken(text, len(parts)), useLibrary)
	}
	for i, part := range parts {
		parts[i] = strings.TrimRight(part, "=")
		if _, err := base64.RawURLEncoding.DecodeString(parts[i]); err != nil {
			return bad(fmt.Sprintf("part %d of 3 is not base64url", i+1), "use base64url: - and _ in place of + and /")
		}
	}
	alg, ok := algorithmOf(parts[0])
	if !ok {
		return bad("the first part (header) is not a JSON object with a text as alg", useLibrary)
	}
	var err error
	if x.jws, err = jose.ParseSignedCompact(strings.Join(parts, "."), []jose.SignatureAlgorithm{alg}); err != nil {
		return bad("the first part (header) has a member that cannot be read", "send typ, alg and kid there and nothing else")
	}
	x.kid = x.jws.Signatures[0].Header.KeyID
	return good(fmt.Sprintf("a JWT of %d bytes", len(text)))
}

// mistaken says what something else than a JWT is, for what people send by mistake.
func mistaken(text string, parts int) string {
	switch {
	case strings.Contains(text, "-----BEGIN"):
		return "a key in PEM, not a JWT signed with it"
	case strings.HasPrefix(text, "tos_"):
		return "a client secret, not a JWT"
	case strings.HasPrefix(text, "ory_"):
		return "a token of Hydra, not a JWT"
	case strings.Contains(text, "client_assertion="):
		return "a whole form, not its client_assertion alone"
	case parts == 5:
		return "five parts: it is encrypted"
	}
	return fmt.Sprintf("%d parts", parts)
}

// algorithmOf reads alg from a header; it may be absent.
func algorithmOf(part string) (jose.SignatureAlgorithm, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	var header map[string]any
	if err != nil || json.Unmarshal(raw, &header) != nil || header == nil {
		return "", false
	}
	alg, isText := header["alg"].(string)
	return jose.SignatureAlgorithm(alg), isText || header["alg"] == nil
}

// readClaims reads as Hydra does: names in their case, none twice, whole numbers
// whole.
func (x *examination) readClaims() finding {
	if x.jws == nil {
		return unknown("cannot be read")
	}
	var claims exact
	if json.Unmarshal(x.jws.UnsafePayloadWithoutVerification(), &claims) != nil {
		return bad("no JSON object, or one that has a member twice", useLibrary)
	}
	x.claims = claims.members
	if x.claims == nil {
		x.claims = map[string]any{}
	}
	return good(fmt.Sprintf("%d claims", len(x.claims)))
}

// exact reads an object whose numbers are int64 where they are whole, else float64.
type exact struct{ members map[string]any }

func (e *exact) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.SetNumberType(json.UnmarshalIntOrFloat)
	return d.Decode(&e.members)
}

func (x *examination) clientID() finding {
	if x.ClientID != "" {
		x.who = x.ClientID
		return good(quote(x.who) + " in the form")
	}
	if x.claims == nil {
		return unknown("cannot be read")
	}
	sub, ok := x.claims["sub"].(string)
	if !ok || sub == "" {
		return bad("no sub that is a text, or an empty one, and no client_id in the form", "set sub to the key's id")
	}
	x.who = sub
	return good(quote(sub) + " by sub")
}

func (x *examination) key() finding {
	switch k := x.Key; {
	case k == nil:
		return unknown("the key was not looked up")
	case k.Status == apikey.StatusRevoked:
		return bad("the key is revoked, so Hydra no longer has it", "create another key")
	case k.AuthMethod != apikey.PrivateKeyJWT:
		return bad("the key authenticates by "+quote(string(k.AuthMethod)), "send the client secret in that way, or rotate the key to private_key_jwt")
	}
	return good("private_key_jwt")
}

// noKeys says why there is nothing to compare with.
func (x *examination) noKeys() string {
	if x.Key == nil {
		return "the key's public keys are not known"
	}
	return "the key has no public keys"
}

func (x *examination) algorithm() finding {
	if x.jws == nil {
		return unknown("cannot be read")
	}
	alg := x.jws.Signatures[0].Header.Algorithm
	known := slices.Contains(apikey.Algorithms, alg)
	switch {
	case !known:
		f := bad(quote(alg), unsupported(alg))
		if x.algorithms != "" {
			f.expected = x.algorithms
		}
		return f
	case x.algorithms == "":
		return unknown(alg + ", which Hydra verifies; " + x.noKeys())
	case alg != x.algorithms:
		f := bad(alg, "have the library sign with "+x.algorithms+", or register a public key for "+alg+" in a rotation")
		f.expected = x.algorithms
		return f
	}
	x.comparable = true
	return good(alg)
}

// unsupported says what to do about an algorithm that Hydra never takes.
func unsupported(alg string) string {
	switch {
	case strings.EqualFold(alg, "none") || alg == "":
		return "sign it: an assertion without a signature proves nothing"
	case strings.HasPrefix(alg, "HS"):
		return "sign with the private key: Hydra takes no shared secret (client_secret_jwt)"
	case strings.HasPrefix(alg, "Ed"):
		return "make an ES256 key pair (tokenos jwk generate) and register it: Hydra does not verify EdDSA"
	}
	return "sign with one of " + strings.Join(apikey.Algorithms, ", ")
}

func (x *examination) keyID() finding {
	switch {
	case x.jws == nil:
		return unknown("cannot be read")
	case len(x.registered) == 0 && x.Key != nil && x.algorithms != "":
		return bad("all public keys of the key have ended", "register a new public key: tokenos jwk generate")
	case len(x.registered) == 0 && x.kid == "":
		return unknown("absent; " + x.noKeys())
	case len(x.registered) == 0:
		return unknown(quote(x.kid) + "; " + x.noKeys())
	case x.kid == "":
		x.named = 0
		if len(x.registered) > 1 {
			return good("absent: of the key's public keys Hydra tries the first only")
		}
		return good("absent: Hydra tries the key's only public key")
	}
	x.named = slices.IndexFunc(x.registered, func(p public) bool { return p.kid == x.kid })
	if x.named < 0 {
		return x.unknownKID()
	}
	return good(quote(x.kid))
}

// unknownKID finds out what the right kid would be.
func (x *examination) unknownKID() finding {
	f := bad(quote(x.kid)+", which none of the key's public keys is called", "register the public key, and set kid to its name: tokenos jwk thumbprint FILE")
	f.expected = kids(x.registered)
	if i := x.signer(); i >= 0 {
		f.fix = "set kid to " + x.registered[i].kid + ", whose private key signed this"
	}
	if x.Key == nil {
		return f
	}
	for _, p := range x.Key.PublicKeys {
		if p.KID == x.kid && p.ExpiresAt != nil {
			f.seen = quote(x.kid) + ", a public key that ended at " + when(p.ExpiresAt.Unix(), x.Now)
			f.fix = "sign with the private key of one that has not ended"
		}
	}
	return f
}

// kids lists names, at most ten.
func kids(keys []public) string {
	var names []string
	for _, p := range keys[:min(len(keys), 10)] {
		names = append(names, quote(p.kid))
	}
	return strings.Join(names, " or ")
}

// signer is the registered public key that verifies the signature, -1 for none.
func (x *examination) signer() int {
	return slices.IndexFunc(x.registered, func(p public) bool {
		_, err := x.jws.Verify(p.key)
		return err == nil
	})
}

func (x *examination) signature() finding {
	switch {
	case x.jws == nil:
		return unknown("cannot be read")
	case len(x.registered) == 0:
		return unknown(x.noKeys())
	case !x.comparable:
		return unknown("not looked at: it is of another algorithm")
	case x.named < 0:
		return unknown("not looked at: the public key is not known")
	}
	_, err := x.jws.Verify(x.registered[x.named].key)
	if err == nil {
		return good("is by " + x.registered[x.named].kid)
	}
	if errors.Is(err, jose.ErrUnsupportedCriticalHeader) {
		return bad("the header has a crit that Hydra does not know", "leave crit out of the header")
	}
	f := bad("is not by "+x.registered[x.named].kid, "sign with the private key of that public key (tokenos jwk thumbprint FILE tells), and change nothing afterwards")
	if i := x.signer(); i >= 0 {
		f.fix = "set kid to " + x.registered[i].kid + ", whose private key signed this"
	}
	return f
}

func (x *examination) status() finding {
	switch k := x.Key; {
	case k == nil:
		return unknown("the key was not looked up")
	case k.Status == apikey.StatusDisabled:
		return bad("the key is disabled", "enable it, if that was not on purpose")
	case k.Status == apikey.StatusExpired:
		return bad("the key has expired, or was replaced by a rotation", "use its successor, or create another key")
	case k.Status == apikey.StatusRevoked:
		return unknown("the key is revoked")
	}
	return good("the key is active")
}
