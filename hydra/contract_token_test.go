package hydra_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// The facts of the token endpoint and of introspection; see [TestContract].

func mustBeRequested(t *testing.T) {
	h, w := newHydra(t), newWrite()
	create(t, h, w)
	got := introspect(t, bought(t, buy(t, w.Definition.ID, w.Secret.Reveal())))
	if _, found := got["scope"]; found || len(got["aud"].([]any)) != 0 {
		t.Fatalf("got scope %v and aud %v unasked", got["scope"], got["aud"])
	}
}

func oneMethod(t *testing.T) {
	h, basic, post, jwt, p := newHydra(t), newWrite(), newWrite(), newWrite(), newPair(t, "ES256")
	post.Definition.AuthMethod = apikey.ClientSecretPost
	jwt = withKeys(t, jwt, p)
	jwt.Secret = apikey.GenerateSecret() // so that we know the one that must not work
	for _, w := range []apikey.ClientWrite{basic, post, jwt} {
		create(t, h, w)
	}
	body := func(w apikey.ClientWrite) reply {
		return form(t, running(t).PublicURL()+"/oauth2/token", "", "", grant("client_id", w.Definition.ID, "client_secret", w.Secret.Reveal()))
	}
	buy(t, basic.Definition.ID, basic.Secret.Reveal()).want(t, 200)
	body(basic).want(t, 401, "invalid_client")
	body(post).want(t, 200)
	buy(t, post.Definition.ID, post.Secret.Reveal()).want(t, 401, "invalid_client")
	present(t, p.assertion(t, jwt.Definition.ID, nil)).want(t, 200)
	buy(t, jwt.Definition.ID, jwt.Secret.Reveal()).want(t, 401)
	body(jwt).want(t, 401)
	present(t, p.assertion(t, basic.Definition.ID, nil)).want(t, 401)
}

func basicDecoded(t *testing.T) {
	c, id, _ := rawClient(object{"client_secret": "ab+cd+ef%41"})
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
	buy(t, id, "ab+cd+ef%41").want(t, 200)
	rawForm(t, running(t).PublicURL()+"/oauth2/token", id, "ab+cd+ef%41", grant()).want(t, 401)
	// Ours need no encoding: they work for programs that forget it.
	h, w := newHydra(t), newWrite()
	create(t, h, w)
	rawForm(t, running(t).PublicURL()+"/oauth2/token", w.Definition.ID, w.Secret.Reveal(), grant()).want(t, 200)
}

func exactScopes(t *testing.T) {
	c, id, secret := rawClient(object{"scope": "orders orders.* read"})
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
	buy(t, id, secret, "scope", "orders read").want(t, 200)
	for _, s := range []string{"orders.read", "READ", "admin", "read admin"} {
		buy(t, id, secret, "scope", s).want(t, 400, "invalid_scope")
	}
}

// audienceBar: Hydra stores a token's audiences joined by "|", so one that
// contains it comes back as two. A client may thus name any second audience
// below one it has: verifiers must compare with what the ledger registers.
func audienceBar(t *testing.T) {
	c, id, secret := rawClient(object{"audience": []string{"https://a.example"}})
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
	got := introspect(t, bought(t, buy(t, id, secret, "audience", "https://a.example/|https://pay.example")))
	if aud := fmt.Sprint(got["aud"]); aud != "[https://a.example/ https://pay.example]" {
		t.Fatalf("got aud %s: Hydra behaves otherwise now", aud)
	}
}

func audiencePrefix(t *testing.T) {
	c, id, secret := rawClient(object{"audience": []string{"https://api.example", "tokenos"}})
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
	for _, a := range []string{"https://api.example", "https://api.example/sub", "tokenos", "tokenos/anything"} {
		buy(t, id, secret, "audience", a).want(t, 200)
	}
	for _, a := range []string{"https://evil.example", "https://api.example.evil", "tokenosx"} {
		buy(t, id, secret, "audience", a).want(t, 400, "invalid_request")
	}
}

func ownSigningKey(t *testing.T) {
	kid := "contract-" + newWrite().Op
	admin(t, http.MethodPost, "/admin/keys/hydra.jwt.access-token", object{"alg": "ES256", "use": "sig", "kid": kid}).want(t, 201)
	h, w := newHydra(t), newWrite()
	w.Definition.Token.Format = apikey.JWT
	create(t, h, w)
	token := bought(t, buy(t, w.Definition.ID, w.Secret.Reveal()))
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	var header object
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatal(err)
	}
	if header["alg"] != "ES256" || header["kid"] != kid {
		t.Fatalf("header: got %v, want ES256 and %s", header, kid)
	}
	wantActive(t, token, true)
}

func nineAlgorithms(t *testing.T) {
	h := newHydra(t)
	for _, alg := range apikey.Algorithms {
		p, w := newPair(t, alg), newWrite()
		w = withKeys(t, w, p)
		create(t, h, w)
		present(t, p.assertion(t, w.Definition.ID, nil), "scope", "orders:read").want(t, 200)
		// The same key under another algorithm is refused.
		if i := slices.Index([]string{"RS256", "PS256"}, alg); i >= 0 {
			other := pair{p.private, []string{"PS256", "RS256"}[i]}
			signed := other.assertion(t, w.Definition.ID, nil)
			present(t, signed).want(t, 401, "signing algorithm")
		}
	}
}

func twoKeys(t *testing.T) {
	h, w, first, second := newHydra(t), newWrite(), newPair(t, "ES256"), newPair(t, "ES256")
	w = withKeys(t, w, first, second)
	id := w.Definition.ID
	create(t, h, w)
	present(t, first.assertion(t, id, nil)).want(t, 200)
	present(t, second.assertion(t, id, nil)).want(t, 200)
	w = withKeys(t, next(w), second)
	put(t, h, w)
	present(t, first.assertion(t, id, nil)).want(t, 400, "could not be found")
	present(t, second.assertion(t, id, nil)).want(t, 200)
	// A key whose public keys have all ended can still be written, and is shut.
	none := next(w)
	none.PublicKeys, none.Open = nil, false
	put(t, h, none)
	if got := present(t, second.assertion(t, id, nil)).status; got < 400 {
		t.Fatalf("got %d, want a refusal", got)
	}
}

func assertionAudience(t *testing.T) {
	h, w, p := newHydra(t), newWrite(), newPair(t, "ES256")
	w = withKeys(t, w, p)
	create(t, h, w)
	for _, aud := range []string{running(t).PublicURL(), running(t).PublicURL() + "/", running(t).PublicURL() + "/oauth2/token/", "https://other.example/oauth2/token"} {
		present(t, p.assertion(t, w.Definition.ID, object{"aud": aud})).want(t, 401, "must match the authorization server's token endpoint")
	}
	present(t, p.assertion(t, w.Definition.ID, object{"aud": []string{"https://x.example", running(t).PublicURL() + "/oauth2/token"}})).want(t, 200)
}

func expiredAssertion(t *testing.T) {
	h, w, p := newHydra(t), newWrite(), newPair(t, "ES256")
	w = withKeys(t, w, p)
	create(t, h, w)
	past := object{"exp": time.Now().Add(-time.Minute).Unix()}
	if got := present(t, p.assertion(t, w.Definition.ID, past)); got.status < 400 {
		t.Fatalf("got %d, want a refusal", got.status)
	}
}

func replayedAssertion(t *testing.T) {
	h, w, p := newHydra(t), newWrite(), newPair(t, "ES256")
	w = withKeys(t, w, p)
	create(t, h, w)
	signed := p.assertion(t, w.Definition.ID, nil)
	present(t, signed).want(t, 200)
	present(t, signed).want(t, 400, "jti_known")
}

// introspection has exactly the members that Introspect reads, in the types it
// demands.
func introspection(t *testing.T, format apikey.TokenFormat) {
	h, w := newHydra(t), newWrite()
	w.Definition.Token.Format = format
	create(t, h, w)
	token := bought(t, buy(t, w.Definition.ID, w.Secret.Reveal(), "scope", "orders:read orders:write", "audience", "https://api.example.com"))
	got := introspect(t, token)
	want := object{
		"active": true, "client_id": w.Definition.ID, "sub": w.Definition.ID, "scope": "orders:read orders:write",
		"aud": []any{"https://api.example.com"}, "token_use": "access_token", "token_type": "Bearer",
	}
	for name, v := range want {
		if diff := cmp.Diff(v, got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if exp, _ := got["exp"].(float64); exp < float64(time.Now().Unix()) {
		t.Errorf("exp: got %v", got["exp"])
	}
	if _, found := got["metadata"]; found {
		t.Error("introspection shows the client's metadata")
	}
}

func garbageInactive(t *testing.T) {
	for _, token := range []string{"", "x", "ory_at_x.y", strings.Repeat("a", 4096)} {
		if diff := cmp.Diff(object{"active": false}, introspect(t, token)); diff != "" {
			t.Fatal(diff)
		}
	}
}
