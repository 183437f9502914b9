package apikeytest

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// Serve serves the world's REST API over TLS for as long as the test.
func (w *World) Serve(t testing.TB) *httptest.Server {
	t.Helper()
	h, err := handlers.New(handlers.Config{API: w.Service, Authenticate: w.Service.Authenticate, Holder: w.Service,
		Introspector: w.Service, StatusLists: w.Service})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	return s
}

// ManagementToken makes a management key and buys a token with it.
func (w *World) ManagementToken(t testing.TB, rights []apikey.Right, owners ...string) string {
	t.Helper()
	p := apikey.CreateParams{Name: t.Name()[:min(len(t.Name()), 100)], Kind: apikey.KindManagement, Owners: owners}
	for _, r := range rights {
		p.Scopes = append(p.Scopes, string(r))
	}
	issued, err := w.Service.Create(apikey.WithCaller(t.Context(), apikey.System("test")), p)
	if err != nil {
		t.Fatal(err)
	}
	return hydratest.MustBuy(t, hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: issued.Key.ID, Secret: issued.Secret.Reveal(),
		Scopes: p.Scopes, Audiences: []string{apikey.ManagementAudience}})
}

// RESTFixture is the world behind HTTP: each caller is a Go client with a token
// that Hydra issued to a management key of its own.
func (w *World) RESTFixture(t testing.TB) Fixture {
	f, server := w.Fixture(), w.Serve(t)
	f.As = func(t *testing.T, rights []apikey.Right, owners ...string) (apikey.API, context.Context) {
		t.Helper()
		c, err := client.New(client.Config{BaseURL: server.URL, HTTPClient: server.Client(), Token: client.StaticToken(w.ManagementToken(t, rights, owners...))})
		if err != nil {
			t.Fatal(err)
		}
		return c, t.Context()
	}
	return f
}
