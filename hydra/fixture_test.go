package hydra_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
)

const installation = "0b9f3c5e-ledger"

// object is a JSON object.
type object = map[string]any

// newHydra returns our Hydra on the real one, changed by the options.
func newHydra(t *testing.T, options ...func(*hydra.Config)) *hydra.Hydra {
	t.Helper()
	c := hydra.Config{AdminURL: running(t).AdminURL(), PublicURL: running(t).PublicURL()}
	for _, o := range options {
		o(&c)
	}
	h, err := hydra.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// deadline bounds everything one test does.
func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// newWrite is a key with a secret that may buy tokens.
func newWrite() apikey.ClientWrite {
	now := time.Now().UTC().Truncate(time.Second)
	id := apikey.NewID(apikey.Test, now)
	return apikey.ClientWrite{
		Definition: apikey.Definition{
			ID: id, RootID: id, Kind: apikey.KindAPI, Name: "billing worker", Owner: "acme", Environment: apikey.Test,
			AuthMethod: apikey.ClientSecretBasic, Scopes: []string{"orders:read", "orders:write"},
			Audiences: []string{"https://api.example.com"},
			Token:     apikey.TokenSettings{Format: apikey.Opaque, Lifetime: apikey.Duration(15 * time.Minute)},
			CreatedAt: now, CreatedBy: "user:ana@acme.test", UpdatedAt: now, Revision: 1,
		},
		Open: true, Op: "op-" + rand.Text(), Ledger: installation, Secret: apikey.GenerateSecret(),
	}
}

// withKeys makes w a private_key_jwt key.
func withKeys(t *testing.T, w apikey.ClientWrite, pairs ...pair) apikey.ClientWrite {
	t.Helper()
	w.Definition.AuthMethod, w.Secret, w.PublicKeys = apikey.PrivateKeyJWT, apikey.Secret{}, nil
	for _, p := range pairs {
		w.PublicKeys = append(w.PublicKeys, p.public(t))
	}
	w.Definition.PublicKeys = w.PublicKeys
	return w
}

// next is the write of the following change.
func next(w apikey.ClientWrite) apikey.ClientWrite {
	w.Op, w.Definition.Revision, w.Secret = "op-"+rand.Text(), w.Definition.Revision+1, apikey.Secret{}
	return w
}

func create(t *testing.T, h *hydra.Hydra, w apikey.ClientWrite) {
	t.Helper()
	if err := h.Create(deadline(t), w); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, h *hydra.Hydra, w apikey.ClientWrite) {
	t.Helper()
	if err := h.Put(deadline(t), w); err != nil {
		t.Fatal(err)
	}
}

// reply is an answer of the real Hydra.
type reply struct {
	status int
	body   object
	text   string
}

// says is the error and its description.
func (r reply) says() string {
	e, _ := r.body["error"].(string)
	d, _ := r.body["error_description"].(string)
	return e + ": " + d
}

func (r reply) want(t *testing.T, status int, words ...string) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("got %d %s, want %d", r.status, r.text, status)
	}
	for _, w := range words {
		if !strings.Contains(r.says(), w) {
			t.Fatalf("got %q, want it to contain %q", r.says(), w)
		}
	}
	return r
}

func do(t *testing.T, req *http.Request) reply {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	r := reply{status: resp.StatusCode, text: string(body)}
	_ = json.Unmarshal(body, &r.body)
	return r
}

// admin calls the real admin API with a JSON body, past our code.
func admin(t *testing.T, method, path string, body any) reply {
	t.Helper()
	raw := []byte{}
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(deadline(t), method, running(t).AdminURL()+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

// form posts a form; a basic credential is sent if id is not empty, encoded as
// RFC 6749 section 2.3.1 asks.
func form(t *testing.T, target, id, secret string, f url.Values) reply {
	t.Helper()
	return rawForm(t, target, url.QueryEscape(id), url.QueryEscape(secret), f)
}

func rawForm(t *testing.T, target, id, secret string, f url.Values) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(deadline(t), http.MethodPost, target, strings.NewReader(f.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		req.SetBasicAuth(id, secret)
	}
	return do(t, req)
}

// grant is a client credentials request; extra are name, value, ...
func grant(extra ...string) url.Values {
	f := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i+1 < len(extra); i += 2 {
		f.Set(extra[i], extra[i+1])
	}
	return f
}

// buy asks for a token with a basic credential.
func buy(t *testing.T, id, secret string, extra ...string) reply {
	t.Helper()
	return form(t, running(t).PublicURL()+"/oauth2/token", id, secret, grant(extra...))
}

func bought(t *testing.T, r reply) string {
	t.Helper()
	token, _ := r.want(t, 200).body["access_token"].(string)
	if token == "" {
		t.Fatal("the answer has no access_token")
	}
	return token
}

func introspect(t *testing.T, token string) object {
	t.Helper()
	return form(t, running(t).AdminURL()+"/admin/oauth2/introspect", "", "", url.Values{"token": {token}}).want(t, 200).body
}

func wantActive(t *testing.T, token string, want bool) {
	t.Helper()
	if got := introspect(t, token)["active"]; got != want {
		t.Fatalf("active: got %v, want %v", got, want)
	}
}

// pair is a key pair and the algorithm it is used with.
type pair struct {
	private crypto.Signer
	alg     string
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// newPair makes a key pair; the RSA ones share one modulus, which takes long to make.
func newPair(t *testing.T, alg string) pair {
	t.Helper()
	curve, found := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg]
	if !found {
		return pair{rsaKey(), alg}
	}
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return pair{k, alg}
}

// public is the public key as apikey registers it.
func (p pair) public(t *testing.T) apikey.PublicKey {
	t.Helper()
	raw, err := jose.JSONWebKey{Key: p.private.Public(), Algorithm: p.alg}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var jwk apikey.JWK
	if err := json.Unmarshal(raw, &jwk); err != nil {
		t.Fatal(err)
	}
	key, fault := apikey.ParsePublicKey(jwk, "#")
	if fault != nil {
		t.Fatal(fault.Detail)
	}
	return key
}

// assertion signs one for the client (RFC 7523 section 3), changed by the claims.
func (p pair) assertion(t *testing.T, id string, changes object) string {
	t.Helper()
	now := time.Now()
	claims := object{
		"iss": id, "sub": id, "aud": running(t).PublicURL() + "/oauth2/token", "jti": rand.Text(),
		"exp": now.Add(time.Minute).Unix(),
	}
	for k, v := range changes {
		claims[k] = v
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(p.alg), Key: jose.JSONWebKey{Key: p.private, KeyID: p.public(t).KID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(raw)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// present asks for a token with an assertion.
func present(t *testing.T, assertion string, extra ...string) reply {
	t.Helper()
	extra = append(extra, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", assertion)
	return form(t, running(t).PublicURL()+"/oauth2/token", "", "", grant(extra...))
}
