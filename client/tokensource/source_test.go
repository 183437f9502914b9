package tokensource_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/client/tokensource"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// Every method buys a token of either format that Hydra knows, with exactly the
// scope and the audience that were asked for, and sends it through the client of
// x/oauth2.
func TestTokens(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	api := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, r.Header.Get("Authorization"))
	}))
	defer api.Close()
	for _, method := range methods {
		for _, format := range []apikey.TokenFormat{apikey.Opaque, apikey.JWT} {
			t.Run(string(method)+" "+string(format), func(t *testing.T) {
				k := newKey(t, w, method, format)
				source := newSource(t, k.config())
				token, err := source.Token()
				if err != nil {
					t.Fatal(err)
				}
				want := known{Active: true, ClientID: k.ID, Scope: "orders:read", Aud: []string{audience}}
				if diff := cmp.Diff(want, introspect(t, w.Hydra, token.AccessToken)); diff != "" {
					t.Errorf("token (-want +got):\n%s", diff)
				}
				if isJWT := strings.Count(token.AccessToken, ".") == 2; isJWT != (format == apikey.JWT) {
					t.Errorf("JWT: %v", isJWT)
				}
				if !token.Valid() || token.Type() != "Bearer" || token.Extra("scope") != "orders:read" {
					t.Errorf("valid %v, type %s, scope %v", token.Valid(), token.Type(), token.Extra("scope"))
				}
				if _, got := get(t, oauth2.NewClient(t.Context(), source), api.URL); got != "Bearer "+token.AccessToken {
					t.Error("the API got another token than the one at hand")
				}
			})
		}
	}
}

// hsm signs without giving its key away.
type hsm struct{ crypto.Signer }

// Every algorithm that Hydra verifies buys a token, also with a key that only
// signs, and by the algorithm that follows from the key.
func TestAlgorithms(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx := apikey.WithCaller(t.Context(), apikeytest.Caller(apikeytest.All))
	for _, alg := range apikey.Algorithms {
		pair := apikeytest.NewPair(t, alg)
		issued, err := w.Service.Create(ctx, apikey.CreateParams{Name: alg, Owner: "algorithms", Scopes: []string{"a"},
			AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: pair.Public}}})
		if err != nil {
			t.Fatal(err)
		}
		signer := pair.Private.(crypto.Signer)
		keys := map[string]tokensource.PrivateKey{"named": {Signer: hsm{signer}, Algorithm: alg}}
		if strings.HasPrefix(alg, "ES") || alg == "RS256" {
			keys["by the key"] = tokensource.PrivateKey{Signer: signer}
		}
		for name, key := range keys {
			source := newSource(t, tokensource.Config{TokenURL: w.Hydra.TokenURL(), ClientID: issued.Key.ID, Credential: tokensource.PrivateKeyJWT(key)})
			if _, err := source.AccessToken(t.Context()); err != nil {
				t.Errorf("%s, %s: %v", alg, name, err)
			}
		}
	}
}

// The Go client of the keys server takes a source's AccessToken as its Token.
func TestTokenOfClient(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	server := w.Serve(t)
	ctx := apikey.WithCaller(t.Context(), apikey.System("test"))
	issued, err := w.Service.Create(ctx, apikey.CreateParams{Name: "m", Kind: apikey.KindManagement, Scopes: []string{"keys:read"}})
	if err != nil {
		t.Fatal(err)
	}
	source := newSource(t, tokensource.Config{TokenURL: w.Hydra.TokenURL(), ClientID: issued.Key.ID,
		Credential: tokensource.ClientSecretBasic(issued.Secret.Reveal()), Scopes: []string{"keys:read"}, Audiences: []string{apikey.ManagementAudience}})
	keys, err := client.New(client.Config{BaseURL: server.URL, HTTPClient: server.Client(), Token: source.AccessToken})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.List(t.Context(), apikey.ListParams{}); err != nil {
		t.Error(err)
	}
}

// A secret may hold every character that a form escapes.
func TestSecretIsEncoded(t *testing.T) {
	const secret = `s~k-Ab.c+1/2=3:4%20&x"'\$é`
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	for method, credential := range map[string]tokensource.Credential{
		"client_secret_basic": tokensource.ClientSecretBasic(secret), "client_secret_post": tokensource.ClientSecretPost(secret),
	} {
		id := register(t, w.Hydra, map[string]any{"client_secret": secret, "token_endpoint_auth_method": method})
		if _, err := newSource(t, tokensource.Config{TokenURL: w.Hydra.TokenURL(), ClientID: id, Credential: credential}).Token(); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// A caller whose context has ended before gets its error and asks nobody.
func TestContextOver(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	source := newSource(t, newKey(t, w, apikey.ClientSecretBasic, apikey.Opaque).config())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := source.AccessToken(ctx)
	if refused(t, err, tokensource.ErrUnavailable); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
}
