package apikey_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/apikey"
)

// refusal is one JWK and how it is refused: where, and by which code.
type refusal struct {
	name    string
	jwk     apikey.JWK
	pointer string // below #/public_keys/3/jwk
	code    string
}

func refuse(t *testing.T, cases []refusal) {
	t.Helper()
	const at = "#/public_keys/3/jwk"
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			key, fault := apikey.ParsePublicKey(c.jwk, at)
			if fault == nil {
				t.Fatalf("taken as %s", key.Alg)
			}
			if fault.Pointer != at+c.pointer || fault.Code != c.code {
				t.Errorf("refused at %s with %s, want %s with %s", fault.Pointer, fault.Code, at+c.pointer, c.code)
			}
			if fault.Detail == "" || fault.Fix == "" {
				t.Errorf("the refusal does not say what to do: %+v", fault)
			}
			if key.KID != "" || key.JWK != nil {
				t.Error("a refused key is returned all the same")
			}
			if repeats(fault, c.jwk) {
				t.Errorf("the refusal repeats what was sent: %+v", fault)
			}
		})
	}
}

// exported is a key as go-jose writes it, private members and all.
func exported(t *testing.T, key any) apikey.JWK {
	t.Helper()
	raw, err := json.Marshal(jose.JSONWebKey{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	var out apikey.JWK
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A private or shared key is called burnt, whatever else is wrong with it, and
// none of it is repeated.
func TestPrivateKeysAreRefused(t *testing.T) {
	ec := ecJWK(t, &ecKeys[elliptic.P256()]().PublicKey)
	cases := []refusal{
		{"RSA", exported(t, rsaKeys[2048]()), "/d", "private_key"},
		{"EC", exported(t, ecKeys[elliptic.P256()]()), "/d", "private_key"},
		{"Ed25519", exported(t, ed25519.NewKeyFromSeed(make([]byte, 32))), "/d", "private_key"},
		{"oct", exported(t, []byte("a shared secret of some length")), "/k", "private_key"},
		{"d alone", apikey.JWK{"d": "AAAAAAAAAAAAAAAAAAAA"}, "/d", "private_key"},
		{"d null", with(ec, apikey.JWK{"d": nil}), "/d", "private_key"},
		{"d of no known kind", with(ec, apikey.JWK{"kty": "??", "d": map[string]any{}}), "/d", "private_key"},
	}
	for _, m := range []string{"p", "q", "dp", "dq", "qi", "oth", "k"} {
		cases = append(cases, refusal{"with " + m, with(ec, apikey.JWK{m: "c2VjcmV0IHNlY3JldCBzZWNyZXQ"}), "/" + m, "private_key"})
	}
	refuse(t, cases)
	for _, c := range cases {
		if _, fault := apikey.ParsePublicKey(c.jwk, "#"); fault == nil || !strings.Contains(fault.Detail, "burnt") {
			t.Errorf("%s: the caller is not told that the key is burnt: %+v", c.name, fault)
		}
	}
}

// Keys of other kinds, for other uses, or with members that would make a server
// fetch or trust something are refused by name.
func TestUnsuitableKeysAreRefused(t *testing.T) {
	ec, rsa := ecJWK(t, &ecKeys[elliptic.P256()]().PublicKey), rsaJWK(rsaKeys[2048]().N, 65537)
	x25519 := must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey()
	refuse(t, []refusal{
		{"nil", nil, "", "required"},
		{"empty", apikey.JWK{}, "", "required"},
		{"no kty", apikey.JWK{"crv": "P-256"}, "/kty", "unsupported_key"},
		{"kty of another case", with(ec, apikey.JWK{"kty": "ec"}), "/kty", "unsupported_key"},
		{"kty with NUL", with(ec, apikey.JWK{"kty": "EC\x00"}), "/kty", "unsupported_key"},
		{"kty a number", with(ec, apikey.JWK{"kty": 1.0}), "/kty", "unsupported_key"},
		{"kty a list", with(ec, apikey.JWK{"kty": []any{"EC"}}), "/kty", "unsupported_key"},
		{"oct without k", apikey.JWK{"kty": "oct"}, "/kty", "unsupported_key"},
		{"Ed25519", exported(t, ed25519.NewKeyFromSeed(make([]byte, 32)).Public()), "/kty", "unsupported_key"},
		{"X25519", apikey.JWK{"kty": "OKP", "crv": "X25519", "x": b64(x25519.Bytes())}, "/kty", "unsupported_key"},
		{"ML-DSA", apikey.JWK{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, "/kty", "unsupported_key"},
		{"EC for EdDSA", with(ec, apikey.JWK{"alg": "EdDSA"}), "/alg", "unsupported_key"},
		{"P-224", with(ec, apikey.JWK{"crv": "P-224"}), "/crv", "unsupported_key"},
		{"secp256k1", with(ec, apikey.JWK{"crv": "secp256k1", "alg": "ES256K"}), "/crv", "unsupported_key"},
		{"crv of another case", with(ec, apikey.JWK{"crv": "p-256"}), "/crv", "unsupported_key"},
		{"crv missing", apikey.JWK{"kty": "EC", "x": ec["x"], "y": ec["y"]}, "/crv", "unsupported_key"},
		{"ES384 on P-256", with(ec, apikey.JWK{"alg": "ES384"}), "/alg", "unsuitable"},
		{"RS256 on EC", with(ec, apikey.JWK{"alg": "RS256"}), "/alg", "unsuitable"},
		{"ES256 on RSA", with(rsa, apikey.JWK{"alg": "ES256"}), "/alg", "unsuitable"},
		{"alg none", with(ec, apikey.JWK{"alg": "none"}), "/alg", "unsuitable"},
		{"alg HS256", with(rsa, apikey.JWK{"alg": "HS256"}), "/alg", "unsuitable"},
		{"alg of another case", with(ec, apikey.JWK{"alg": "es256"}), "/alg", "unsuitable"},
		{"alg for encryption", with(rsa, apikey.JWK{"alg": "RSA-OAEP-256"}), "/alg", "unsuitable"},
		{"alg empty", with(ec, apikey.JWK{"alg": ""}), "/alg", "unsuitable"},
		{"alg null", with(ec, apikey.JWK{"alg": nil}), "/alg", "unsuitable"},
		{"alg a list", with(ec, apikey.JWK{"alg": []any{"ES256"}}), "/alg", "unsuitable"},
		{"use enc", with(ec, apikey.JWK{"use": "enc"}), "/use", "unsuitable"},
		{"use empty", with(ec, apikey.JWK{"use": ""}), "/use", "unsuitable"},
		{"use an object", with(ec, apikey.JWK{"use": map[string]any{}}), "/use", "unsuitable"},
		{"x5u", with(ec, apikey.JWK{"x5u": "http://169.254.169.254/key"}), "/x5u", "unsupported"},
		{"x5c", with(ec, apikey.JWK{"x5c": []any{"MIIB"}}), "/x5c", "unsupported"},
		{"x5t", with(ec, apikey.JWK{"x5t": "AAAAAAAAAAAAAAAA"}), "/x5t", "unsupported"},
		{"x5t#S256", with(ec, apikey.JWK{"x5t#S256": "AAAAAAAAAAAAAAAA"}), "/x5t#S256", "unsupported"},
		{"jku", with(ec, apikey.JWK{"jku": "https://evil.example/jwks"}), "/jku", "unsupported"},
	})
}

// Keys that are written wrongly are refused, not mended.
func TestMalformedKeysAreRefused(t *testing.T) {
	private := ecKeys[elliptic.P256()]()
	ec, rsa := ecJWK(t, &private.PublicKey), rsaJWK(rsaKeys[2048]().N, 65537)
	x := must(base64.RawURLEncoding.DecodeString(ec["x"].(string)))
	n := rsaKeys[2048]().N.Bytes()
	off := append([]byte{}, x...)
	off[31] ^= 1
	zero := b64(make([]byte, 32))
	field := b64(elliptic.P256().Params().P.Bytes())
	without := func(in apikey.JWK, m string) apikey.JWK {
		out := with(in, nil)
		delete(out, m)
		return out
	}
	bad := func(name string, in, more apikey.JWK) refusal {
		return refusal{name, with(in, more), "", "malformed_key"}
	}
	huge := strings.Repeat("A", 1<<20)
	refuse(t, []refusal{
		{"x missing", without(ec, "x"), "", "malformed_key"},
		{"y missing", without(ec, "y"), "", "malformed_key"},
		{"n missing", without(rsa, "n"), "", "malformed_key"},
		{"e missing", without(rsa, "e"), "", "malformed_key"},
		bad("point off the curve", ec, apikey.JWK{"x": b64(off)}),
		bad("point at zero", ec, apikey.JWK{"x": zero, "y": zero}),
		bad("coordinate as large as the field", ec, apikey.JWK{"x": field}),
		bad("x padded", ec, apikey.JWK{"x": b64(append([]byte{0}, x...))}),
		bad("x short", ec, apikey.JWK{"x": b64(x[1:])}),
		bad("x empty", ec, apikey.JWK{"x": ""}),
		bad("x and y empty", ec, apikey.JWK{"x": "", "y": ""}),
		bad("P-256 called P-384", ec, apikey.JWK{"crv": "P-384", "alg": "ES384"}),
		bad("x with padding", ec, apikey.JWK{"x": base64.URLEncoding.EncodeToString(x)}),
		bad("n in the other base64", rsa, apikey.JWK{"n": "+/" + base64.RawStdEncoding.EncodeToString(n)}),
		bad("x with NUL", ec, apikey.JWK{"x": "\x00" + ec["x"].(string)[1:]}),
		bad("x with a line break", ec, apikey.JWK{"x": ec["x"].(string)[:20] + "\n" + ec["x"].(string)[20:]}),
		bad("n with a line break at its end", rsa, apikey.JWK{"n": rsa["n"].(string) + "\r\n"}),
		bad("x not base64", ec, apikey.JWK{"x": "!!!!!!!!!!!!!!!!!!!!"}),
		bad("x a number", ec, apikey.JWK{"x": 7.0}),
		bad("x null", ec, apikey.JWK{"x": nil}),
		bad("x a list", ec, apikey.JWK{"x": []any{ec["x"]}}),
		bad("crv an object", ec, apikey.JWK{"crv": map[string]any{}}),
		bad("n a number", rsa, apikey.JWK{"n": 1e300}),
		bad("e a number", rsa, apikey.JWK{"e": 65537.0}),
		bad("e empty", rsa, apikey.JWK{"e": ""}),
		bad("e zero", rsa, apikey.JWK{"e": "AA"}),
		bad("e one", rsa, apikey.JWK{"e": "AQ"}),
		bad("e beyond 64 bits that ends in 65537", rsa, apikey.JWK{"e": b64(append([]byte{1, 0, 0, 0, 0, 0}, 1, 0, 1))}),
		bad("x a megabyte", ec, apikey.JWK{"x": huge}),
		bad("crv is not text that JSON can hold", ec, apikey.JWK{"crv": func() {}}),
		{"n a megabyte", with(rsa, apikey.JWK{"n": "_" + huge[1:]}), "", "weak_key"},
	})
}

// RSA keys that can be broken, or that cost Hydra too much, are refused.
func TestWeakRSAKeysAreRefused(t *testing.T) {
	good := rsaKeys[2048]().N
	odd := func(bits int) *big.Int { // random, of exactly so many bits
		n := must(rand.Int(rand.Reader, new(big.Int).SetBit(new(big.Int), bits-1, 1)))
		return n.SetBit(n.SetBit(n, bits-1, 1), 0, 1)
	}
	weak := func(name string, n *big.Int, e int64) refusal { return refusal{name, rsaJWK(n, e), "", "weak_key"} }
	p := must(rand.Prime(rand.Reader, 1024))
	refuse(t, []refusal{
		weak("1024 bits", odd(1024), 65537),
		weak("2047 bits", odd(2047), 65537),
		weak("4097 bits", odd(4097), 65537),
		weak("5120 bits", odd(5120), 65537),
		weak("16384 bits", odd(16384), 65537),
		weak("modulus of one", big.NewInt(1), 65537),
		weak("exponent 3", good, 3),
		weak("exponent 2", good, 2),
		weak("exponent 65536", good, 65536),
		weak("exponent 65539", good, 65539),
		weak("exponent of 63 bits", good, 1<<62+1),
		weak("even modulus", new(big.Int).Add(good, big.NewInt(1)), 65537),
		weak("factor 3", new(big.Int).Mul(must(rand.Prime(rand.Reader, 2047)), big.NewInt(3)), 65537),
		weak("factor 751", new(big.Int).Mul(must(rand.Prime(rand.Reader, 2040)), big.NewInt(751)), 65537),
		weak("square of a prime", new(big.Int).Mul(p, p), 65537),
		weak("next prime but one", new(big.Int).Mul(p, nextPrime(nextPrime(p))), 65537),
		weak("generator of CVE-2017-15361", new(big.Int).Mul(rocaPrime(), rocaPrime()), 65537),
	})
}

func nextPrime(p *big.Int) *big.Int {
	q, two := new(big.Int).Set(p), big.NewInt(2)
	for q.Add(q, two); !q.ProbablyPrime(10); q.Add(q, two) {
	}
	return q
}

// rocaPrime makes a prime of 1024 bits as the broken generator did: k*M +
// (65537^a mod M), M the product of the first 126 primes (Nemec et al., "The
// Return of Coppersmith's Attack", section 2.2).
func rocaPrime() *big.Int {
	m, found := big.NewInt(1), 0
	for i := int64(2); found < 126; i++ {
		if q := big.NewInt(i); q.ProbablyPrime(10) {
			m.Mul(m, q)
			found++
		}
	}
	least := new(big.Int).Lsh(big.NewInt(3), 1022)
	for {
		a := must(rand.Int(rand.Reader, m))
		k := new(big.Int).Add(new(big.Int).Div(least, m), must(rand.Int(rand.Reader, big.NewInt(1<<40))))
		p := k.Mul(k, m)
		p.Add(p, new(big.Int).Exp(big.NewInt(65537), a, m))
		if p.BitLen() == 1024 && p.Cmp(least) >= 0 && p.ProbablyPrime(10) {
			return p
		}
	}
}

// Every way to be weak is found by its own test, not by another's accident.
func TestWeaknessIsNamed(t *testing.T) {
	p := must(rand.Prime(rand.Reader, 1024))
	for words, in := range map[string]apikey.JWK{
		"2048 to 4096 bits":  rsaJWK(new(big.Int).Rsh(rsaKeys[2048]().N, 1), 65537),
		"exponent":           rsaJWK(rsaKeys[2048]().N, 3),
		"small prime factor": rsaJWK(new(big.Int).Mul(must(rand.Prime(rand.Reader, 2040)), big.NewInt(743)), 65537),
		"is a prime":         rsaJWK(must(rand.Prime(rand.Reader, 2048)), 65537),
		"too close":          rsaJWK(new(big.Int).Mul(p, nextPrime(p)), 65537),
		"CVE-2017-15361":     rsaJWK(new(big.Int).Mul(rocaPrime(), rocaPrime()), 65537),
	} {
		if _, fault := apikey.ParsePublicKey(in, "#"); fault == nil || !strings.Contains(fault.Detail, words) {
			t.Errorf("want %q, got %+v", words, fault)
		}
	}
}
