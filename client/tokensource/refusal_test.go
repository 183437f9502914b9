package tokensource_test

import (
	"crypto"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// register makes a client at Hydra itself and returns its id.
func register(t testing.TB, h *hydradev.Server, client map[string]any) string {
	t.Helper()
	id := "tokensource." + strings.ToLower(rand.Text())
	client["client_id"], client["grant_types"] = id, []string{"client_credentials"}
	hydratest.Register(t, h.AdminURL(), client)
	return id
}

// Each refusal of Hydra has a kind of its own and words without the credential,
// and is not asked for again; one without a reason is asked for twice, with
// Hydra's readiness in between.
func TestRefusals(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	basic, post, private := newKey(t, w, apikey.ClientSecretBasic, apikey.Opaque), newKey(t, w, apikey.ClientSecretPost, apikey.Opaque), newKey(t, w, apikey.PrivateKeyJWT, apikey.Opaque)
	es384 := newKey(t, w, apikey.PrivateKeyJWT, apikey.Opaque)
	es384.pair = apikeytest.NewPair(t, "ES384")
	disabled, revoked := newKey(t, w, apikey.ClientSecretBasic, apikey.Opaque), newKey(t, w, apikey.ClientSecretPost, apikey.Opaque)
	if _, err := w.Service.Disable(disabled.ctx, disabled.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Revoke(revoked.ctx, revoked.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	other := apikeytest.NewPair(t, "ES256").Private.(crypto.Signer)
	const wrong = "tos_wrong-secret-of-this-test"
	with := func(c tokensource.Credential) func(*tokensource.Config) {
		return func(cfg *tokensource.Config) { cfg.Credential = c }
	}
	for _, tt := range []struct {
		name   string
		key    key
		edit   func(*tokensource.Config)
		want   tokensource.Kind
		wants  string // Error.Want
		status int
	}{
		{"wrong secret in the header", basic, with(tokensource.ClientSecretBasic(wrong)), tokensource.ErrCredential, "", 401},
		{"wrong secret in the form", post, with(tokensource.ClientSecretPost(wrong)), tokensource.ErrCredential, "", 401},
		{"unknown id", basic, func(c *tokensource.Config) { c.ClientID = "key_live_01k9x2mc4q8r7s5t3v1w0y9z8a" }, tokensource.ErrCredential, "", 401},
		{"revoked", revoked, nil, tokensource.ErrCredential, "", 401},
		{"another private key under the kid", private, with(tokensource.PrivateKeyJWT(tokensource.PrivateKey{Signer: other, KID: private.PublicKeys[0].KID})), tokensource.ErrCredential, "", 401},
		{"another private key", private, with(tokensource.PrivateKeyJWT(tokensource.PrivateKey{Signer: other})), tokensource.ErrPublicKey, "", 400},
		{"form instead of header", basic, with(tokensource.ClientSecretPost(basic.secret)), tokensource.ErrMethod, "client_secret_basic", 401},
		{"header instead of form", post, with(tokensource.ClientSecretBasic(post.secret)), tokensource.ErrMethod, "client_secret_post", 401},
		{"secret instead of assertion", private, with(tokensource.ClientSecretBasic(wrong)), tokensource.ErrMethod, "private_key_jwt", 401},
		{"assertion instead of secret", basic, with(tokensource.PrivateKeyJWT(tokensource.PrivateKey{Signer: other})), tokensource.ErrMethod, "client_secret_basic", 401},
		{"another algorithm", es384, nil, tokensource.ErrAlgorithm, "ES256", 401},
		{"assertion for another address", private, func(c *tokensource.Config) { c.AssertionAudience = "https://auth.example.com/oauth2/token" }, tokensource.ErrTokenURL, "", 401},
		{"clock late", private, func(c *tokensource.Config) { c.Now = func() time.Time { return time.Now().Add(-2 * time.Minute) } }, tokensource.ErrClock, "", 500},
		{"scope", basic, func(c *tokensource.Config) { c.Scopes = []string{"orders:read", "admin"} }, tokensource.ErrScope, "", 400},
		{"audience", post, func(c *tokensource.Config) { c.Audiences = []string{"https://evil.example"} }, tokensource.ErrAudience, "", 400},
		{"disabled", disabled, nil, tokensource.ErrDisabled, "", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proxy := hydratest.NewProxy(t, w.Hydra.PublicURL())
			c := tt.key.config()
			through(proxy)(&c)
			if tt.edit != nil {
				tt.edit(&c)
			}
			_, err := newSource(t, c).AccessToken(t.Context())
			e := refused(t, err, tt.want, tt.key.secret, wrong)
			if e.Want != tt.wants || e.Status != tt.status || e.Code == "" || e.Description == "" {
				t.Errorf("want %q, status %d, code %q, description %q", e.Want, e.Status, e.Code, e.Description)
			}
			asked, ready := 1, 0
			if tt.want == tokensource.ErrCredential {
				asked, ready = 2, 1
			}
			if a, r := proxy.Received("POST", "/oauth2/token"), proxy.Received("GET", "/health/ready"); a != asked || r != ready {
				t.Errorf("%d requests for a token and %d for readiness, want %d and %d", a, r, asked, ready)
			}
		})
	}
}

// A key that the token hook refuses has the right credential and may buy nothing;
// a hook that is away is no statement about the key.
func TestHook(t *testing.T) {
	for status, want := range map[int]tokensource.Kind{http.StatusForbidden: tokensource.ErrDisabled, http.StatusInternalServerError: tokensource.ErrUnavailable} {
		hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		defer hook.Close()
		h := hydratest.New(t, hydradev.Config{TokenHook: &hydradev.TokenHook{URL: hook.URL}})
		id := register(t, h, map[string]any{"client_secret": "tos_secret-of-this-test"})
		source := newSource(t, tokensource.Config{TokenURL: h.TokenURL(), ClientID: id, Credential: tokensource.ClientSecretBasic("tos_secret-of-this-test"), Retries: -1})
		_, err := source.Token()
		refused(t, err, want, "tos_secret-of-this-test")
	}
}

// A clock ahead of Hydra's does no harm, even by an hour: an assertion says no
// time that Hydra could find too late.
func TestClockAhead(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	for _, skew := range []time.Duration{-50 * time.Second, 2 * time.Second, time.Hour} {
		source := newSource(t, newKey(t, w, apikey.PrivateKeyJWT, apikey.Opaque).config(), func(c *tokensource.Config) {
			c.Now = func() time.Time { return time.Now().Add(skew) }
		})
		if _, err := source.Token(); err != nil {
			t.Errorf("%v: %v", skew, err)
		}
	}
}

// Where nobody can be asked about Hydra's readiness, a refusal says that it may
// be an outage.
func TestReadinessUnknown(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	k := newKey(t, w, apikey.ClientSecretBasic, apikey.Opaque)
	proxy := hydratest.NewProxy(t, w.Hydra.PublicURL())
	for name, fault := range map[string]hydratest.Fault{"404": hydratest.StatusBefore(404, 0), "a page": hydratest.GarbageHTML()} {
		proxy.Clear()
		proxy.Inject(fault.On("GET", "/health/ready"))
		_, err := newSource(t, k.config(), through(proxy), func(c *tokensource.Config) {
			c.Credential = tokensource.ClientSecretBasic("tos_wrong")
		}).Token()
		if refused(t, err, tokensource.ErrCredential); !strings.Contains(err.Error(), "outage") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
