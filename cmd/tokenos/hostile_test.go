//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

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

// hangs accepts a request, tells of it, and never answers.
func hangs(t *testing.T) (http.HandlerFunc, chan struct{}) {
	t.Helper()
	came, end := make(chan struct{}, 10), make(chan struct{})
	t.Cleanup(func() { close(end) })
	return func(_ http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-end:
		}
	}, came
}

// Ctrl-C while the server works: exit code 130, and how to repeat it.
func TestInterrupted(t *testing.T) {
	for _, args := range [][]string{
		{"keys", "create", "worker", "--scope", "a", "--env-file", "key.env"},
		{"keys", "rotate", someID, "--env-file", "key.env"},
		{"keys", "disable", someID},
		{"owners", "revoke", "acme", "--yes"},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			t.Parallel()
			handler, came := hangs(t)
			f := newFake(t, handler)
			c := run(t, callTo(t, f.URL), args...)
			<-came
			c.signal(os.Interrupt)
			checkFailed(t, c, exitInterrupted, "error: interrupted before it was done\n       it may have been done all the same")
			if got, want := repeatKey(c.stderr.String()), f.repeatKeys()[0]; got != want {
				t.Errorf("says to repeat it with %q, was asked with %q", got, want)
			}
			if left, _ := os.ReadDir(c.cmd.Dir); len(left) > 0 {
				t.Errorf("leaves %v", left)
			}
		})
	}
}

// A terminal that is closed stops the program as Ctrl-C does; one that was told not
// to mind goes on.
func TestTerminalCloses(t *testing.T) {
	t.Parallel()
	// Under nohup this process ignores the signal, and its children would too; what
	// is caught here is theirs to take as usual.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(caught) })
	handler, came := hangs(t)
	f := newFake(t, handler)
	c := run(t, callTo(t, f.URL), "keys", "create", "worker", "--scope", "a", "--env-file", "key.env")
	<-came
	c.signal(syscall.SIGHUP)
	checkFailed(t, c, exitInterrupted, "error: interrupted before it was done")
	if left, _ := os.ReadDir(c.cmd.Dir); len(left) > 0 {
		t.Errorf("leaves %v", left)
	}

	deaf := exec.CommandContext(t.Context(), "sh", "-c", `trap '' HUP; exec tokenos keys create worker --scope a --timeout 3s`)
	deaf.Env = append(os.Environ(), callTo(t, f.URL)...)
	if err := deaf.Start(); err != nil {
		t.Fatal(err)
	}
	<-came
	if err := deaf.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := deaf.Wait(); deaf.ProcessState.ExitCode() != exitUnavailable {
		t.Errorf("ends with %v, want its own time-out", err)
	}
}

// The private key of a pair stays if the request may have been done, and the error
// says what belongs to what; if it certainly was not, the file goes again.
func TestPrivateKeyKept(t *testing.T) {
	t.Parallel()
	refuses := func(w http.ResponseWriter, _ *http.Request) {
		answers(w, http.StatusForbidden, map[string]any{"code": "forbidden", "detail": "not you", "request_id": "req_1"})
	}
	lost := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	var seen sync.Map // Idempotency-Keys
	lostThenAway := func(w http.ResponseWriter, r *http.Request) {
		if _, again := seen.LoadOrStore(r.Header.Get("Idempotency-Key"), true); !again {
			lost(w, r)
		}
		answers(w, http.StatusServiceUnavailable, map[string]any{"code": "unavailable", "detail": "the ledger is away", "request_id": "req_1"})
	}
	closed := newFake(t, refuses)
	closed.Close()
	for name, c := range map[string]struct {
		url, alg, hint string
		kept           bool
	}{
		"refused":     {newFake(t, refuses).URL, "ES256", "", false},
		"nobody":      {closed.URL, "ES256", "", false},
		"lost":        {newFake(t, lost).URL, "ES256", "to repeat the request give --public-key key.pem instead of --generate-key", true},
		"lost first":  {newFake(t, lostThenAway).URL, "ES256", "to repeat the request give --public-key key.pem instead of --generate-key", true},
		"lost, PS256": {newFake(t, lost).URL, "PS256", "give what tokenos jwk public --alg PS256 key.pem writes as --public-key", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, args := range [][]string{{"keys", "create", "worker", "--scope", "a"}, {"keys", "rotate", someID}, {"keys", "public-keys", "add", someID}} {
				if c.alg != "ES256" && args[1] != "create" {
					continue // an RSA key takes its time
				}
				p := run(t, callTo(t, c.url), append(args, "--generate-key", c.alg, "--private-key-out", "key.pem", "--timeout", "1s")...)
				if code := p.exit(); code == exitOK {
					t.Error("no failure")
				}
				if words := p.stderr.String(); !strings.Contains(words, c.hint) || strings.Contains(words, "in key.pem (kid ") != c.kept || strings.Contains(words, "PRIVATE") {
					t.Errorf("%v: says %q", args, words)
				}
				if _, err := os.Stat(filepath.Join(p.cmd.Dir, "key.pem")); (err == nil) != c.kept {
					t.Errorf("%v: %v, want it kept: %t", args, err, c.kept)
				}
			}
		})
	}
}

// Ctrl-C while an operation is waited for stops only the waiting, and says so.
func TestStopWaiting(t *testing.T) {
	t.Parallel()
	waits := make(chan struct{}, 100)
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			waits <- struct{}{}
		}
		answers(w, http.StatusAccepted, apikey.Operation{ID: "op_1", Owner: "acme", State: apikey.OperationRunning, Total: 3})
	})
	c := run(t, callTo(t, f.URL), "owners", "revoke", "acme", "--yes")
	<-waits
	c.signal(os.Interrupt)
	if code := c.exit(); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	if words := c.stderr.String(); !strings.Contains(words, "hint: it goes on by itself: tokenos owners operation op_1 --wait") || repeatKey(words) != "" {
		t.Errorf("says %q", words)
	}
}

// An operation that left keys as they were, or was ended by another, is a failure,
// with what was done on stdout.
func TestOperationFailed(t *testing.T) {
	t.Parallel()
	for state, exit := range map[apikey.OperationState]int{apikey.OperationDone: exitFailed, apikey.OperationSuperseded: exitConflict} {
		f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
			answers(w, http.StatusAccepted, apikey.Operation{ID: "op_1", Owner: "acme", State: state, Total: 3, Done: 3, Changed: 2, Failed: 1,
				Failures: []apikey.KeyFailure{{KeyID: someID, Code: apikey.ErrDrifted}}})
		})
		c := run(t, callTo(t, f.URL), "owners", "enable", "acme", "--yes")
		if code := c.exit(); code != exit {
			t.Errorf("%s: exit code %d, want %d", state, code, exit)
		}
		if !strings.Contains(c.stdout.String(), "failed      "+someID+" drifted") && !strings.Contains(c.stdout.String(), someID+" drifted") {
			t.Errorf("%s: stdout %q", state, c.stdout.String())
		}
	}
}

// A secret that was made and cannot be written is told of, with how to get it.
func TestLostSecret(t *testing.T) {
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) { answers(w, http.StatusCreated, issuedKey()) })
	create := []string{"keys", "create", "worker", "--scope", "a"}
	t.Run("the reader has gone", func(t *testing.T) {
		t.Parallel()
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = read.Close()
		c := exec.CommandContext(t.Context(), "tokenos", create...)
		var words strings.Builder
		c.Env, c.Stdout, c.Stderr = append(os.Environ(), callTo(t, f.URL)...), write, &words
		checkLost(t, c, &words, "broken pipe")
		_ = write.Close()
	})
	t.Run("no room", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		c := exec.CommandContext(t.Context(), "sh", append([]string{"-c", `ulimit -f 0; exec tokenos "$@"`, "sh"}, append(create, "--env-file", "key.env")...)...)
		var words strings.Builder
		c.Dir, c.Env, c.Stderr = dir, append(os.Environ(), callTo(t, f.URL)...), &words
		checkLost(t, c, &words, "file too large")
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("leaves %v", left)
		}
	})
}

// A new secret is written although the server then falls silent: until it is, it is
// lost with the program.
func TestSecretDoesNotWait(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			<-end
			return
		}
		answers(w, http.StatusCreated, issuedKey())
	})
	t.Cleanup(func() { close(end) })
	for _, args := range []string{"keys create worker --scope a", "keys rotate " + someID} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var out, words strings.Builder
			p := program{env: callTo(t, f.URL), stdout: &out, stderr: &words}
			if code := p.run(ctx, append(strings.Fields(args), "--quiet", "--timeout", "1h")); code != exitOK || out.String() != someSecret+"\n" || ctx.Err() != nil {
				t.Errorf("exit code %d, %v, says %q", code, ctx.Err(), words.String())
			}
		})
	}
}

// checkLost runs a create whose secret gets lost.
func checkLost(t *testing.T, c *exec.Cmd, words *strings.Builder, says string) {
	t.Helper()
	err := c.Run()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != exitFailed {
		t.Errorf("ends with %v, want exit code 1", err)
	}
	text := words.String()
	if !strings.Contains(text, "the secret of "+someID+" was made, but could not be written") || !strings.Contains(text, says) || repeatKey(text) == "" || strings.Contains(text, "tos_") {
		t.Errorf("says %q", text)
	}
}

// A reader that leaves a list, as head does, is not complained about.
func TestListBroken(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		answers(w, http.StatusOK, map[string]any{"data": []any{map[string]any{"id": someID}}})
	})
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	defer func() { _ = write.Close() }()
	c := exec.CommandContext(t.Context(), "tokenos", "keys", "list")
	var words strings.Builder
	c.Env, c.Stdout, c.Stderr = append(os.Environ(), callTo(t, f.URL)...), write, &words
	if err := c.Run(); c.ProcessState == nil || c.ProcessState.ExitCode() != exitFailed || words.String() != "" {
		t.Errorf("ends with %v and says %q", err, words.String())
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

// evil does things to a terminal that prints it.
const evil = "\x1b]0;owned\a\x1b[2J\u202edet\u200b\u0085\u2028\ttab\nline\r\x7f\U000e0041"

// checkHarmless wants a text that does nothing to a terminal.
func checkHarmless(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, unsafeRune); i >= 0 {
		t.Errorf("%s: %q", what, text[i:min(len(text), i+40)])
	}
}

// What was made harmless reads as what it is.
func TestHarmlessForms(t *testing.T) {
	want := map[string]string{evil: evil + "\ufeff"}
	for form, f := range map[string]struct {
		write func(io.Writer, any) error
		read  func([]byte, any) error
	}{"json": {writeJSON, json.Unmarshal}, "yaml": {writeYAML, yaml.Unmarshal}} {
		var b bytes.Buffer
		var got map[string]string
		if err := errors.Join(f.write(&b, want), f.read(b.Bytes(), &got)); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %q, %v", form, got, err)
		}
		checkHarmless(t, form, b.String())
	}
}

// evilKey is a key of which every text is hostile.
func evilKey() apikey.Key {
	at := time.Unix(0, 0).UTC()
	return apikey.Key{Definition: apikey.Definition{ID: evil, RootID: evil + "2", Name: evil, Description: evil, Owner: evil, Kind: apikey.KindManagement, Owners: []string{evil},
		AuthMethod: evil, Scopes: []string{evil, evil, evil}, Audiences: []string{evil}, Labels: map[string]string{evil: evil}, Secret: &apikey.SecretInfo{Hint: evil},
		Token: apikey.TokenSettings{Format: evil}, PublicKeys: []apikey.PublicKey{{KID: evil, Alg: evil, JWK: apikey.JWK{evil: evil}}}, Replaces: new(evil), ReplacedBy: new(evil),
		CreatedBy: evil, RevokedAt: &at, RevocationReason: evil, RevocationDescription: evil}, Status: evil, Flags: []apikey.Flag{evil}}
}

// evilAnswer is what a hostile server answers to everything.
func evilAnswer(r *http.Request) any {
	at := time.Unix(0, 0).UTC()
	impact := apikey.Impact{Others: []apikey.Other{{ID: evil, Name: evil, Status: evil}}, AccessEndsAt: &apikey.AccessEnds{}}
	list := func(data ...any) any { return map[string]any{"data": data, "next_cursor": nil} }
	end := func(s string) bool { return strings.HasSuffix(r.URL.Path, s) }
	switch {
	case r.Method == http.MethodDelete:
		return nil
	case r.Method == http.MethodPatch:
		return apikey.Updated{Key: evilKey(), Impact: &impact}
	case end("/keys") && r.Method == http.MethodPost:
		return map[string]any{"key": evilKey(), "client_secret": evil}
	case end("/rotations"):
		return struct {
			apikey.Rotation
			ClientSecret string `json:"client_secret"`
		}{apikey.Rotation{Key: evilKey(), Mode: apikey.RotationSuccessor, Proof: apikey.Proof{Unverified: evil}, Impact: impact}, evil}
	case strings.Contains(r.URL.Path, "/owners/"), strings.Contains(r.URL.Path, "/operations/"):
		return apikey.Operation{ID: evil, Owner: evil, Action: evil, State: evil, CreatedBy: evil, Failures: []apikey.KeyFailure{{KeyID: evil, Code: evil}}}
	case end("/public-keys") && r.Method == http.MethodPost:
		return evilKey().PublicKeys[0]
	case r.Method == http.MethodPost:
		return apikey.Result{Key: evilKey(), Impact: impact, Pending: true}
	case end("/keys"):
		return list(evilKey())
	case end("/events"):
		return list(apikey.Event{ID: 1, Action: evil, KeyID: evil, Owner: evil, Principal: evil, Address: evil, UserAgent: evil, After: map[string]any{evil: evil}})
	case end("/usage"):
		return apikey.Usage{Data: []apikey.PeriodCounts{{TokenCounts: apikey.TokenCounts{DeniedBy: map[apikey.Denial]int64{evil: 1}}}}, LastDenial: &apikey.LastDenial{Reason: evil, At: at},
			Scopes: []apikey.ScopeUsage{{Scope: evil}}}
	case end("/violations"):
		return list(apikey.KeyViolations{KeyID: evil, Name: evil, Owner: evil, Status: evil, Violations: []apikey.FieldError{{Pointer: evil, Detail: evil, Rule: evil, Limit: evil}}})
	case end("/policies"):
		return apikey.EffectivePolicies{Owner: evil, Live: apikey.Policy{Scopes: []string{evil}}, Scopes: []apikey.ScopeInfo{{Name: evil, Title: evil, Description: evil}}}
	case end("/capabilities"):
		return apikey.Capabilities{Hydra: &apikey.HydraCapabilities{Version: evil}, TokenURL: evil, Algorithms: []string{evil}}
	case end("/public-keys"):
		return list(evilKey().PublicKeys[0])
	}
	return evilKey()
}

// evilCommands are the commands that show what a server answers.
func evilCommands() [][]string {
	var out [][]string
	for _, line := range []string{"keys list --all", "keys get ID", "keys create worker --scope a", "keys create worker --scope a --quiet", "keys create worker --scope a --env-file FILE",
		"keys update ID --add-scope b", "keys rotate ID", "keys rotate ID --env-file FILE", "keys rotate ID --dry-run", "keys rotate ID --complete --yes", "keys disable ID", "keys enable ID",
		"keys revoke ID --yes", "keys delete ID --yes", "keys revoke-tokens ID", "keys usage ID", "keys events ID", "keys snippet ID",
		"owners disable acme --yes", "owners revoke acme --dry-run", "owners operation op_1", "policies", "policies violations", "capabilities", "audit list"} {
		out = append(out, strings.Fields(strings.ReplaceAll(line, " ID", " "+someID)))
	}
	return out
}

// No text of a server does anything to a terminal, in any command and any form,
// also when it refuses.
func TestNothingReachesTheTerminal(t *testing.T) {
	good := newFake(t, func(w http.ResponseWriter, r *http.Request) { answers(w, http.StatusOK, evilAnswer(r)) })
	refusing := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		answers(w, http.StatusConflict, map[string]any{"code": "busy", "detail": evil, "request_id": evil})
	})
	wrong := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		answers(w, http.StatusUnprocessableEntity, map[string]any{"code": "invalid", "errors": []any{map[string]any{"pointer": "#/" + evil, "detail": evil, "fix": evil, "code": evil}}})
	})
	for _, url := range []string{good.URL, refusing.URL, wrong.URL} {
		for _, format := range formats {
			for _, args := range evilCommands() {
				if i := slices.Index(args, "FILE"); i > 0 {
					args[i] = filepath.Join(t.TempDir(), "key.env")
				}
				var out, words strings.Builder
				p := program{env: callTo(t, url), stdout: &out, stderr: &words}
				code := p.run(t.Context(), append(args, "-o", format))
				what := fmt.Sprintf("%s -o %s (exit %d)", strings.Join(args, " "), format, code)
				checkHarmless(t, what, out.String())
				checkHarmless(t, what, words.String())
				if out.String()+words.String() == "" && !slices.Contains(args, "--quiet") {
					t.Errorf("%s: says nothing", what)
				}
			}
		}
	}
}

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
