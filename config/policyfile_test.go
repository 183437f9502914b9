package config

import (
	"errors"
	"strings"
	"testing"
)

// A policy file becomes JSON, each value with its line, and a place that is not
// there has the line of what is above it.
func TestPolicyFile(t *testing.T) {
	path := write(t, "policies.yaml", `# rules
live:
  max_lifetime: 90d
  max_keys: 20
  never_expires: false
  note: ~
  at: 2027-01-31
  scopes: [a,
    "b"]
owners:
  "a/b~c": {live: {}}
`, 0o600)
	f, err := ReadPolicyFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"live":{"at":"2027-01-31","max_keys":20,"max_lifetime":"90d","never_expires":false,"note":null,"scopes":["a","b"]},"owners":{"a/b~c":{"live":{}}}}`
	if string(f.JSON) != want {
		t.Errorf("got %s, want %s", f.JSON, want)
	}
	for pointer, want := range map[string]string{
		"#": ":2): # x", "#/live": ":2): live x", "/live/max_keys": ":4): /live/max_keys x", "#/live/max_keys": ":4): live/max_keys x", "#/live/scopes": ":8): live/scopes x",
		"#/live/scopes/0": ":8): live/scopes/0 x", "#/live/scopes/1": ":9): live/scopes/1 x", "#/owners/a~1b~0c/live": ":11): owners/a~1b~0c/live x",
		"#/live/token/formats/3": ":2): live/token/formats/3 x", "#/nowhere": ":2): nowhere x", "#/owners/\x1b": `:10): "owners/\x1b" x`,
	} {
		if got := f.Problem(pointer, "x").String(); !strings.HasPrefix(got, "keys.policy_file (") || !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q, want its end %q", pointer, got, want)
		}
	}
	empty, err := ReadPolicyFile(write(t, "empty.yaml", "# nothing\n", 0o600))
	if err != nil || string(empty.JSON) != "null" || !strings.HasSuffix(empty.Problem("#", "x").Source, "empty.yaml") {
		t.Errorf("an empty file: %+v, %v", empty, err)
	}
}

// YAML that leaves room for misreading is refused, all of it at once, and no
// value is repeated.
func TestPolicyFileRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"not YAML":       {"live: [CANARY\n", []string{":1): expected YAML: line 1"}},
		"twice":          {"live:\n  a: 1\n  a: CANARY\nlive: {}\n", []string{":3): a is given twice, first in line 2", ":4): live is given twice, first in line 1"}},
		"anchor":         {"live: &x {}\ntest: *x\n", []string{":1): anchors"}},
		"merge":          {"live:\n  <<: {a: CANARY}\n", []string{":2): anchors"}},
		"alias":          {"live: *CANARY\n", []string{":1): expected YAML: a value that begins with *"}},
		"two documents":  {"live: {}\n---\ntest: {}\n", []string{":1): expected one YAML document"}},
		"tags":           {"live: !CANARY x\ntest: !!binary CANARY\n", []string{":1): expected a plain value", ":2): expected a plain value"}},
		"number as name": {"owners:\n  12: {}\n  yes: {}\n  true: {}\n", []string{":2): expected a name that is text", ":4): expected a name that is text"}},
		"list as name":   {"[a, b]: CANARY\n", []string{":1): expected a name that is text"}},
		"infinite":       {"live: {max_keys: .inf}\n", []string{"): expected values that can be written as JSON"}},
		"not a number":   {"live: !!int CANARY\n", []string{":1): expected a value that fits its YAML tag"}},
		"empty alias":    {"live: *\n", []string{"): expected YAML: "}},
	} {
		f, err := ReadPolicyFile(write(t, "policies.yaml", c.text, 0o600))
		if f != nil || err == nil {
			t.Errorf("%s: read as %v", name, f)
			continue
		}
		got := problems(t, err)
		ok := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			ok = ok && strings.HasPrefix(got[i], "keys.policy_file (") && strings.Contains(got[i], c.want[i])
		}
		if !ok || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// A policy file must be a file of at most 1 MiB that can be read, and Load reads
// it with everything else.
func TestPolicyFileOfTheConfiguration(t *testing.T) {
	good, bad := write(t, "good.yaml", "live: {}\n", 0o600), write(t, "bad.yaml", "live: {}\nlive: {}\n", 0o600)
	c, err := loadEnv(goodEnv("KEYS_POLICY_FILE=" + good))
	if err != nil || c.Policies == nil || string(c.Policies.JSON) != `{"live":{}}` {
		t.Fatalf("%+v, %v", c, err)
	}
	if c, err := loadEnv(goodEnv()); err != nil || c.Policies != nil {
		t.Errorf("without one: %+v, %v", c.Policies, err)
	}
	huge := write(t, "huge.yaml", "live: {}\n#"+strings.Repeat("x", maxFileBytes), 0o600)
	for path, want := range map[string]string{
		bad:              "keys.policy_file (" + bad + ":2): live is given twice",
		huge:             "keys.policy_file (env TOKENOS_KEYS_POLICY_FILE): expected a readable policy file, ",
		t.TempDir():      "keys.policy_file (env TOKENOS_KEYS_POLICY_FILE): expected a readable policy file, ",
		"/dev/zero":      "keys.policy_file (env TOKENOS_KEYS_POLICY_FILE): expected a readable policy file, \"/dev/zero\": not a regular file",
		"./nowhere.yaml": "keys.policy_file (env TOKENOS_KEYS_POLICY_FILE): expected a readable policy file, \"./nowhere.yaml\": no such file",
	} {
		_, err := loadEnv(goodEnv("KEYS_POLICY_FILE=" + path))
		wantProblems(t, err, want)
		if _, err := ReadPolicyFile(path); err == nil {
			t.Errorf("%s is read", path)
		}
	}
	_, err = loadEnv(goodEnv("KEYS_POLICY_FILE="+bad, "LOG_LEVEL=loud"))
	wantProblems(t, err, "keys.policy_file", "log.level")
}

// No file breaks the reader.
func FuzzPolicyFile(f *testing.F) {
	f.Add("live: {max_keys: 1}\nowners: {a: {}}\n")
	f.Add("a: &x [1, *x]\n")
	f.Add("? [a]\n: b\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ReadPolicyFile(write(t, "p.yaml", text, 0o600))
		if e, ok := errors.AsType[*Error](err); err != nil && (!ok || len(e.Problems) == 0 || p != nil) || err == nil && len(p.JSON) == 0 {
			t.Fatalf("%v with %v", err, p)
		}
	})
}
