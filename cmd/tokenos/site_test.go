//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

const siteSecret = "Vq7fT2mXw9LrC4sHk8ZpB6nYd3GjE5uA"

// site is an installation of tokenos serve: a folder and a configuration.
type site struct {
	dir, api, ops string // api is host:port of the REST API once it serves
	env           []string
	hydra         *hydradev.Server
}

// newSite configures and migrates an installation. admin is Hydra's admin API, or
// what stands before it; more are further lines of the section server.
func newSite(t *testing.T, admin string, more ...string) *site {
	t.Helper()
	h := hydratest.Shared(t)
	port, err := hydradev.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{dir: t.TempDir(), ops: fmt.Sprintf("127.0.0.1:%d", port), hydra: h}
	text := fmt.Sprintf("server:\n  listen: 127.0.0.1:0\n  public_url: https://localhost\n  %s\nops: {listen: '%s'}\nhydra: {admin_url: '%s', public_url: '%s', retries: 0}\nledger: {url: 'sqlite://%s/ledger.db'}\nsecret: %s\n",
		strings.Join(more, "\n  "), s.ops, admin, h.PublicURL(), s.dir, siteSecret)
	put(t, filepath.Join(s.dir, "tokenos.yaml"), []byte(text))
	s.env = []string{"TOKENOS_CONFIG=" + filepath.Join(s.dir, "tokenos.yaml")}
	s.done(t, "migrate")
	return s
}

// done runs a command to its good end and returns its stdout.
func (s *site) done(t *testing.T, args ...string) string {
	t.Helper()
	c := run(t, s.env, args...)
	if code := c.exit(); code != 0 {
		t.Fatalf("%v ends with %d", args, code)
	}
	return c.stdout.String()
}

var announced = regexp.MustCompile(`^tokenos \S+ serves https://localhost on (127\.0\.0\.1:\d+) \((.*)\); health at http://(127\.0\.0\.1:\d+)/health/ready(?:; token hook on \S+)?\n$`)

// serve starts the server and reads from its one line where it is.
func (s *site) serve(t *testing.T) *child {
	t.Helper()
	c := run(t, s.env, "serve")
	c.says(&c.stdout, "\n")
	found := announced.FindStringSubmatch(c.stdout.String())
	if found == nil || found[3] != s.ops {
		t.Fatalf("says %q", c.stdout.String())
	}
	s.api = found[1]
	return c
}

// ready asks the side for operators.
func (s *site) ready(ctx context.Context, want int) error {
	if got := statusOf(ctx, "http://"+s.ops+"/health/ready"); got != want {
		return fmt.Errorf("readiness answers %d, want %d", got, want)
	}
	return nil
}

// stop sends SIGTERM and wants exit code 0 and a log of JSON lines.
func (s *site) stop(t *testing.T, c *child) {
	t.Helper()
	c.signal(syscall.SIGTERM)
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	for _, line := range lines(c.stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is not JSON: %s", line)
		}
	}
}

// answer is what a test looks at in a response.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

// ask sends a request; header holds pairs of name and value.
func ask(ctx context.Context, c *http.Client, method, url, body string, header ...string) (a answer) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text), err}
}

// refused wants 403 https_required as a problem document, and no redirect.
func refused(t *testing.T, what string, a answer) {
	t.Helper()
	if a.err != nil || a.status != http.StatusForbidden || a.header.Get("Content-Type") != "application/problem+json" || !strings.Contains(a.body, `"code":"https_required"`) {
		t.Errorf("%s: %d %s %s (%v), want 403 https_required", what, a.status, a.header.Get("Content-Type"), a.body, a.err)
	}
	if a.header.Get("Location") != "" {
		t.Errorf("%s: redirects", what)
	}
}

// trusting is an HTTPS client that trusts these certificates, asks for localhost
// and keeps no connection.
func trusting(certs ...[]byte) *http.Client {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AppendCertsFromPEM(c)
	}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}}}
}

// managementToken makes a management key by bootstrap and buys a token with it.
func (s *site) managementToken(t *testing.T) string {
	t.Helper()
	return hydratest.MustBuy(t, s.bootstrap(t))
}

// bootstrap makes a management key, and returns how to buy a token with it.
func (s *site) bootstrap(t *testing.T) hydratest.Purchase {
	t.Helper()
	var made struct {
		ID       string `json:"id"`
		Secret   string `json:"client_secret"`
		TokenURL string `json:"token_url"`
		Audience string `json:"audience"`
	}
	if err := json.Unmarshal([]byte(s.done(t, "bootstrap", "-o", "json")), &made); err != nil {
		t.Fatal(err)
	}
	return hydratest.Purchase{TokenURL: made.TokenURL, ID: made.ID, Secret: made.Secret, Scopes: []string{"admin"}, Audiences: []string{made.Audience}}
}
