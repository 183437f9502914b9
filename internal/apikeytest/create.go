package apikeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// A created key has what was asked for and sane defaults, reads back the same
// without its secret, and buys a token at Hydra.
func testCreate(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	issued, err := api.Create(ctx, apikey.CreateParams{Name: "  billing worker ", Owner: "create", Scopes: []string{"b", "a", "b"},
		Audiences: []string{"https://api.example.com"}, Labels: map[string]string{"team": "payments"}})
	if err != nil {
		t.Fatal(err)
	}
	k := issued.Key
	if !apikey.OwnID(k.ID) || k.RootID != k.ID || !strings.HasPrefix(k.ID, "key_live_") {
		t.Errorf("id %q, root %q", k.ID, k.RootID)
	}
	if !apikey.ValidSecret(issued.Secret.Reveal()) || k.Secret == nil || !strings.HasSuffix(issued.Secret.Reveal(), strings.TrimPrefix(k.Secret.Hint, "...")) {
		t.Errorf("secret or its hint is off: %v", k.Secret)
	}
	got := []any{k.Name, k.Environment, k.AuthMethod, k.Scopes, k.Audiences, k.Labels, k.Token, k.Status, k.Flags, k.Revision, k.Kind}
	want := []any{"billing worker", apikey.Live, apikey.ClientSecretBasic, []string{"a", "b"}, []string{"https://api.example.com"},
		map[string]string{"team": "payments"}, apikey.TokenSettings{Format: apikey.Opaque, Lifetime: apikey.Duration(15 * time.Minute)},
		apikey.StatusActive, []apikey.Flag{}, int64(1), apikey.KindAPI}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("key (-want +got):\n%s", d)
	}
	again, err := api.Get(ctx, k.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(k, again); d != "" {
		t.Errorf("get differs from create (-created +got):\n%s", d)
	}
	if raw, _ := json.Marshal(again); strings.Contains(string(raw), issued.Secret.Reveal()) {
		t.Error("the secret is shown again")
	}
	if !f.Works(t, k, issued.Secret, nil) {
		t.Error("the key buys no token")
	}
	if f.Works(t, k, apikey.GenerateSecret(), nil) {
		t.Error("another secret buys a token")
	}
}

// Every method of authentication and every algorithm that is accepted really
// buys a token, of the lifetime and format asked for; a test key says so in its id.
func testMethods(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	for _, method := range []apikey.AuthMethod{apikey.ClientSecretBasic, apikey.ClientSecretPost} {
		for _, format := range []apikey.TokenFormat{apikey.Opaque, apikey.JWT} {
			issued, err := api.Create(ctx, apikey.CreateParams{Name: "m", Owner: "methods", Environment: apikey.Test, Scopes: []string{"a"}, AuthMethod: method,
				Token: &apikey.TokenParams{Format: format}})
			if err != nil {
				t.Fatal(err)
			}
			token, err := f.Buy(t, issued.Key, issued.Secret, nil)
			if err != nil {
				t.Errorf("%s: %v", method, err)
				continue
			}
			if isJWT := strings.Count(token, ".") == 2; isJWT != (format == apikey.JWT) {
				t.Errorf("%s %s: jwt %v", method, format, isJWT)
			}
			if !strings.HasPrefix(issued.Key.ID, "key_test_") {
				t.Errorf("id %s of a test key", issued.Key.ID)
			}
		}
	}
	for _, alg := range apikey.Algorithms {
		pair := NewPair(t, alg)
		issued, err := api.Create(ctx, apikey.CreateParams{Name: alg, Owner: "methods", Scopes: []string{"a"}, AuthMethod: apikey.PrivateKeyJWT,
			PublicKeys: []apikey.PublicKeyInput{{JWK: pair.Public}}})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if !issued.Secret.IsZero() || issued.Key.Secret != nil {
			t.Errorf("%s: a private_key_jwt key has a secret", alg)
		}
		if !f.Works(t, issued.Key, apikey.Secret{}, pair) {
			t.Errorf("%s: the key buys no token", alg)
		}
	}
}

// Pair is a key pair for private_key_jwt.
type Pair struct {
	Alg     string
	Private any
	Public  apikey.JWK // with alg
}

// NewPair makes a key pair for the algorithm.
func NewPair(t testing.TB, alg string) *Pair {
	t.Helper()
	p := &Pair{Alg: alg}
	var err error
	switch alg {
	case "ES256":
		p.Private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		p.Private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		p.Private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	default:
		p.Private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Public = publicJWK(t, p.Private)
	p.Public["alg"] = alg
	return p
}

// pointers lists what an invalid input error points at.
func pointers(err error) []string {
	invalid, ok := errors.AsType[*apikey.InvalidError](err)
	if !ok {
		return nil
	}
	var out []string
	for _, f := range invalid.Fields {
		out = append(out, f.Pointer)
	}
	return out
}
