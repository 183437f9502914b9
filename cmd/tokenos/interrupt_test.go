//go:build unix

package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

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
