//go:build unix

package main

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// The example in docs/policy.md is read, and does what it says.
func TestPolicyExample(t *testing.T) {
	text, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- policy -->\n```yaml\n")
	example, _, ended := strings.Cut(rest, "```\n<!-- /policy -->")
	if !found || !ended {
		t.Fatal("docs/policy.md has no example")
	}
	path := filepath.Join(t.TempDir(), "policies.yaml")
	put(t, path, []byte(example))
	f, err := config.ReadPolicyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policies(f)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	life := func(d time.Duration) *apikey.Duration { return new(apikey.Duration(d)) }
	live := apikey.Policy{MaxLifetime: life(90 * day), NeverExpires: new(false), DefaultLifetime: life(30 * day),
		AuthMethods: []apikey.AuthMethod{apikey.ClientSecretBasic, apikey.PrivateKeyJWT}, Scopes: []string{"orders:read", "orders:write"}, Audiences: []string{"https://api.example.com"},
		MaxGracePeriod: life(7 * day), Token: apikey.TokenPolicy{MaxLifetime: life(time.Hour), Formats: []apikey.TokenFormat{apikey.Opaque}}, MaxKeys: new(20)}
	test := apikey.Policies{}.For("", apikey.Test)
	test.MaxLifetime, test.NeverExpires, test.DefaultLifetime, test.Scopes = life(7*day), new(false), life(7*day), []string{"orders:read", "orders:write", "reports:read"}
	acme, initech := live, live
	acme.MaxKeys, acme.Scopes = new(200), test.Scopes
	initech.MaxLifetime, initech.AuthMethods = life(365*day), []apikey.AuthMethod{apikey.PrivateKeyJWT}
	for owner, want := range map[string]apikey.Policy{"anybody": live, "acme": acme, "initech": initech} {
		if diff := cmp.Diff(want, p.For(owner, apikey.Live)); diff != "" {
			t.Errorf("%s, live (-documented +read):\n%s", owner, diff)
		}
		if diff := cmp.Diff(test, p.For(owner, apikey.Test)); diff != "" {
			t.Errorf("%s, test (-documented +read):\n%s", owner, diff)
		}
	}
	if len(p.Scopes) != 3 || p.Scopes[0].Title != "Read orders" || p.Scopes[0].Description == "" {
		t.Errorf("catalogue: %+v", p.Scopes)
	}
}

// dev and serve keep to the policy file, and go on making management keys.
func TestPolicyFileIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policies.yaml")
	put(t, path, []byte("live:\n  max_lifetime: 90d\n  scopes: [orders:read]\n  auth_methods: [client_secret_post]\n"))
	keeps := func(api apikey.API) {
		t.Helper()
		p := apikey.CreateParams{Name: "ruled", Owner: "acme", Scopes: []string{"orders:read"}}
		made, err := api.Create(t.Context(), p)
		if err != nil || made.Key.ExpiresAt == nil || made.Key.AuthMethod != apikey.ClientSecretPost {
			t.Errorf("made %+v, %v", made.Key, err)
		}
		p.Scopes = []string{"orders:write"}
		_, err = api.Create(t.Context(), p)
		invalid, ok := errors.AsType[*apikey.InvalidError](err)
		if !ok || len(invalid.Fields) != 1 || invalid.Fields[0].Rule != "scopes" || invalid.Fields[0].Limit != "orders:read" {
			t.Errorf("beyond the rules: %v", err)
		}
		rules, err := api.Policies(t.Context(), "acme")
		if err != nil || rules.Live.MaxLifetime.String() != "90d" {
			t.Errorf("rules: %+v, %v", rules.Live, err)
		}
	}
	c, info := dev(t, nil, append(freePorts, "--memory", "--policy-file", path)...)
	keeps(info.api(t))
	interrupt(t, c, info)

	s := newSite(t, hydratest.Shared(t).AdminURL(), "trusted_proxies: [127.0.0.1]")
	s.env = append(s.env, "TOKENOS_KEYS_POLICY_FILE="+path)
	token := s.managementToken(t)
	c = s.serve(t)
	api, err := client.New(client.Config{BaseURL: "http://" + s.api, Token: client.StaticToken(token), HTTPClient: &http.Client{Transport: byHTTPS{}}})
	if err != nil {
		t.Fatal(err)
	}
	keeps(api)
	s.stop(t, c)
}

// byHTTPS is a proxy that ends TLS, as far as the server can tell.
type byHTTPS struct{}

func (byHTTPS) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-Proto", "https")
	return http.DefaultTransport.RoundTrip(r)
}
