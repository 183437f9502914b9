package apikeytest

import (
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// Buy buys a token at Hydra by the key's method, for its first scope and
// audience, with the secret or the key pair.
func (f Fixture) Buy(t testing.TB, k apikey.Key, secret apikey.Secret, pair *Pair) (string, error) {
	t.Helper()
	p := hydratest.Purchase{TokenURL: f.TokenURL, Method: string(k.AuthMethod), ID: k.ID, Secret: secret.Reveal(), Scopes: k.Scopes[:1]}
	if len(k.Audiences) > 0 {
		p.Audiences = k.Audiences[:1]
	}
	if pair != nil {
		public, bad := apikey.ParsePublicKey(pair.Public, "")
		if bad != nil {
			t.Fatal(bad.Detail)
		}
		p.Key, p.Alg, p.KID = pair.Private, jose.SignatureAlgorithm(pair.Alg), public.KID
	}
	return hydratest.Buy(t.Context(), p)
}

// Works reports whether the credential buys a token. No answer at all ends the
// test.
func (f Fixture) Works(t testing.TB, k apikey.Key, secret apikey.Secret, pair *Pair) bool {
	t.Helper()
	_, err := f.Buy(t, k, secret, pair)
	if hydratest.Status(err) == 0 {
		t.Fatal(err)
	}
	return err == nil
}

// Active asks Hydra whether a token is active.
func (f Fixture) Active(t testing.TB, token string) bool {
	t.Helper()
	return hydratest.Introspect(t, f.AdminURL, token)
}
