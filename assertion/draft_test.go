package assertion_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// subject is a key, with the private keys of its public ones.
type subject struct {
	key     apikey.Key
	private []crypto.Signer
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newKey is a private key for the algorithm.
func newKey(alg string) crypto.Signer {
	curves := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}
	if curve, ok := curves[alg]; ok {
		return must(ecdsa.GenerateKey(curve, rand.Reader))
	}
	return must(rsa.GenerateKey(rand.Reader, 2048))
}

// newSubject is an active key with n public keys.
func newSubject(alg string, n int) *subject {
	s := &subject{key: apikey.Key{Status: apikey.StatusActive}}
	s.key.ID, s.key.AuthMethod = "key_test_"+strings.ToLower(rand.Text()), apikey.PrivateKeyJWT
	for range n {
		private := newKey(alg)
		members := apikey.JWK{}
		if err := json.Unmarshal(must(jose.JSONWebKey{Key: private.Public(), Algorithm: alg}.MarshalJSON()), &members); err != nil {
			panic(err)
		}
		public, fault := apikey.ParsePublicKey(members, "")
		if fault != nil {
			panic(fault)
		}
		s.private, s.key.PublicKeys = append(s.private, private), append(s.key.PublicKeys, public)
	}
	return s
}

// register makes the client at Hydra as TokenOS projects the key; a revoked key has
// none.
func (s *subject) register(t *testing.T, adminURL string) {
	if s.key.Status == apikey.StatusRevoked {
		return
	}
	client := map[string]any{"client_id": s.key.ID, "client_secret": rand.Text(), "scope": "r", "grant_types": []string{"client_credentials"},
		"response_types": []string{}, "token_endpoint_auth_method": s.key.AuthMethod}
	if s.key.Status != apikey.StatusActive {
		client["grant_types"] = []string{"disabled"}
	}
	if s.key.AuthMethod == apikey.PrivateKeyJWT {
		keys := []apikey.JWK{}
		for _, k := range s.key.LivePublicKeys(time.Now()) {
			keys = append(keys, k.JWK)
		}
		client["jwks"], client["token_endpoint_auth_signing_alg"] = map[string]any{"keys": keys}, s.key.PublicKeys[0].Alg
	}
	hydratest.Register(t, adminURL, client)
}

// draft is an assertion before it is made.
type draft struct {
	subject        *subject
	header, claims map[string]any
	signer         crypto.Signer
	payload        string              // in place of the claims
	form           string              // client_id in the form
	spoil          func(string) string // what happens to it afterwards
	replayed       bool                // its jti was used before
}

func newDraft(s *subject, tokenURL string) *draft {
	return &draft{subject: s, signer: s.private[len(s.private)-1],
		header: map[string]any{"typ": "JWT", "alg": s.key.PublicKeys[0].Alg, "kid": s.key.PublicKeys[len(s.private)-1].KID},
		claims: map[string]any{"iss": s.key.ID, "sub": s.key.ID, "aud": tokenURL, "jti": rand.Text(), "exp": time.Now().Add(time.Minute).Unix()}}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token signs by the key's own algorithm or, with an RSA key, by that of the header.
func (d *draft) token() string {
	if d.payload == "" {
		d.payload = string(must(json.Marshal(d.claims)))
	}
	text := b64(must(json.Marshal(d.header))) + "." + b64([]byte(d.payload))
	alg, _ := d.header["alg"].(string)
	text += "." + b64(sign(d.signer, alg, text))
	if d.spoil != nil {
		text = d.spoil(text)
	}
	return text
}

// hashes by the end of an algorithm's name, or the bits of a curve.
var hashes = map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512, "521": crypto.SHA512}

func sign(signer crypto.Signer, alg, text string) []byte {
	hash := hashes[alg[max(0, len(alg)-3):]]
	key, isEC := signer.(*ecdsa.PrivateKey)
	if isEC {
		hash = hashes[strconv.Itoa(key.Curve.Params().BitSize)]
	} else if hash == 0 {
		hash = crypto.SHA256
	}
	h := hash.New()
	io.WriteString(h, text) //nolint:errcheck // never fails
	if isEC {
		r, s, err := ecdsa.Sign(rand.Reader, key, h.Sum(nil))
		if err != nil {
			panic(err)
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	var opts crypto.SignerOpts = hash
	if strings.HasPrefix(alg, "PS") {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	return must(signer.Sign(rand.Reader, h.Sum(nil), opts))
}

// claim sets a claim to one of values; nil removes it.
func claim(name string, values ...func() any) mutation {
	return func(w *world, d *draft) {
		v := values[w.chance.IntN(len(values))]()
		if v == nil {
			delete(d.claims, name)
			return
		}
		d.claims[name] = v
	}
}

func value(v any) func() any { return func() any { return v } }

// in is a time so far from now, exact enough that nothing depends on the second.
func in(d time.Duration) func() any { return func() any { return time.Now().Add(d).Unix() } }

func inFloat(d time.Duration) func() any {
	return func() any { return float64(time.Now().Add(d).Unix()) + 0.5 }
}

// spoiled changes the finished assertion.
func spoiled(how ...func(string) string) mutation {
	return func(w *world, d *draft) { d.spoil = how[w.chance.IntN(len(how))] }
}

// payload replaces the claims by a text that may name id, exp, jti and aud.
func payload(texts ...string) mutation {
	return func(w *world, d *draft) {
		d.payload = strings.NewReplacer("ID", d.subject.key.ID, "EXP", strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10), "JTI", rand.Text(), "AUD", w.tokenURL).
			Replace(texts[w.chance.IntN(len(texts))])
	}
}

// header sets a member of the header to one of values; nil removes it.
func header(name string, values ...any) mutation {
	return func(w *world, d *draft) {
		v := values[w.chance.IntN(len(values))]
		if v == nil {
			delete(d.header, name)
			return
		}
		d.header[name] = v
	}
}

type mutation func(*world, *draft)

// null is the JSON value, where nil means to remove the member.
var null = json.RawMessage("null")

const whole = `"iss":"ID","sub":"ID","aud":"AUD","jti":"JTI"`

// mutations are what is done to a good assertion; some leave it good.
var mutations = []mutation{
	claim("exp", in(-2*time.Second), in(-time.Hour), inFloat(-time.Hour), value(1), value(-1), value(1e300)),
	claim("exp", value(nil), value("soon"), value(null), value(true)),
	claim("exp", value(0), in(10*365*24*time.Hour), inFloat(time.Hour)),
	claim("iat", in(time.Minute), inFloat(time.Hour), value(1e15)),
	claim("iat", value(nil), in(-time.Hour), value(0), value("later"), value(null), value(1e300), value(-1)),
	claim("nbf", in(time.Minute), inFloat(time.Hour), value(int64(1)<<62)),
	claim("nbf", in(-365*24*time.Hour), value(0), value([]int{1}), value(-1e300)),
	claim("iss", value(nil), value(""), value("https://elsewhere.example"), value(7), value(null)),
	claim("sub", value(nil), value(""), value("key_test_elsewhere"), value(7), value(null)),
	claim("jti", value(nil), value(""), value(7), value(null)),
	claim("jti", func() any { return "\x1b[31m\u202e" + rand.Text() }, func() any { return strings.Repeat("x", 1000) + rand.Text() }),
	func(w *world, d *draft) { d.claims["jti"], d.replayed = w.used, true },
	func(w *world, d *draft) {
		d.claims["aud"] = []any{nil, "", "https://auth.example.com", w.tokenURL + "/", strings.TrimSuffix(w.tokenURL, "/oauth2/token"), []any{}, []any{""}, []string{"a", "b"}, 7, []any{7}, strings.ToUpper(w.tokenURL)}[w.chance.IntN(11)]
	},
	func(w *world, d *draft) {
		d.claims["aud"] = []any{[]string{w.tokenURL}, []any{"a", 7, w.tokenURL}, []any{w.tokenURL, nil}}[w.chance.IntN(3)]
	},
	header("alg", "HS256", "none", "None", "EdDSA", "", nil, "es256", "ES256K"),
	header("alg", "RS256", "PS256", "ES256", "ES384", "RS512", "PS384"),
	header("kid", nil),
	header("kid", "elsewhere", "../../etc/passwd", "\x1b[2J"),
	header("kid", ""),
	func(_ *world, d *draft) { d.header["kid"] = d.subject.key.PublicKeys[0].KID },
	func(_ *world, d *draft) { d.signer = d.subject.private[0] },
	func(_ *world, d *draft) {
		d.signer, d.header["kid"] = d.subject.private[0], d.subject.key.PublicKeys[0].KID
	},
	func(w *world, d *draft) { d.signer = w.stranger(d.header["alg"]) },
	header("kid", 7, []string{"a"}),
	header("crit", []string{"urn:x"}, []string{}, "x"),
	header("typ", nil, "client-authentication+jwt", 7),
	header("jku", "https://elsewhere.example/jwks.json"),
	header("jwk", map[string]any{"kty": "oct", "k": "AAAA"}, map[string]any{"kty": "EC"}, json.RawMessage(`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}`)),
	header("x5c", "not a list", []string{"not base64"}),
	payload("[]", "7", `"text"`, "{", `{"exp":EXP,"exp":EXP,`+whole+`}`, `{"exp":EXP,`+whole+`} {}`, `{"exp":EXP,`+whole+`,}`),
	payload("null", "{}", `{"EXP":EXP,"ISS":"x",`+whole+`,"exp":EXP}`, ` {"exp":EXP,`+whole+`}`, `{"exp":1e10,`+whole+`,"n":123456789012345678901234567890}`, `{"Exp":EXP,`+whole+`}`),
	spoiled(func(s string) string { return s[:len(s)-8] }, func(s string) string { return s[:len(s)-8] + "AAAAAAAA" }, func(s string) string { return s[:strings.LastIndex(s, ".")+1] },
		func(s string) string { return s[:len(s)-9] + "." + s[len(s)-8:] }),
	spoiled(func(s string) string { return s + "A=A" }, func(s string) string { return s + ".x" }, func(s string) string { return s[:strings.LastIndex(s, ".")] }, func(s string) string { return "" },
		func(s string) string { return b64([]byte("[]")) + s[strings.Index(s, "."):] }, func(s string) string { return s + ".a.b" },
		func(s string) string { return strings.Replace(s, ".", ".+/", 1) }, func(string) string { return "tos_secret" }),
	spoiled(func(s string) string { return s + "\n" }, func(s string) string { return strings.Replace(s, ".", "==.", 1) + "=" }, func(s string) string { return " " + s[:20] + "\r\n\t" + s[20:] + "\u2003" }),
	func(_ *world, d *draft) { d.form = d.subject.key.ID },
	func(w *world, d *draft) { d.form = w.subjects[w.chance.IntN(len(w.subjects))].key.ID },
	func(_ *world, d *draft) { d.form = "nobody" },
	func(_ *world, d *draft) { d.form, d.claims["sub"] = d.subject.key.ID, "key_test_elsewhere" },
}
