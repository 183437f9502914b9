package e2e_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/runtest"
	"github.com/tokenos/tokenos/snippets"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(m)) }

const (
	scope    = "orders:read"
	audience = "https://api.example.com"
)

var methods = []apikey.AuthMethod{apikey.ClientSecretBasic, apikey.ClientSecretPost, apikey.PrivateKeyJWT}

// oauthClient is a client under test.
type oauthClient struct {
	name string
	// private says who makes the assertion of private_key_jwt; "" means the client
	// itself.
	private string
	// cannot is what the client says of a method that it does not have.
	cannot map[apikey.AuthMethod]string
	// program shows how it is set up, from docs/.
	program string
	// buy buys tokens with the key, one or more, or says what the client says.
	buy func(t *testing.T, k holder) (tokens []string, said string, err error)
}

// holder is who has a key with its credential.
type holder struct {
	apikey.Key
	tokenURL string
	secret   string
	pemFile  string // of the private key
}

const (
	readme    = "../README.md#how-a-client-authenticates"
	folder    = "../e2e/clients/"
	byJOSE    = "with jose"
	byAuthlib = "with Authlib"
)

// clients are those of docs/clients.md.
var clients = []oauthClient{
	{name: "client/tokensource", program: "../README.md#from-go-with-tokens-kept", buy: byTokensource},
	{name: "golang.org/x/oauth2", private: "with go-jose", program: readme, buy: bySnippet(snippets.Go)},
	{name: "curl", private: "with openssl", program: readme, buy: bySnippet(snippets.Curl)},
	{name: "fetch of Node", private: "with openid-client", program: readme, buy: bySnippet(snippets.JavaScript)},
	{name: "openid-client", program: folder + "openid-client.mjs", buy: byNode("openid-client")},
	{name: "oauth4webapi", program: folder + "oauth4webapi.mjs", buy: byNode("oauth4webapi")},
	{name: "simple-oauth2", private: byJOSE, program: folder + "simple-oauth2.mjs", buy: byNode("simple-oauth2", "jose")},
	{name: "@badgateway/oauth2-client", program: folder + "badgateway.mjs", buy: byNode("@badgateway/oauth2-client", "jose"),
		cannot: map[apikey.AuthMethod]string{apikey.PrivateKeyJWT: "A clientSecret must be provided to use client_credentials"}},
	{name: "urllib of Python", private: byAuthlib, program: readme, buy: bySnippet(snippets.Python)},
	{name: "Authlib", program: folder + "authlib_client.py", buy: byPython("authlib_client.py", "python3-authlib python3-requests", "authlib.jose", "requests")},
	{name: "requests-oauthlib", private: byAuthlib, program: folder + "requests_oauthlib_client.py",
		buy: byPython("requests_oauthlib_client.py", "python3-requests-oauthlib python3-authlib", "requests_oauthlib", "authlib.jose")},
}

// newHolder makes a key. Its tokens are JWTs where the client sends its secret in
// the form, opaque otherwise: clients see no difference, APIs do.
func newHolder(t *testing.T, w *apikeytest.World, method apikey.AuthMethod) holder {
	t.Helper()
	format := apikey.Opaque
	if method == apikey.ClientSecretPost {
		format = apikey.JWT
	}
	p := apikey.CreateParams{Name: t.Name()[:min(len(t.Name()), 100)], Owner: "e2e", AuthMethod: method, Scopes: []string{scope, "orders:write"},
		Audiences: []string{audience, "https://other.example.com"}, Token: &apikey.TokenParams{Format: format}}
	h := holder{tokenURL: w.Hydra.TokenURL()}
	if method == apikey.PrivateKeyJWT {
		// A second public key comes first: only the kid leads to the right one.
		pair := apikeytest.NewPair(t, "ES256")
		p.PublicKeys = []apikey.PublicKeyInput{{JWK: apikeytest.NewPair(t, "ES256").Public}, {JWK: pair.Public}}
		der, err := x509.MarshalPKCS8PrivateKey(pair.Private)
		if err != nil {
			t.Fatal(err)
		}
		h.pemFile = filepath.Join(t.TempDir(), "key.pem")
		if err := os.WriteFile(h.pemFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	issued, err := w.Service.Create(apikey.WithCaller(t.Context(), apikeytest.Caller(apikeytest.All)), p)
	if err != nil {
		t.Fatal(err)
	}
	h.Key, h.secret = issued.Key, issued.Secret.Reveal()
	return h
}

// kid names the holder's public key, the second.
func (h holder) kid() string {
	if len(h.PublicKeys) == 0 {
		return ""
	}
	return h.PublicKeys[len(h.PublicKeys)-1].KID
}

// environment is what a client's program is told.
func (h holder) environment() []string {
	env := []string{"TOKEN_URL=" + h.tokenURL, "CLIENT_ID=" + h.ID, "AUTH_METHOD=" + string(h.AuthMethod), "SCOPE=" + scope, "AUDIENCE=" + audience}
	if h.pemFile != "" {
		return append(env, "TOKENOS_PRIVATE_KEY_FILE="+h.pemFile, "KID="+h.kid(), "ALG=ES256")
	}
	return append(env, "TOKENOS_CLIENT_SECRET="+h.secret)
}

// Every client gets a token that the API accepts with a key of each method, but
// for what it cannot do; those that are programs of clients/ get a second one, too.
// One after the other: on SQLite Hydra answers 500 to some who write at once.
func TestClientsBuyTokens(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	api := exampleAPI(t, w)
	for _, c := range clients {
		for _, method := range methods {
			t.Run(c.name+"/"+string(method), func(t *testing.T) {
				h := newHolder(t, w, method)
				tokens, said, err := c.buy(t, h)
				if words, ok := c.cannot[method]; ok {
					if err == nil || !strings.Contains(said, words) {
						t.Errorf("got %v, %s; want a failure that says %q", err, said, words)
					}
					return
				}
				if err != nil {
					t.Fatalf("%v: %s", err, said)
				}
				if len(tokens) == 0 || len(tokens) > 1 && tokens[0] == tokens[1] {
					t.Errorf("%d tokens, or the same twice", len(tokens))
				}
				for _, token := range tokens {
					accept(t, api, h.Key, token)
				}
			})
		}
	}
}

// With a key that is disabled every client fails, tells Hydra's reason and not the
// secret, nor the header that holds it.
func TestClientsAreRefused(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHolder(t, w, apikey.ClientSecretBasic)
			if _, err := w.Service.Disable(apikey.WithCaller(t.Context(), apikeytest.Caller(apikeytest.All)), h.ID, apikey.DisableParams{}); err != nil {
				t.Fatal(err)
			}
			tokens, said, err := c.buy(t, h)
			if err == nil || len(tokens) > 0 {
				t.Fatalf("%d tokens of a disabled key", len(tokens))
			}
			for _, hidden := range []string{h.secret, base64.StdEncoding.EncodeToString([]byte(h.ID + ":" + h.secret))} {
				if strings.Contains(said+err.Error(), hidden) {
					t.Errorf("the client tells the secret: %s", said)
				}
			}
			if !strings.Contains(said, "unauthorized_client") {
				t.Errorf("the client does not tell Hydra's reason: %s", said)
			}
		})
	}
}

// byTokensource buys in this process.
func byTokensource(t *testing.T, h holder) ([]string, string, error) {
	t.Helper()
	c := tokensource.Config{TokenURL: h.tokenURL, ClientID: h.ID, Scopes: []string{scope}, Audiences: []string{audience}}
	switch h.AuthMethod {
	case apikey.ClientSecretBasic:
		c.Credential = tokensource.ClientSecretBasic(h.secret)
	case apikey.ClientSecretPost:
		c.Credential = tokensource.ClientSecretPost(h.secret)
	default:
		text, err := os.ReadFile(h.pemFile)
		if err != nil {
			t.Fatal(err)
		}
		key, err := tokensource.ParsePEM(text)
		if err != nil {
			t.Fatal(err)
		}
		c.Credential = tokensource.PrivateKeyJWT(key)
	}
	source, err := tokensource.New(c)
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.AccessToken(t.Context())
	if err != nil {
		return nil, err.Error(), err
	}
	return []string{token}, "", nil
}

// byNode runs the program of clients/ for the first of the packages in Node.
func byNode(packages ...string) func(*testing.T, holder) ([]string, string, error) {
	program := strings.TrimSuffix(strings.TrimPrefix(packages[0], "@"), "/oauth2-client") + ".mjs"
	return func(t *testing.T, h holder) ([]string, string, error) {
		t.Helper()
		return run(t, runtest.Node(t, program, packages...), program, h)
	}
}

// byPython runs a program of clients/ in Python.
func byPython(program, debian string, modules ...string) func(*testing.T, holder) ([]string, string, error) {
	return func(t *testing.T, h holder) ([]string, string, error) {
		t.Helper()
		return run(t, runtest.Python(t, program, debian, modules...), program, h)
	}
}

// run runs a program that prints one token a line.
func run(t *testing.T, i runtest.Interpreter, program string, h holder) ([]string, string, error) {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{program, "key.mjs", "assertion.mjs"} {
		text, err := os.ReadFile(filepath.Join("clients", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	out, errOut, err := i.Run(t, files, program, h.environment()...)
	return strings.Fields(out), errOut, err
}

// bySnippet runs what the README shows.
func bySnippet(lang snippets.Language) func(*testing.T, holder) ([]string, string, error) {
	return func(t *testing.T, h holder) ([]string, string, error) {
		t.Helper()
		p := snippets.Params{Method: string(h.AuthMethod), TokenURL: h.tokenURL, ClientID: h.ID, Scope: scope, Audience: audience, InsecureLoopback: true}
		if h.pemFile != "" {
			p.KID, p.Alg = h.kid(), "ES256"
		}
		text, err := snippets.Render(lang, p)
		if err != nil {
			t.Fatal(err)
		}
		i, file := interpreter(t, lang)
		out, errOut, err := i.Run(t, map[string]string{file: text}, file, h.environment()...)
		switch {
		case err != nil:
			return nil, out + errOut, err
		case lang != snippets.Curl:
			return strings.Fields(out), errOut, nil
		}
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(out), &answer); err != nil {
			t.Fatal(err)
		}
		return []string{answer.AccessToken}, errOut, nil
	}
}

// interpreter finds what runs a snippet of any method.
func interpreter(t *testing.T, lang snippets.Language) (runtest.Interpreter, string) {
	t.Helper()
	what := "the " + string(lang) + " snippets"
	switch lang {
	case snippets.Go:
		return runtest.Interpreter{Command: []string{"go", "run"}, Dir: runtest.Path()}, "main.go"
	case snippets.JavaScript:
		return runtest.Node(t, what, "openid-client"), "buy-token.mjs"
	case snippets.Python:
		return runtest.Python(t, what, "python3-authlib", "authlib.jose"), "buy_token.py"
	}
	runtest.Tool(t, what, "curl")
	runtest.Tool(t, what, "openssl")
	return runtest.Interpreter{Command: []string{runtest.Tool(t, what, "bash"), "-e"}}, "buy-token.bash"
}
