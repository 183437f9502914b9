// Package composetest checks docker-compose.yml and what it leans on. It is a
// module of its own so that the program does not depend on compose's parser.
package composetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// root is the project's folder.
const root = "../.."

// read returns a file of the project.
func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// load parses a compose file as docker compose does, with all of its checks, in
// the surroundings that make secrets leaves.
func load(t *testing.T, source string) (*types.Project, error) {
	t.Helper()
	folder, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "docker-compose.yml")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{file},
		cli.WithWorkingDirectory(folder),
		cli.WithEnv([]string{"TOKENOS_UID=1000", "TOKENOS_GID=1000"}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

// mustLoad loads the project's own file.
func mustLoad(t *testing.T) *types.Project {
	t.Helper()
	project, err := load(t, read(t, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// The file parses, holds the services it promises, and breaks no rule.
func TestCompose(t *testing.T) {
	project := mustLoad(t)
	for _, name := range []string{"postgres", "hydra-migrate", "hydra", "tokenos-migrate", "tokenos", "tls"} {
		if _, ok := project.Services[name]; !ok {
			t.Errorf("no service %q", name)
		}
	}
	for _, fault := range faults(project) {
		t.Error(fault)
	}
}

// Without the user that make secrets notes down, compose says what to run.
func TestMissingUser(t *testing.T) {
	source := strings.ReplaceAll(read(t, "docker-compose.yml"), "TOKENOS_UID", "TOKENOS_ABSENT")
	if _, err := load(t, source); err == nil || !strings.Contains(err.Error(), "run make secrets first") {
		t.Errorf(`got %v, want "run make secrets first"`, err)
	}
}

// Each rule finds the mistake that it is there for.
func TestRules(t *testing.T) {
	for _, test := range []struct{ name, old, new, want string }{
		{"public port", `"127.0.0.1:8443:8443"`, `"8443:8443"`, "tls: port 8443 is published on every address"},
		{"admin port", `"127.0.0.1:8443:8443"`, `"127.0.0.1:4445:4445"`, "tls: publishes port 4445"},
		{"way round the TLS end", "command: [serve]\n", "command: [serve]\n    ports: [\"127.0.0.1:8080:8080\"]\n", "tokenos: publishes port 8080"},
		{"floating image", "postgres:17", "postgres:latest", `postgres: image "postgres:latest" is not pinned`},
		{"image without a tag", "caddy:2.11", "caddy", `tls: image "caddy" is not pinned`},
		{"waits for no check", "hydra: {condition: service_started}", "hydra: {condition: service_healthy}", "waits until hydra is healthy, which has no health check"},
		{"waits for ever", "hydra: {condition: service_started}", "hydra: {condition: service_completed_successfully}", "waits until hydra ends, which is restarted"},
		{"root", `user: "${TOKENOS_UID:?run make secrets first}:${TOKENOS_GID:?run make secrets first}"`, `user: "0:0"`, `runs as "0:0"`},
		{"writable", "read_only: true", "read_only: false", "may write to its image"},
		{"capabilities", "cap_drop: [ALL]", "cap_drop: [NET_RAW]", "keeps capabilities"},
		{"new privileges", `security_opt: ["no-new-privileges:true"]`, "security_opt: []", "may gain privileges"},
		{"a way out", "core: # tokenos, Hydra and the TLS end; no way out\n    internal: true", "core:", "is in core, which leads outside"},
		{"secret in the environment", "POSTGRES_PASSWORD_FILE: /run/secrets/postgres_password", "POSTGRES_PASSWORD: hunter2", "postgres: POSTGRES_PASSWORD is no file"},
		{"credentials in an address", "http://hydra:4445", "http://ana:hunter2@hydra:4445", "TOKENOS_HYDRA_ADMIN_URL holds credentials"},
		{"plain HTTP", "TOKENOS_HYDRA_PUBLIC_URL: https:", "TOKENOS_HYDRA_PUBLIC_URL: http:", "TOKENOS_HYDRA_PUBLIC_URL is not https"},
		{"secret in the repository", "./deploy/secrets/tls.key", "./deploy/tls.key", `secret tls_key: "deploy/tls.key" is outside deploy/secrets`},
		{"unused secret", "secrets: [postgres_password, ", "secrets: [", "secret postgres_password: nobody uses it"},
		{"stranger trusted", "TOKENOS_SERVER_TRUSTED_PROXIES: 172.30.94.2/32", "TOKENOS_SERVER_TRUSTED_PROXIES: 172.30.94.0/24", `trusts "172.30.94.0/24" instead of tls alone`},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := read(t, "docker-compose.yml")
			if !strings.Contains(source, test.old) {
				t.Fatalf("docker-compose.yml does not hold %q", test.old)
			}
			project, err := load(t, strings.ReplaceAll(source, test.old, test.new))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(faults(project), "\n"); !strings.Contains(got, test.want) {
				t.Errorf("got faults:\n%s\nwant one with: %s", got, test.want)
			}
		})
	}
}
