package hydra_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// TestContract: Hydra, whichever one TOKENOS_HYDRA_BINARY names, behaves as we
// rely on. Each subtest is one measured fact by its number; a failing one tells
// which of our promises would break on that Hydra.
func TestContract(t *testing.T) {
	// One after the other: on SQLite two writers at once can make Hydra answer
	// 500 ("database is locked"), and a new signing key makes introspection call
	// the JWTs of the key before inactive.
	for _, c := range contract {
		t.Run(c.name, c.holds)
	}
}

type fact struct {
	name  string
	holds func(t *testing.T)
}

var contract = []fact{
	{"1.2 an empty scope becomes offline and openid", emptyScope},
	{"1.4 id and secret are ours to choose", chosenIDAndSecret},
	{"1.5 a taken id is 409 and of 50 creates one wins", oneOfFifty},
	{"1.6 a deleted id can be made again and old tokens stay dead", madeAgain},
	{"1.11 EdDSA is refused as signing algorithm", eddsaRefused},
	{"1.13 a public key without use sig cannot authenticate", useSig},
	{"1.19 the token lifetime is set by the create", lifespanInCreate},
	{"1.21 the create answer holds a registration token and get does not", registrationToken},
	{"2.1 get shows metadata verbatim and no secret", metadataVerbatim},
	{"2.2 put does not create", noUpsert},
	{"2.2 a second delete is 404", secondDelete},
	{"2.8 put without a secret keeps it and resets the rest", putKeepsSecret},
	{"more: basic, post and private_key_jwt keep the secret", methodSwitch},
	{"6 disabled refuses, lets tokens live, and comes back", disabledAndBack},
	{"7.1 deleting tokens ends them and leaves the client", func(t *testing.T) { deleteTokens(t, apikey.Opaque) }},
	{"7.2 deleting the client ends its tokens", deleteClient},
	{"9 the rotation route tells itself by its 404", rotationProbe},
	{"11.1 ready is json on the admin port", readyAnswer},
	{"4.2 scope and audience must be asked for", mustBeRequested},
	{"4.5 a client has one method", oneMethod},
	{"4.7 basic credentials are url-decoded", basicDecoded},
	{"4.8 scopes are compared exactly", exactScopes},
	{"4.9 an audience also grants its paths", audiencePrefix},
	{"an audience with a bar comes back as two", audienceBar},
	{"4.20 each of the nine algorithms works and only the registered one", nineAlgorithms},
	{"4.22 two public keys work and a removed one is refused at once", twoKeys},
	{"4.24 an assertion is for the token url", assertionAudience},
	{"4.26 an expired assertion is no token", expiredAssertion},
	{"4.28 an assertion works once", replayedAssertion},
	{"7.4 introspection of an opaque token", func(t *testing.T) { introspection(t, apikey.Opaque) }},
	{"4.12 a key made beforehand signs access tokens", ownSigningKey},
	{"7.4 introspection of a jwt", func(t *testing.T) { introspection(t, apikey.JWT) }},
	{"7.1 deleting tokens ends jwts for introspection", func(t *testing.T) { deleteTokens(t, apikey.JWT) }},
	{"7.4 garbage is inactive", garbageInactive},
	{"more: revoke checks a credential without a token", revokeAsCheck},
	{"more: revoke says 200 to assertions that it refuses", revokeIsNoCheck},
	{"4.10 a grant the client does not have is refused after its credential is checked", otherGrant},
	{"4.10 of a refused credential Hydra says why if it has read the client", reasons},
}

// raw is a client as a map, for what our projection never sends.
func rawClient(changes object) (object, string, string) {
	id, secret := "raw_"+rand.Text(), apikey.GenerateSecret().Reveal()
	c := object{
		"client_id": id, "client_secret": secret, "grant_types": []string{"client_credentials"}, "response_types": []string{},
		"scope": "a b", "audience": []string{"https://api.example"}, "token_endpoint_auth_method": "client_secret_basic",
	}
	for k, v := range changes {
		c[k] = v
	}
	return c, id, secret
}

func emptyScope(t *testing.T) {
	c, id, secret := rawClient(object{"scope": ""})
	got := admin(t, http.MethodPost, "/admin/clients", c).want(t, 201).body["scope"]
	if got != "offline_access offline openid" {
		t.Fatalf("scope: got %v", got)
	}
	buy(t, id, secret, "scope", "openid").want(t, 200)
}

func chosenIDAndSecret(t *testing.T) {
	c, id, secret := rawClient(nil)
	made := admin(t, http.MethodPost, "/admin/clients", c).want(t, 201).body
	if made["client_id"] != id || made["client_secret"] != secret {
		t.Fatal("hydra answers another id or secret")
	}
	buy(t, id, secret).want(t, 200)
	buy(t, id, secret+"x").want(t, 401, "invalid_client")
}

func oneOfFifty(t *testing.T) {
	c, _, _ := rawClient(nil)
	var wg sync.WaitGroup
	answers := make([]reply, 50)
	for i := range answers {
		wg.Go(func() { answers[i] = admin(t, http.MethodPost, "/admin/clients", c) })
	}
	wg.Wait()
	count := map[int]int{}
	for _, r := range answers {
		count[r.status]++
		if r.status == 409 {
			r.want(t, 409, "Unable to insert or update resource because a resource with that value exists already")
		}
	}
	if diff := cmp.Diff(map[int]int{201: 1, 409: 49}, count); diff != "" {
		t.Fatal(diff)
	}
}

func madeAgain(t *testing.T) {
	c, id, secret := rawClient(nil)
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
	old := bought(t, buy(t, id, secret))
	admin(t, http.MethodDelete, "/admin/clients/"+id, nil).want(t, 204)
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
	wantActive(t, old, false)
	wantActive(t, bought(t, buy(t, id, secret)), true)
}

func eddsaRefused(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := object{"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(public), "use": "sig", "alg": "EdDSA", "kid": "k1"}
	c, _, _ := rawClient(object{"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "EdDSA", "jwks": object{"keys": []any{jwk}}})
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 400, "invalid_client_metadata")
}

func useSig(t *testing.T) {
	p := newPair(t, "ES256")
	jwk := p.public(t).JWK
	delete(jwk, "use")
	c, id, _ := rawClient(object{"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256", "jwks": object{"keys": []any{jwk}}})
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
	present(t, p.assertion(t, id, nil)).want(t, 400, "use='sig'")
}

func lifespanInCreate(t *testing.T) {
	h, w := newHydra(t), newWrite()
	w.Definition.Token.Lifetime = apikey.Duration(10 * time.Minute)
	create(t, h, w)
	r := buy(t, w.Definition.ID, w.Secret.Reveal()).want(t, 200)
	if got := r.body["expires_in"]; got != 599.0 && got != 600.0 {
		t.Fatalf("expires_in: got %v, want 599 or 600", got)
	}
}

func registrationToken(t *testing.T) {
	c, id, _ := rawClient(nil)
	made := admin(t, http.MethodPost, "/admin/clients", c).want(t, 201).body
	if made["registration_access_token"] == nil {
		t.Fatal("there is none to drop: look where it has gone")
	}
	read := admin(t, http.MethodGet, "/admin/clients/"+id, nil).want(t, 200).body
	if read["registration_access_token"] != nil || read["client_secret"] != nil {
		t.Fatal("get answers a credential")
	}
}

func metadataVerbatim(t *testing.T) {
	h, w := newHydra(t), newWrite()
	w.Definition.Revision = 1 << 40
	w.Definition.Labels = map[string]string{"größe": "1e9 <&>", "a/b": ""}
	create(t, h, w)
	r := admin(t, http.MethodGet, "/admin/clients/"+w.Definition.ID, nil).want(t, 200)
	var got struct {
		Metadata struct {
			Tokenos struct {
				Revision int64             `json:"rev"`
				Op       string            `json:"op"`
				Labels   map[string]string `json:"labels"`
			} `json:"tokenos"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal([]byte(r.text), &got); err != nil {
		t.Fatal(err)
	}
	m := got.Metadata.Tokenos
	if m.Revision != 1<<40 || m.Op != w.Op || !cmp.Equal(m.Labels, w.Definition.Labels) {
		t.Fatalf("metadata: got %+v", m)
	}
	if strings.Contains(r.text, w.Secret.Reveal()) || r.body["client_secret"] != nil {
		t.Fatal("get answers the secret")
	}
}

func noUpsert(t *testing.T) {
	c, id, _ := rawClient(nil)
	admin(t, http.MethodPut, "/admin/clients/"+id, c).want(t, 404, "Unable to locate the resource")
	admin(t, http.MethodGet, "/admin/clients/"+id, nil).want(t, 404, "Unable to locate the resource")
}

func secondDelete(t *testing.T) {
	c, id, _ := rawClient(nil)
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
	admin(t, http.MethodDelete, "/admin/clients/"+id, nil).want(t, 204)
	admin(t, http.MethodDelete, "/admin/clients/"+id, nil).want(t, 404, "Unable to locate the resource")
}

func putKeepsSecret(t *testing.T) {
	h, w := newHydra(t), newWrite()
	create(t, h, w)
	after := next(w)
	after.Definition.Owner, after.Definition.Audiences = "", nil
	put(t, h, after)
	buy(t, w.Definition.ID, w.Secret.Reveal()).want(t, 200)
	got := admin(t, http.MethodGet, "/admin/clients/"+w.Definition.ID, nil).want(t, 200).body
	if got["owner"] != "" || len(got["audience"].([]any)) != 0 {
		t.Fatalf("owner %v and audience %v were left behind", got["owner"], got["audience"])
	}
}

func methodSwitch(t *testing.T) {
	h, w := newHydra(t), newWrite()
	id, secret, p := w.Definition.ID, w.Secret.Reveal(), newPair(t, "ES256")
	create(t, h, w)
	post := next(w)
	post.Definition.AuthMethod = apikey.ClientSecretPost
	put(t, h, post)
	form(t, running(t).PublicURL()+"/oauth2/token", "", "", grant("client_id", id, "client_secret", secret)).want(t, 200)
	buy(t, id, secret).want(t, 401)
	put(t, h, withKeys(t, next(post), p))
	present(t, p.assertion(t, id, nil)).want(t, 200)
	buy(t, id, secret).want(t, 401)
	put(t, h, next(w))
	buy(t, id, secret).want(t, 200)
	present(t, p.assertion(t, id, nil)).want(t, 401)
}

func disabledAndBack(t *testing.T) {
	h, w := newHydra(t), newWrite()
	id, secret := w.Definition.ID, w.Secret.Reveal()
	create(t, h, w)
	token := bought(t, buy(t, id, secret))
	closed := next(w)
	closed.Open = false
	put(t, h, closed)
	buy(t, id, secret).want(t, 400, "unauthorized_client")
	buy(t, id, "wrong").want(t, 401, "invalid_client")
	wantActive(t, token, true)
	put(t, h, next(w))
	buy(t, id, secret).want(t, 200)
}

func deleteTokens(t *testing.T, format apikey.TokenFormat) {
	h, w := newHydra(t), newWrite()
	w.Definition.Token.Format = format
	create(t, h, w)
	token := bought(t, buy(t, w.Definition.ID, w.Secret.Reveal()))
	wantActive(t, token, true)
	admin(t, http.MethodDelete, "/admin/oauth2/tokens?client_id="+w.Definition.ID, nil).want(t, 204)
	wantActive(t, token, false)
	wantActive(t, bought(t, buy(t, w.Definition.ID, w.Secret.Reveal())), true)
	admin(t, http.MethodDelete, "/admin/oauth2/tokens?client_id=nobody", nil).want(t, 204)
}

func deleteClient(t *testing.T) {
	h, w := newHydra(t), newWrite()
	create(t, h, w)
	token := bought(t, buy(t, w.Definition.ID, w.Secret.Reveal()))
	admin(t, http.MethodDelete, "/admin/clients/"+w.Definition.ID, nil).want(t, 204)
	wantActive(t, token, false)
	buy(t, w.Definition.ID, w.Secret.Reveal()).want(t, 401, "invalid_client")
}

func rotationProbe(t *testing.T) {
	unknown := admin(t, http.MethodPost, "/admin/clients/nobody_"+rand.Text()+"/secrets/rotate", nil).want(t, 404)
	c, id, _ := rawClient(nil)
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
	known := admin(t, http.MethodPost, "/admin/clients/"+id+"/secrets/rotate", nil)
	native := strings.HasPrefix(unknown.says(), "Unable to locate the resource")
	if native != (known.status == 200) {
		t.Fatalf("unknown client: %s; known client: %d", unknown.text, known.status)
	}
	got, err := newHydra(t).Capabilities(deadline(t))
	if err != nil || got.NativeRotation != native || got.Version == "" {
		t.Fatalf("got %+v, %v, want native rotation %v and a version", got, err, native)
	}
}

func readyAnswer(t *testing.T) {
	if got := admin(t, http.MethodGet, "/health/ready", nil).want(t, 200).body["status"]; got != "ok" {
		t.Fatalf("status: got %v", got)
	}
}

func revokeAsCheck(t *testing.T) {
	h, w := newHydra(t), newWrite()
	w.Open = false
	create(t, h, w)
	made := url.Values{"token": {"made-up"}}
	form(t, running(t).PublicURL()+"/oauth2/revoke", w.Definition.ID, w.Secret.Reveal(), made).want(t, 200)
	form(t, running(t).PublicURL()+"/oauth2/revoke", w.Definition.ID, "wrong", made).want(t, 401)
}

// revokeIsNoCheck: why the revocation endpoint cannot tell a right credential
// from a wrong one. See also [TestProveWithoutDatabase].
func revokeIsNoCheck(t *testing.T) {
	h, w, p := newHydra(t), newWrite(), newPair(t, "ES256")
	w = withKeys(t, w, p)
	create(t, h, w)
	signed := p.assertion(t, w.Definition.ID, nil)
	present(t, signed).want(t, 200)
	for _, bad := range []string{signed, p.assertion(t, w.Definition.ID, object{"exp": time.Now().Add(-time.Minute).Unix()})} {
		f := url.Values{"token": {"made-up"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {bad}}
		form(t, running(t).PublicURL()+"/oauth2/revoke", "", "", f).want(t, 200)
	}
}

// refresh asks for the grant that none of our clients has.
func refresh(t *testing.T, id, secret string, extra ...string) reply {
	t.Helper()
	f := grant(extra...)
	f.Set("grant_type", "refresh_token")
	f.Set("refresh_token", "made-up")
	return form(t, running(t).PublicURL()+"/oauth2/token", id, secret, f)
}

func otherGrant(t *testing.T) {
	h, basic, closed, post, jwt, p := newHydra(t), newWrite(), newWrite(), newWrite(), newWrite(), newPair(t, "ES256")
	closed.Open = false
	post.Definition.AuthMethod = apikey.ClientSecretPost
	jwt = withKeys(t, jwt, p)
	for _, w := range []apikey.ClientWrite{basic, closed, post, jwt} {
		create(t, h, w)
	}
	for _, w := range []apikey.ClientWrite{basic, closed} {
		refresh(t, w.Definition.ID, w.Secret.Reveal()).want(t, 400, "unauthorized_client")
		refresh(t, w.Definition.ID, "wrong").want(t, 401, "invalid_client")
	}
	refresh(t, "", "", "client_id", post.Definition.ID, "client_secret", post.Secret.Reveal()).want(t, 400, "unauthorized_client")
	refresh(t, "", "", "client_id", post.Definition.ID, "client_secret", "wrong").want(t, 401, "invalid_client")
	asserted := func(changes object) []string {
		return []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
			"client_assertion", p.assertion(t, jwt.Definition.ID, changes)}
	}
	once := asserted(nil)
	refresh(t, "", "", once...).want(t, 400, "unauthorized_client")
	refresh(t, "", "", once...).want(t, 400, "jti_known")
	refresh(t, "", "", asserted(object{"aud": "https://other.example"})...).want(t, 401, "invalid_client")
}

func reasons(t *testing.T) {
	const nothing = "Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method)."
	h, basic, jwt, p := newHydra(t), newWrite(), newWrite(), newPair(t, "ES256")
	jwt = withKeys(t, jwt, p)
	create(t, h, basic)
	create(t, h, jwt)
	for name, r := range map[string]reply{
		"wrong secret":   refresh(t, basic.Definition.ID, "wrong"),
		"unknown client": refresh(t, "nobody", "wrong"),
	} {
		if got := r.want(t, 401).body["error_description"]; got != nothing {
			t.Errorf("%s: got %v", name, got)
		}
	}
	refresh(t, "", "", "client_id", basic.Definition.ID, "client_secret", basic.Secret.Reveal()).want(t, 401, nothing+" ")
	refresh(t, "", "", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		"client_assertion", newPair(t, "ES256").assertion(t, jwt.Definition.ID, nil)).want(t, 400, "invalid_request", "could not be found")
}
