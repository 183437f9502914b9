//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenos/tokenos/hydradev"
)

// child is a running tokenos.
type child struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr transcript
	done           chan struct{} // closed when it has ended
}

// transcript is what a process has said so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// run starts tokenos with the environment of the tests and what env adds to it.
// It is killed when the test ends, if it still runs.
func run(t *testing.T, env []string, args ...string) *child {
	t.Helper()
	program, err := exec.LookPath("tokenos") // before env, which may replace PATH
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.CommandContext(t.Context(), program, args...), done: make(chan struct{})}
	c.cmd.Env = append(append(os.Environ(), hydradev.EnvBinary+"="+hydraBinary(t)), env...)
	c.cmd.Dir = t.TempDir() // no tokenos.yaml by chance
	c.cmd.Stdout, c.cmd.Stderr = &c.stdout, &c.stderr
	c.cmd.WaitDelay = time.Second
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = c.cmd.Wait() // ProcessState tells it
		close(c.done)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
		if t.Failed() {
			t.Logf("tokenos %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), &c.stdout, &c.stderr)
		}
	})
	return c
}

// hydraBinary is the Hydra of all tests, built if need be.
func hydraBinary(t *testing.T) string {
	t.Helper()
	binary, err := hydradev.Binary(t.Context(), hydradev.BinaryConfig{Progress: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// signal sends a signal.
func (c *child) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// exit waits for the end and returns the exit code, -1 for a signal.
func (c *child) exit() int {
	c.t.Helper()
	select {
	case <-c.done:
		return c.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		c.t.Fatalf("tokenos still runs after %s", patience)
		return 0
	}
}

// says waits until the transcript holds a text.
func (c *child) says(s *transcript, text string) {
	c.t.Helper()
	eventually(c.t, func(context.Context) error {
		if strings.Contains(s.String(), text) {
			return nil
		}
		select {
		case <-c.done:
			c.t.Fatalf("tokenos ended with %d before it said %q", c.cmd.ProcessState.ExitCode(), text)
		default:
		}
		return fmt.Errorf("tokenos has not said %q", text)
	})
}

// gone waits until a process is no more, or only waits to be buried.
func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, func(context.Context) error {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return nil
		}
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && bytes.Contains(stat, []byte(") Z ")) {
			return nil
		}
		return fmt.Errorf("process %d is still there", pid)
	})
}
