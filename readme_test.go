package tokenos_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/config"
)

// The README's table of settings is the one that the code makes.
// TOKENOS_TEST_UPDATE=1 writes it there.
func TestConfigurationTable(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- config -->\n", "<!-- /config -->"
	head, rest, found := strings.Cut(string(raw), begin)
	got, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("the README has no table between %q and %q", begin, end)
	}
	want := config.Markdown()
	if os.Getenv("TOKENOS_TEST_UPDATE") == "1" {
		if err := os.WriteFile("README.md", []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration table (-code +README):\n%s", diff)
	}
}
