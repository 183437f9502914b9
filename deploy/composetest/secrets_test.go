package composetest

import (
	"crypto/tls"
	"crypto/x509"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
)

// makeSecrets runs deploy/make-secrets for a new folder and returns it.
func makeSecrets(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "secrets")
	runMakeSecrets(t, folder)
	return folder
}

func runMakeSecrets(t *testing.T, folder string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(root, "deploy", "make-secrets"), folder, folder+".env")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("make-secrets: %v\n%s", err, out)
	}
}

// contents maps the files of a folder to what they hold.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", path, info.Mode().Perm())
		}
		b, err := os.ReadFile(filepath.Join(folder, path))
		found[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// make-secrets makes exactly the files that compose mounts, for their owner
// alone, in a folder for their owner alone.
func TestSecretsMade(t *testing.T) {
	folder := makeSecrets(t)
	info, err := os.Stat(folder)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v, want 0700", info.Mode().Perm())
	}
	got, want := map[string]bool{}, map[string]bool{}
	for name := range contents(t, folder) {
		got[name] = true
	}
	for _, secret := range mustLoad(t).Secrets {
		want[filepath.Base(secret.File)] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-mounted +made):\n%s", diff)
	}
}

// Run again, make-secrets changes nothing, and makes again only what is missing;
// elsewhere it makes other secrets.
func TestSecretsKept(t *testing.T) {
	folder := makeSecrets(t)
	before := contents(t, folder)
	if err := os.Remove(filepath.Join(folder, "tokenos_secret")); err != nil {
		t.Fatal(err)
	}
	runMakeSecrets(t, folder)
	after := contents(t, folder)
	if after["tokenos_secret"] == before["tokenos_secret"] || len(after["tokenos_secret"]) != 64 {
		t.Error("the removed secret was not made anew")
	}
	after["tokenos_secret"] = before["tokenos_secret"]
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error("a second run changed what was there")
	}
	for name, value := range contents(t, makeSecrets(t)) {
		if value == before[name] {
			t.Errorf("%s is the same in two folders", name)
		}
	}
}

// The certificate stands for both names, by the authority that tokenos is given.
func TestCertificate(t *testing.T) {
	folder := makeSecrets(t)
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal("ca.crt holds no certificate")
	}
	for _, variable := range []string{"TOKENOS_HOST", "HYDRA_HOST"} {
		name := mustLoad(t).Services["tls"].Environment[variable]
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: deref(name)}); err != nil {
			t.Errorf("%s: %v", variable, err)
		}
	}
}

// Hydra's files together hold what keys rely on: exact scopes, cheap hashes
// of strong secrets, no door but ours, a pool that JWT tokens cannot exhaust, and
// three different secrets.
func TestHydraConfig(t *testing.T) {
	var config struct {
		DSN        string
		Strategies struct{ Scope string }
		Serve      struct {
			Public, Admin struct{ TLS struct{ Enabled bool } }
		}
		OAuth2 struct {
			Hashers struct{ PBKDF2 struct{ Iterations int } }
			Claims  []string `yaml:"allowed_top_level_claims"`
		}
		OIDC struct {
			Registration struct{ Enabled bool } `yaml:"dynamic_client_registration"`
		}
		Secrets struct{ System, Cookie, Pagination []string }
	}
	secret, err := os.ReadFile(filepath.Join(makeSecrets(t), "hydra.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{read(t, "deploy", "hydra.yaml"), string(secret)} {
		if err := yaml.Unmarshal([]byte(source), &config); err != nil {
			t.Fatal(err)
		}
	}
	if config.Strategies.Scope != "exact" {
		t.Errorf("strategies.scope is %q, want exact", config.Strategies.Scope)
	}
	if got := config.OAuth2.Hashers.PBKDF2.Iterations; got != 1000 {
		t.Errorf("pbkdf2.iterations is %d, want 1000", got)
	}
	if want := []string{"root_id", "owner", "env", "key_expires_at", "status", "cnf"}; !slices.Equal(config.OAuth2.Claims, want) {
		t.Errorf("allowed_top_level_claims are %v, want %v", config.OAuth2.Claims, want)
	}
	if config.OIDC.Registration.Enabled {
		t.Error("dynamic client registration is on")
	}
	if !config.Serve.Public.TLS.Enabled || config.Serve.Admin.TLS.Enabled {
		t.Errorf("TLS is %v on the public port and %v on the admin port, want true and false",
			config.Serve.Public.TLS.Enabled, config.Serve.Admin.TLS.Enabled)
	}
	dsn, err := url.Parse(config.DSN)
	if err != nil {
		t.Fatal("the data source is no address")
	}
	if connections, err := strconv.Atoi(dsn.Query().Get("max_conns")); err != nil || connections < 50 {
		t.Errorf("max_conns is %q, want 50 or more", dsn.Query().Get("max_conns"))
	}
	seen := map[string]bool{}
	for _, secrets := range [][]string{config.Secrets.System, config.Secrets.Cookie, config.Secrets.Pagination} {
		if len(secrets) != 1 || len(secrets[0]) != 64 || seen[secrets[0]] {
			t.Error("a secret of Hydra's is missing, short or used twice")
			continue
		}
		seen[secrets[0]] = true
	}
}
