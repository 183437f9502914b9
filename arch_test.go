package tokenos_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/tokenos/tokenos"

// arrows are the packages of the module and those of ours that each may import
// (design: rooms and arrows). "*" is every package but a program. A package
// that is not here fails the test: a new arrow is a decision, taken here.
var arrows = map[string][]string{
	"":                    {}, // tests of the repository itself
	"apikey":              {},
	"assertion":           {"apikey"},
	"client":              {"apikey"},
	"client/tokensource":  {},
	"cmd/tokenos":         {"*"},
	"config":              {},
	"e2e":                 {"*"},
	"examples/api":        {"keyauth", "keyauth/ginauth"},
	"handlers":            {"apikey"},
	"hydra":               {"apikey"},
	"hydradev":            {},
	"keyauth":             {},
	"keyauth/ginauth":     {"keyauth"},
	"ledger":              {"apikey"},
	"manifest":            {"apikey"},
	"scan":                {"apikey"},
	"snippets":            {},
	"tools/hydra":         {"hydradev"},
	"web":                 {"apikey", "snippets", "web/assets", "web/oidc", "web/ui"},
	"web/assets":          {},
	"web/oidc":            {},
	"web/ui":              {"apikey"},
	"webhooks":            {"apikey"},
	"internal/pgtest":     {},
	"internal/runtest":    {},
	"internal/hydratest":  {"apikey", "hydradev"},
	"internal/apikeytest": {"*"},
	"internal/ledgertest": {"apikey", "ledger"},
	"internal/crashtest":  {"*"},
	"internal/bench":      {"*"},
	"internal/simulation": {"*"},
}

// outside are the modules of others that only some packages may import.
var outside = map[string][]string{
	"github.com/ory/hydra-client-go": {"hydra"},
	"github.com/gin-gonic/gin":       {"handlers", "keyauth/ginauth", "examples/api", "web", "cmd/tokenos"},
	"github.com/uptrace/bun":         {"ledger"},
	"modernc.org/sqlite":             {"ledger"},
	"github.com/coreos/go-oidc":      {"web/oidc"},
	"github.com/alexedwards/scs":     {"web"},
	// The names of metrics stand in one place; the rooms tell observers.
	"github.com/prometheus/client_golang": {"cmd/tokenos"},
}

// inTheMiddle are the modules of others that apikey may import.
var inTheMiddle = []string{"github.com/go-jose/go-jose", "golang.org/x/text"}

// atTheAPI are those that keyauth may import, which API teams take into programs
// of theirs.
var atTheAPI = []string{"github.com/go-jose/go-jose", "github.com/maypok86/otter", "golang.org/x/sync"}

// few are the packages that may import only some modules of others.
var few = map[string][]string{"apikey": inTheMiddle, "keyauth": atTheAPI, "keyauth/ginauth": {"github.com/gin-gonic/gin"},
	"assertion": {"github.com/go-jose/go-jose"}}

// within reports whether the import path is the module's or lies in it.
func within(path, module string) bool {
	return path == module || strings.HasPrefix(path, module+"/")
}

// wrongArrows checks one package, named by its folder, against the rules.
func wrongArrows(name string, imports []string) []string {
	allowed, known := arrows[name]
	if !known {
		return []string{fmt.Sprintf("%s is a new package: say in arch_test.go what it may import", name)}
	}
	var wrong []string
	for _, path := range imports {
		if ours, ok := strings.CutPrefix(path, module+"/"); ok {
			if !arrowAllowed(name, ours, allowed) {
				wrong = append(wrong, name+" imports "+ours)
			}
			continue
		}
		for other, users := range outside {
			if within(path, other) && !slices.Contains(users, name) {
				wrong = append(wrong, name+" imports "+path)
			}
		}
		isModule := strings.Contains(strings.Split(path, "/")[0], ".")
		only, limited := few[name]
		if limited && isModule && !slices.ContainsFunc(only, func(m string) bool { return within(path, m) }) {
			wrong = append(wrong, name+" imports "+path)
		}
	}
	return wrong
}

func arrowAllowed(from, to string, allowed []string) bool {
	switch {
	case strings.HasPrefix(to, "internal/") && !strings.HasPrefix(from, "internal/") && from != "e2e":
		return false // help for tests stays out of the program
	case slices.Contains(allowed, "*"):
		return !strings.HasPrefix(to, "cmd/")
	}
	return slices.Contains(allowed, to)
}

// The arrows between the packages are those of the design. Tests may import
// what they like.
func TestArrows(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if !within(words[0], module) {
			t.Fatalf("go list names %s", words[0])
		}
		seen++
		for _, wrong := range wrongArrows(strings.TrimPrefix(strings.TrimPrefix(words[0], module), "/"), words[1:]) {
			t.Error(wrong)
		}
	}
	if seen < 5 {
		t.Errorf("go list names %d packages only", seen)
	}
}

// The test of the arrows sees each kind of wrong one.
func TestWrongArrowsAreSeen(t *testing.T) {
	for _, c := range []struct {
		name    string
		imports []string
		want    []string
	}{
		{"apikey", []string{"context", "crypto/rand", "github.com/go-jose/go-jose/v4", "golang.org/x/text/unicode/norm"}, nil},
		{"apikey", []string{module + "/ledger"}, []string{"apikey imports ledger"}},
		{"apikey", []string{"golang.org/x/sync/errgroup"}, []string{"apikey imports golang.org/x/sync/errgroup"}},
		{"apikey", []string{"github.com/go-jose/go-jose-evil"}, []string{"apikey imports github.com/go-jose/go-jose-evil"}},
		{"ledger", []string{module + "/apikey", module + "/hydra", "github.com/uptrace/bun/dialect/pgdialect"}, []string{"ledger imports hydra"}},
		{"client", []string{module + "/apikey", module + "/handlers"}, []string{"client imports handlers"}},
		{"config", []string{module + "/apikey"}, []string{"config imports apikey"}},
		{"handlers", []string{"github.com/gin-gonic/gin/binding", "github.com/ory/hydra-client-go/v2"}, []string{"handlers imports github.com/ory/hydra-client-go/v2"}},
		{"client", []string{"github.com/gin-gonic/gin"}, []string{"client imports github.com/gin-gonic/gin"}},
		{"cmd/tokenos", []string{module + "/ledger", module + "/handlers", module + "/internal/pgtest"}, []string{"cmd/tokenos imports internal/pgtest"}},
		{"internal/apikeytest", []string{module + "/ledger", module + "/internal/hydratest", module + "/cmd/tokenos"}, []string{"internal/apikeytest imports cmd/tokenos"}},
		{"keyauth", []string{"net/http", "github.com/maypok86/otter/v2", module + "/apikey", "github.com/gin-gonic/gin"}, []string{"keyauth imports apikey", "keyauth imports github.com/gin-gonic/gin", "keyauth imports github.com/gin-gonic/gin"}},
		{"keyauth", []string{"golang.org/x/text/unicode/norm"}, []string{"keyauth imports golang.org/x/text/unicode/norm"}},
		{"shared", nil, []string{"shared is a new package: say in arch_test.go what it may import"}},
	} {
		if diff := cmp.Diff(c.want, wrongArrows(c.name, c.imports)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
