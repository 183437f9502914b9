package snippets_test

import (
	"go/format"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/snippets"
)

// params returns the parameters of a key that nobody has, for the method.
func params(method string) snippets.Params {
	p := snippets.Params{
		Method: method, TokenURL: "https://auth.example.com/oauth2/token",
		ClientID: "key_live_01k9x2mc4q8r7s5t3v1w0y9z8a", Scope: "orders:read", Audience: "https://api.example.com",
	}
	if method == "private_key_jwt" {
		p.Alg, p.KID = "ES256", "x7Qf0YJ2o1lq8bK5nVdT3mWc9sRgHuEaLiPzXkBtNyM"
	}
	return p
}

// Wrong or dangerous parameters are refused, and the error does not repeat them.
func TestRefused(t *testing.T) {
	const poison = "p0ison"
	basic, key := params("client_secret_basic"), params("private_key_jwt")
	for _, tt := range []struct {
		name string
		edit func(p *snippets.Params)
		p    snippets.Params
		want string
	}{
		{"no method", func(p *snippets.Params) { p.Method = "" }, basic, "method"},
		{"method none", func(p *snippets.Params) { p.Method = "none" }, basic, "method"},
		{"id with a quote", func(p *snippets.Params) { p.ClientID = poison + `'` }, basic, "client id"},
		{"id with a line break", func(p *snippets.Params) { p.ClientID = poison + "\n" }, basic, "client id"},
		{"no id", func(p *snippets.Params) { p.ClientID = "" }, basic, "client id"},
		{"no scope", func(p *snippets.Params) { p.Scope = "" }, basic, "scope"},
		{"scope with a quote", func(p *snippets.Params) { p.Scope = poison + `"` }, basic, "scope"},
		{"scope with a line break", func(p *snippets.Params) { p.Scope = poison + "\nx" }, basic, "scope"},
		{"scope beyond ASCII", func(p *snippets.Params) { p.Scope = poison + "é" }, basic, "scope"},
		{"huge scope", func(p *snippets.Params) { p.Scope = strings.Repeat(poison, 10_000) }, basic, "scope"},
		{"audience with a backslash", func(p *snippets.Params) { p.Audience = poison + `\` }, basic, "audience"},
		{"URL with a quote", func(p *snippets.Params) { p.TokenURL = "https://" + poison + "/'" }, basic, "token URL"},
		{"URL with a password", func(p *snippets.Params) { p.TokenURL = "https://a:" + poison + "@b/" }, basic, "token URL"},
		{"another scheme", func(p *snippets.Params) { p.TokenURL = "file:///" + poison }, basic, "token URL"},
		{"plain HTTP", func(p *snippets.Params) { p.TokenURL = "http://127.0.0.1/" + poison }, basic, "https"},
		{"plain HTTP elsewhere", func(p *snippets.Params) {
			p.TokenURL, p.InsecureLoopback = "http://"+poison+".example/", true
		}, basic, "https"},
		{"key id with a secret", func(p *snippets.Params) { p.KID = poison }, basic, "private_key_jwt only"},
		{"no key id", func(p *snippets.Params) { p.KID = "" }, key, "key id"},
		{"key id with a quote", func(p *snippets.Params) { p.KID = poison + `"` }, key, "key id"},
		{"EdDSA", func(p *snippets.Params) { p.Alg = "EdDSA" }, key, "algorithm"},
		{"alg none", func(p *snippets.Params) { p.Alg = "none" }, key, "algorithm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.p
			tt.edit(&p)
			for _, lang := range snippets.Languages {
				text, err := snippets.Render(lang, p)
				if err == nil || text != "" || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("%s: got %d bytes, %v; want an error about the %s", lang, len(text), err, tt.want)
				}
				if strings.Contains(err.Error(), poison) {
					t.Errorf("the error repeats the value: %v", err)
				}
			}
		})
	}
	if _, err := snippets.Render("cobol", basic); err == nil {
		t.Error("an unknown language was rendered")
	}
}

// Go snippets look as gofmt leaves them, with and without an audience.
func TestGoIsFormatted(t *testing.T) {
	for _, method := range snippets.Methods {
		for _, audience := range []string{"", "https://api.example.com"} {
			p := params(method)
			p.Audience = audience
			text := render(t, snippets.Go, p)
			want, err := format.Source([]byte(text))
			if err != nil {
				t.Fatalf("%s: %v", method, err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" {
				t.Errorf("%s, audience %q (-want +got):\n%s", method, audience, diff)
			}
		}
	}
}

func render(t *testing.T, lang snippets.Language, p snippets.Params) string {
	t.Helper()
	text, err := snippets.Render(lang, p)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fences are the names by which Markdown colours the languages.
var fences = map[snippets.Language]string{snippets.Curl: "sh", snippets.JavaScript: "js", snippets.Go: "go", snippets.Python: "python"}

// The README shows exactly what Render gives, for every language and method.
// TOKENOS_TEST_UPDATE=1 writes it there.
func TestREADME(t *testing.T) {
	path := filepath.Join("..", "README.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	readme := string(raw)
	for _, method := range snippets.Methods {
		for _, lang := range snippets.Languages {
			begin := "<!-- snippet " + string(lang) + " " + method + " -->\n"
			head, rest, found := strings.Cut(readme, begin)
			got, tail, ended := strings.Cut(rest, "<!-- /snippet -->")
			if !found || !ended {
				t.Errorf("the README has no snippet for %s with %s", lang, method)
				continue
			}
			want := "```" + fences[lang] + "\n" + render(t, lang, params(method)) + "```\n"
			if os.Getenv("TOKENOS_TEST_UPDATE") == "1" {
				readme = head + begin + want + "<!-- /snippet -->" + tail
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s with %s (-want +README):\n%s", lang, method, diff)
			}
		}
	}
	if readme != string(raw) {
		if err := os.WriteFile(path, []byte(readme), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
