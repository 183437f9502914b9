//go:build unix

package e2e_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// product is `tokenos serve` as people run it: a process of its own, with TLS and
// its ledger in a file, that Hydra asks before it issues a token.
type product struct {
	t           testing.TB
	hydra       *hydradev.Server
	url, binary string
	cert        string // file of its certificate
	env         []string
	cmd         *exec.Cmd
	https       *http.Client // trusts its certificate
	api         apikey.API   // to read and change keys
	asker       credential   // of the APIs, to look tokens up with
}

// credential is a management key's.
type credential struct {
	ID     string `json:"id"`
	Secret string `json:"client_secret"`

	token func(context.Context) (string, error)
}

// newProduct runs the program beside a Hydra of its own, whose database is dsn;
// "": one in a file. prepare is done before it starts.
func newProduct(t testing.TB, dsn string, prepare ...func(*product)) *product {
	t.Helper()
	hook, hookSecret := freeAddress(t), rand.Text()+rand.Text()
	p := &product{t: t, url: "https://" + freeAddress(t), binary: build(t, "cmd/tokenos")}
	p.hydra = hydratest.New(t, hydradev.Config{DSN: dsn, TokenHook: &hydradev.TokenHook{URL: "http://" + hook + handlers.HookPath, Header: handlers.HookHeader, Value: hookSecret}})
	dir := t.TempDir()
	p.cert = filepath.Join(dir, "cert.pem")
	p.https = p.certificate(dir)
	p.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
		"TOKENOS_SERVER_LISTEN=" + p.url[len("https://"):], "TOKENOS_SERVER_PUBLIC_URL=" + p.url,
		"TOKENOS_SERVER_TLS_CERT_FILE=" + p.cert, "TOKENOS_SERVER_TLS_KEY_FILE=" + filepath.Join(dir, "key.pem"),
		"TOKENOS_HYDRA_ADMIN_URL=" + p.hydra.AdminURL(), "TOKENOS_HYDRA_PUBLIC_URL=" + p.hydra.PublicURL(),
		"TOKENOS_HOOK_LISTEN=" + hook, "TOKENOS_HOOK_SECRET=" + hookSecret,
		"TOKENOS_LEDGER_URL=sqlite://" + filepath.Join(dir, "ledger.db"), "TOKENOS_SECRET=" + rand.Text() + rand.Text(),
		"TOKENOS_LOG_LEVEL=warn", "TOKENOS_LIMITS_ADDRESS_PER_MINUTE=0", "TOKENOS_LIMITS_CALLER_PER_MINUTE=0"} // an API's tests ask more often than 50 times a second
	p.command("migrate")
	manager := p.bootstrap("keys:read", "keys:write")
	p.asker = p.bootstrap("tokens:introspect")
	for _, do := range prepare {
		do(p)
	}
	p.start()
	t.Cleanup(p.kill)
	var err error
	if p.api, err = client.New(client.Config{BaseURL: p.url, HTTPClient: p.https, Token: manager.token}); err != nil {
		t.Fatal(err)
	}
	return p
}

func freeAddress(t testing.TB) string {
	t.Helper()
	port, err := hydradev.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// certificate makes one for the program, and a client that trusts no other.
func (p *product) certificate(dir string) *http.Client {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		p.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}}
}

// command runs one of the program's commands to its good end.
func (p *product) command(args ...string) []byte {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), p.binary, args...)
	cmd.Env = p.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("tokenos %v: %v\n%s", args, err, &stderr)
	}
	return out
}

// bootstrap makes a management key, whose tokens are bought as programs do.
func (p *product) bootstrap(rights ...string) (made credential) {
	p.t.Helper()
	if err := json.Unmarshal(p.command("bootstrap", "-o", "json", "--right", strings.Join(rights, ",")), &made); err != nil {
		p.t.Fatal(err)
	}
	c := clientcredentials.Config{ClientID: made.ID, ClientSecret: made.Secret, TokenURL: p.hydra.TokenURL(), AuthStyle: oauth2.AuthStyleInHeader,
		Scopes: rights, EndpointParams: map[string][]string{"audience": {"tokenos"}}}
	source := c.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Timeout: 10 * time.Second}))
	made.token = func(context.Context) (string, error) {
		t, err := source.Token()
		if err != nil {
			return "", err
		}
		return t.AccessToken, nil
	}
	return made
}

// start starts the program and waits until it answers.
func (p *product) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.binary, "serve")
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, p.t.Output(), p.t.Output()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	apikeytest.Eventually(p.t, "the program answers", func() bool {
		r, err := p.https.Get(p.url + "/status/jwks.json") //nolint:noctx // it has a time-out
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// kill ends it on the spot.
func (p *product) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// key makes a key whose tokens have a format. edit may be nil.
func (p *product) key(t testing.TB, format apikey.TokenFormat, edit func(*apikey.CreateParams)) apikey.Issued {
	t.Helper()
	c := apikey.CreateParams{Name: "e2e", Owner: "e2e", Scopes: []string{scope, "orders:write"}, Audiences: []string{audience, "https://other.example.com"}, Token: &apikey.TokenParams{Format: format}}
	if edit != nil {
		edit(&c)
	}
	issued, err := p.api.Create(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// tryBuy asks Hydra for a token with the key.
func (p *product) tryBuy(ctx context.Context, k apikey.Issued, audience, scope string) (string, error) {
	return hydratest.Buy(ctx, hydratest.Purchase{TokenURL: p.hydra.TokenURL(), ID: k.Key.ID, Secret: k.Secret.Reveal(), Scopes: []string{scope}, Audiences: []string{audience}})
}

// buyFor buys a token. Hydra on SQLite answers 500 to some of those that write at
// the same time; they ask again, as people's programs do.
func (p *product) buyFor(t testing.TB, k apikey.Issued, audience, scope string) (token string) {
	t.Helper()
	apikeytest.Eventually(t, "Hydra answers", func() bool {
		var err error
		if token, err = p.tryBuy(t.Context(), k, audience, scope); err != nil && hydratest.Status(err) != http.StatusInternalServerError {
			t.Fatal(err)
		}
		return err == nil
	})
	return token
}

// buy buys a token for the API to read orders with.
func (p *product) buy(t testing.TB, k apikey.Issued) string {
	t.Helper()
	return p.buyFor(t, k, audience, scope)
}
