//go:build unix

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// warns compares which checks warned; no other may have failed or warned.
func (r report) warns(t *testing.T, what string, code int, names ...string) {
	t.Helper()
	var got []string
	for _, f := range r.Checks {
		if f.Result == failed || f.Result == warned {
			got = append(got, f.Name+" "+string(f.Result))
		}
	}
	for i := range names {
		names[i] += " warn"
	}
	if strings.Join(got, ", ") != strings.Join(names, ", ") || r.code != code {
		t.Errorf("%s: exit code %d, want %d; found %v, want %v\n%+v", what, r.code, code, got, names, r.Checks)
	}
}

// open works on the site's ledger and Hydra as a server would.
func (s *site) open(t *testing.T, do func(a *app)) {
	t.Helper()
	cfg, err := config.Load(config.LoadOptions{Env: s.env})
	if err != nil {
		t.Fatal(err)
	}
	a, err := wire(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	do(a)
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
}

// door is an address before a Hydra: its public API, and its admin API too if
// somebody has left it open.
type door struct {
	*httptest.Server
	open atomic.Bool
}

func newDoor(t *testing.T) (*door, func(*hydradev.Server)) {
	t.Helper()
	d := &door{}
	var public, admin *httputil.ReverseProxy
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.open.Load() && strings.HasPrefix(r.URL.Path, "/admin/") {
			admin.ServeHTTP(w, r)
			return
		}
		public.ServeHTTP(w, r)
	}))
	t.Cleanup(d.Close)
	to := func(base string) *httputil.ReverseProxy {
		at, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at) }}
	}
	return d, func(h *hydradev.Server) { public, admin = to(h.PublicURL()), to(h.AdminURL()) }
}

// Each setting of Hydra's that is not as it should be is the one check that says
// so, in JSON and by the exit code.
func TestDoctorHydra(t *testing.T) {
	t.Parallel()
	d, stand := newDoor(t)
	dir := t.TempDir()
	h := hydratest.New(t, hydradev.Config{Dir: dir, Settings: map[string]any{"urls.self.issuer": d.URL}})
	stand(h)
	s := newSite(t, h.AdminURL(), "trusted_proxies: [127.0.0.1]")
	s.env = append(s.env, "TOKENOS_HYDRA_PUBLIC_URL="+d.URL)
	hookless := []string{"--skip", "token_hook"}
	s.doctor(t, nil, hookless...).want(t, "healthy", exitOK, nil, []string{"token_hook"})

	d.open.Store(true)
	s.doctor(t, nil, hookless...).want(t, "admin API at the public address", exitFailed, []string{"hydra_admin_private"}, []string{"token_hook"})
	d.open.Store(false)
	s.doctor(t, []string{"TOKENOS_HYDRA_PUBLIC_URL=" + h.PublicURL()}, hookless...).want(t, "another public URL", exitFailed, []string{"hydra_issuer"}, []string{"token_hook"})

	s.withoutSigningKey(t, h)
	s.withJWTs(t, filepath.Join(dir, "hydra.sqlite"))
	if left := hydratest.Clients(t, h.AdminURL(), apikey.ManagementAudience); len(left) != 0 {
		t.Errorf("left in Hydra: %v", left)
	}
}

// withoutSigningKey has the doctor find that there is none, and make one: shown
// first, and not without a yes.
func (s *site) withoutSigningKey(t *testing.T, h *hydradev.Server) {
	t.Helper()
	keys := h.AdminURL() + "/admin/keys/hydra.jwt.access-token"
	if a := ask(t.Context(), http.DefaultClient, http.MethodDelete, keys, ""); a.status != http.StatusNoContent {
		t.Fatal(a)
	}
	hookless := []string{"--skip", "token_hook"}
	s.doctor(t, nil, hookless...).warns(t, "no signing key", exitOK, "signing_keys")
	strict := s.doctor(t, nil, append(hookless, "--strict")...)
	strict.warns(t, "no signing key, strictly", exitFailed, "signing_keys")
	if !strings.HasSuffix(strict.stderr, fmt.Sprintf("\"detail\": \"1 of %d checks warned: signing_keys\"\n}\n", len(checks))) {
		t.Errorf("says %s", strict.stderr)
	}
	asked := run(t, s.env, "doctor", "--skip", "token_hook", "--fix")
	if code, says := asked.exit(), asked.stderr.String(); code != exitUsage || !strings.Contains(says, "to mend signing_keys: make an ES256 key in "+h.AdminURL()) || !strings.Contains(says, "--yes") {
		t.Errorf("nobody to ask: exit code %d, says %s", code, says)
	}
	if a := ask(t.Context(), http.DefaultClient, http.MethodGet, keys, ""); a.status != http.StatusNotFound {
		t.Errorf("it was made without a yes: %d", a.status)
	}
	mended := s.doctor(t, nil, append(hookless, "--fix", "--yes")...)
	mended.warns(t, "mended", exitOK)
	if seen := mended.named("signing_keys").Seen; seen != "ES256 signs with 256 bits; 1 published" {
		t.Errorf("after mending it sees %s", seen)
	}
	if again := s.doctor(t, nil, append(hookless, "--fix", "--yes")...); strings.Contains(again.stderr, "mend") {
		t.Errorf("mended twice: %s", again.stderr)
	}
	if a := ask(t.Context(), http.DefaultClient, http.MethodPost, keys, `{"alg":"RS256","use":"sig","kid":"old-fashioned"}`); a.status != http.StatusCreated {
		t.Fatal(a.status)
	}
	s.doctor(t, nil, hookless...).warns(t, "RSA", exitOK, "signing_keys")
	if code := run(t, s.env, "signing-keys", "rotate", "--yes").exit(); code != 0 {
		t.Errorf("rotate ends with %d", code)
	}
	s.doctor(t, nil, hookless...).warns(t, "rotated", exitOK)
}

// withJWTs has a key buy JWTs that live for hours, under rules that came later.
func (s *site) withJWTs(t *testing.T, file string) {
	t.Helper()
	s.open(t, func(a *app) {
		life := apikey.Duration(2 * time.Hour)
		if _, err := a.service.Create(apikey.WithCaller(t.Context(), apikey.System("test")), apikey.CreateParams{Name: "jwt", Owner: "acme", Scopes: []string{"a"},
			Token: &apikey.TokenParams{Format: apikey.JWT, Lifetime: &life}}); err != nil {
			t.Fatal(err)
		}
	})
	policy := filepath.Join(s.dir, "policy.yaml")
	put(t, policy, []byte("live: {token: {formats: [opaque]}}\n"))
	dsn := filepath.Join(s.dir, "dsn")
	put(t, dsn, []byte("sqlite://"+file+"?_fk=true\n"))
	hookless := []string{"--skip", "token_hook"}
	r := s.doctor(t, nil, hookless...)
	r.warns(t, "JWTs", exitOK, "token_lifetimes", "hydra_pool")
	r = s.doctor(t, []string{"TOKENOS_KEYS_POLICY_FILE=" + policy}, "--skip", "token_hook,token_lifetimes,hydra_pool")
	if r.warns(t, "rules", exitOK, "policies"); !strings.Contains(r.named("policies").Seen, "1 keys break them") {
		t.Errorf("sees %s", r.named("policies").Seen)
	}
	r = s.doctor(t, nil, "--skip", "token_hook,token_lifetimes,hydra_pool", "--hydra-dsn-file", dsn)
	if r.warns(t, "tables", exitOK); r.named("hydra_tables").Seen != "0 tokens from before two days and 0 used assertions" {
		t.Errorf("sees %+v", r.named("hydra_tables"))
	}
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 100000)
		INSERT INTO hydra_oauth2_jti_blacklist (signature, expires_at, nid) SELECT 'x'||i, '2030-01-01 00:00:00', (SELECT id FROM networks LIMIT 1) FROM n`); err != nil {
		t.Fatal(err)
	}
	s.doctor(t, nil, "--skip", "token_hook,token_lifetimes", "--hydra-dsn-file", dsn).warns(t, "tables that grow, on SQLite", exitOK, "hydra_pool", "hydra_tables")
	put(t, dsn, []byte("postgres://hydra:"+databasePassword+"@127.0.0.1:1/hydra?max_conns=4"))
	s.doctor(t, nil, "--skip", "token_hook,token_lifetimes", "--hydra-dsn-file", dsn).want(t, "a small pool", exitFailed, []string{"hydra_pool", "hydra_tables"}, []string{"token_hook", "token_lifetimes"}, "hydra_tables")
}

// Hydra's defaults are not what keys need.
func TestDoctorDefaults(t *testing.T) {
	t.Parallel()
	h := hydratest.New(t, hydradev.Config{Settings: map[string]any{"strategies.scope": "wildcard", "oidc.dynamic_client_registration.enabled": true, "oauth2.hashers.pbkdf2.iterations": 100_000}})
	s := newSite(t, h.AdminURL(), "trusted_proxies: [127.0.0.1]")
	s.env = append(s.env, "TOKENOS_HYDRA_PUBLIC_URL="+h.PublicURL())
	s.doctor(t, nil, "--skip", "token_hook,hydra_hashing").want(t, "scopes and registration", exitFailed, []string{"hydra_registration", "hydra_scopes"}, []string{"token_hook", "hydra_hashing"})
	s.doctor(t, nil, "--skip", "token_hook,hydra_scopes,hydra_registration").warns(t, "hashing", exitOK, "hydra_hashing")
}

// What is wrong around the server is one check each.
func TestDoctorAround(t *testing.T) {
	t.Parallel()
	s := newSite(t, hydratest.Shared(t).AdminURL(), "trusted_proxies: [127.0.0.1]")
	hookless := []string{"--skip", "token_hook"}
	s.doctor(t, []string{"TOKENOS_SERVER_TRUSTED_PROXIES=0.0.0.0/1,128.0.0.0/1"}, hookless...).want(t, "half the world", exitFailed, []string{"proxies"}, []string{"token_hook"})
	s.doctor(t, []string{"TOKENOS_SERVER_TRUSTED_PROXIES=10.0.0.0/8,104.16.0.0/13,2606:4700::/32,fc00::/7"}, hookless...).want(t, "large networks", exitOK, nil, []string{"token_hook"})

	mode := func(name string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(filepath.Join(s.dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	mode("ledger.db", 0o644)
	s.doctor(t, nil, hookless...).warns(t, "a ledger that everybody reads", exitOK, "files")
	mode("ledger.db", 0o600)
	mode("tokenos.yaml", 0o602)
	s.doctor(t, nil, hookless...).want(t, "a configuration that everybody writes", exitFailed, []string{"files"}, []string{"token_hook"})
	mode("tokenos.yaml", 0o600)
	secret := filepath.Join(s.dir, "secret")
	put(t, secret, []byte(siteSecret))
	s.env[0] = "TOKENOS_CONFIG=" + s.config(t, "secret: "+siteSecret+"\n", "")
	s.env = append(s.env, "TOKENOS_SECRET_FILE="+secret)
	s.doctor(t, nil, hookless...).want(t, "a secret in a file", exitOK, nil, []string{"token_hook"})
	mode("secret", 0o602)
	s.doctor(t, nil, hookless...).want(t, "a secret that everybody writes", exitFailed, []string{"files"}, []string{"token_hook"})
	mode("secret", 0o604)
	s.doctor(t, nil, hookless...).warns(t, "a secret that everybody reads", exitOK, "files")
}

// config is the site's configuration with a text replaced, in another file.
func (s *site) config(t *testing.T, old, by string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "tokenos.yaml"))
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("no such configuration: %v", err)
	}
	name := filepath.Join(s.dir, "other.yaml")
	put(t, name, []byte(strings.ReplaceAll(string(text), old, by)))
	return name
}

// A doctor with a wrong server secret, where no event can tell, leaves the running
// server's canary alone.
func TestDoctorLeavesCanary(t *testing.T) {
	s, _ := hookedSite(t, hookSecret)
	c := s.serve(t)
	eventually(t, func(ctx context.Context) error { return s.ready(ctx, http.StatusOK) })
	canary := func() string {
		ids := hydratest.Clients(t, s.hydra.AdminURL(), apikey.ManagementAudience)
		if len(ids) != 1 {
			t.Fatalf("clients %v", ids)
		}
		var read struct {
			At string `json:"updated_at"`
		}
		if err := json.Unmarshal([]byte(ask(t.Context(), http.DefaultClient, http.MethodGet, s.hydra.AdminURL()+"/admin/clients/"+ids[0], "").body), &read); err != nil || read.At == "" {
			t.Fatal(err)
		}
		return ids[0] + read.At
	}
	before := canary()
	r := s.doctor(t, []string{"TOKENOS_SECRET=" + otherServerSecret})
	r.want(t, "wrong server secret, no event", exitFailed, []string{"token_hook"}, nil)
	if f := r.named("token_hook"); !strings.Contains(f.Seen, "under another server secret") {
		t.Errorf("sees %s", f.Seen)
	}
	if after := canary(); after != before {
		t.Errorf("the canary was written: %s, was %s", after, before)
	}
	s.doctor(t, nil).want(t, "the right one", exitOK, nil, nil)
	s.stop(t, c)
}
