package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// bomb returns a text of a few hundred bytes that is 9^9 values if its aliases
// are followed.
func bomb() string {
	text := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		text += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	return text
}

// refusals are texts with the beginnings of what is said about them; F stands
// for the file.
var refusals = []struct {
	name, text string
	want       []string
}{
	{"unknown key", "log: {levle: info}", []string{`log.levle (F:1): unknown key; did you mean "log.level"?`}},
	{"unknown section", "\nhydro: {timeout: 1s}", []string{`hydro (F:2): unknown key; did you mean "hydra"?`}},
	{"key without its section", "listen: x", []string{`listen (F:1): unknown key; did you mean "server.listen" or "ops.listen" or "hook.listen"?`}},
	{"other case", "Log: {level: info}\nlog: {Level: info}", []string{`Log (F:1): unknown key; did you mean "log"?`, `log.Level (F:2): unknown key; did you mean "log.level"?`}},
	{"unlike anything", "zzzzzzzz: 1", []string{"zzzzzzzz (F:1): unknown key"}},
	{"dotted key", "log.level: info", []string{"log.level (F:1): unknown key; a dot is written as a section"}},
	{"below a key", "log: {level: {deep: VALUE}}", []string{"log.level (F:1): expected a value, not a section of keys"}},
	{"section as a value", "log: VALUE", []string{"log (F:1): expected a section of keys"}},
	{"section as a list", "log: [VALUE]", []string{"log (F:1): expected a section of keys"}},
	{"not a mapping", "- VALUE", []string{"F:1: expected a section of keys"}},
	{"only text", "VALUE", []string{"F:1: expected a section of keys"}},
	{"twice", "log:\n  level: info\n  level: VALUE\n", []string{"log.level (F:3): given twice, first in line 2"}},
	{"section twice", "log: {level: info}\nlog: {format: text}", []string{"log (F:2): given twice, first in line 1"}},
	{"two documents", "log: {level: info}\n---\nlog: {level: info}\n", []string{"F: expected one YAML document"}},
	{"anchor", "log:\n  level: &x VALUE\n", []string{"F:2: anchors, aliases and merge keys are not supported"}},
	{"alias", "log: &x {level: info}\nops: *x\n", []string{"F:1: anchors"}},
	{"merge", "log: {<<: {level: VALUE}}", []string{"F:1: anchors"}},
	{"bomb", bomb(), []string{"F:1: anchors"}},
	{"unknown alias", "secret: *VALUE", []string{"F: expected YAML: a value that begins with * must stand in quotes"}},
	{"syntax", "log: [VALUE\n", []string{"F: expected YAML: line"}},
	{"tab", "log:\n\tlevel: VALUE\n", []string{"F: expected YAML: line"}},
	{"bad bytes", "log: {level: \xff\xfeVALUE}", []string{"F: expected YAML: "}},
	{"NUL", "log: {level: \x00VALUE}", []string{"F: expected YAML: "}},
	{"number as a key", "1: VALUE", []string{"F:1: expected the name of a key"}},
	{"list as a key", "[a]: VALUE", []string{"F:1: expected the name of a key"}},
	{"own tag", "log: {level: !x VALUE}", []string{"log.level (F:1): expected a plain value, without a YAML tag"}},
	{"binary", "log: {level: !!binary VkFMVUU=}", []string{"log.level (F:1): expected a plain value"}},
	{"wrong tag", "hydra: {retries: !!int VALUE}", []string{"hydra.retries (F:1): expected a value that fits its YAML tag"}},
	{"list of lists", "server: {trusted_proxies: [[VALUE]]}", []string{"server.trusted_proxies (F:1): expected a list of single values"}},
	{"null in a list", "previous_secrets: [~]", []string{"previous_secrets[0] (F:1): expected string"}},
	{"list for text", "log: {level: [VALUE]}", []string{"log.level (F:1): expected string"}},
	{"text for a list", "previous_secrets: VALUE", []string{"previous_secrets (F:1): expected list"}},
	{"number for text", "secret: 12345678901234567890123456789012", []string{"secret (F:1): expected string"}},
	{"number for a duration", "hydra: {timeout: 5}", []string{"hydra.timeout (F:1): expected a duration such as"}},
	{"text for a number", "hydra: {retries: VALUE}", []string{"hydra.retries (F:1): expected integer"}},
	{"fraction", "hydra: {retries: 1.5}", []string{"hydra.retries (F:1): expected integer"}},
	{"not a number", "hydra: {retries: .nan}", []string{"hydra.retries (F:1): expected integer"}},
	{"infinite", "hydra: {retries: .inf}", []string{"hydra.retries (F:1): expected integer from 0 to 5"}},
	{"huge", "hydra: {retries: 99999999999999999999999999}", []string{"hydra.retries (F:1): expected integer from 0 to 5"}},
	{"word for a truth value", "keys: {require_if_match: maybe}", []string{"keys.require_if_match (F:1): expected boolean"}},
	{"escape sequence as a key", `"\e[31m": 1`, []string{`"\x1b[31m" (F:1): unknown key`}},
	{"long key", strings.Repeat("k", 500) + ": 1", []string{`"` + strings.Repeat("k", 64) + `..." (F:1): unknown key`}},
	{"deep", strings.Repeat("[", 20000), []string{"F: expected YAML: "}},
	{"too large", "# " + strings.Repeat("x", maxFileBytes), []string{"F (flag --config): expected a readable configuration file: larger than 1048576 bytes"}},
	{"two faults", "a1: 1\nlog:\n  level: info\n  level: info\n", []string{"a1 (F:1): unknown key", "log.level (F:4): given twice"}},
}

// Every YAML text that is not plainly a configuration is refused with its line,
// in our words, without repeating a value and without taking long.
func TestDocumentRefuses(t *testing.T) {
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, "f", c.text, 0o600)
			start := time.Now()
			env := goodEnv()
			if strings.HasPrefix(c.text, "secret:") {
				env = goodEnv("SECRET")
			}
			_, err := Load(LoadOptions{File: file, Env: env})
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
			if err == nil {
				t.Fatal("accepted")
			}
			got := problems(t, err)
			// Without a secret the key is missing too, if the file is not readable.
			if len(got) > len(c.want) && strings.HasPrefix(got[len(got)-1], "secret: required") {
				got = got[:len(got)-1]
			}
			for i, want := range c.want {
				want = strings.Replace(want, "F", file, 1)
				if i >= len(got) || !strings.HasPrefix(got[i], want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("got %d problems %q, want %d", len(got), got, len(c.want))
			}
			if strings.Contains(err.Error(), "VALUE") {
				t.Errorf("a value is repeated: %v", err)
			}
		})
	}
}

// What sets nothing sets nothing: an empty file, comments, empty sections and
// keys without a value.
func TestDocumentAcceptsNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "---\n...\n", "~", "log:\n", "log: {}\n", "log: {level: }\n", "log: {level: ~}\n", "\ufeff# mark\n"} {
		cfg, err := Load(LoadOptions{File: write(t, "f", text, 0o600), Env: goodEnv()})
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if cfg.Log.Level != "info" || cfg.Source("log.level") != "default" {
			t.Errorf("%q: level %q from %s", text, cfg.Log.Level, cfg.Source("log.level"))
		}
	}
}

// The ways to write a value in YAML are all taken, dates as text.
func TestDocumentValues(t *testing.T) {
	text := "server:\n  trusted_proxies:\n  - 10.0.0.0/8\n  - \"fd00::1\"\nhydra: {retries: 0x3, max_concurrent: 5.0}\nkeys: {require_if_match: !!bool true}\nlog:\n  level: >-\n    debug\n"
	cfg, err := Load(LoadOptions{File: write(t, "f", text, 0o600), Env: goodEnv("SERVER_TRUSTED_PROXIES")})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintln(cfg.Server.TrustedProxies, cfg.Hydra.Retries, cfg.Hydra.MaxConcurrent, cfg.Keys.RequireIfMatch, cfg.Log.Level)
	if want := "[10.0.0.0/8 fd00::1] 3 5 true debug\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err = Load(LoadOptions{File: write(t, "f", "log: {level: 2026-01-02}", 0o600), Env: goodEnv()})
	if got := problems(t, err); len(got) != 1 || !strings.Contains(got[0], "expected value to be one of") {
		t.Errorf("a date is not text: %q", got)
	}
}

// No text makes Load panic, and no text that it refuses shows a secret.
func FuzzDocument(f *testing.F) {
	const canary = "canary0Secret1Value2Never3Shown4"
	for _, s := range []string{"secret: %s", "log: {level: %s}", "previous_secrets: [%s, %s]", "*%s", "&%s a: b", "!%s x", "ledger: {url: '%s://%s'}", "? %s\n: x", "- %s", "%s\n---\n%s", "a: !!int %s", "hydra: {admin_url: 'http://u:%s@h'}", "server: {tls: {key_file: %s}}", "\xff\xfe%s", "{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		begin := time.Now()
		defer func() {
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("%d bytes took %v", len(text), took)
			}
		}()
		var lines []string
		// A name that is unknown is shown, so the canary stands only where it
		// cannot become one: behind a colon and a blank.
		text = strings.ReplaceAll(text, ": %s", ": "+canary)
		d := readDocument("f", []byte(text), func(p Problem) { lines = append(lines, p.String()) })
		if len(text) > 0 && strings.Contains(strings.Join(lines, "\n"), canary) {
			t.Errorf("%q is shown in %q", canary, lines)
		}
		for path := range d.values {
			if _, ok := varAt(path); !ok {
				t.Errorf("%q yields the unknown key %q", text, path)
			}
		}
	})
}
