package e2e_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// accept shows the token to a real API, examples/api, which keyauth protects: it
// wants an active token with the scope and the audience that were asked for, and
// without one it answers 401.
func accept(t testing.TB, api string, k apikey.Key, token string) {
	t.Helper()
	orders := api + "/orders"
	if status, body := ask(t, orders, token); status != http.StatusOK {
		t.Errorf("the API answers %d %s to a token of %s", status, body, k.ID)
	}
	if status, _ := ask(t, orders, token+"x"); status != http.StatusUnauthorized {
		t.Errorf("the API answers %d to a token that is none", status)
	}
}

func ask(t testing.TB, url, token string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// exampleAPI runs examples/api beside the world's Hydra for as long as the test,
// and returns its address.
func exampleAPI(t testing.TB, w *apikeytest.World) string {
	t.Helper()
	return runAPI(t, build(t, "examples/api"), nil, "-issuer", w.Hydra.PublicURL(), "-hydra-admin", w.Hydra.AdminURL())
}

// runAPI runs the built examples/api, with env beside the test's own environment.
func runAPI(t testing.TB, binary string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"-listen", "127.0.0.1:0", "-audience", audience}, args...)...)
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), t.Output()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	url, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !found {
		t.Fatalf("the API says %q, %v", line, err)
	}
	return url
}

// build builds one of our programs.
func build(t testing.TB, program string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(program))
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/tokenos/tokenos/"+program).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}
