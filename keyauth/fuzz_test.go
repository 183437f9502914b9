package keyauth

import (
	"bytes"
	"compress/zlib"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const fuzzAPI = "https://api.example.com"

// fuzzed is a verifier that knows one key and calls nobody.
func fuzzed(f *testing.F) (*Verifier, jose.Signer) {
	f.Helper()
	v, err := New(Config{Audiences: []string{fuzzAPI}, Issuer: "https://auth.example.com", StatusList: StatusList{Off: true}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = v.Close() })
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	v.issuerKeys.keys = map[string][]publicKey{"k": {{alg: "ES256", key: key.Public(), thumbprint: "t"}}}
	v.issuerKeys.at, v.issuerKeys.tried = time.Now(), time.Now()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", "k"))
	if err != nil {
		f.Fatal(err)
	}
	return v, signer
}

func fuzzClaims() string {
	now := time.Now().Unix()
	return fmt.Sprintf(`{"aud":["%s"],"client_id":"k1","exp":%d,"iat":%d,"nbf":%d,"iss":"https://auth.example.com","jti":"j","scp":["a"],"sub":"k1","root_id":"k0","owner":"acme","env":"live","key_expires_at":"2099-01-02T03:04:05Z","status":{"status_list":{"idx":1,"uri":"https://keys.example.com/status/0"}}}`, fuzzAPI, now+90_000, now, now)
}

// However a token is spoilt, it is refused as invalid and nothing breaks.
func FuzzToken(f *testing.F) {
	v, signer := fuzzed(f)
	signed, err := signer.Sign([]byte(fuzzClaims()))
	if err != nil {
		f.Fatal(err)
	}
	good, err := signed.CompactSerialize()
	if err != nil {
		f.Fatal(err)
	}
	if _, err := v.Verify(f.Context(), good); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, "", "..", "a.b.c", strings.ToUpper(good), good + ".", "ory_at_a.b", "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(t.Context(), token); (err == nil) != (token == good) {
			t.Errorf("%q: %v", token, err)
		} else if e, ok := err.(*Error); err != nil && (!ok || e.Kind != ErrInvalidToken) { //nolint:errorlint // exactly this
			t.Errorf("%q: %v", token, err)
		}
	})
}

// Whatever claims are signed, they are accepted only if a second reading of them
// says the same: the right audience, issuer and client, and not ended.
func FuzzClaims(f *testing.F) {
	v, signer := fuzzed(f)
	good := fuzzClaims()
	for _, seed := range []string{good, "{}", "null", "[]", strings.ToUpper(good), good[:len(good)-1] + `,"aud":"x"}`, `{"exp":1e400}`, strings.Repeat("[", 100)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		signed, err := signer.Sign(payload)
		if err != nil {
			return // what cannot be signed is nobody's token
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			return
		}
		who, err := v.Verify(t.Context(), token)
		if err != nil {
			return
		}
		var second struct {
			Issuer   string          `json:"iss"`
			Client   string          `json:"client_id"`
			Owner    string          `json:"owner"`
			Expires  float64         `json:"exp"`
			Audience json.RawMessage `json:"aud"`
		}
		if err := json.Unmarshal(payload, &second); err != nil {
			t.Fatalf("accepted, and not JSON: %v", err)
		}
		if who.KeyID != second.Client || who.KeyID == "" || who.Owner != second.Owner || second.Issuer != "https://auth.example.com" ||
			second.Expires < float64(time.Now().Add(-time.Minute).Unix()) || !strings.Contains(string(second.Audience), "example.com") || !slices.Contains(who.Audience, fuzzAPI) {
			t.Errorf("accepted: %s", payload)
		}
	})
}

// Whatever introspection answers, only the boolean true of a second reading is
// taken for active.
func FuzzIntrospection(f *testing.F) {
	good := fmt.Sprintf(`{"active":true,"client_id":"k1","sub":"k1","scope":"a b","exp":%d,"iat":1,"nbf":1,"aud":["%s"],"iss":"https://auth.example.com","token_type":"Bearer","token_use":"access_token","root_id":"k0","owner":"acme","env":"live","ext":{"owner":"acme"}}`, time.Now().Unix()+900, fuzzAPI)
	if _, err := readIntrospection([]byte(good), ""); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, `{"active":false}`, `{"active":"true"}`, `{"active":1}`, "{}", "null", "[]", `{"Active":true}`, good[:len(good)-1] + `,"active":false}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, read := range []func([]byte, string) (*token, *Error){readIntrospection, readHydraIntrospection} {
			got, err := read(body, "https://auth.example.com")
			if (got == nil) == (err == nil) {
				t.Fatalf("both or neither: %v, %v", got, err)
			}
			if err != nil {
				continue
			}
			var second map[string]any
			if e := json.Unmarshal(body, &second); e != nil || second["active"] != true || second["client_id"] != got.who.KeyID || second["sub"] != got.who.KeyID || got.who.ExpiresAt.IsZero() {
				t.Errorf("taken for active: %s", body)
			}
		}
	})
}

// Whatever a status list holds, reading it neither breaks nor takes more memory
// than a list may have, and every index within it has a value of its width.
func FuzzStatusList(f *testing.F) {
	now := time.Now()
	packed := func(b []byte) string {
		var out bytes.Buffer
		z := zlib.NewWriter(&out)
		_, _ = z.Write(b)
		_ = z.Close()
		return base64.RawURLEncoding.EncodeToString(out.Bytes())
	}
	claims := func(bits int, lst string) []byte {
		return fmt.Appendf(nil, `{"sub":"u","iat":%d,"exp":%d,"ttl":5,"status_list":{"bits":%d,"lst":"%s"}}`, now.Unix(), now.Unix()+90_000, bits, lst)
	}
	for _, seed := range [][]byte{claims(1, "eNrbuRgAAhcBXQ"), claims(2, packed(make([]byte, 1000))), claims(8, packed(make([]byte, 10))), claims(2, packed(make([]byte, 2<<20))), claims(3, ""), []byte("{}"), []byte("null")} {
		f.Add(seed, 7)
	}
	f.Fuzz(func(t *testing.T, body []byte, index int) {
		o, ok := readObject(body)
		if !ok {
			return
		}
		l, err := readStatusList(o, "u", now, 0)
		if err != nil {
			return
		}
		if len(l.bytes) == 0 || len(l.bytes) > maxListBytes || !l.until.After(now) {
			t.Errorf("%d bytes until %s", len(l.bytes), l.until)
		}
		index = max(index, -index-1) // never below zero
		value, ok := l.at(index)
		if ok != (index < len(l.bytes)*8/l.bits) || value < 0 || value >= 1<<l.bits {
			t.Errorf("index %d of %d bytes with %d bits: %d, %t", index, len(l.bytes), l.bits, value, ok)
		}
	})
}

// Whatever a set of keys holds, only keys that may verify come out of it.
func FuzzKeySet(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	for _, k := range []any{key, key.Public(), []byte("secret")} {
		raw, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k, KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, ok := readKeySet(body, []string{"ES256", "RS256"})
		if ok != (len(keys) > 0) {
			t.Errorf("%d keys, %t", len(keys), ok)
		}
		for kid, same := range keys {
			for _, k := range same {
				if !kidForm.MatchString(kid) || len(same) > maxSameKID || k.thumbprint == "" || k.alg != "ES256" && k.alg != "RS256" {
					t.Errorf("%q: %+v", kid, k)
				}
			}
		}
	})
}
