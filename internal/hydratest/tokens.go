package hydratest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// The ways to authenticate at the token endpoint (RFC 7591 section 2).
const (
	Basic         = "client_secret_basic"
	Post          = "client_secret_post"
	PrivateKeyJWT = "private_key_jwt"
)

// Purchase is a request for an access token by the client credentials grant
// (RFC 6749 section 4.4).
type Purchase struct {
	TokenURL string // [hydradev.Server.TokenURL], or the same through a proxy
	Method   string // Basic, Post or PrivateKeyJWT; empty means Basic
	ID       string // client_id

	Secret string // for Basic and Post

	Key any                     // for PrivateKeyJWT: *ecdsa.PrivateKey or *rsa.PrivateKey
	Alg jose.SignatureAlgorithm // its algorithm; empty means ES256
	KID string                  // empty sends none
	// AssertionAudience is who the assertion is for; empty means TokenURL. Set it
	// to Hydra's own token URL when buying through a proxy.
	AssertionAudience string

	Scopes, Audiences []string // Hydra grants only what is asked for

	HTTP *http.Client // nil means one without kept connections, 30 s per call
}

// Refused is the answer of a token endpoint that issued no token.
type Refused struct {
	Status            int    // HTTP status
	Code, Description string // error and error_description (RFC 6749 section 5.2)
}

func (r *Refused) Error() string {
	return fmt.Sprintf("hydratest: buy a token: refused with %d %s: %s", r.Status, r.Code, r.Description)
}

// Status is the HTTP status of what [Buy] returned: 200 for nil, that of a
// [*Refused], 0 if there was no answer.
func Status(err error) int {
	var r *Refused
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &r):
		return r.Status
	default:
		return 0
	}
}

// Buy buys an access token. A refusal is a [*Refused]; any other error means that
// there was no answer, or none that OAuth knows.
func Buy(ctx context.Context, p Purchase) (token string, err error) {
	cfg := clientcredentials.Config{
		ClientID: p.ID, ClientSecret: p.Secret, TokenURL: p.TokenURL, Scopes: p.Scopes,
		AuthStyle: oauth2.AuthStyleInParams, EndpointParams: url.Values{},
	}
	if len(p.Audiences) > 0 {
		cfg.EndpointParams.Set("audience", strings.Join(p.Audiences, " ")) // Hydra fact 4.9
	}
	switch p.Method {
	case Basic, "":
		cfg.AuthStyle = oauth2.AuthStyleInHeader
	case Post:
	case PrivateKeyJWT:
		assertion, err := p.assertion()
		if err != nil {
			return "", err
		}
		cfg.ClientSecret = ""
		cfg.EndpointParams.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		cfg.EndpointParams.Set("client_assertion", assertion)
	default:
		return "", fmt.Errorf("hydratest: buy a token: no method %q", p.Method)
	}
	if p.HTTP == nil {
		p.HTTP = direct
	}
	got, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, p.HTTP))
	if err != nil {
		return "", refusal(err)
	}
	return got.AccessToken, nil
}

// refusal makes an answer of the token endpoint a [*Refused].
func refusal(err error) error {
	var e *oauth2.RetrieveError
	if !errors.As(err, &e) || e.Response == nil || e.Response.StatusCode == http.StatusOK {
		return fmt.Errorf("hydratest: buy a token: %w", err)
	}
	return &Refused{Status: e.Response.StatusCode, Code: e.ErrorCode, Description: e.ErrorDescription}
}

// MustBuy is [Buy] for a token that the test needs.
func MustBuy(t testing.TB, p Purchase) string {
	t.Helper()
	token, err := Buy(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// assertion signs a client assertion (RFC 7523 section 3) that lives a minute. It
// says neither iat nor nbf: Hydra answers 500 to a clock that is ahead (fact 4.26).
func (p Purchase) assertion() (string, error) {
	if p.Alg == "" {
		p.Alg = jose.ES256
	}
	if p.AssertionAudience == "" {
		p.AssertionAudience = p.TokenURL
	}
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if p.KID != "" {
		opts = opts.WithHeader("kid", p.KID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: p.Alg, Key: p.Key}, opts)
	if err != nil {
		return "", fmt.Errorf("hydratest: sign an assertion: %w", err)
	}
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: p.ID, Subject: p.ID, Audience: jwt.Audience{p.AssertionAudience},
		ID: rand.Text(), Expiry: jwt.NewNumericDate(time.Now().Add(time.Minute)),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("hydratest: sign an assertion: %w", err)
	}
	return token, nil
}

// Introspect reports whether Hydra itself calls the token active (RFC 7662). Mind
// that Hydra says no while its database is down (fact 11.4).
func Introspect(t testing.TB, adminURL, token string) bool {
	t.Helper()
	status, body := send(t, http.MethodPost, adminURL+"/admin/oauth2/introspect",
		"application/x-www-form-urlencoded", []byte(url.Values{"token": {token}}.Encode()))
	var got struct {
		Active *bool `json:"active"`
	}
	if err := json.Unmarshal(body, &got); status != http.StatusOK || err != nil || got.Active == nil {
		t.Fatalf("hydratest: introspect: Hydra answered %d, %v", status, err)
	}
	return *got.Active
}

// Register creates a client at Hydra as it stands and returns Hydra's answer, or
// fails the test unless that is 201.
func Register(t testing.TB, adminURL string, client map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(client)
	if err != nil {
		t.Fatal(err)
	}
	status, body := send(t, http.MethodPost, adminURL+"/admin/clients", "application/json", text)
	if status != http.StatusCreated {
		t.Fatalf("hydratest: register a client: Hydra answered %d %s", status, body)
	}
	var made map[string]any
	if err := json.Unmarshal(body, &made); err != nil {
		t.Fatal(err)
	}
	return made
}

// send makes one call, which must be answered, and returns at most 1 MB of it.
func send(t testing.TB, method, address, mediaType string, body []byte) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// Clients lists the ids of an owner's clients in Hydra, at most 250.
func Clients(t testing.TB, adminURL, owner string) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, adminURL+"/admin/clients?page_size=250&owner="+url.QueryEscape(owner), nil)
	if err != nil {
		t.Fatalf("hydratest: list clients: %v", err)
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("hydratest: list clients: %v", err)
	}
	defer r.Body.Close()
	var clients []struct {
		ID string `json:"client_id"`
	}
	if err := json.NewDecoder(r.Body).Decode(&clients); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("hydratest: list clients: %s, %v", r.Status, err)
	}
	ids := make([]string, len(clients))
	for i, c := range clients {
		ids[i] = c.ID
	}
	return ids
}
