//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tokenos/tokenos/apikey"
)

const (
	someID     = "key_live_06h1kjkfq020vy2vyk58h49w4m"
	someSecret = "tos_uXxFXobc2K6tH3mcSItgBjHK9ovvhJZUQPo30PSdPCe1Nhde4"
)

// fake is a server that answers what a test wants, and remembers what it was asked.
type fake struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // method, path and body
	keys  []string // Idempotency-Keys
}

func newFake(t *testing.T, answer http.HandlerFunc) *fake {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.asked = append(f.asked, r.Method+" "+r.URL.Path+" "+string(body))
		if key := r.Header.Get("Idempotency-Key"); key != "" {
			f.keys = append(f.keys, key)
		}
		f.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// repeatKeys are the Idempotency-Keys that came.
func (f *fake) repeatKeys() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.keys)
}

// env lets the program call the server at url.
func callTo(t *testing.T, url string) []string {
	t.Helper()
	return []string{"TOKENOS_SERVER=" + url, "TOKENOS_TOKEN=some-token", "XDG_CONFIG_HOME=" + t.TempDir()}
}

// answers writes v as JSON.
func answers(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	if status > 299 {
		w.Header().Set("Content-Type", "application/problem+json")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func issuedKey() map[string]any {
	return map[string]any{"key": map[string]any{"id": someID, "name": "worker"}, "client_secret": someSecret}
}

// Whatever answers where the server should: the exit code says what kind of failure
// it is, nothing is on stdout, no secret anywhere, no file is left, and the request
// can be repeated without doing it twice.
func TestBadServers(t *testing.T) {
	bad := map[string]struct {
		answer http.HandlerFunc
		exit   int
		says   string
	}{
		"broken JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"key": {"id": "%s"}, "client_secret": "%s", }`, someID, someSecret)
		}, exitFailed, "the server's answer cannot be read"},
		"other JSON": {func(w http.ResponseWriter, _ *http.Request) {
			answers(w, http.StatusCreated, []any{map[string]any{"client_secret": someSecret}})
		}, exitFailed, "the server's answer cannot be read"},
		"a secret for the shell": {func(w http.ResponseWriter, _ *http.Request) {
			answers(w, http.StatusCreated, map[string]any{"key": map[string]any{"id": someID}, "client_secret": "tos_$(id)\nPATH=/tmp"})
		}, exitFailed, "the server's answer has no id and secret"},
		"a page": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, "<html>%s</html>", someSecret)
		}, exitFailed, "is not a TokenOS keys server"},
		"internal": {func(w http.ResponseWriter, _ *http.Request) {
			answers(w, http.StatusInternalServerError, map[string]any{"code": "internal", "detail": "a fault of ours", "request_id": "req_1", "pending": true})
		}, exitFailed, "a fault of ours (request req_1)\n       it may have been done all the same"},
		"a gateway": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, exitUnavailable, "a proxy before the server answers Bad Gateway"},
		"gone":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, exitUnavailable, "the server could not be reached"},
	}
	for name, b := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, b.answer)
			file := filepath.Join(t.TempDir(), "key.env")
			c := run(t, callTo(t, f.URL), "keys", "create", "worker", "--scope", "a", "--env-file", file, "--timeout", "3s")
			checkFailed(t, c, b.exit, b.says)
			if keys := f.repeatKeys(); len(keys) == 0 || slices.Compact(keys)[0] != repeatKey(c.stderr.String()) {
				t.Errorf("was asked under %v", keys)
			}
			if _, err := os.Stat(file); err == nil {
				t.Error("a file is left")
			}
		})
	}
	t.Run("another certificate", func(t *testing.T) {
		t.Parallel()
		f := httptest.NewTLSServer(http.NotFoundHandler())
		t.Cleanup(f.Close)
		checkFailed(t, run(t, callTo(t, f.URL), "keys", "create", "worker", "--scope", "a"), exitUnavailable, "certificate")
	})
}

var repeatFlag = regexp.MustCompile(`--idempotency-key (\S+)\n`)

// repeatKey is the Idempotency-Key that the program says to repeat with.
func repeatKey(stderr string) string {
	if found := repeatFlag.FindStringSubmatch(stderr); found != nil {
		return found[1]
	}
	return ""
}

// checkFailed wants a failure that can be repeated and tells no secret.
func checkFailed(t *testing.T, c *child, exit int, says string) {
	t.Helper()
	if code := c.exit(); code != exit {
		t.Errorf("exit code %d, want %d", code, exit)
	}
	words := c.stderr.String()
	if !strings.Contains(words, says) || repeatKey(words) == "" {
		t.Errorf("says %q, want %q and how to repeat it", words, says)
	}
	if c.stdout.String() != "" || strings.Contains(words, "tos_") {
		t.Errorf("stdout %q, stderr %q", c.stdout.String(), words)
	}
}

// A file with a secret is its owner's alone, and readable for that one, whatever
// the umask.
func TestUmask(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) { answers(w, http.StatusCreated, issuedKey()) })
	for _, umask := range []string{"000", "777"} {
		dir := t.TempDir()
		c := exec.CommandContext(t.Context(), "sh", "-c", "umask "+umask+`; exec tokenos keys create worker --scope a --env-file key.env`)
		c.Dir, c.Env = dir, append(os.Environ(), callTo(t, f.URL)...)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		st, err := os.Stat(filepath.Join(dir, "key.env"))
		if err != nil || st.Mode() != 0o600 {
			t.Errorf("umask %s: %v, %v", umask, st.Mode(), err)
		}
	}
}

// Adding to a list sends the revision that was read, unless another is given, so
// that nobody's change in between is lost.
func TestUpdateOfWhatWasRead(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{`"7"`: {"--add-scope", "b"}, `"6"`: {"--remove-audience", "https://a.example", "--if-match", "6"}, "": {"--scope", "b"}} {
		var sent string
		f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPatch {
				sent = r.Header.Get("If-Match")
				answers(w, http.StatusPreconditionFailed, map[string]any{"code": "precondition_failed", "detail": "it has changed"})
				return
			}
			answers(w, http.StatusOK, apikey.Key{Definition: apikey.Definition{ID: someID, Revision: 7}})
		})
		c := run(t, callTo(t, f.URL), append([]string{"keys", "update", someID}, args...)...)
		if code := c.exit(); code != exitConflict || sent != want {
			t.Errorf("%v: exit code %d, sends If-Match %s, want %s", args, code, sent, want)
		}
	}
}

// What happens is followed until Ctrl-C, which is its proper end.
func TestFollow(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		events := []apikey.Event{}
		next := r.URL.Query().Get("after")
		switch next {
		case "":
			events, next = []apikey.Event{{ID: 1, Action: "key.created", Owner: evil}}, "1"
		case "1":
			events, next = []apikey.Event{{ID: 2, Action: "key.revoked"}}, "2"
		}
		answers(w, http.StatusOK, map[string]any{"data": events, "next_cursor": next})
	})
	for format, second := range map[string]string{"table": "2          ", "json": `{"id":2,`, "yaml": "---\nid: 2\n", "name": "\n2\n"} {
		c := run(t, callTo(t, f.URL), "audit", "list", "--follow", "--limit", "1", "-o", format)
		c.says(&c.stdout, second)
		c.signal(syscall.SIGINT)
		if code := c.exit(); code != 0 || c.stderr.String() != "" {
			t.Errorf("%s: exit code %d, says %q", format, code, c.stderr.String())
		}
		checkHarmless(t, format, c.stdout.String())
	}
}

// A credential where the name of a file or of a profile belongs is a mistake that
// is not repeated: logs keep what stands on stderr.
func TestCredentialForName(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{someSecret, "ory_at_" + strings.Repeat("aB3", 14) + "." + strings.Repeat("cD4", 14)} {
		for _, args := range []string{"keys list --token-file", "keys list --profile", "profile use", "auth status --profile", "auth login --profile", "token " + someID + " --secret-file", "token --env-file",
			"token " + someID + " --private-key", "assertion explain --public-key", "token revoke " + someID + " --secret-file", "keys create n --scope a --env-file", "jwk generate --private-key-out"} {
			var out, words strings.Builder
			p := program{env: []string{"TOKENOS_SERVER=http://127.0.0.1:1", "XDG_CONFIG_HOME=" + t.TempDir()}, stdout: &out, stderr: &words}
			if !strings.Contains(args, "token-file") {
				p.env = append(p.env, "TOKENOS_TOKEN=some-token")
			}
			if code := p.run(t.Context(), append(strings.Fields(args), secret)); code != exitUsage || strings.Contains(out.String()+words.String(), secret) {
				t.Errorf("%s: exit code %d, says %q", args, code, strings.ReplaceAll(words.String(), secret, "SECRET"))
			}
		}
		var words strings.Builder
		p := program{env: []string{"TOKENOS_SERVER=http://127.0.0.1:1", "XDG_CONFIG_HOME=" + t.TempDir(), "TOKENOS_TOKEN_FILE=" + secret}, stdout: io.Discard, stderr: &words}
		if code := p.run(t.Context(), []string{"keys", "list"}); code != exitUsage || strings.Contains(words.String(), secret) {
			t.Errorf("TOKENOS_TOKEN_FILE: exit code %d, says %q", code, strings.ReplaceAll(words.String(), secret, "SECRET"))
		}
	}
}
