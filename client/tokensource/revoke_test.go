package tokensource_test

import (
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// A token ends by each method, and the source then buys another. A wrong secret is
// called one.
func TestRevoke(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	for _, method := range methods {
		k := newKey(t, w, method, apikey.Opaque)
		s := newSource(t, k.config())
		token, err := s.AccessToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Revoke(t.Context(), token); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if introspect(t, k.world.Hydra, token).Active {
			t.Errorf("%s: the token is still active", method)
		}
		if next, err := s.AccessToken(t.Context()); err != nil || next == token {
			t.Errorf("%s: the source keeps the token that is over: %v", method, err)
		}
		if err := s.Revoke(t.Context(), "unknown"); err != nil { // RFC 7009 section 2.2
			t.Errorf("%s: an unknown token: %v", method, err)
		}
	}
	k := newKey(t, w, apikey.ClientSecretBasic, apikey.Opaque)
	wrong := newSource(t, k.config(), func(c *tokensource.Config) { c.Credential = tokensource.ClientSecretBasic(k.secret + "x") })
	refused(t, wrong.Revoke(t.Context(), "some-token"), tokensource.ErrCredential, k.secret, "some-token")
	elsewhere := newSource(t, k.config(), func(c *tokensource.Config) { c.TokenURL += "s" })
	if err := elsewhere.Revoke(t.Context(), "some-token"); err == nil {
		t.Error("revoked at an address that cannot be known")
	}
}
