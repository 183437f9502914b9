//go:build unix

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/hydradev"
)

// fails runs dev where it cannot work, and wants exactly these words, exit code
// 1, and that soon.
func fails(t *testing.T, env []string, want string, args ...string) {
	t.Helper()
	start := time.Now()
	c := run(t, env, append([]string{"dev"}, args...)...)
	if code := c.exit(); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	t.Logf("said so after %s", time.Since(start).Round(time.Millisecond))
	if diff := cmp.Diff(want, c.stderr.String()); diff != "" {
		t.Errorf("stderr: -want +got\n%s", diff)
	}
	if out := c.stdout.String(); out != "" {
		t.Errorf("stdout is not empty: %s", out)
	}
}

// A port in use, ours or one of Hydra's, is one sentence with the way out, before
// anything is made.
func TestDevPortInUse(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	for flag, whose := range map[string]string{"--port": "the REST API", "--hydra-public-port": "Hydra's public API", "--hydra-admin-port": "Hydra's admin API"} {
		t.Run(flag, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			want := fmt.Sprintf("error: %s cannot listen on 127.0.0.1:%s: address already in use\nhint: stop the program that has the port, or choose another with %s (0 takes a free one)\n", whose, port, flag)
			fails(t, nil, want, append(append([]string{"--data-dir", dir}, freePorts...), flag, port)...)
			if _, err := os.Stat(dir); err == nil {
				t.Error("the data folder was made")
			}
		})
	}
}

// A data folder that cannot be written is one sentence with the way out.
func TestDevUnwritableFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(file, "data")
	want := fmt.Sprintf("error: the data folder %q cannot be written: not a directory\nhint: choose another with --data-dir, or keep nothing with --memory\n", dir)
	fails(t, nil, want, append(freePorts, "--data-dir", dir)...)
}

// Without a Go toolchain and without a Hydra there is one sentence with the way
// out.
func TestDevWithoutGo(t *testing.T) {
	empty := t.TempDir()
	env := []string{"PATH=" + empty, "HOME=" + empty, "XDG_CACHE_HOME=" + empty, hydradev.EnvBinary + "="}
	want := "error: hydradev: there is no Ory Hydra in the cache and no Go toolchain to build one: install Go (https://go.dev/dl), or name a Hydra binary by --hydra or TOKENOS_HYDRA_BINARY\n"
	fails(t, env, want, append(freePorts, "--data-dir", filepath.Join(empty, "data"))...)
}

// A server secret that is damaged, or gone from beside its ledger, is not
// replaced: the management key follows from it.
func TestDevSecretLost(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	args := append(freePorts, "--data-dir", dir)
	if err := os.WriteFile(secret, []byte("half of it"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, nil, fmt.Sprintf("error: the server secret %q is damaged\nhint: restore it, or remove the data folder to begin anew\n", secret), args...)
	if err := os.Rename(secret, filepath.Join(dir, "ledger.db")); err != nil {
		t.Fatal(err)
	}
	fails(t, nil, fmt.Sprintf("error: the server secret %q is gone, and the ledger beside it needs it\nhint: restore it, or remove the data folder to begin anew\n", secret), args...)
}

// Ctrl-C before dev is ready ends it with 130, and Hydra with it.
func TestDevInterruptedEarly(t *testing.T) {
	dir := t.TempDir()
	hydra, pid := filepath.Join(dir, "hydra"), filepath.Join(dir, "pid")
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s.new\nmv %s.new %s\nexec sleep 600\n", pid, pid, pid)
	number, c := fakeHydra(t, hydra, script, pid)
	c.signal(os.Interrupt)
	if code := c.exit(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	if got, want := c.stderr.String(), "error: interrupted before it was done\n"; got != want {
		t.Errorf("says %q, want %q", got, want)
	}
	gone(t, number)
}

// A second Ctrl-C does not wait for a Hydra that will not end.
func TestDevInterruptedTwice(t *testing.T) {
	dir := t.TempDir()
	hydra, pid, asked := filepath.Join(dir, "hydra"), filepath.Join(dir, "pid"), filepath.Join(dir, "asked")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = serve ] || exit 0\ntrap 'touch %s' TERM\necho $$ >%s.new\nmv %s.new %s\nwhile :; do sleep 0.05; done\n", asked, pid, pid, pid)
	number, c := fakeHydra(t, hydra, script, pid)
	c.signal(os.Interrupt)
	eventually(t, func(context.Context) error {
		_, err := os.Stat(asked)
		return err
	})
	start := time.Now()
	c.signal(os.Interrupt)
	if code := c.exit(); code != -1 {
		t.Errorf("exit code %d, want an end by the signal", code)
	}
	t.Logf("ended %s after the second Ctrl-C", time.Since(start).Round(time.Millisecond))
	gone(t, number)
}

// fakeHydra starts dev with a script for a Hydra that writes its process id to the
// file pid, and waits for that.
func fakeHydra(t *testing.T, path, script, pid string) (number int, c *child) {
	t.Helper()
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	env := []string{"TMPDIR=" + t.TempDir()} // a dev that is killed leaves its folders there
	c = run(t, env, append([]string{"dev", "--memory", "--hydra", path}, freePorts...)...)
	eventually(t, func(context.Context) error {
		raw, err := os.ReadFile(pid)
		if err == nil {
			number, err = strconv.Atoi(strings.TrimSpace(string(raw)))
		}
		return err
	})
	return number, c
}
