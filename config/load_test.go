package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// What nobody sets has its default, and the whole is what the tags say.
func TestLoadDefaults(t *testing.T) {
	got, err := loadEnv(goodEnv())
	if err != nil {
		t.Fatal(err)
	}
	sec := func(n int) Duration { return Duration(time.Duration(n) * time.Second) }
	want := &Config{
		Server: Server{Listen: "127.0.0.1:8080", PublicURL: "https://keys.example.com", TrustedProxies: []string{"10.0.0.1"},
			ReadHeaderTimeout: sec(5), ReadTimeout: sec(10), WriteTimeout: sec(30), RequestTimeout: sec(25), IdleTimeout: sec(120),
			ShutdownTimeout: sec(20), MaxHeaderBytes: 16384, MaxBodyBytes: 65536},
		Ops: Ops{Metrics: true},
		Hydra: Hydra{AdminURL: "http://hydra:4445", PublicURL: "https://auth.example.com", Timeout: sec(5), ChangeTimeout: sec(20),
			Retries: 2, MaxConcurrent: 32},
		Ledger: Ledger{URL: NewSecret("postgres://tokenos:" + ledgerPass + "@db/tokenos"), MaxConnections: 10, Lease: sec(60)},
		Secret: NewSecret(goodSecret),
		Limits: Limits{AddressPerMinute: 6000, AddressBurst: 200, CallerPerMinute: 3000, CallerBurst: 100,
			FailuresPerMinute: 20, FailuresBurst: 20, SelfPerMinute: 10, SelfBurst: 10},
		Dashboard: Dashboard{Enabled: true, Docs: true, Idle: Duration(30 * time.Minute), Lifetime: Duration(12 * time.Hour),
			OIDC: OIDC{Scopes: []string{}, RoleClaim: "roles", Roles: Roles{Viewer: []string{}, Editor: []string{}, Admin: []string{}}}},
		Status: Status{TTL: sec(5)},
		Usage:  Usage{HoursKept: Duration(14 * day), DaysKept: Duration(400 * day)},
		Log:    Log{Level: "info", Format: "json"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
	if got.Source("log.level") != "default" || got.Source("secret") != "env TOKENOS_SECRET" || got.Source("nothing") != "" {
		t.Errorf("sources %q, %q, %q", got.Source("log.level"), got.Source("secret"), got.Source("nothing"))
	}
}

// Each layer overrides those before it, key by key: default < file < variable <
// file named by a variable < flag.
func TestLoadOrder(t *testing.T) {
	file := write(t, "tokenos.yaml", "# settings\nlog:\n  level: error\n  format: text\nhydra: {timeout: 1s, retries: 1}\nkeys: {require_if_match: true}\n", 0o600)
	retries := write(t, "retries", "4\n", 0o600)
	flags := parsed(t, "--hydra.max_concurrent", "7", "--keys.require_if_match=false", "--config", file)
	got, err := Load(LoadOptions{Flags: flags, Env: goodEnv("LOG_LEVEL=warn", "HYDRA_RETRIES_FILE="+retries, "HYDRA_MAX_CONCURRENT=9")})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"log.level":             "warn, env TOKENOS_LOG_LEVEL",
		"log.format":            "text, " + file + ":4",
		"hydra.timeout":         "1s, " + file + ":5",
		"hydra.change_timeout":  "20s, default",
		"hydra.retries":         "4, env TOKENOS_HYDRA_RETRIES_FILE",
		"hydra.max_concurrent":  "7, flag --hydra.max_concurrent",
		"keys.require_if_match": "false, flag --keys.require_if_match",
	} {
		v, _ := varAt(path)
		if is := fmt.Sprintf("%v, %s", got.shown(v), got.Source(path)); is != want {
			t.Errorf("%s is %s, want %s", path, is, want)
		}
	}
}

// The file is the one asked for; without a request the first default that
// exists; a missing file is an error only if it was asked for.
func TestLoadChoosesFile(t *testing.T) {
	level := func(l string) string { return write(t, l+".yaml", "log: {level: "+l+"}\n", 0o600) }
	debug, warn, errorFile := level("debug"), level("warn"), level("error")
	absent := filepath.Join(t.TempDir(), "absent.yaml")
	for _, c := range []struct {
		name string
		o    LoadOptions
		want string
	}{
		{"none", LoadOptions{Defaults: []string{}}, "info"},
		{"default", LoadOptions{Defaults: []string{absent, debug, warn}}, "debug"},
		{"variable", LoadOptions{Env: []string{"TOKENOS_CONFIG=" + warn}, Defaults: []string{debug}}, "warn"},
		{"empty variable", LoadOptions{Env: []string{"TOKENOS_CONFIG="}, Defaults: []string{debug}}, "debug"},
		{"flag", LoadOptions{Flags: parsed(t, "--config", errorFile), Env: []string{"TOKENOS_CONFIG=" + warn}}, "error"},
		{"option", LoadOptions{File: debug, Flags: parsed(t, "--config", errorFile)}, "debug"},
	} {
		c.o.Env = append(c.o.Env, goodEnv()...)
		cfg, err := Load(c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if cfg.Log.Level != c.want {
			t.Errorf("%s: level %s, want %s", c.name, cfg.Log.Level, c.want)
		}
	}
	for from, o := range map[string]LoadOptions{
		"flag --config":      {File: absent},
		"env TOKENOS_CONFIG": {Env: []string{"TOKENOS_CONFIG=" + absent}, Defaults: []string{debug}},
	} {
		o.Env = append(o.Env, goodEnv()...)
		_, err := Load(o)
		wantProblems(t, err, absent+" ("+from+"): expected a readable configuration file: no such file")
	}
	_, err := Load(LoadOptions{Flags: parsed(t, "--config="), Env: goodEnv()})
	wantProblems(t, err, "configuration file (flag --config): expected a readable")
}

// The two files that are looked for are in the working folder and in /etc.
func TestLoadFindsFileInWorkingFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("tokenos.yaml", []byte("log: {level: debug}"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(LoadOptions{Env: goodEnv()})
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Source("log.level"); got != "tokenos.yaml:1" {
		t.Errorf("log.level comes from %q, want tokenos.yaml:1", got)
	}
	if defaultFiles[1] != "/etc/tokenos/tokenos.yaml" {
		t.Errorf("second default file is %s", defaultFiles[1])
	}
}

// An empty configuration is told everything that it lacks, at once, and how to
// give it.
func TestLoadNothing(t *testing.T) {
	_, err := loadEnv(nil)
	wantProblems(t, err,
		"server.tls: plain HTTP is refused, so nobody could call: set server.tls.cert_file and server.tls.key_file, or name",
		"server.public_url (default): required",
		"hydra.admin_url: required: set it in the file, as TOKENOS_HYDRA_ADMIN_URL or as --hydra.admin_url",
		"hydra.public_url: required",
		"ledger.url: required",
		"secret: required: set it in the file or as TOKENOS_SECRET, or name a file that holds it in TOKENOS_SECRET_FILE",
	)
}

// Faults of all layers are told in one go, ordered by key, each with its source
// and without its value.
func TestLoadTellsAllAtOnce(t *testing.T) {
	file := write(t, "tokenos.yaml", "server:\n  listn: VALUE1\n  read_timeout: VALUE2\nlog: {level: VALUE3}\nprevious_secrets: [VALUE4]\nhydra:\n  timeout: -1s\n", 0o600)
	_, err := Load(LoadOptions{
		File:  file,
		Flags: parsed(t, "--hydra.retries=VALUE5", "--secret=VALUE6"),
		Env:   goodEnv("LEDGER_URL=VALUE7://x", "HYDRA_PUBLIC_URL=http://VALUE8", "NONSENSE=VALUE9", "KEYS_REQUIRE_IF_MATCH=VALUE10", "LEDGER_MAX_CONNECTIONS=501"),
	})
	wantProblems(t, err,
		"server.listn ("+file+":2): unknown key; did you mean \"server.listen\"?",
		"TOKENOS_NONSENSE (env): unknown variable",
		"server.read_timeout ("+file+":3): expected a duration such as",
		"hydra.public_url (env TOKENOS_HYDRA_PUBLIC_URL): expected an https URL",
		"hydra.timeout ("+file+":7): expected a duration such as",
		"hydra.retries (flag --hydra.retries): expected integer",
		"ledger.url (env TOKENOS_LEDGER_URL): expected sqlite:///",
		"ledger.max_connections (env TOKENOS_LEDGER_MAX_CONNECTIONS): expected integer from 1 to 500",
		"secret (flag --secret): expected length >= 32",
		"previous_secrets[0] ("+file+":5): expected length >= 32",
		"keys.require_if_match (env TOKENOS_KEYS_REQUIRE_IF_MATCH): expected boolean",
		`log.level (`+file+`:4): expected value to be one of "debug, info, warn, error"`,
	)
	if strings.Contains(err.Error(), "VALUE") {
		t.Errorf("a value is repeated in\n%v", err)
	}
}

// However much is wrong, the list ends; what it leaves out is counted.
func TestErrorIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "nonsense%d: 1\n", i)
	}
	_, err := Load(LoadOptions{File: write(t, "t.yaml", text.String(), 0o600), Env: goodEnv()})
	got := problems(t, err)
	if len(got) != maxProblems+1 || got[maxProblems] != fmt.Sprintf("and %d more problems", 5000-maxProblems) {
		t.Errorf("got %d lines, the last %q", len(got), got[len(got)-1])
	}
}

// A file with a secret that everybody can read, and a secret among the
// arguments, are warned of, by name and not by value; private files are not.
func TestLoadWarnings(t *testing.T) {
	open := write(t, "open", goodSecret, 0o644)
	closed := write(t, "closed", goodSecret, 0o640)
	openConfig := write(t, "open.yaml", "secret: "+goodSecret+"\n", 0o604)
	plainConfig := write(t, "plain.yaml", "log: {level: info}\n", 0o644)
	for _, c := range []struct {
		name string
		o    LoadOptions
		want string
	}{
		{"nothing", LoadOptions{Env: goodEnv(), File: plainConfig}, ""},
		{"private file", LoadOptions{Env: goodEnv("SECRET", "SECRET_FILE="+closed)}, ""},
		{"open file", LoadOptions{Env: goodEnv("SECRET", "SECRET_FILE="+open)}, "(mode 0644) and is the file of TOKENOS_SECRET_FILE: chmod o-r"},
		{"open file, no secret in it", LoadOptions{Env: goodEnv("OPS_LISTEN_FILE=" + write(t, "l", "127.0.0.1:9090", 0o644))}, ""},
		{"open configuration", LoadOptions{Env: goodEnv("SECRET"), File: openConfig}, strconv.Quote(openConfig) + " can be read by every user of this machine (mode 0604) and holds secret: chmod o-r"},
		{"argument", LoadOptions{Env: goodEnv("SECRET"), Flags: parsed(t, "--secret", goodSecret)}, "--secret was given on the command line"},
	} {
		c.o.Defaults = []string{}
		cfg, err := Load(c.o)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := strings.Join(cfg.Warnings, "\n")
		if !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: warnings %q, want %q", c.name, got, c.want)
		}
		if exposed := strings.Join(cfg.Exposed, "\n"); (exposed == got) != (c.name != "argument") {
			t.Errorf("%s: files that are open %q of %q", c.name, exposed, got)
		}
		if strings.Contains(got, goodSecret) {
			t.Errorf("%s: the warning holds the secret", c.name)
		}
	}
}

// A path is shown to help, unless it may be the secret itself, put by mistake
// where the name of its file belongs.
func TestShowPath(t *testing.T) {
	for path, shown := range map[string]bool{
		"/run/secrets/tokenos-secret": true, "./secret": true, "../x/secret.txt": true,
		goodSecret: false, "secret": false, "": false, "-----BEGIN PRIVATE KEY-----\nx/y": false,
		"/" + goodSecret: false, "/a/" + strings.Repeat("b/", 200): false,
	} {
		if got := showPath(path) == quote(path); got != shown {
			t.Errorf("showPath(%q) = %s", path, showPath(path))
		}
	}
}
