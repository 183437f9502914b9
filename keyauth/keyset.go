package keyauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

const (
	maxKeys     = 100 // of a set
	maxSameKID  = 4   // keys with one kid
	leastRSA    = 2048
	greatestRSA = 8192 // bits; a larger key makes verification slow
)

// publicKey is one key that may verify.
type publicKey struct {
	alg        string
	key        crypto.PublicKey // *ecdsa.PublicKey or *rsa.PublicKey
	thumbprint string           // RFC 7638
}

// readKeySet reads a JWK Set (RFC 7517 section 5) into keys by kid. It leaves out
// every key but public ones of RSA and EC that say kid, use "sig" and an allowed
// algorithm that fits them. false if nothing is left.
func readKeySet(body []byte, algorithms []string) (map[string][]publicKey, bool) {
	if deeper(body, maxDepth) {
		return nil, false
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil || len(set.Keys) > maxKeys {
		return nil, false
	}
	keys := map[string][]publicKey{}
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) != nil || !usable(k, algorithms) || len(keys[k.KeyID]) == maxSameKID {
			continue
		}
		sum, err := k.Thumbprint(crypto.SHA256)
		if err != nil {
			continue
		}
		keys[k.KeyID] = append(keys[k.KeyID], publicKey{alg: k.Algorithm, key: k.Key, thumbprint: base64.RawURLEncoding.EncodeToString(sum)})
	}
	return keys, len(keys) > 0
}

// usable reports whether the key may verify. A private key in a public set is one
// that everybody has.
func usable(k jose.JSONWebKey, algorithms []string) bool {
	if !k.Valid() || !k.IsPublic() || k.Use != "sig" || !kidForm.MatchString(k.KeyID) || !slices.Contains(algorithms, k.Algorithm) {
		return false
	}
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		curves := map[string]string{"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
		return curves[k.Algorithm] == key.Curve.Params().Name
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return k.Algorithm[0] != 'E' && bits >= leastRSA && bits <= greatestRSA && key.E >= 3 && key.E&1 == 1
	default:
		return false
	}
}

// contains reports whether the very key is among those of its kid.
func contains(keys []publicKey, alg, thumbprint string) bool {
	return slices.ContainsFunc(keys, func(k publicKey) bool { return k.alg == alg && k.thumbprint == thumbprint })
}
