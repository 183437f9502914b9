package snippets_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/snippets"
)

// newRunner finds what runs the snippets of lang. Only here may a test be left
// out: `go test ./...` passes on a machine that has Go alone, and says what it
// left out; with TOKENOS_TEST_REQUIRE=1 (make test) that is a failure.
func newRunner(t *testing.T, lang snippets.Language, method string) runner {
	t.Helper()
	switch lang {
	case snippets.Go:
		root, err := filepath.Abs("..") // where go.mod names the libraries
		if err != nil {
			t.Fatal(err)
		}
		return runner{lang: lang, file: "main.go", command: []string{"go", "run"}, dir: root}
	case snippets.JavaScript:
		return nodeRunner(t, method)
	case snippets.Python:
		return pythonRunner(t, method)
	}
	if method == "private_key_jwt" {
		return runner{lang: lang, file: "buy-token.bash", command: []string{tool(t, lang, "bash"), opensslAnd(t, lang)}}
	}
	tool(t, lang, "curl")
	return runner{lang: lang, file: "buy-token.sh", command: []string{tool(t, lang, "sh")}}
}

// opensslAnd makes sure of openssl and curl and returns bash's option to stop
// at the first command that fails.
func opensslAnd(t *testing.T, lang snippets.Language) string {
	t.Helper()
	tool(t, lang, "openssl")
	tool(t, lang, "curl")
	return "-e"
}

func tool(t *testing.T, lang snippets.Language, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		leaveOut(t, lang, name+" is missing: apt-get install "+strings.Replace(name, "node", "nodejs", 1))
	}
	return path
}

func leaveOut(t *testing.T, lang snippets.Language, why string) {
	t.Helper()
	if os.Getenv("TOKENOS_TEST_REQUIRE") == "1" {
		t.Fatalf("the %s snippets cannot be tested: %s", lang, why)
	}
	t.Skipf("left out, the %s snippets: %s", lang, why)
}

func nodeRunner(t *testing.T, method string) runner {
	t.Helper()
	node := tool(t, snippets.JavaScript, "node")
	major, _, _ := strings.Cut(strings.TrimPrefix(say(t, node, "--version"), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 20 {
		leaveOut(t, snippets.JavaScript, "Node 20 or newer is needed, see https://nodejs.org/en/download")
	}
	r := runner{lang: snippets.JavaScript, file: "buy-token.mjs", command: []string{node}}
	if method != "private_key_jwt" {
		return r
	}
	modules, err := filepath.Abs(filepath.Join("..", "e2e", "snippets", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "openid-client")); err != nil {
		leaveOut(t, snippets.JavaScript, "openid-client is missing: npm ci --prefix e2e/snippets")
	}
	r.links = modules
	return r
}

// pythonRunner takes the first Python that has what the snippet needs: Debian's
// packages belong to Debian's own Python, which need not be the first one.
func pythonRunner(t *testing.T, method string) runner {
	t.Helper()
	needs, why := "import ssl, sys; assert sys.version_info >= (3, 9)", "Python 3.9 is missing: apt-get install python3"
	if method == "private_key_jwt" {
		needs, why = needs+"; import authlib.jose", "Authlib is missing: apt-get install python3-authlib"
	}
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err = exec.CommandContext(ctx, path, "-c", needs).Run()
		cancel()
		if err == nil {
			return runner{lang: snippets.Python, file: "buy_token.py", command: []string{path}}
		}
	}
	leaveOut(t, snippets.Python, why)
	return runner{}
}

func say(t *testing.T, command string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, command, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}
