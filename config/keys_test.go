package config

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Every key is named in snake_case, has a meaning, a type and, unless required
// or a list, a default of that type; nothing secret has a default.
func TestVars(t *testing.T) {
	all := Vars()
	if len(all) < 25 {
		t.Fatalf("only %d keys", len(all))
	}
	name := regexp.MustCompile(`^[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)*$`)
	for _, v := range all {
		if !name.MatchString(v.Path) || !regexp.MustCompile(`^[A-Z].*\.$`).MatchString(v.Doc) && !v.Secret {
			t.Errorf("%s: name or meaning %q has not the form", v.Path, v.Doc)
		}
		if v.Doc == "" || !slices.Contains([]string{"string", "integer", "boolean", "duration", "list"}, v.Type) {
			t.Errorf("%s: type %q, doc %q", v.Path, v.Type, v.Doc)
		}
		if v.Secret && v.Default != "" && v.Default != "[]" {
			t.Errorf("%s: a secret with a default", v.Path)
		}
		if v.Env != "TOKENOS_"+strings.ToUpper(strings.ReplaceAll(v.Path, ".", "_")) {
			t.Errorf("%s: variable %s", v.Path, v.Env)
		}
		if v.Type == "integer" && reflect.TypeOf(v.preset()).Kind() != reflect.Int || v.Type == "boolean" && reflect.TypeOf(v.preset()).Kind() != reflect.Bool {
			t.Errorf("%s: default %q is no %s", v.Path, v.Default, v.Type)
		}
		if d, err := ParseDuration(v.Default); v.Type == "duration" && (err != nil || d < v.min || d > v.max) {
			t.Errorf("%s: default %q is outside of %s", v.Path, v.Default, v.Limits)
		}
	}
	all[0].Path = "changed"
	if Vars()[0].Path != "server.listen" {
		t.Error("the caller's change of the list is seen by others")
	}
}

// The table has one row of five cells per key.
func TestMarkdown(t *testing.T) {
	lines := strings.Split(strings.TrimSuffix(Markdown(), "\n"), "\n")
	if len(lines) != len(Vars())+2 {
		t.Errorf("%d lines, want %d", len(lines), len(Vars())+2)
	}
	for _, line := range lines {
		if cells := strings.Count(line, "|") - strings.Count(line, `\|`); cells != 6 {
			t.Errorf("%d bars, want 6: %s", cells, line)
		}
	}
	for _, want := range []string{
		"| `hydra.timeout` | `TOKENOS_HYDRA_TIMEOUT` | duration, 100ms to 1m | `5s` |", "| `secret` | `TOKENOS_SECRET` | secret string | required |",
		"| `server.trusted_proxies` | `TOKENOS_SERVER_TRUSTED_PROXIES` | list, at most 64 | `[]` |", "| `ops.listen` | `TOKENOS_OPS_LISTEN` | string | empty |",
	} {
		if !strings.Contains(Markdown(), want) {
			t.Errorf("the table lacks %s", want)
		}
	}
}

// The schema is JSON schema that knows every key, refuses others, needs none,
// and has the defaults; making it does not change the checks.
func TestSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		Ref         string `json:"$ref"`
		Type        any
		Default     any
		Description string
		Required    []string
		Additional  any `json:"additionalProperties"`
		Properties  map[string]node
		Defs        map[string]node `json:"$defs"`
		Schema      string          `json:"$schema"`
	}
	var root node
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	if root.Schema != "https://json-schema.org/draft/2020-12/schema" || strings.Contains(string(text), `"required"`) {
		t.Errorf("the schema is of %q or requires something", root.Schema)
	}
	for _, v := range Vars() {
		n := root
		for name := range strings.SplitSeq(v.Path, ".") {
			if def, found := strings.CutPrefix(n.Ref, "#/$defs/"); found {
				n = root.Defs[def]
			}
			if n.Additional != false {
				t.Errorf("%s: other keys beside it are allowed", v.Path)
			}
			n = n.Properties[name]
		}
		want := map[string]string{"list": "array", "duration": "string"}[v.Type]
		if want == "" {
			want = v.Type
		}
		if n.Type != want || !strings.HasPrefix(n.Description, v.Doc) || (n.Default == nil) != v.Required {
			t.Errorf("%s: %+v", v.Path, n)
		}
	}
	if _, err := loadEnv(goodEnv()); err != nil {
		t.Errorf("after Schema: %v", err)
	}
}

// Loading is safe from several goroutines at once.
func TestLoadConcurrently(t *testing.T) {
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := loadEnv(goodEnv("HYDRA_RETRIES=9")); err == nil {
				t.Error("a wrong value is taken")
			}
			if _, err := Schema(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// Names are suggested when near, swaps of two letters included, else not.
func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"abc", "abc", 0}, {"level", "levle", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
