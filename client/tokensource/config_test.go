package tokensource_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/client/tokensource"
)

// good is a Config that New takes.
func good() tokensource.Config {
	return tokensource.Config{TokenURL: "https://auth.example.com/oauth2/token", ClientID: "key", Credential: tokensource.ClientSecretBasic("tos_hidden")}
}

// A Config that is incomplete, or would send the credential in clear, is refused,
// and the error does not repeat what is in it.
func TestConfigRefused(t *testing.T) {
	const poison = "p0ison"
	private := func(k tokensource.PrivateKey) func(*tokensource.Config) {
		return func(c *tokensource.Config) { c.Credential = tokensource.PrivateKeyJWT(k) }
	}
	p256 := signer(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p224 := signer(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	for _, tt := range []struct {
		name string
		edit func(*tokensource.Config)
		want string
	}{
		{"no URL", func(c *tokensource.Config) { c.TokenURL = "" }, "TokenURL"},
		{"plain HTTP", func(c *tokensource.Config) { c.TokenURL = "http://" + poison + ".example/oauth2/token" }, "https"},
		{"another scheme", func(c *tokensource.Config) { c.TokenURL = "file:///" + poison }, "TokenURL"},
		{"credentials in the URL", func(c *tokensource.Config) { c.TokenURL = "https://a:" + poison + "@b.example/oauth2/token" }, "TokenURL"},
		{"query in the URL", func(c *tokensource.Config) { c.TokenURL = "https://b.example/oauth2/token?" + poison }, "TokenURL"},
		{"broken URL", func(c *tokensource.Config) { c.TokenURL = "https://" + poison + "%zz" }, "TokenURL"},
		{"readiness by plain HTTP", func(c *tokensource.Config) { c.ReadyURL = "http://" + poison + ".example/ready" }, "ReadyURL"},
		{"no id", func(c *tokensource.Config) { c.ClientID = "" }, "ClientID"},
		{"long id", func(c *tokensource.Config) { c.ClientID = strings.Repeat(poison, 100) }, "ClientID"},
		{"no credential", func(c *tokensource.Config) { c.Credential = tokensource.Credential{} }, "Credential"},
		{"empty secret", func(c *tokensource.Config) { c.Credential = tokensource.ClientSecretPost("") }, "client secret"},
		{"long secret", func(c *tokensource.Config) {
			c.Credential = tokensource.ClientSecretBasic(strings.Repeat(poison, 1000))
		}, "client secret"},
		{"two scopes in one", func(c *tokensource.Config) { c.Scopes = []string{"ok", poison + " b"} }, "Scopes[1]"},
		{"scope with a line break", func(c *tokensource.Config) { c.Scopes = []string{poison + "\n"} }, "Scopes[0]"},
		{"empty audience", func(c *tokensource.Config) { c.Audiences = []string{""} }, "Audiences[0]"},
		{"many scopes", func(c *tokensource.Config) { c.Scopes = strings.Fields(strings.Repeat(poison+" ", 201)) }, "Scopes"},
		{"negative time", func(c *tokensource.Config) { c.Timeout = -time.Second }, "Timeout"},
		{"no private key", private(tokensource.PrivateKey{}), "Signer"},
		{"Ed25519", private(tokensource.PrivateKey{Signer: edwards}), "ECDSA"},
		{"P-224", private(tokensource.PrivateKey{Signer: p224}), "P-256"},
		{"RSA of 1024 bits", private(tokensource.PrivateKey{Signer: weak{}}), "bits"},
		{"ES384 on P-256", private(tokensource.PrivateKey{Signer: p256, Algorithm: "ES384"}), "Algorithm"},
		{"alg none", private(tokensource.PrivateKey{Signer: p256, Algorithm: "none"}), "Algorithm"},
		{"HS256", private(tokensource.PrivateKey{Signer: p256, Algorithm: "HS256"}), "Algorithm"},
	} {
		c := good()
		tt.edit(&c)
		s, err := tokensource.New(c)
		if err == nil || s != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error about %s", tt.name, err, tt.want)
		} else if strings.Contains(err.Error(), poison) {
			t.Errorf("%s: the error repeats a value: %v", tt.name, err)
		}
	}
	for _, address := range []string{"http://127.0.0.1:4444/oauth2/token", "http://localhost/oauth2/token", "http://[::1]/oauth2/token", "https://auth.example.com/hydra/oauth2/token"} {
		c := good()
		c.TokenURL = address
		if _, err := tokensource.New(c); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// weak is an RSA key that is too short.
type weak struct{ crypto.Signer }

func (weak) Public() crypto.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
}

func signer[K crypto.Signer](k K, err error) crypto.Signer {
	if err != nil {
		panic(err)
	}
	return k
}

// Neither a secret nor a private key prints, whatever holds it and however it is
// printed.
func TestNothingPrints(t *testing.T) {
	private := signer(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).(*ecdsa.PrivateKey)
	der, err := private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	hidden := []string{"tos_hidden", fmt.Sprintf("%x", der), fmt.Sprint(der), fmt.Sprint([]byte("tos_hidden")), fmt.Sprintf("%x", "tos_hidden")}
	key := tokensource.PrivateKey{Signer: private}
	withKey := good()
	withKey.Credential = tokensource.PrivateKeyJWT(key)
	for name, c := range map[string]tokensource.Config{"secret": good(), "private key": withKey} {
		source, err := tokensource.New(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []any{c, &c, c.Credential, &c.Credential, source, struct{ S *tokensource.Source }{source}, key, struct{ K any }{key}} {
			var b bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				fmt.Fprintf(&b, verb+"\n", v)
			}
			if raw, err := json.Marshal(v); err == nil {
				b.Write(raw)
			}
			slog.New(slog.NewJSONHandler(&b, nil)).Info("", "v", v)
			slog.New(slog.NewTextHandler(&b, nil)).Info("", "v", v)
			for _, h := range hidden {
				if strings.Contains(b.String(), h) {
					t.Errorf("%s, %T prints %s:\n%s", name, v, h, b.String())
				}
			}
		}
	}
}

// Private keys are read from PEM in the forms that openssl writes, and from JWK.
func TestParseKeys(t *testing.T) {
	ec := signer(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).(*ecdsa.PrivateKey)
	rs := signer(rsa.GenerateKey(rand.Reader, 2048)).(*rsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 5}})
	jwk := func(k jose.JSONWebKey) []byte {
		raw, err := k.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, tt := range map[string]struct {
		parse func([]byte) (tokensource.PrivateKey, error)
		text  []byte
		key   interface{ Equal(crypto.PrivateKey) bool }
		alg   string
	}{
		"PKCS #8 EC":       {tokensource.ParsePEM, pkcs8(t, ec), ec, ""},
		"PKCS #8 RSA":      {tokensource.ParsePEM, pkcs8(t, rs), rs, ""},
		"SEC 1":            {tokensource.ParsePEM, append(parameters, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})...), ec, ""},
		"PKCS #1":          {tokensource.ParsePEM, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rs)}), rs, ""},
		"text before":      {tokensource.ParsePEM, append([]byte("of the billing worker\n"), pkcs8(t, ec)...), ec, ""},
		"JWK":              {tokensource.ParseJWK, jwk(jose.JSONWebKey{Key: ec, KeyID: "mine"}), ec, ""},
		"JWK with alg":     {tokensource.ParseJWK, jwk(jose.JSONWebKey{Key: rs, Algorithm: "PS384", Use: "sig"}), rs, "PS384"},
		"JWK, EC with alg": {tokensource.ParseJWK, jwk(jose.JSONWebKey{Key: ec, Algorithm: "ES384"}), ec, "ES384"},
	} {
		got, err := tt.parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !tt.key.Equal(got.Signer) || got.Algorithm != tt.alg || got.KID != "" {
			t.Errorf("%s: algorithm %q, kid %q, the same key: %v", name, got.Algorithm, got.KID, tt.key.Equal(got.Signer))
		}
	}
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// What is no private key that Hydra takes is refused with words that hold nothing
// of it.
func TestParseKeysRefused(t *testing.T) {
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	public, err := jose.JSONWebKey{Key: signer(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public()}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	symmetric, err := jose.JSONWebKey{Key: []byte("p0ison-p0ison")}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	weak := []byte(`{"kty":"RSA","n":"p0ison","e":"AQAB"}`)
	for name, tt := range map[string]struct {
		parse func([]byte) (tokensource.PrivateKey, error)
		text  []byte
	}{
		"empty":         {tokensource.ParsePEM, nil},
		"not PEM":       {tokensource.ParsePEM, []byte("p0ison")},
		"broken":        {tokensource.ParsePEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("p0ison")})},
		"encrypted":     {tokensource.ParsePEM, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("p0ison")})},
		"a certificate": {tokensource.ParsePEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("p0ison")})},
		"Ed25519":       {tokensource.ParsePEM, pkcs8(t, edwards)},
		"huge":          {tokensource.ParsePEM, make([]byte, 1<<20)},
		"empty JWK":     {tokensource.ParseJWK, nil},
		"not JSON":      {tokensource.ParseJWK, []byte("p0ison")},
		"public":        {tokensource.ParseJWK, public},
		"symmetric":     {tokensource.ParseJWK, symmetric},
		"weak":          {tokensource.ParseJWK, weak},
		"a set":         {tokensource.ParseJWK, []byte(`{"keys":[]}`)},
		"huge JWK":      {tokensource.ParseJWK, make([]byte, 1<<20)},
	} {
		key, err := tt.parse(tt.text)
		if err == nil || key.Signer != nil || strings.Contains(err.Error(), "p0ison") {
			t.Errorf("%s: got %v, %v", name, key, err)
		}
	}
}
