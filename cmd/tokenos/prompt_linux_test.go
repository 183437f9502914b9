package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	sys "golang.org/x/sys/unix"

	"github.com/tokenos/tokenos/apikey"
)

// terminal is a pseudo-terminal with tokenos at it: a person's side, and all that
// was shown there.
type terminal struct {
	*child
	person *os.File // what is typed and shown
	screen transcript
}

// atTerminal starts tokenos with a terminal of its own as stdin and stderr; stdout
// is a pipe, as for who keeps the data.
func atTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	person, tty := pseudoTerminal(t)
	program, err := exec.LookPath("tokenos")
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.CommandContext(t.Context(), program, args...), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = tty, &c.stdout, tty
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true} // so that Ctrl-C is a signal
	out := &terminal{child: c, person: person}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tty.Close()
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := person.Read(buffer)
			_, _ = out.screen.Write(buffer[:n])
			if err != nil {
				return
			}
		}
	}()
	go func() {
		_ = c.cmd.Wait()
		close(c.done)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
	})
	return out
}

// pseudoTerminal is a terminal: the person's side, and the program's.
func pseudoTerminal(t *testing.T) (person, tty *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|sys.O_NOCTTY, 0)
	if err != nil {
		t.Fatalf("no pseudo-terminal to ask a person at: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	number, err := sys.IoctlGetInt(int(person.Fd()), sys.TIOCGPTN)
	if err = errors.Join(err, sys.IoctlSetPointerInt(int(person.Fd()), sys.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|sys.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, tty
}

// types sends keystrokes.
func (a *terminal) types(keys string) {
	a.t.Helper()
	if _, err := a.person.WriteString(keys); err != nil {
		a.t.Fatal(err)
	}
}

// heeds waits until the terminal shows what is typed, or does not, and makes a
// signal of Ctrl-C.
func (a *terminal) heeds(echo bool) {
	a.t.Helper()
	eventually(a.t, func(context.Context) error {
		state, err := sys.IoctlGetTermios(int(a.person.Fd()), sys.TCGETS)
		if err == nil && (state.Lflag&sys.ISIG == 0 || (state.Lflag&sys.ECHO != 0) != echo) {
			err = fmt.Errorf("the terminal's flags are %x", state.Lflag)
		}
		return err
	})
}

const ctrlC = "\x03"

// What ends a key asks first, after it has shown what that would do. Only a yes
// does it.
func TestConfirm(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		types string
		exit  int
		says  string
		sent  int
	}{
		"yes":    {"y\r", exitOK, "", 2},
		"no":     {"n\r", exitInterrupted, "error: not confirmed; nothing was changed", 1},
		"return": {"\r", exitInterrupted, "error: not confirmed; nothing was changed", 1},
		"Ctrl-D": {"\x04", exitInterrupted, "error: not confirmed; nothing was changed", 1},
		"Ctrl-C": {ctrlC, exitInterrupted, "error: interrupted before it was done", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
				answers(w, http.StatusOK, apikey.Result{Key: apikey.Key{Definition: apikey.Definition{ID: someID, Name: evil}}})
			})
			a := atTerminal(t, callTo(t, f.URL), "keys", "revoke", someID, "-o", "name")
			a.says(&a.screen, "Revoke this key? Nothing undoes it. [y/N] ")
			if text := a.screen.String(); !strings.Contains(text, "last used") {
				t.Errorf("does not say what it would do: %q", text)
			}
			a.types(c.types)
			if code := a.exit(); code != c.exit {
				t.Errorf("exit code %d, want %d", code, c.exit)
			}
			if sent := f.requests(); len(sent) != c.sent || !strings.HasSuffix(sent[0], `{"dry_run":true}`) {
				t.Errorf("was asked %q", sent)
			}
			eventually(t, func(context.Context) error { // the screen is read behind the program
				if text := a.screen.String(); !strings.Contains(text, c.says) {
					return fmt.Errorf("says %q, want %q", text, c.says)
				}
				return nil
			})
			checkHarmless(t, name, strings.NewReplacer("\r\n", "\n", "^C", "").Replace(a.screen.String()))
		})
	}
}

// With -y nobody is asked.
func TestConfirmedBefore(t *testing.T) {
	t.Parallel()
	f := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		answers(w, http.StatusOK, apikey.Result{Key: apikey.Key{Definition: apikey.Definition{ID: someID}}})
	})
	a := atTerminal(t, callTo(t, f.URL), "keys", "revoke", someID, "-y", "-o", "name")
	if code := a.exit(); code != exitOK || a.stdout.String() != someID+"\n" || strings.Contains(a.screen.String(), "[y/N]") {
		t.Errorf("exit code %d, stdout %q, screen %q", code, a.stdout.String(), a.screen.String())
	}
}

// A secret that is typed is not shown, and the terminal is as before afterwards,
// also after Ctrl-C.
func TestHiddenSecret(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		types string
		exit  int
	}{"typed": {someSecret + "\r", exitNotAllowed}, "Ctrl-C": {"tos_half" + ctrlC, exitInterrupted}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, func(w http.ResponseWriter, r *http.Request) {
				if _, secret, _ := r.BasicAuth(); secret != someSecret {
					t.Errorf("%s gets another secret", r.URL.Path)
				}
				answers(w, http.StatusUnauthorized, map[string]any{"code": "unauthenticated", "detail": "not this one"})
			})
			a := atTerminal(t, callTo(t, f.URL), "auth", "login")
			a.says(&a.screen, "client id: ")
			a.types(someID + "\r")
			a.says(&a.screen, "client secret (not shown): ")
			if strings.Contains(c.types, ctrlC) {
				a.heeds(false)
			}
			a.types(c.types)
			if code := a.exit(); code != c.exit {
				t.Errorf("exit code %d, want %d", code, c.exit)
			}
			a.heeds(true)
			if text := a.screen.String(); !strings.Contains(text, someID) || strings.Contains(text, "tos_") {
				t.Errorf("shows %q", text)
			}
		})
	}
}

// watcher notes whether a terminal shows what is typed while it is written to.
type watcher struct {
	tty    *os.File
	echoed bool
}

func (w *watcher) Write(p []byte) (int, error) {
	state, err := sys.IoctlGetTermios(int(w.tty.Fd()), sys.TCGETS)
	if err == nil && len(bytes.TrimSpace(p)) > 0 && state.Lflag&sys.ECHO != 0 {
		w.echoed = true
	}
	return len(p), err
}

// What answers a question for a secret at once, as programs do, is not shown either.
func TestHiddenInTime(t *testing.T) {
	t.Parallel()
	person, tty := pseudoTerminal(t)
	w := &watcher{tty: tty}
	if _, err := person.WriteString("a secret\r"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := program{stdin: tty, stderr: w}.hidden(ctx, "secret: ")
	if err != nil || strings.TrimSpace(got) != "a secret" || w.echoed {
		t.Errorf("read %q, %v; shown: %t", got, err, w.echoed)
	}
}
