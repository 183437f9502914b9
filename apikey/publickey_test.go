package apikey_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// rsaKeys and ecKeys are made once for all tests.
var (
	rsaKeys = map[int]func() *rsa.PrivateKey{}
	ecKeys  = map[elliptic.Curve]func() *ecdsa.PrivateKey{}
)

func init() {
	for _, bits := range []int{2048, 3072, 4096} {
		rsaKeys[bits] = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, bits)) })
	}
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		ecKeys[curve] = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(curve, rand.Reader)) })
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// rsaJWK and ecJWK write a JWK by hand (RFC 7518 sections 6.2.1 and 6.3.1).
func rsaJWK(n *big.Int, e int64) apikey.JWK {
	return apikey.JWK{"kty": "RSA", "n": b64(n.Bytes()), "e": b64(big.NewInt(e).Bytes())}
}

func ecJWK(t *testing.T, k *ecdsa.PublicKey) apikey.JWK {
	t.Helper()
	point, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	half := len(point) / 2 // 4, x, y
	return apikey.JWK{"kty": "EC", "crv": k.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
}

// thumbprint is RFC 7638 by the letter: the required members in order, without
// space, hashed.
func thumbprint(in apikey.JWK) string {
	text := fmt.Sprintf(`{"e":"%s","kty":"RSA","n":"%s"}`, in["e"], in["n"])
	if in["kty"] == "EC" {
		text = fmt.Sprintf(`{"crv":"%s","kty":"EC","x":"%s","y":"%s"}`, in["crv"], in["x"], in["y"])
	}
	sum := sha256.Sum256([]byte(text))
	return b64(sum[:])
}

func with(in apikey.JWK, more apikey.JWK) apikey.JWK {
	out := apikey.JWK{}
	for _, m := range []apikey.JWK{in, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// The thumbprint of these tests is that of RFC 7638 section 3.1.
func TestThumbprintExample(t *testing.T) {
	const n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	const want = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	in := apikey.JWK{"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
	if got := thumbprint(in); got != want {
		t.Errorf("thumbprint %s, want %s", got, want)
	}
	key, fault := apikey.ParsePublicKey(in, "#")
	if fault != nil || key.KID != want {
		t.Errorf("registered as %s, %v, want %s", key.KID, fault, want)
	}
}

// For every algorithm a key made elsewhere is taken; what is registered is its
// public members, our kid, use and alg and nothing else, and verifies what the
// private half signs.
func TestEveryAlgorithm(t *testing.T) {
	tried := map[string]bool{}
	check := func(name string, in apikey.JWK, private any, named, want string) {
		t.Run(name, func(t *testing.T) {
			tried[want] = true
			sent := with(in, apikey.JWK{"kid": "their own", "ext": true, "key_ops": []any{"verify"}, "use": "sig", "iat": 7})
			if named != "" {
				sent["alg"] = named
			}
			key, fault := apikey.ParsePublicKey(sent, "#/jwk")
			if fault != nil {
				t.Fatalf("refused: %+v", fault)
			}
			registered := with(in, apikey.JWK{"kid": thumbprint(in), "use": "sig", "alg": want})
			if diff := cmp.Diff(apikey.PublicKey{KID: thumbprint(in), Alg: want, JWK: registered}, key); diff != "" {
				t.Errorf("registered (-want +got):\n%s", diff)
			}
			verifies(t, key, private)
		})
	}
	for bits, make := range rsaKeys {
		private := make()
		in := rsaJWK(private.N, int64(private.E))
		check(fmt.Sprint(bits, " without alg"), in, private, "", "RS256")
		for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
			check(fmt.Sprint(bits, " ", alg), in, private, alg, alg)
		}
	}
	for curve, alg := range map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"} {
		private := ecKeys[curve]()
		check(alg, ecJWK(t, &private.PublicKey), private, alg, alg)
		check(alg+" without alg", ecJWK(t, &private.PublicKey), private, "", alg)
	}
	for _, alg := range apikey.Algorithms {
		if !tried[alg] {
			t.Errorf("no key was tried for %s", alg)
		}
	}
	if len(tried) != len(apikey.Algorithms) || !slices.IsSorted(apikey.Algorithms) {
		t.Errorf("Algorithms are %v, tried were %v", apikey.Algorithms, tried)
	}
}

// verifies signs with the private key and verifies with the registered one, as
// Hydra does.
func verifies(t *testing.T, key apikey.PublicKey, private any) {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Alg), Key: private}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte("assertion"))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(key.Alg)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(key.JWK)
	if err != nil {
		t.Fatal(err)
	}
	var read jose.JSONWebKey
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatalf("go-jose cannot read what was registered: %v", err)
	}
	if !read.Valid() || !read.IsPublic() || read.KeyID != key.KID || read.Algorithm != key.Alg || read.Use != "sig" {
		t.Errorf("go-jose reads kid %s, alg %s, use %s", read.KeyID, read.Algorithm, read.Use)
	}
	if _, err := parsed.Verify(&read); err != nil {
		t.Errorf("the registered key does not verify: %v", err)
	}
	thumb, err := read.Thumbprint(crypto.SHA256)
	if err != nil || b64(thumb) != key.KID {
		t.Errorf("go-jose's thumbprint is %s, %v, kid %s", b64(thumb), err, key.KID)
	}
}

// What was registered can be sent again and comes out the same, also through
// JSON; a modulus with a leading zero is the same key.
func TestRegisteredKeyIsStable(t *testing.T) {
	rsaKey, ecKey := rsaKeys[2048](), ecKeys[elliptic.P521()]()
	padded := rsaJWK(rsaKey.N, 65537)
	padded["n"] = b64(append([]byte{0}, rsaKey.N.Bytes()...))
	first, fault := apikey.ParsePublicKey(padded, "#")
	if fault != nil {
		t.Fatal(fault)
	}
	if first.KID != thumbprint(rsaJWK(rsaKey.N, 65537)) {
		t.Error("a leading zero makes another kid")
	}
	for _, in := range []apikey.JWK{first.JWK, ecJWK(t, &ecKey.PublicKey)} {
		one, fault := apikey.ParsePublicKey(in, "#")
		if fault != nil {
			t.Fatal(fault)
		}
		raw, err := json.Marshal(one.JWK)
		if err != nil {
			t.Fatal(err)
		}
		var back apikey.JWK
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		two, fault := apikey.ParsePublicKey(back, "#")
		if fault != nil {
			t.Fatal(fault)
		}
		if diff := cmp.Diff(one, two); diff != "" {
			t.Errorf("sent again it differs:\n%s", diff)
		}
	}
}

// Twenty fresh RSA keys are all taken: the tests for weak ones do not hit good
// ones.
func TestFreshRSAKeysAreTaken(t *testing.T) {
	t.Parallel()
	for range 20 {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		if _, fault := apikey.ParsePublicKey(rsaJWK(private.N, 65537), "#"); fault != nil {
			t.Errorf("refused: %+v", fault)
		}
	}
}

// repeats reports whether the fault shows any longer text of the JWK.
func repeats(fault *apikey.FieldError, in apikey.JWK) bool {
	shown := fmt.Sprintf("%+v", *fault)
	for _, v := range in {
		if s, ok := v.(string); ok && len(s) > 9 && strings.Contains(shown, s[:9]) {
			return true
		}
	}
	return false
}
