package e2e_test

import (
	"os"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/runtest"
)

// The README's program for client/tokensource calls an API with a token that the
// API accepts.
func TestREADMEProgram(t *testing.T) {
	raw, err := os.ReadFile(runtest.Path("README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), "<!-- run tokensource -->\n```go\n")
	text, _, ended := strings.Cut(rest, "```\n<!-- /run -->")
	if !found || !ended {
		t.Fatal("the README has no program for client/tokensource")
	}
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	h := newHolder(t, w, apikey.ClientSecretBasic)
	api := exampleAPI(t, w)
	for example, real := range map[string]string{
		"https://auth.example.com/oauth2/token": h.tokenURL, "key_live_01k9x2mc4q8r7s5t3v1w0y9z8a": h.ID, "https://api.example.com/orders": api + "/orders",
	} {
		if !strings.Contains(text, example) {
			t.Fatalf("the program does not name %s", example)
		}
		text = strings.Replace(text, example, real, 1)
	}
	i := runtest.Interpreter{Command: []string{"go", "run"}, Dir: runtest.Path()}
	out, errOut, err := i.Run(t, map[string]string{"main.go": text}, "main.go", h.environment()...)
	if err != nil || out != "200 OK\n" {
		t.Errorf("got %q, %v %s", out, err, errOut)
	}
}
