package tokensource_test

import (
	"crypto"
	"encoding/base64"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/client/tokensource"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// at serves a token endpoint that is not Hydra and returns a Config for it.
func at(t *testing.T, h http.HandlerFunc) tokensource.Config {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return tokensource.Config{TokenURL: s.URL + "/oauth2/token", ClientID: "key", Credential: tokensource.ClientSecretPost("tos_hidden+secret"), Retries: -1}
}

// An answer that Hydra would not give is no token, and nothing of the credential
// comes back in words, even if the server sends it back.
func TestHostileAnswers(t *testing.T) {
	const token = `{"access_token":"good","token_type":"bearer","expires_in":60}`
	for _, tt := range []struct {
		name        string
		status      int
		contentType string
		body        string
		want        tokensource.Kind // "": a token
	}{
		{"good", 200, "application/json", token, ""},
		{"upper case", 200, "application/json", `{"access_token":"good","token_type":"BEARER","expires_in":60}`, ""},
		{"201", 201, "application/json", token, ""},
		{"no type", 200, "application/json", `{"access_token":"good","expires_in":60}`, tokensource.ErrAnswer},
		{"another type", 200, "application/json", `{"access_token":"good","token_type":"mac","expires_in":60}`, tokensource.ErrAnswer},
		{"no life", 200, "application/json", `{"access_token":"good","token_type":"bearer"}`, tokensource.ErrAnswer},
		{"dead", 200, "application/json", `{"access_token":"good","token_type":"bearer","expires_in":0}`, tokensource.ErrAnswer},
		{"dead for long", 200, "application/json", `{"access_token":"good","token_type":"bearer","expires_in":-1}`, tokensource.ErrAnswer},
		{"life is text", 200, "application/json", `{"access_token":"good","token_type":"bearer","expires_in":"soon"}`, tokensource.ErrAnswer},
		{"no token", 200, "application/json", `{"token_type":"bearer","expires_in":60}`, tokensource.ErrAnswer},
		{"token with a line break", 200, "application/json", `{"access_token":"a\r\nX-Evil: 1","token_type":"bearer","expires_in":60}`, tokensource.ErrAnswer},
		{"token beyond ASCII", 200, "application/json", `{"access_token":"gööd","token_type":"bearer","expires_in":60}`, tokensource.ErrAnswer},
		{"token is a list", 200, "application/json", `{"access_token":["good"],"token_type":"bearer","expires_in":60}`, tokensource.ErrAnswer},
		{"null", 200, "application/json", `null`, tokensource.ErrAnswer},
		{"empty", 200, "application/json", ``, tokensource.ErrAnswer},
		{"a form", 200, "application/x-www-form-urlencoded", `access_token=good&token_type=bearer&expires_in=60`, tokensource.ErrAnswer},
		{"too long", 200, "application/json", `{"access_token":"` + strings.Repeat("a", 70_000) + `","token_type":"bearer","expires_in":60}`, tokensource.ErrAnswer},
		{"204", 204, "application/json", ``, tokensource.ErrAnswer},
		{"error with 200", 200, "application/json", `{"error":"invalid_scope","error_description":"tos_hidden+secret"}`, tokensource.ErrScope},
		{"error and token", 200, "application/json", `{"error":"access_denied","access_token":"good","token_type":"bearer","expires_in":60}`, tokensource.ErrDisabled},
		{"secret comes back", 400, "application/json", `{"error":"invalid_scope","error_description":"you sent tos_hidden+secret"}`, tokensource.ErrScope},
		{"form comes back", 400, "application/json", `{"error":"invalid_request","error_description":"client_secret=tos_hidden%2Bsecret"}`, tokensource.ErrRefused},
		{"header comes back", 400, "application/json", `{"error":"invalid_request","error_description":"Authorization: Basic a2V5OnRvc19oaWRkZW4lMkJzZWNyZXQ="}`, tokensource.ErrRefused},
		{"secret comes back in pieces", 400, "application/json", `{"error":"invalid_scope","error_description":"tos_hid\u200bden+sec\u0000ret"}`, tokensource.ErrScope},
		{"secret as code", 401, "application/json", `{"error":"tos_hidden+secret"}`, tokensource.ErrAnswer},
		{"secret in a page", 404, "text/html", `<p>tos_hidden+secret client_secret=tos_hidden%2Bsecret`, tokensource.ErrAnswer},
		{"secret in plain text", 500, "text/plain", `error=tos_hidden%2Bsecret`, tokensource.ErrUnavailable},
		{"control characters", 400, "application/json", `{"error":"invalid_scope","error_description":"\u001b[31mred\r\nline"}`, tokensource.ErrScope},
		{"long words", 400, "application/json", `{"error":"invalid_scope","error_description":"` + strings.Repeat("long ", 1000) + `"}`, tokensource.ErrScope},
		{"a stranger's code", 400, "application/json", `{"error":"something_else"}`, tokensource.ErrAnswer},
		{"501", 501, "application/json", `{}`, tokensource.ErrUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := at(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			got, err := newSource(t, c).AccessToken(t.Context())
			if tt.want == "" {
				if err != nil || got != "good" {
					t.Errorf("got %q, %v", got, err)
				}
				return
			}
			e := refused(t, err, tt.want, "tos_hidden+secret", "tos_hidden%2Bsecret", "a2V5OnRvc19oaWRkZW4lMkJzZWNyZXQ=", "\x1b", "\n")
			if len(e.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(e.Error()))
			}
		})
	}
}

// A redirect is not followed: it would carry the credential elsewhere.
func TestRedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := at(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) })
		c.HTTPClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
		_, err := newSource(t, c).Token()
		refused(t, err, tokensource.ErrAnswer)
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// A certificate that nobody here trusts is not tried again, and is named.
func TestUntrustedCertificate(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that fails
	s.StartTLS()
	defer s.Close()
	c := good()
	c.TokenURL, c.Timeout = s.URL+"/oauth2/token", 10*time.Minute
	_, err := newSource(t, c).Token()
	if refused(t, err, tokensource.ErrUnavailable); !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

// Retry-After of a busy server keeps callers away for as long, a minute at most.
func TestRetryAfterIsHeeded(t *testing.T) {
	var asked atomic.Int32
	clock := &apikeytest.Clock{}
	c := at(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	c.Now = clock.Now
	s := newSource(t, c)
	for _, d := range []time.Duration{0, 50 * time.Second, 11 * time.Second} {
		clock.Advance(d)
		_, err := s.Token()
		if e := refused(t, err, tokensource.ErrUnavailable); e.RetryAfter != time.Minute {
			t.Errorf("RetryAfter %v, want a minute", e.RetryAfter)
		}
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times in 61 seconds, want 2", n)
	}
}

// An assertion has these claims and no other, lives a minute, names its key by
// the thumbprint, and is never the same (RFC 7523 section 3).
func TestAssertion(t *testing.T) {
	pair := apikeytest.NewPair(t, "ES256")
	private := pair.Private.(crypto.Signer)
	var sent []string
	c := at(t, func(w http.ResponseWriter, r *http.Request) {
		sent = append(sent, r.PostFormValue("client_assertion"))
		if r.PostFormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || r.PostFormValue("client_secret") != "" || r.Header.Get("Authorization") != "" {
			t.Errorf("sent %v", r.PostForm)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	c.Credential, c.Retries, c.AssertionAudience = tokensource.PrivateKeyJWT(tokensource.PrivateKey{Signer: private}), 1, "https://auth.example.com/oauth2/token"
	c.Now = func() time.Time { return noon }
	_, err := newSource(t, c).Token()
	refused(t, err, tokensource.ErrUnavailable)
	if len(sent) != 2 {
		t.Fatalf("%d requests, want 2", len(sent))
	}
	kid, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	var ids []any
	for _, text := range sent {
		token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := token.Claims(private.Public(), &claims); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, claims["jti"])
		delete(claims, "jti")
		want := map[string]any{"iss": "key", "sub": "key", "aud": "https://auth.example.com/oauth2/token", "exp": float64(noon.Add(time.Minute).Unix())}
		if diff := cmp.Diff(want, claims); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		if h := token.Headers[0]; h.KeyID != base64.RawURLEncoding.EncodeToString(kid) {
			t.Errorf("kid %q, want the thumbprint", h.KeyID)
		}
	}
	if id, ok := ids[0].(string); ids[0] == ids[1] || !ok || len(id) < 22 {
		t.Errorf("jti %v", ids)
	}
}

// broken is an HSM that is away.
type broken struct{ crypto.Signer }

func (broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the HSM is away")
}

// A key that does not sign is an error of its own, and nobody is asked.
func TestSignerFails(t *testing.T) {
	c := at(t, func(http.ResponseWriter, *http.Request) { t.Error("somebody was asked") })
	c.Credential = tokensource.PrivateKeyJWT(tokensource.PrivateKey{Signer: broken{apikeytest.NewPair(t, "ES256").Private.(crypto.Signer)}})
	_, err := newSource(t, c).Token()
	if refused(t, err, tokensource.ErrSign); !strings.Contains(err.Error(), "the HSM is away") {
		t.Errorf("got %v", err)
	}
}
