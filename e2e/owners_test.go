//go:build unix

package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/runtest"
)

// ownersSpec is what the browser does beside `tokenos serve`.
const ownersSpec = "owners"

// People of several owners in browsers of their own, beside `tokenos serve` with a
// provider that signs them in, and what they see while Hydra is away. The provider
// is the same Hydra: e2e/browser/owners.spec.mjs accepts its requests for sign-in
// and consent, with the claims of whoever signs in.
func TestBrowserOwners(t *testing.T) {
	t.Parallel()
	files := browserFiles(t, func(spec string) bool { return spec == ownersSpec })
	runner, chromium := runtest.Playwright(t, "the dashboard with owners in a browser")
	oneBrowser.Lock()
	defer oneBrowser.Unlock()
	var manager credential
	p := newProduct(t, "", func(p *product) { manager = p.signsPeopleIn() })
	bought, err := manager.token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info, err := json.Marshal(map[string]string{"api_url": p.url, "management_token": bought, "token_url": p.hydra.TokenURL()})
	if err != nil {
		t.Fatal(err)
	}
	browse(t, runner, files, "TOKENOS_CHROMIUM="+chromium, "TOKENOS_DEV="+string(info), "TOKENOS_LINKS=[]", "NODE_EXTRA_CA_CERTS="+p.cert,
		"TOKENOS_PROVIDER="+p.hydra.AdminURL(), "TOKENOS_HYDRA="+p.switched())
}

// signsPeopleIn gives the program its Hydra for a provider and each person few
// requests. It returns what makes and reads anybody's keys.
func (p *product) signsPeopleIn() credential {
	p.t.Helper()
	secret := rand.Text()
	hydratest.Register(p.t, p.hydra.AdminURL(), map[string]any{"client_id": "dashboard", "client_secret": secret, "grant_types": []string{"authorization_code"}, "response_types": []string{"code"},
		"scope": "openid profile email", "redirect_uris": []string{p.url + "/sign-in/callback"}, "token_endpoint_auth_method": "client_secret_basic"})
	p.env = append(p.env, "TOKENOS_DASHBOARD_OIDC_ISSUER="+p.issuer(), "TOKENOS_DASHBOARD_OIDC_CLIENT_ID=dashboard", "TOKENOS_DASHBOARD_OIDC_CLIENT_SECRET="+secret,
		"TOKENOS_DASHBOARD_OIDC_OWNERS_CLAIM=teams", "TOKENOS_LIMITS_CALLER_PER_MINUTE=120", "TOKENOS_LIMITS_CALLER_BURST=200")
	return p.bootstrap("keys:read", "keys:write")
}

// issuer is how the provider names itself.
func (p *product) issuer() string {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.hydra.PublicURL()+"/.well-known/openid-configuration", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	var found struct{ Issuer string }
	if err := json.NewDecoder(res.Body).Decode(&found); err != nil {
		p.t.Fatal(err)
	}
	return found.Issuer
}

// switched is an address at which a POST to /halt or /resume does that to Hydra.
func (p *product) switched() string {
	m := http.NewServeMux()
	for path, do := range map[string]func(context.Context) error{"POST /halt": p.hydra.Halt, "POST /resume": p.hydra.Resume} {
		m.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := do(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	s := httptest.NewServer(m)
	p.t.Cleanup(s.Close)
	return s.URL
}
