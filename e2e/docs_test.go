package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// table is what docs/clients.md shows of the clients.
func table(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("clients", "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var npm struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	if err := json.Unmarshal(raw, &npm); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| Client | `client_secret_basic` | `client_secret_post` | `private_key_jwt` | How |\n|---|---|---|---|---|\n")
	for _, c := range clients {
		name := c.name
		if v := npm.Dependencies[c.name]; v != "" {
			name += " " + v
		}
		fmt.Fprintf(&b, "| %s |", name)
		for _, method := range methods {
			cell := "yes"
			if words, ok := c.cannot[method]; ok {
				cell = "no: \"" + words + "\""
			} else if method == apikey.PrivateKeyJWT && c.private != "" {
				cell = c.private
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		fmt.Fprintf(&b, " [%s](%s) |\n", strings.TrimSuffix(filepath.Base(strings.SplitN(c.program, "#", 2)[0]), ".md"), c.program)
	}
	return b.String()
}

// docs/clients.md shows what the tests see. TOKENOS_TEST_UPDATE=1 writes it there.
func TestClientsAreDocumented(t *testing.T) {
	path := filepath.Join("..", "docs", "clients.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- clients -->\n", "<!-- /clients -->"
	head, rest, found := strings.Cut(string(raw), begin)
	got, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("docs/clients.md has no table between %q and %q", begin, end)
	}
	want := table(t)
	if os.Getenv("TOKENOS_TEST_UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clients (-test +docs/clients.md):\n%s", diff)
	}
}
