package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The YAML form shows every key with its source, secrets hidden, and reads back
// as the same configuration once the secrets are put in.
func TestPrintYAML(t *testing.T) {
	cfg, err := loadEnv(goodEnv("HYDRA_TIMEOUT=90ms00us", "HYDRA_TIMEOUT=1500ms", "PREVIOUS_SECRETS="+otherSecret))
	if err != nil {
		t.Fatal(err)
	}
	var out, plain bytes.Buffer
	if err := errors.Join(cfg.Print(&out, "yaml", true), cfg.Print(&plain, "yaml", false)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"server:\n  listen: 127.0.0.1:8080 # default\n", "  timeout: 1.5s # env TOKENOS_HYDRA_TIMEOUT\n", "  tls:\n    cert_file: \"\" # default\n",
		"  url: postgres://tokenos:xxxxx@db/tokenos # env TOKENOS_LEDGER_URL\n", "\nsecret: '[redacted]' # env TOKENOS_SECRET\n", "trusted_proxies: [10.0.0.1] # env",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(plain.String(), "#") {
		t.Errorf("sources are shown without being asked for:\n%s", plain.String())
	}
	text := strings.NewReplacer("secret: '[redacted]'", "secret: "+goodSecret, "previous_secrets: ['[redacted]']", "previous_secrets: ["+otherSecret+"]", "xxxxx", ledgerPass).Replace(plain.String())
	again, err := Load(LoadOptions{File: write(t, "t.yaml", text, 0o600)})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var second bytes.Buffer
	if err := again.Print(&second, "yaml", false); err != nil || second.String() != plain.String() {
		t.Errorf("%v; printed again:\n%s\nwant\n%s", err, second.String(), plain.String())
	}
}

// The JSON form has the same members; with sources it has them beside.
func TestPrintJSON(t *testing.T) {
	cfg, err := loadEnv(goodEnv())
	if err != nil {
		t.Fatal(err)
	}
	var yamlText, plain, both bytes.Buffer
	if err := errors.Join(cfg.Print(&yamlText, "yaml", false), cfg.Print(&plain, "json", false), cfg.Print(&both, "json", true)); err != nil {
		t.Fatal(err)
	}
	var fromYAML, fromJSON any
	var withSources struct {
		Config  any
		Sources map[string]string
	}
	if err := errors.Join(yaml.Unmarshal(yamlText.Bytes(), &fromYAML), json.Unmarshal(plain.Bytes(), &fromJSON), json.Unmarshal(both.Bytes(), &withSources)); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint(fromYAML)
	if got := fmt.Sprint(fromJSON); got != want {
		t.Errorf("JSON is %s\nYAML is %s", got, want)
	}
	if got := fmt.Sprint(withSources.Config); got != want || len(withSources.Sources) != len(Vars()) || withSources.Sources["secret"] != "env TOKENOS_SECRET" {
		t.Errorf("with sources: %s, %v", got, withSources.Sources)
	}
	if err := cfg.Print(&plain, "toml", false); err == nil {
		t.Error("another format is taken")
	}
	if err := cfg.Print(failing{}, "yaml", true); err == nil {
		t.Error("a failed write is not told")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

// A ledger's URL is shown without password, wherever the password stands.
func TestLedgerRedacted(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                    "",
		"sqlite:///var/lib/t/keys.db":         "sqlite:///var/lib/t/keys.db",
		"postgres://u:PASS@h:5432/d":          "postgres://u:xxxxx@h:5432/d",
		"postgres://u@h/d?sslmode=require":    "postgres://u@h/d?sslmode=require",
		"postgres://h/d?password=PASS&user=u": "postgres://h/d?password=xxxxx&user=xxxxx",
		"postgres://h/d?sslpassword=PASS&PASSWORD=PASS&x=PASS": "postgres://h/d?PASSWORD=xxxxx&sslpassword=xxxxx&x=xxxxx",
		"postgres://u:PASS%zz@h/d":                             redacted,
		"postgres://u:PASS#x@h/d":                              redacted,
		"host=h password=PASS":                                 redacted,
		"PASS":                                                 redacted,
	} {
		if got := (Ledger{URL: NewSecret(raw)}).Redacted(); got != want {
			t.Errorf("%s is shown as %s, want %s", raw, got, want)
		}
	}
}

// No password is shown, however the URL is put together.
func FuzzLedgerRedacted(f *testing.F) {
	for _, s := range []string{"postgres://u:%s@h/d", "postgres://h/d?password=%s", "sqlite:///x?%s", "postgres://u:%s", "postgres://u:%s@h/d;%s?a=%s;b=%s#%s", "postgres://u:a@%s@h/d?x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, format string) {
		const canary = "Canary0Canary1"
		raw := strings.Replace(strings.Replace(format, ":%s@", ":"+canary+"@", 1), "password=%s", "password="+canary, 1)
		shown := Ledger{URL: NewSecret(raw)}.Redacted()
		// In the host, the path or the user name a password is none.
		if u, err := url.Parse(raw); err == nil && (strings.Contains(u.Host+u.Path, canary) || strings.Contains(u.User.Username(), canary)) {
			return
		}
		for name := range shownParameters {
			if strings.Contains(raw, name) {
				return
			}
		}
		if plain, err := url.QueryUnescape(shown); strings.Contains(shown, canary) || err == nil && strings.Contains(plain, canary) {
			t.Errorf("%q is shown as %q", raw, shown)
		}
	})
}
