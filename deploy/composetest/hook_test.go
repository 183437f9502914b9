package composetest

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// Hydra asks tokenos, by https and by a name that only their network knows, at
// the port where tokenos listens for it, and shows it the secret that tokenos
// has. Every Hydra service reads the file that says so.
func TestTokenHook(t *testing.T) {
	folder := makeSecrets(t)
	text, err := os.ReadFile(filepath.Join(folder, "hydra_hook.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		OAuth2 struct {
			Hook struct {
				URL  string
				Auth struct {
					Type   string
					Config struct{ In, Name, Value string }
				}
			} `yaml:"token_hook"`
		}
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	hook := config.OAuth2.Hook
	secret, err := os.ReadFile(filepath.Join(folder, "hook_secret"))
	if err != nil {
		t.Fatal(err)
	}
	if hook.Auth.Type != "api_key" || hook.Auth.Config.In != "header" || hook.Auth.Config.Name != "Tokenos-Hook-Secret" || hook.Auth.Config.Value != string(secret) || len(secret) != 64 {
		t.Errorf("shows %s in the %s %s, of %d characters", hook.Auth.Type, hook.Auth.Config.In, hook.Auth.Config.Name, len(hook.Auth.Config.Value))
	}
	project := mustLoad(t)
	tokenos := project.Services["tokenos"]
	at, err := url.Parse(hook.URL)
	if err != nil || at.Scheme != "https" || at.Path != "/hooks/hydra/token" {
		t.Errorf("asks at %q", hook.URL)
	}
	if _, port, err := net.SplitHostPort(deref(tokenos.Environment["TOKENOS_HOOK_LISTEN"])); err != nil || port != at.Port() {
		t.Errorf("asks at port %s; tokenos listens on %s", at.Port(), deref(tokenos.Environment["TOKENOS_HOOK_LISTEN"]))
	}
	if !slices.Contains(tokenos.Networks["core"].Aliases, at.Hostname()) {
		t.Errorf("asks at %s; tokenos is %v", at.Hostname(), tokenos.Networks["core"].Aliases)
	}
	for _, name := range []string{"hydra", "hydra-migrate"} {
		service := project.Services[name]
		if !slices.Contains(service.Command, "--config=/run/secrets/hydra_hook.yaml") {
			t.Errorf("%s does not read it: %v", name, service.Command)
		}
		if !slices.ContainsFunc(service.Secrets, func(s types.ServiceSecretConfig) bool {
			return s.Source == "hydra_hook" && s.Target == "/run/secrets/hydra_hook.yaml"
		}) {
			t.Errorf("%s does not have it", name)
		}
		if deref(service.Environment["SSL_CERT_FILE"]) != "/run/secrets/tls_authority" {
			t.Errorf("%s does not trust the hook's certificate", name)
		}
	}
	if strings.Contains(read(t, "deploy", "Caddyfile"), at.Port()) {
		t.Error("the TLS end knows the hook's port")
	}
}
