package tokensource_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/internal/hydratest"
)

// prompter is the testing.TB that an example does not have.
type prompter struct{ testing.TB }

func (prompter) Helper()                  {}
func (prompter) Context() context.Context { return context.Background() }
func (prompter) Fatal(a ...any)           { panic(fmt.Sprint(a...)) }
func (p prompter) Fatalf(f string, a ...any) {
	p.Fatal(fmt.Sprintf(f, a...))
}

// must is v of a call that cannot fail in an example.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// stage makes what the examples find in their environment: clients at the shared
// Hydra, a private key file, and an API that takes active tokens.
func stage() (clear func()) {
	t := prompter{}
	h := hydratest.Shared(t)
	common := func(more map[string]any) map[string]any {
		more["scope"], more["audience"] = "orders:read", []string{"https://api.example.com"}
		return more
	}
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	public := jose.JSONWebKey{Key: private.Public(), Algorithm: "ES256", Use: "sig"}
	public.KeyID = base64.RawURLEncoding.EncodeToString(must(public.Thumbprint(crypto.SHA256)))
	dir := must(os.MkdirTemp("", "tokensource"))
	file := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(file, pkcs8(t, private), 0o600); err != nil {
		panic(err)
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" || !hydratest.Introspect(t, h.AdminURL(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	for name, value := range map[string]string{
		"TOKENOS_TOKEN_URL":        h.TokenURL(),
		"TOKENOS_CLIENT_ID":        register(t, h, common(map[string]any{"client_secret": "tos_secret-of-examples"})),
		"TOKENOS_CLIENT_SECRET":    "tos_secret-of-examples",
		"TOKENOS_PRIVATE_KEY_FILE": file,
		"TOKENOS_PRIVATE_KEY_ID": register(t, h, common(map[string]any{"token_endpoint_auth_method": "private_key_jwt",
			"token_endpoint_auth_signing_alg": "ES256", "jwks": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}})),
		"ORDERS_URL": api.URL,
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	return func() {
		api.Close()
		os.RemoveAll(dir)
	}
}
