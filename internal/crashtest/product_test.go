package crashtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// product is the program under test: `tokenos serve` as a child, on a real
// Hydra that is never killed.
type product struct {
	t      *testing.T
	binary string
	env    []string
	addr   string
	hydra  *hydradev.Server
	tokens oauth2.TokenSource
	log    *os.File
	owner  string // of every key made here: both tests share a Hydra

	mu  sync.Mutex
	cmd *exec.Cmd
}

func newProduct(t *testing.T, ledger string) *product {
	return newProductOn(t, hydratest.Shared(t), ledger)
}

// newProductOn is newProduct on a certain Hydra, with further settings.
func newProductOn(t *testing.T, hydra *hydradev.Server, ledger string, settings ...string) *product {
	p := &product{t: t, owner: "crash " + rand.Text(), hydra: hydra, binary: filepath.Join(t.TempDir(), "tokenos")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", p.binary, "github.com/tokenos/tokenos/cmd/tokenos")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = l.Addr().String()
	_ = l.Close()
	if p.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	p.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(),
		"TOKENOS_SERVER_LISTEN=" + p.addr, "TOKENOS_SERVER_PUBLIC_URL=https://keys.example.test", "TOKENOS_SERVER_TRUSTED_PROXIES=127.0.0.1",
		"TOKENOS_HYDRA_ADMIN_URL=" + p.hydra.AdminURL(), "TOKENOS_HYDRA_PUBLIC_URL=" + p.hydra.PublicURL(),
		"TOKENOS_LIMITS_ADDRESS_PER_MINUTE=0", "TOKENOS_LIMITS_CALLER_PER_MINUTE=0", // all workers are one caller
		"TOKENOS_HYDRA_TIMEOUT=900ms", "TOKENOS_HYDRA_CHANGE_TIMEOUT=2s", "TOKENOS_LEDGER_LEASE=8s",
		"TOKENOS_LEDGER_URL=" + ledger, "TOKENOS_SECRET=crash-test-server-secret-0123456789abcdef"}
	p.env = append(p.env, settings...)
	p.command("migrate")
	var boot struct {
		ID     string `json:"id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal(p.command("bootstrap", "-o", "json", "--right", "keys:read,keys:write,audit:read"), &boot); err != nil {
		t.Fatal(err)
	}
	c := clientcredentials.Config{ClientID: boot.ID, ClientSecret: boot.Secret, TokenURL: p.hydra.TokenURL(), AuthStyle: oauth2.AuthStyleInHeader,
		Scopes: []string{"keys:read", "keys:write", "audit:read"}, EndpointParams: map[string][]string{"audience": {"tokenos"}}}
	p.tokens = c.TokenSource(context.Background())
	t.Cleanup(p.kill)
	return p
}

// command runs one of the program's commands to its end.
func (p *product) command(args ...string) []byte {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), p.binary, args...)
	cmd.Env = p.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("tokenos %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out
}

func (p *product) start() {
	p.t.Helper()
	cmd := exec.Command(p.binary, "serve")
	cmd.Env, cmd.Stderr, cmd.Stdout = p.env, p.log, p.log
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.cmd = cmd
	p.mu.Unlock()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(p.t.Context(), "tcp", p.addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(until) {
			log, _ := os.ReadFile(p.log.Name())
			p.t.Fatalf("the program does not start:\n%s", log[max(0, len(log)-4000):])
		}
	}
}

// stop ends the program in good order.
func (p *product) stop() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("told to stop, the program ends with %v", err)
	}
	p.cmd = nil
}

func (p *product) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// behindTLS adds what a proxy that ends TLS says, with a connection a request,
// so that a killed process is noticed.
type behindTLS struct{}

var transport = &http.Transport{DisableKeepAlives: true}

func (behindTLS) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-Proto", "https")
	return transport.RoundTrip(r)
}

// api is the program's REST API without retries: an unanswered request is what
// the test is about.
func (p *product) api() apikey.API {
	c, err := client.New(client.Config{BaseURL: "http://" + p.addr, HTTPClient: &http.Client{Transport: behindTLS{}}, Retries: -1,
		Token: func(context.Context) (string, error) {
			t, err := p.tokens.Token()
			if err != nil {
				return "", err
			}
			return t.AccessToken, nil
		}})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// quiesce waits until no change is under way.
func (p *product) quiesce() {
	p.t.Helper()
	api := p.api()
	for until := time.Now().Add(90 * time.Second); ; time.Sleep(250 * time.Millisecond) {
		busy, err := p.changing(p.t.Context(), api)
		if err == nil && busy == 0 {
			return
		}
		if time.Now().After(until) {
			log, _ := os.ReadFile(p.log.Name())
			p.t.Fatalf("still %d keys changing, %v; the log ends:\n%s", busy, err, log[max(0, len(log)-4000):])
		}
	}
}

func (p *product) changing(ctx context.Context, api apikey.API) (int, error) {
	keys, err := p.everyKey(ctx, api)
	busy := 0
	for _, k := range keys {
		for _, f := range k.Flags {
			if f == apikey.FlagChanging {
				busy++
			}
		}
	}
	return busy, err
}

func (p *product) everyKey(ctx context.Context, api apikey.API) (map[string]apikey.Key, error) {
	out := map[string]apikey.Key{}
	q := apikey.ListParams{Owner: p.owner, Limit: 200}
	for {
		page, err := api.List(ctx, q)
		if err != nil {
			return out, err
		}
		for _, k := range page.Data {
			out[k.ID] = k
		}
		if q.Cursor = page.NextCursor; q.Cursor == "" {
			return out, nil
		}
	}
}

// noOrphans compares Hydra's clients with the ledger's keys: the same ids, and
// open exactly where the key is active.
func (p *product) noOrphans() {
	p.t.Helper()
	keys, err := p.everyKey(p.t.Context(), p.api())
	if err != nil {
		p.t.Fatal(err)
	}
	clients := p.clients()
	for id, open := range clients {
		k, known := keys[id]
		if !known || k.Status == apikey.StatusRevoked {
			p.t.Errorf("client %s in Hydra: in the ledger %v, %s", id, known, k.Status)
		} else if open != (k.Status == apikey.StatusActive) {
			p.t.Errorf("client %s: open %v, key %s", id, open, k.Status)
		}
	}
	for id, k := range keys {
		if _, found := clients[id]; !found && k.Status != apikey.StatusRevoked {
			p.t.Errorf("key %s (%s) has no client in Hydra", id, k.Status)
		}
	}
}

// clients lists the clients of owner crash in Hydra, and whether each is open.
func (p *product) clients() map[string]bool {
	p.t.Helper()
	r, err := http.Get(p.hydra.AdminURL() + "/admin/clients?page_size=1000&owner=" + url.QueryEscape(p.owner)) //nolint:noctx // loopback
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	var page []struct {
		ID     string   `json:"client_id"`
		Grants []string `json:"grant_types"`
	}
	if err := json.NewDecoder(r.Body).Decode(&page); err != nil || len(page) >= 1000 {
		p.t.Fatalf("list %d clients: %v", len(page), err)
	}
	out := map[string]bool{}
	for _, c := range page {
		out[c.ID] = len(c.Grants) == 1 && c.Grants[0] == "client_credentials"
	}
	return out
}

func (p *product) verifyChain() {
	p.t.Helper()
	p.command("audit", "verify")
}
