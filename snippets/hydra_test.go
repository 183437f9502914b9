package snippets_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/snippets"
)

// hydra is one real Hydra for the whole package.
var hydra = sync.OnceValues(func() (*hydradev.Server, error) {
	return hydradev.Start(context.Background(), hydradev.Config{Memory: true, Log: os.Stderr})
})

var hydraStarted bool

func TestMain(m *testing.M) {
	code := m.Run()
	if hydraStarted {
		if s, err := hydra(); err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			if err := s.Stop(ctx); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
			cancel()
		}
	}
	os.Exit(code)
}

var startMu sync.Mutex

func startHydra(t *testing.T) *hydradev.Server {
	t.Helper()
	startMu.Lock()
	defer startMu.Unlock()
	hydraStarted = true
	s, err := hydra()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// client is what a test wants of a key and of the token it buys.
type client struct {
	id        string
	method    string
	secret    string
	alg       string
	scope     string
	audience  string
	keyFile   string
	publicKey *jose.JSONWebKey
}

// register makes the client at Hydra and returns the parameters of its snippet.
func (c *client) register(t *testing.T) snippets.Params {
	t.Helper()
	s := startHydra(t)
	c.id = "snippets." + strings.ToLower(rand.Text())
	body := map[string]any{
		"client_id": c.id, "scope": "orders:other " + c.scope, "audience": strings.Fields(c.audience),
		"grant_types": []string{"client_credentials"}, "response_types": []string{}, "token_endpoint_auth_method": c.method,
		"access_token_strategy": "opaque",
	}
	p := snippets.Params{Method: c.method, TokenURL: s.TokenURL(), ClientID: c.id, Scope: c.scope, Audience: c.audience, InsecureLoopback: true}
	if c.method == "private_key_jwt" {
		if c.publicKey == nil {
			c.makeKey(t)
		}
		p.KID, p.Alg = c.publicKey.KeyID, c.alg
		other := &client{alg: c.alg}
		other.makeKey(t) // a second key comes first: only the kid leads to the right one
		body["jwks"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{*other.publicKey, *c.publicKey}}
		body["token_endpoint_auth_signing_alg"] = c.alg
	} else {
		body["client_secret"] = c.secret
	}
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	call(t, s.AdminURL()+"/admin/clients", "application/json", bytes.NewReader(raw), http.StatusCreated, nil)
	return p
}

// makeKey makes a key pair; the private half goes into a PEM file.
func (c *client) makeKey(t *testing.T) {
	t.Helper()
	curves := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}
	var private crypto.Signer
	var err error
	if curve, ok := curves[c.alg]; ok {
		private, err = ecdsa.GenerateKey(curve, rand.Reader)
	} else {
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	c.keyFile = filepath.Join(t.TempDir(), "private key.pem")
	if err := os.WriteFile(c.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	c.publicKey = &jose.JSONWebKey{Key: private.Public(), KeyID: rand.Text(), Algorithm: c.alg, Use: "sig"}
}

// token is what Hydra knows of an access token.
type token struct {
	Active   bool     `json:"active"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Aud      []string `json:"aud"`
}

func introspect(t *testing.T, accessToken string) token {
	t.Helper()
	var out token
	form := strings.NewReader(url.Values{"token": {accessToken}}.Encode())
	call(t, startHydra(t).AdminURL()+"/admin/oauth2/introspect", "application/x-www-form-urlencoded", form, http.StatusOK, &out)
	return out
}

func call(t *testing.T, url, contentType string, body io.Reader, want int, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Fatalf("POST %s: got %d, want %d: %s", url, resp.StatusCode, want, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			t.Fatal(err)
		}
	}
}
