//go:build unix

package hydra_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// TestProveWithoutDatabase: while Hydra's database is away no credential is
// right and none is wrong. The revocation endpoint calls them all right then.
func TestProveWithoutDatabase(t *testing.T) {
	pg := pgtest.New(t, pgtest.Config{})
	s := hydratest.New(t, hydradev.Config{DSN: pg.URL(t)})
	h := newHydra(t, func(c *hydra.Config) { c.AdminURL, c.PublicURL = s.AdminURL(), s.PublicURL() })
	w, jwt, p := newWrite(), newWrite(), newPair(t, "ES256")
	jwt = withKeys(t, jwt, p)
	create(t, h, w)
	create(t, h, jwt)
	signed := func() apikey.Credential {
		return assertionOf(jwt, p.assertion(t, jwt.Definition.ID, object{"aud": s.TokenURL()}))
	}
	wrong := secretOf(w)
	wrong.Secret = apikey.GenerateSecret()
	wantProof(t, h, "before", secretOf(w), nil)
	wantProof(t, h, "before, assertion", signed(), nil)
	wantProof(t, h, "before, wrong", wrong, apikey.ErrUnauthenticated)
	if err := pg.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		wantProof(t, h, "right", secretOf(w), apikey.ErrUnavailable)
		wantProof(t, h, "wrong", wrong, apikey.ErrUnavailable)
		wantProof(t, h, "assertion", signed(), apikey.ErrUnavailable)
	}
	form(t, s.PublicURL()+"/oauth2/revoke", w.Definition.ID, "wrong", url.Values{"token": {"made-up"}}).want(t, http.StatusOK)
	if err := pg.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Hydra is back", func() bool { return h.Prove(deadline(t), secretOf(w)) == nil })
	wantProof(t, h, "after, assertion", signed(), nil)
	wantProof(t, h, "after, wrong", wrong, apikey.ErrUnauthenticated)
}
