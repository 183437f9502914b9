package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// No variable has two meanings: not two keys, not a key and a file of another,
// not a key and something else of the program or of Kubernetes.
func TestVariablesAreUnambiguous(t *testing.T) {
	meaning := map[string]string{}
	claim := func(name, what string) {
		if other, taken := meaning[name]; taken {
			t.Errorf("%s is both %s and %s", name, other, what)
		}
		meaning[name] = what
	}
	for _, name := range otherVariables {
		claim(name, "another variable")
	}
	for _, v := range Vars() {
		claim(v.Env, v.Path)
		claim(v.Env+fileSuffix, "the file of "+v.Path)
		for _, name := range []string{v.Env, v.Env + fileSuffix} {
			if strings.HasPrefix(name, testPrefix) || serviceLink.MatchString(name) || servicePort.MatchString(name) {
				t.Errorf("%s of %s is taken for somebody else's", name, v.Path)
			}
		}
	}
}

// Unknown variables are refused with the name probably meant; those of others
// are left alone.
func TestEnvUnknown(t *testing.T) {
	for _, c := range []struct{ variable, want string }{
		{"TOKENOS_SERVER_LISTN=x", `TOKENOS_SERVER_LISTN (env): unknown variable; did you mean "TOKENOS_SERVER_LISTEN"?`},
		{"TOKENOS_SECRETS=x", `TOKENOS_SECRETS (env): unknown variable; did you mean "TOKENOS_SECRET"?`},
		{"TOKENOS_MAX_CONNECTIONS=x", `TOKENOS_MAX_CONNECTIONS (env): unknown variable; did you mean "TOKENOS_LEDGER_MAX_CONNECTIONS"?`},
		{"TOKENOS_log_level=x", `TOKENOS_log_level (env): unknown variable; did you mean "TOKENOS_LOG_LEVEL"?`},
		{"TOKENOS_QQQQQQ=x", `TOKENOS_QQQQQQ (env): unknown variable`},
		{"TOKENOS_=x", `TOKENOS_ (env): unknown variable`},
		{"TOKENOS_PORT=8080", `TOKENOS_PORT (env): unknown variable`},
		{"TOKENOS_SERVER_PORT=8080", `TOKENOS_SERVER_PORT (env): unknown variable`},
		{"TOKENOS_" + strings.Repeat("A", 5000) + "=x", `"TOKENOS_` + strings.Repeat("A", 56) + `..." (env): unknown variable`},
		{"TOKENOS_\x1b[31m=x", `"TOKENOS_\x1b[31m" (env): unknown variable`},
	} {
		_, err := loadEnv(goodEnv(strings.TrimPrefix(c.variable, envPrefix)))
		if got := problems(t, err); len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%.40q: got %q, want %q", c.variable, got, c.want)
		}
	}
	for _, v := range []string{
		"CONFIG=", "HYDRA_BINARY=/tmp/hydra", "TEST_POSTGRES=x", "TEST_=", "SERVER=https://x", "TOKEN=x", "TOKEN_FILE=x", "PROFILE=x", "OUTPUT=json",
		"SERVICE_HOST=10.0.0.1", "SERVICE_PORT=443", "SERVICE_PORT_HTTPS=443", "PORT=tcp://10.0.0.1:443", "PORT_443_TCP=tcp://10.0.0.1:443",
		"PORT_443_TCP_PROTO=tcp", "PORT_443_TCP_PORT=443", "PORT_443_TCP_ADDR=10.0.0.1", "HYDRA_ADMIN_SERVICE_HOST=10.0.0.1",
	} {
		if _, err := loadEnv(goodEnv(v)); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
	if _, err := loadEnv(append(goodEnv(), "no equals sign", "", "HOME=/root", "XTOKENOS_Y=1")); err != nil {
		t.Errorf("variables of others: %v", err)
	}
}

// A value may stand in a file named by X_FILE; X and X_FILE together, and a file
// that cannot be read, are refused by name, with the path and not the contents.
func TestEnvFiles(t *testing.T) {
	dir := t.TempDir()
	secret := write(t, "s", goodSecret+"\r\n", 0o600)
	cfg, err := loadEnv(goodEnv("SECRET", "SECRET_FILE="+secret))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Secret.Reveal() != goodSecret {
		t.Error("the line break at the end is part of the secret")
	}

	both := goodEnv("SECRET_FILE=" + secret)
	_, err = loadEnv(both)
	wantProblems(t, err, "secret (env): TOKENOS_SECRET and TOKENOS_SECRET_FILE are both set: remove one")
	_, err = loadEnv(goodEnv("SECRET=", "SECRET_FILE="+secret))
	wantProblems(t, err, "secret (env): TOKENOS_SECRET and TOKENOS_SECRET_FILE are both set")

	if cfg, err := loadEnv(goodEnv("SECRET_FILE=")); err != nil || cfg.Secret.Reveal() != goodSecret {
		t.Errorf("an empty TOKENOS_SECRET_FILE is in the way of TOKENOS_SECRET: %v", err)
	}
	_, err = loadEnv(goodEnv("SECRET", "SECRET_FILE="))
	wantProblems(t, err, "secret: required")

	big := write(t, "big", strings.Repeat("x", maxValueBytes+1), 0o600)
	for path, want := range map[string]string{
		filepath.Join(dir, "absent"): `"` + filepath.Join(dir, "absent") + `": no such file or directory`,
		dir:                          `"` + dir + `": not a regular file`,
		big:                          `"` + big + `": larger than 65536 bytes`,
		"/dev/zero":                  `"/dev/zero": not a regular file`,
		otherSecret:                  "a path that is not repeated here because it may be no path: no such file",
	} {
		_, err := loadEnv(goodEnv("SECRET", "SECRET_FILE="+path))
		wantProblems(t, err, "secret (env TOKENOS_SECRET_FILE): TOKENOS_SECRET_FILE names a file that cannot be read, "+want)
	}
	if os.Getuid() != 0 {
		_, err := loadEnv(goodEnv("SECRET", "SECRET_FILE="+write(t, "locked", goodSecret, 0)))
		wantProblems(t, err, "secret (env TOKENOS_SECRET_FILE): TOKENOS_SECRET_FILE names a file that cannot be read")
	}
}

// Lists are divided at commas, in files at line breaks too; an empty variable
// is the empty value, not an absent one.
func TestEnvValues(t *testing.T) {
	lines := write(t, "l", otherSecret+"\n\n"+strings.ToLower(otherSecret)+"\n", 0o600)
	cfg, err := loadEnv(goodEnv("SERVER_TRUSTED_PROXIES= 10.0.0.1, fd00::/8 ,,", "PREVIOUS_SECRETS_FILE="+lines, "LOG_LEVEL=warn", "KEYS_REQUIRE_IF_MATCH=1"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"10.0.0.1", "fd00::/8"}, cfg.Server.TrustedProxies); diff != "" {
		t.Errorf("trusted proxies (-want +got):\n%s", diff)
	}
	if len(cfg.PreviousSecrets) != 2 || cfg.PreviousSecrets[0].Reveal() != otherSecret || !cfg.Keys.RequireIfMatch {
		t.Errorf("got %d previous secrets, require_if_match %v", len(cfg.PreviousSecrets), cfg.Keys.RequireIfMatch)
	}
	_, err = loadEnv(goodEnv("SECRET=", "LOG_LEVEL=", "HYDRA_TIMEOUT=", "HYDRA_RETRIES=", "HYDRA_ADMIN_URL=", "LEDGER_URL=", "SERVER_TRUSTED_PROXIES="))
	wantProblems(t, err, "server.tls: ", "hydra.admin_url (env ", "hydra.timeout (env ", "hydra.retries (env ", "ledger.url (env ", "secret (env ", "log.level (env ")
}

// A good value in a later layer does not silence a fault in an earlier one, and
// is itself checked.
func TestLaterLayerIsChecked(t *testing.T) {
	file := write(t, "t.yaml", "log:\n  level: {a: b}\n", 0o600)
	_, err := Load(LoadOptions{File: file, Env: goodEnv("LOG_LEVEL=loud")})
	wantProblems(t, err, "log.level ("+file+":2): expected a value, not a section", "log.level (env TOKENOS_LOG_LEVEL): expected value to be one of")
}
