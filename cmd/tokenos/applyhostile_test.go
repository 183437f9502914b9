//go:build unix

package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// applyAt applies one document at a server whose only key is what answer makes of
// a POST. It returns the folder of secrets.
func applyAt(t *testing.T, answer map[string]any, out io.Writer, args ...string) (code int, asked []string, dir, words string) {
	t.Helper()
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			answers(w, http.StatusCreated, answer)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/v1/keys/") {
			answers(w, http.StatusOK, answer["key"])
			return
		}
		answers(w, http.StatusOK, map[string]any{"data": []any{}})
	})
	file, dir := filepath.Join(t.TempDir(), "keys.yaml"), t.TempDir()
	if err := os.WriteFile(file, []byte("name: worker\nowner: acme\nscopes: [a]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	p := program{env: callTo(t, f.URL), stdout: out, stderr: &said}
	for i, arg := range args {
		args[i] = strings.Replace(arg, "DIR", dir, 1)
	}
	code = p.run(t.Context(), append([]string{"apply", "-f", file}, args...))
	return code, f.requests(), dir, said.String()
}

// What a shell would run is neither written to a file of secrets nor handed to the
// program that takes them.
func TestApplyWritesNothingForTheShell(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]map[string]any{
		"id":     {"key": map[string]any{"id": "key_$(id)\nPATH=/tmp", "name": "worker", "owner": "acme", "environment": "live"}, "client_secret": someSecret},
		"secret": {"key": map[string]any{"id": someID, "name": "worker", "owner": "acme", "environment": "live"}, "client_secret": "tos_$(id)\nPATH=/tmp"},
	} {
		code, _, dir, words := applyAt(t, answer, io.Discard, "--yes", "--secrets-dir=DIR")
		if code != exitFailed || !strings.Contains(words, "the server's answer has no id and secret") || strings.Contains(words, "tos_") {
			t.Errorf("%s: exit code %d, says %q", name, code, words)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.env")); len(left) > 0 {
			t.Errorf("%s: leaves %v", name, left)
		}
		taken := filepath.Join(t.TempDir(), "taken")
		if code, _, _, words := applyAt(t, answer, io.Discard, "--yes", "--secret-command=touch "+taken); code != exitFailed {
			t.Errorf("%s: exit code %d, says %q", name, code, words)
		}
		if _, err := os.Stat(taken); err == nil {
			t.Errorf("%s: is handed over", name)
		}
	}
}

// Ctrl-C at a terminal reaches --secret-command as well. The secret that it was
// about to take is handed over all the same.
func TestApplyInterruptedHandover(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			answers(w, http.StatusCreated, issuedKey())
		case strings.HasPrefix(r.URL.Path, "/v1/keys/"):
			answers(w, http.StatusOK, map[string]any{"id": someID, "name": "worker", "owner": "acme", "environment": "live"})
		default:
			answers(w, http.StatusOK, map[string]any{"data": []any{}})
		}
	})
	dir := t.TempDir()
	for name, text := range map[string]string{"keys.yaml": "name: worker\nowner: acme\nscopes: [a]\n",
		"take": "#!/bin/sh\ncd '" + dir + "'\nif [ ! -e begun ]; then touch begun; kill -INT $PPID; kill -INT $$; fi\ncat >taken\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c := run(t, callTo(t, f.URL), "apply", "-f", filepath.Join(dir, "keys.yaml"), "--yes", "--secret-command", filepath.Join(dir, "take"))
	if code := c.exit(); code != exitInterrupted {
		t.Errorf("exit code %d, says %q", code, c.stderr.String())
	}
	if taken, err := os.ReadFile(filepath.Join(dir, "taken")); err != nil || string(taken) != someSecret {
		t.Errorf("taken: %d bytes, %v; says %q", len(taken), err, c.stderr.String())
	}
}

// noRoom is a disk that is full.
type noRoom struct{}

func (noRoom) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// A plan that could not be shown is no success, and is not carried out.
func TestApplyShowsItsPlan(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--dry-run"}, {"--yes", "--secrets-dir=DIR"}} {
		code, asked, _, words := applyAt(t, issuedKey(), noRoom{}, args...)
		if code != exitFailed || !strings.Contains(words, "no space left") {
			t.Errorf("%s: exit code %d, says %q", args, code, words)
		}
		for _, request := range asked {
			if strings.HasPrefix(request, "POST /v1/keys") {
				t.Errorf("%s: asks %s", args, request)
			}
		}
	}
}
