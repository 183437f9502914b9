package hydratest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// Each method buys a token that Hydra calls active, with what was asked for; with
// the wrong credential, or by another method, it buys none.
func TestBuy(t *testing.T) {
	s := Shared(t)
	good, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := jose.JSONWebKey{Key: good.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}
	for _, method := range []string{Basic, Post, PrivateKeyJWT} {
		t.Run(method, func(t *testing.T) {
			id := unique(method)
			client := map[string]any{
				"client_id": id, "grant_types": []string{"client_credentials"},
				"token_endpoint_auth_method": method, "scope": "orders:read", "audience": []string{"https://api.test"},
			}
			p := Purchase{TokenURL: s.TokenURL(), Method: method, ID: id, Scopes: []string{"orders:read"}, Audiences: []string{"https://api.test"}}
			wrong, other := p, p
			if method == PrivateKeyJWT {
				client["jwks"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}}
				client["token_endpoint_auth_signing_alg"] = "ES256"
				p.Key, p.KID, wrong.Key, wrong.KID = good, "k1", bad, "k1"
				other.Method, other.Secret = Basic, "whatever"
			} else {
				client["client_secret"] = "a+secret%of/tests"
				p.Secret, wrong.Secret = "a+secret%of/tests", "another-secret"
				other.Method, other.Key = PrivateKeyJWT, good
			}
			Register(t, s.AdminURL(), client)
			if token := MustBuy(t, p); !Introspect(t, s.AdminURL(), token) {
				t.Error("a token just bought is not active")
			}
			for name, p := range map[string]Purchase{"wrong credential": wrong, "another method": other} {
				_, err := Buy(t.Context(), p)
				var r *Refused
				if !errors.As(err, &r) || r.Code != "invalid_client" || Status(err) != http.StatusUnauthorized {
					t.Errorf("%s: got %v, want 401 invalid_client", name, err)
				}
			}
		})
	}
	if Introspect(t, s.AdminURL(), "no-such-token") {
		t.Error("a made-up token is active")
	}
}

// A purchase without an answer is told from a refusal.
func TestBuyWithoutAnswer(t *testing.T) {
	s := Shared(t)
	proxy := NewProxy(t, s.PublicURL())
	proxy.Refuse()
	_, err := Buy(t.Context(), Purchase{TokenURL: proxy.URL() + "/oauth2/token", ID: "x", Secret: "y"})
	if err == nil || Status(err) != 0 {
		t.Errorf("refused connection: got %v, status %d", err, Status(err))
	}
	if err := proxy.Accept(); err != nil {
		t.Fatal(err)
	}
	proxy.Inject(GarbageJSON())
	_, err = Buy(t.Context(), Purchase{TokenURL: proxy.URL() + "/oauth2/token", ID: "x", Secret: "y"})
	if err == nil || Status(err) != 0 {
		t.Errorf("garbage: got %v, status %d", err, Status(err))
	}
}
