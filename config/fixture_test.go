package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

const (
	goodSecret  = "q8ZrT3vLw0XkPn7cYb2MhJd5FsGa9UeK"
	otherSecret = "Zx1Nq7Vw3Lr9Tp5Kd2Hs8Jf4Gb6McYeA"
	ledgerPass  = "hunter2-in-the-ledger"
)

// goodEnv is the smallest configuration that is accepted, changed by
// "NAME=value" (set) or "NAME" (remove); the prefix TOKENOS_ is added.
func goodEnv(changes ...string) []string {
	values := map[string]string{
		"SERVER_PUBLIC_URL":      "https://keys.example.com",
		"SERVER_TRUSTED_PROXIES": "10.0.0.1",
		"HYDRA_ADMIN_URL":        "http://hydra:4445",
		"HYDRA_PUBLIC_URL":       "https://auth.example.com",
		"LEDGER_URL":             "postgres://tokenos:" + ledgerPass + "@db/tokenos",
		"SECRET":                 goodSecret,
	}
	for _, c := range changes {
		name, value, set := strings.Cut(c, "=")
		if delete(values, name); set {
			values[name] = value
		}
	}
	var env []string
	for name, value := range values {
		env = append(env, envPrefix+name+"="+value)
	}
	slices.Sort(env)
	return env
}

// loadEnv loads from variables alone.
func loadEnv(env []string) (*Config, error) {
	return Load(LoadOptions{Env: env, Defaults: []string{}})
}

// write makes a file of that mode and returns its path.
func write(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// parsed returns a flag set with our flags, parsed.
func parsed(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	RegisterFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

// problems returns the lines of a refusal, without "config: ".
func problems(t *testing.T, err error) []string {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %v, want an *Error", err)
	}
	var lines []string
	for line := range strings.Lines(e.Error()) {
		rest, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "config: ")
		if !found {
			t.Errorf("line %q does not begin with the room's name", line)
		}
		lines = append(lines, rest)
	}
	return lines
}

// wantProblems compares lines with the beginnings wanted, in order.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	got := problems(t, err)
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.HasPrefix(got[i], want[i])
	}
	if !ok {
		t.Errorf("got problems\n  %s\nwant lines that begin with\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
