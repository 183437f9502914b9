package tokensource_test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(m)) }

const audience = "https://api.example.com"

var methods = []apikey.AuthMethod{apikey.ClientSecretBasic, apikey.ClientSecretPost, apikey.PrivateKeyJWT}

// key is a key that the service made, with its credential.
type key struct {
	apikey.Key
	secret string
	pair   *apikeytest.Pair
	world  *apikeytest.World
	ctx    context.Context
}

// newKey makes a key with the scopes orders:read and orders:write for audience.
func newKey(t testing.TB, w *apikeytest.World, method apikey.AuthMethod, format apikey.TokenFormat) key {
	t.Helper()
	p := apikey.CreateParams{Name: "k", Owner: "tokensource", AuthMethod: method, Scopes: []string{"orders:read", "orders:write"},
		Audiences: []string{audience}, Token: &apikey.TokenParams{Format: format}}
	k := key{world: w, ctx: apikey.WithCaller(t.Context(), apikeytest.Caller(apikeytest.All))}
	if method == apikey.PrivateKeyJWT {
		k.pair = apikeytest.NewPair(t, "ES256")
		p.PublicKeys = []apikey.PublicKeyInput{{JWK: k.pair.Public}}
	}
	issued, err := w.Service.Create(k.ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	k.Key, k.secret = issued.Key, issued.Secret.Reveal()
	return k
}

// credential is the key's own.
func (k key) credential() tokensource.Credential {
	switch k.AuthMethod {
	case apikey.ClientSecretBasic:
		return tokensource.ClientSecretBasic(k.secret)
	case apikey.ClientSecretPost:
		return tokensource.ClientSecretPost(k.secret)
	}
	return tokensource.PrivateKeyJWT(tokensource.PrivateKey{Signer: k.pair.Private.(crypto.Signer)})
}

// config is what the key's holder configures: one of its scopes, and the audience.
func (k key) config() tokensource.Config {
	return tokensource.Config{TokenURL: k.world.Hydra.TokenURL(), ClientID: k.ID, Credential: k.credential(),
		Scopes: []string{"orders:read"}, Audiences: []string{audience}}
}

// newSource makes a source of c, changed by edits.
func newSource(t testing.TB, c tokensource.Config, edits ...func(*tokensource.Config)) *tokensource.Source {
	t.Helper()
	for _, edit := range edits {
		edit(&c)
	}
	s, err := tokensource.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// through sends the requests for tokens through the proxy; assertions stay meant
// for Hydra itself.
func through(p *hydratest.Proxy) func(*tokensource.Config) {
	return func(c *tokensource.Config) {
		c.AssertionAudience = c.TokenURL
		c.TokenURL = p.URL() + "/oauth2/token"
	}
}

// known is what Hydra knows of an access token.
type known struct {
	Active   bool     `json:"active"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Aud      []string `json:"aud"`
}

func introspect(t testing.TB, h *hydradev.Server, token string) known {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.AdminURL()+"/admin/oauth2/introspect",
		strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out known
	if err := json.Unmarshal(text, &out); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("introspection answers %d, %v", resp.StatusCode, err)
	}
	return out
}

// refused wants a failure of the kind, in whose words nothing is that must not be
// told.
func refused(t testing.TB, err error, want tokensource.Kind, hidden ...string) tokensource.Error {
	t.Helper()
	e, ok := errors.AsType[*tokensource.Error](err)
	if !ok || !errors.Is(err, want) || e.Kind != want {
		t.Fatalf("got %v, want %v", err, want)
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", *e), fmt.Sprintf("%#v", *e)} {
		for _, h := range hidden {
			if h != "" && strings.Contains(text, h) {
				t.Errorf("the error tells %q: %s", h, text)
			}
		}
	}
	return *e
}

// get calls an address, which must answer.
func get(t testing.TB, c *http.Client, address string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// failures collects what OnFailure tells.
type failures struct {
	mu  sync.Mutex
	all []error
}

func (f *failures) tell(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, err)
}

func (f *failures) last() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[len(f.all)-1]
}

func (f *failures) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.all)
}
