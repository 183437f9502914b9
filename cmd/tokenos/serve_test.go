//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenos/tokenos/internal/hydratest"
)

// With its own certificate serve speaks TLS and takes a changed certificate into
// use without a restart; a call in clear on the same port is refused.
func TestServeTLS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	cert1, key1 := pemPair(t, 1)
	put(t, certFile, cert1)
	put(t, keyFile, key1)
	s := newSite(t, hydratest.Shared(t).AdminURL(), fmt.Sprintf("tls: {cert_file: '%s', key_file: '%s'}", certFile, keyFile))
	c := s.serve(t)

	for _, path := range []string{"/v1/keys", "/openapi.json", "/health/ready", "/nowhere"} {
		refused(t, path+" in clear", ask(t.Context(), http.DefaultClient, http.MethodGet, "http://"+s.api+path, "", "X-Forwarded-Proto", "https"))
	}
	https := func(ctx context.Context, cert []byte) answer {
		return ask(ctx, trusting(cert), http.MethodGet, "https://"+s.api+"/openapi.json", "")
	}
	if a := https(t.Context(), cert1); a.status != http.StatusOK {
		t.Fatalf("HTTPS answers %d (%v)", a.status, a.err)
	}
	cert2, key2 := pemPair(t, 2)
	put(t, certFile, cert2)
	put(t, keyFile, key2)
	eventually(t, func(ctx context.Context) error { return https(ctx, cert2).err })
	if a := https(t.Context(), cert1); a.err == nil {
		t.Error("the old certificate is still served")
	}
	put(t, certFile, []byte("broken"))
	eventually(t, func(ctx context.Context) error {
		if a := https(ctx, cert2); a.err != nil {
			t.Fatalf("a broken file ended the service: %v", a.err)
		}
		if !strings.Contains(c.stderr.String(), "changed TLS certificate not usable, the old one stays") {
			return errors.New("the log says nothing of the broken certificate")
		}
		return nil
	})
	s.stop(t, c)
}

// Behind a trusted proxy a call is served if the proxy says that it came by
// HTTPS, and refused if not. The side for operators has health and nothing else.
func TestServeBehindProxy(t *testing.T) {
	s := newSite(t, hydratest.Shared(t).AdminURL(), "trusted_proxies: [127.0.0.1]")
	c := s.serve(t)
	url := "http://" + s.api + "/openapi.json"
	if a := ask(t.Context(), http.DefaultClient, http.MethodGet, url, "", "X-Forwarded-Proto", "https"); a.status != http.StatusOK {
		t.Errorf("by HTTPS: %d %s", a.status, a.body)
	}
	refused(t, "without a word", ask(t.Context(), http.DefaultClient, http.MethodGet, url, ""))
	refused(t, "by HTTP", ask(t.Context(), http.DefaultClient, http.MethodGet, url, "", "X-Forwarded-Proto", "http"))

	for path, want := range map[string]int{"/health/alive": 200, "/health/ready": 200, "/v1/keys": 404, "/openapi.json": 404} {
		if got := statusOf(t.Context(), "http://"+s.ops+path); got != want {
			t.Errorf("the side for operators answers %s with %d, want %d", path, got, want)
		}
	}
	s.stop(t, c)
}

// Told to stop, serve says it is not ready, takes no new connection, answers the
// request in flight, and ends with exit code 0.
func TestServeStops(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	s := newSite(t, proxy.URL(), "trusted_proxies: [127.0.0.1]")
	token := s.managementToken(t)
	c := s.serve(t)
	eventually(t, func(ctx context.Context) error { return s.ready(ctx, http.StatusOK) })

	proxy.ResetCounts()
	proxy.Inject(hydratest.Delay(3*time.Second).On(http.MethodPost, "/admin/clients"))
	inFlight := make(chan answer, 1)
	go func() {
		inFlight <- ask(t.Context(), http.DefaultClient, http.MethodPost, "http://"+s.api+"/v1/keys", `{"name":"in flight","owner":"acme","scopes":["a"]}`,
			"X-Forwarded-Proto", "https", "Authorization", "Bearer "+token, "Content-Type", "application/json")
	}()
	eventually(t, func(context.Context) error {
		if proxy.Received(http.MethodPost, "/admin/clients") == 0 {
			return errors.New("the request has not come to Hydra")
		}
		return nil
	})
	c.signal(syscall.SIGTERM)
	start := time.Now()
	eventually(t, func(ctx context.Context) error { return s.ready(ctx, http.StatusServiceUnavailable) })
	unready := time.Since(start)
	if a := ask(t.Context(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, http.MethodGet, "http://"+s.api+"/openapi.json", ""); a.err == nil {
		t.Error("a new connection is taken")
	}
	select {
	case a := <-inFlight:
		t.Errorf("the request was answered before readiness said no: %d", a.status)
		inFlight <- a
	default:
	}
	a := <-inFlight
	t.Logf("after SIGTERM: not ready after %s, the request in flight answered after %s", unready.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	if a.status != http.StatusCreated || !strings.Contains(a.body, `"client_secret"`) {
		t.Errorf("the request in flight got %d %s (%v)", a.status, a.body, a.err)
	}
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// serve starts while Hydra is down: it is alive but not ready, and the log says
// why; when Hydra comes it is ready by itself, and the log says that too.
func TestServeWithoutHydra(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	s := newSite(t, proxy.URL(), "trusted_proxies: [127.0.0.1]")
	proxy.Refuse()
	c := s.serve(t)
	c.says(&c.stderr, `"msg":"a part does not answer; keys cannot be changed until it does","part":"hydra"`)
	if err := s.ready(t.Context(), http.StatusServiceUnavailable); err != nil {
		t.Error(err)
	}
	if got := statusOf(t.Context(), "http://"+s.ops+"/health/alive"); got != http.StatusOK {
		t.Errorf("is it alive? %d", got)
	}
	if err := proxy.Accept(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error { return s.ready(ctx, http.StatusOK) })
	c.says(&c.stderr, `"msg":"a part answers again","part":"hydra"`)
	s.stop(t, c)
}

// An address in use is one sentence with the way out.
func TestServeAddressInUse(t *testing.T) {
	s := newSite(t, hydratest.Shared(t).AdminURL(), "trusted_proxies: [127.0.0.1]")
	c := s.serve(t)
	other := newSite(t, hydratest.Shared(t).AdminURL(), "trusted_proxies: [127.0.0.1]")
	late := run(t, other.env, "serve", "--server.listen", s.api)
	if code := late.exit(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	want := fmt.Sprintf("error: the REST API cannot listen on %s: address already in use\nhint: stop the program that has the address, or choose another with --server.listen\n", s.api)
	if got := late.stderr.String(); !strings.HasSuffix(got, want) {
		t.Errorf("says %q, want %q", got, want)
	}
	s.stop(t, c)
}

// Logs hold no secret, at any level.
func TestServeLogsNoSecret(t *testing.T) {
	s := newSite(t, hydratest.Shared(t).AdminURL(), "trusted_proxies: [127.0.0.1]")
	token := s.managementToken(t)
	s.env = append(s.env, "TOKENOS_LOG_LEVEL=debug")
	c := s.serve(t)
	a := ask(t.Context(), http.DefaultClient, http.MethodPost, "http://"+s.api+"/v1/keys", `{"name":"quiet","owner":"acme","scopes":["a"]}`,
		"X-Forwarded-Proto", "https", "Authorization", "Bearer "+token, "Content-Type", "application/json", "Idempotency-Key", "quiet-0123456789")
	if a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.stop(t, c)
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.Secret == "" {
		t.Fatalf("no secret in the answer: %v", err)
	}
	raw, err := os.ReadFile(filepath.Join(s.dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string]string{"client secret": made.Secret, "token": token, "server secret": siteSecret} {
		if strings.Contains(c.stderr.String(), secret) {
			t.Errorf("the log holds the %s", what)
		}
		if strings.Contains(string(raw), secret) {
			t.Errorf("the ledger holds the %s", what)
		}
	}
}
