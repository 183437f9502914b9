package apikey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Algorithms are the signature algorithms a private_key_jwt key may use: those
// that Hydra verifies. EdDSA is not among them.
var Algorithms = []string{"ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}

const (
	minRSABits = 2048 // RFC 7518 section 3.3
	maxRSABits = 4096 // above, one verification costs Hydra too much

	rsaSize = "the RSA modulus must have 2048 to 4096 bits"
)

// privateMembers are the JWK members that only a private or shared key has
// (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// ParsePublicKey checks a JWK a caller sent and returns the one we register:
// only its public members, with kid (RFC 7638 thumbprint), use "sig" and alg
// written by us, because Hydra takes keys that it can then not use (no use, a
// wrong alg, 1024-bit RSA, private members that it shows to everybody). The
// error names the member at fault under pointer, never its value; its codes are
// required, private_key, unsupported, unsupported_key, unsuitable,
// malformed_key and weak_key.
func ParsePublicKey(in JWK, pointer string) (PublicKey, *FieldError) {
	key, fault := parsePublic(in)
	if fault != nil {
		fault.Pointer = pointer + fault.Pointer
		return PublicKey{}, fault
	}
	return key, nil
}

// parsePublic is ParsePublicKey with pointers that begin at the JWK.
func parsePublic(in JWK) (PublicKey, *FieldError) {
	if fault := refuseMembers(in); fault != nil {
		return PublicKey{}, fault
	}
	public, fault := decodePublic(in)
	if fault != nil {
		return PublicKey{}, fault
	}
	alg, fault := algorithmFor(in, public)
	if fault != nil {
		return PublicKey{}, fault
	}
	if detail := weakness(public); detail != "" {
		return PublicKey{}, weakKey(detail)
	}
	key, err := canonical(public, alg)
	if err != nil {
		return PublicKey{}, malformedKey()
	}
	return key, nil
}

// refuseMembers refuses what the names of the members, or their plain values,
// already tell.
func refuseMembers(in JWK) *FieldError {
	if len(in) == 0 {
		return &FieldError{Code: "required", Detail: "a public key is required", Fix: "send a JSON Web Key (RFC 7517)"}
	}
	for _, m := range privateMembers {
		if _, found := in[m]; found {
			return &FieldError{Pointer: "/" + m, Code: "private_key", Detail: "this is a private key: it has now been sent to a server and must be treated as burnt",
				Fix: "make a new key pair and send only its public half"}
		}
	}
	for _, m := range []string{"x5u", "x5c", "x5t", "x5t#S256", "jku"} {
		if _, found := in[m]; found {
			return &FieldError{Pointer: "/" + m, Code: "unsupported", Detail: "certificates and key URLs are not used", Fix: "leave this member out"}
		}
	}
	if use, found := in["use"]; found && use != "sig" {
		return &FieldError{Pointer: "/use", Code: "unsuitable", Detail: "the key is not meant for signatures", Fix: `leave "use" out or send "sig"`}
	}
	eddsa := func(member string) *FieldError {
		return &FieldError{Pointer: member, Code: "unsupported_key", Detail: "EdDSA keys cannot be used: Hydra accepts the key and then refuses every token request",
			Fix: "use an EC key on P-256 (ES256)"}
	}
	switch {
	case in["kty"] == "OKP":
		return eddsa("/kty")
	case in["alg"] == "EdDSA", in["alg"] == "Ed25519": // RFC 8037, RFC 9864
		return eddsa("/alg")
	case in["kty"] != "RSA" && in["kty"] != "EC":
		return &FieldError{Pointer: "/kty", Code: "unsupported_key", Detail: "must be EC or RSA", Fix: "use an EC key on P-256 (ES256)"}
	}
	return nil
}

func malformedKey() *FieldError {
	return &FieldError{Code: "malformed_key", Detail: "is not a readable public key", Fix: "send the JWK exactly as your tool exported it"}
}

func weakKey(detail string) *FieldError {
	return &FieldError{Code: "weak_key", Detail: detail, Fix: "make a new key pair with a current tool"}
}

// decodePublic lets go-jose read the members that make up the key and nothing
// else; it refuses points that are not on the curve.
func decodePublic(in JWK) (crypto.PublicKey, *FieldError) {
	members := map[string]any{"kty": in["kty"]}
	for _, m := range []string{"crv", "x", "y", "n", "e"} {
		v, found := in[m]
		if text, _ := v.(string); strings.ContainsAny(text, "\r\n") { // encoding/base64 passes over them
			return nil, malformedKey()
		}
		if found {
			members[m] = v
		}
	}
	raw, err := json.Marshal(members)
	if err != nil {
		return nil, malformedKey()
	}
	var key jose.JSONWebKey
	switch err := key.UnmarshalJSON(raw); {
	case errors.Is(err, jose.ErrUnsupportedKeyType) && in["kty"] == "EC":
		return nil, &FieldError{Pointer: "/crv", Code: "unsupported_key", Detail: "must be P-256, P-384 or P-521", Fix: "use P-256"}
	case errors.Is(err, jose.ErrUnsupportedKeyType): // a modulus longer than jose.MaxRSAModulusBits
		return nil, weakKey(rsaSize)
	case err != nil || !key.Valid() || !key.IsPublic():
		return nil, malformedKey()
	}
	return key.Key, nil
}

// algorithmFor returns the key's alg: as named, else by its kind.
func algorithmFor(in JWK, public crypto.PublicKey) (string, *FieldError) {
	allowed := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	if ec, ok := public.(*ecdsa.PublicKey); ok {
		switch ec.Curve {
		case elliptic.P256():
			allowed = []string{"ES256"}
		case elliptic.P384():
			allowed = []string{"ES384"}
		case elliptic.P521():
			allowed = []string{"ES512"}
		}
	}
	named, found := in["alg"]
	if !found {
		return allowed[0], nil
	}
	alg, _ := named.(string)
	if !slices.Contains(allowed, alg) {
		return "", &FieldError{Pointer: "/alg", Code: "unsuitable", Detail: "this algorithm does not go with this key",
			Fix: "leave alg out for " + allowed[0]}
	}
	return alg, nil
}

// canonical writes the key as we register it.
func canonical(public crypto.PublicKey, alg string) (PublicKey, error) {
	key := jose.JSONWebKey{Key: public, Algorithm: alg, Use: "sig"}
	thumb, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return PublicKey{}, err
	}
	key.KeyID = base64.RawURLEncoding.EncodeToString(thumb)
	raw, err := key.MarshalJSON()
	if err != nil {
		return PublicKey{}, err
	}
	out := PublicKey{KID: key.KeyID, Alg: alg}
	if err := json.Unmarshal(raw, &out.JWK); err != nil {
		return PublicKey{}, err
	}
	return out, nil
}

// weakness says what is wrong with a key that reads well, "" if nothing.
func weakness(public crypto.PublicKey) string {
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return ""
	}
	switch bits := key.N.BitLen(); {
	case bits < minRSABits || bits > maxRSABits:
		return rsaSize
	case key.E != 65537:
		return "the RSA exponent must be 65537"
	case hasSmallFactor(key.N):
		return "the RSA modulus has a small prime factor"
	case key.N.ProbablyPrime(0): // then everybody can compute the private key
		return "the RSA modulus is a prime: it must be the product of two"
	case factorsAreClose(key.N):
		return "the two primes of the RSA modulus are too close to each other"
	case looksLikeROCA(key.N):
		return "the RSA modulus has the mark of a broken generator (CVE-2017-15361)"
	}
	return ""
}

// hasSmallFactor tries every prime below 752, as NIST SP 800-89 section 5.3.3 asks.
func hasSmallFactor(n *big.Int) bool {
	p, rest := new(big.Int), new(big.Int)
	for i := int64(2); i < 752; i++ {
		if p.SetInt64(i).ProbablyPrime(0) && rest.Mod(n, p).Sign() == 0 {
			return true
		}
	}
	return false
}

// factorsAreClose runs a hundred rounds of Fermat's method: it finds the
// primes of generators that take the second one just after the first.
func factorsAreClose(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(a, a).Cmp(n) == 0 {
		return true
	}
	one, b2, root := big.NewInt(1), new(big.Int), new(big.Int)
	for range 100 {
		a.Add(a, one)
		b2.Sub(b2.Mul(a, a), n)
		root.Sqrt(b2)
		if new(big.Int).Mul(root, root).Cmp(b2) == 0 {
			return true
		}
	}
	return false
}

// looksLikeROCA reports whether n lies in the subgroup generated by 65537
// modulo each of many small primes, which a random modulus does about once in
// 2^27 times (Nemec et al., "The Return of Coppersmith's Attack", section 2.3).
func looksLikeROCA(n *big.Int) bool {
	m := new(big.Int)
	for _, p := range []int64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157} {
		rest, inGroup := m.Mod(n, big.NewInt(p)).Int64(), false
		for x := int64(1); ; {
			inGroup = inGroup || x == rest
			if x = x * 65537 % p; x == 1 {
				break
			}
		}
		if !inGroup {
			return false
		}
	}
	return true
}

// checkPublicKeys parses all of in and checks them together with have: at most
// ten, one algorithm, none twice, none that has ended already.
func checkPublicKeys(v *validation, have []PublicKey, in []PublicKeyInput, pointer func(i int) string, now time.Time) []PublicKey {
	out := slices.Clone(have)
	if len(have)+len(in) > limits.PublicKeys {
		at := "#/public_keys"
		if len(have) > 0 { // one is being added: that is the whole body
			at = "#/jwk"
		}
		v.add(at, "too_many", "a key can have at most 10 public keys", "remove one first")
		return nil
	}
	for i, input := range in {
		at := pointer(i)
		key, fe := ParsePublicKey(input.JWK, at+"/jwk")
		if fe != nil {
			v.fields = append(v.fields, *fe)
			continue
		}
		if len(out) > 0 && out[0].Alg != key.Alg {
			v.add(at+"/jwk", "alg_mismatch", "all public keys of one key have one algorithm, fixed by the first: "+out[0].Alg, "make a key pair for "+out[0].Alg)
		}
		if slices.ContainsFunc(out, func(p PublicKey) bool { return p.KID == key.KID }) {
			v.add(at+"/jwk", "duplicate", "this public key is already registered here", "leave it out")
		}
		key.CreatedAt = now
		key.ExpiresAt = v.future(at+"/expires_at", input.ExpiresAt, now)
		out = append(out, key)
	}
	return out
}
