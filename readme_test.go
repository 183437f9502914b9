package tokenos_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/handlers"
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

// The README and docs/api.md name exactly the routes that the server has.
func TestRoutesAreDocumented(t *testing.T) {
	want := routes(t)
	named := regexp.MustCompile("`((?:GET|POST|PUT|PATCH|DELETE) /[^` ?]*)`")
	for _, file := range []string{"README.md", "docs/api.md"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range named.FindAllStringSubmatch(string(raw), -1) {
			got = append(got, m[1])
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
			t.Errorf("%s (-server +document):\n%s", file, diff)
		}
	}
}

// routes asks the server itself, by the document at /openapi.json.
func routes(t *testing.T) []string {
	t.Helper()
	h, err := handlers.New(handlers.Config{
		API: struct{ apikey.API }{}, // nobody calls it
		Authenticate: func(context.Context, string) (apikey.Caller, error) {
			return apikey.Caller{}, apikey.ErrUnauthenticated
		},
		Holder:       struct{ apikey.Holder }{},
		Introspector: struct{ apikey.Introspector }{},
		StatusLists:  struct{ apikey.StatusLists }{},
	})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/openapi.json", nil))
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &document); err != nil {
		t.Fatalf("%d: %v", rec.Code, err)
	}
	all := []string{"GET /openapi.json"}
	for path, operations := range document.Paths {
		for method := range operations {
			if method = strings.ToUpper(method); method != "PARAMETERS" {
				all = append(all, method+" "+path)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
