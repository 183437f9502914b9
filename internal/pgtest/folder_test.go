package pgtest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
)

// openFolder makes an empty folder directly under /tmp that any user may enter
// and write, as a temporary folder is.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgtest-parent-") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// leave makes what a run might have left under parent, aged two hours.
func leave(t *testing.T, parent, name string, lock bool) string {
	t.Helper()
	path := filepath.Join(parent, name)
	if err := os.MkdirAll(filepath.Join(path, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if lock {
		if err := os.WriteFile(filepath.Join(path, "lock"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	return path
}

// Only folders that are ours, old and locked by nobody are swept away: not one in
// use, not a fresh one, not a stranger's without a lock, and nothing through a link.
func TestSweep(t *testing.T) {
	parent, elsewhere := t.TempDir(), t.TempDir()
	leave(t, parent, prefix+"dead", true)
	leave(t, parent, "other-program", true)
	leave(t, parent, prefix+"stranger", false)
	fresh := leave(t, parent, prefix+"fresh", true)
	if err := os.Chtimes(fresh, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	used := flock.New(filepath.Join(leave(t, parent, prefix+"used", true), "lock"))
	if held, err := used.TryLock(); err != nil || !held {
		t.Fatalf("lock: %v, %v", held, err)
	}
	defer used.Close()
	if err := os.Symlink(leave(t, elsewhere, "victim", true), filepath.Join(parent, prefix+"link")); err != nil {
		t.Fatal(err)
	}

	sweep(parent)
	left, err := filepath.Glob(filepath.Join(parent, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	want := []string{"other-program", prefix + "fresh", prefix + "link", prefix + "stranger", prefix + "used"}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("folders left (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "victim", "data")); err != nil {
		t.Errorf("swept through a link: %v", err)
	}
}

// A server that runs as another user gets a folder that user can reach, also
// when TMPDIR is closed to it.
func TestParentFor(t *testing.T) {
	open := openFolder(t)
	closed := filepath.Join(open, "closed")
	inside := filepath.Join(closed, "inside")
	if err := os.MkdirAll(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	other := &syscall.Credential{Uid: 12345}
	for _, test := range []struct {
		temporary string
		owner     *syscall.Credential
		want      string
	}{
		{open, other, open}, {closed, other, "/tmp"}, {inside, other, "/tmp"}, {inside, nil, inside},
	} {
		t.Setenv("TMPDIR", test.temporary)
		if got := parentFor(test.owner); got != test.want {
			t.Errorf("%s for %v: got %s, want %s", test.temporary, test.owner, got, test.want)
		}
	}
}

// program writes an empty executable.
func program(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// The newest complete installation is found by number, not by spelling; PATH goes
// first; nothing anywhere is ErrMissing.
func TestFind(t *testing.T) {
	root := t.TempDir()
	saved := folders
	t.Cleanup(func() { folders = saved })
	folders = []string{filepath.Join(root, "*", "bin")}
	t.Setenv("PATH", filepath.Join(root, "path"))

	if dir, err := find(t.Context()); !errors.Is(err, ErrMissing) {
		t.Errorf("nothing installed: got %q, %v, want ErrMissing", dir, err)
	}
	for _, version := range []string{"9.6", "17", "postgresql@15"} {
		program(t, filepath.Join(root, version, "bin", "initdb"))
		program(t, filepath.Join(root, version, "bin", "postgres"))
	}
	program(t, filepath.Join(root, "18", "bin", "initdb")) // its server is missing
	if dir, err := find(t.Context()); err != nil || dir != filepath.Join(root, "17", "bin") {
		t.Errorf("got %q, %v, want 17", dir, err)
	}
	program(t, filepath.Join(root, "path", "initdb"))
	program(t, filepath.Join(root, "path", "postgres"))
	if dir, err := find(t.Context()); err != nil || dir != filepath.Join(root, "path") {
		t.Errorf("got %q, %v, want the one in PATH", dir, err)
	}
}
