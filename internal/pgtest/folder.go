package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// prefix names every folder this package makes, so that a later run can tell
// what a killed one left behind.
const prefix = "tokenos-pgtest-"

// abandoned is the age from which an unlocked folder counts as left behind. It
// only has to exceed the moment between making a folder and locking it.
const abandoned = 10 * time.Minute

// folder is a cluster's place on disk: <path>/data, <path>/log and <path>/lock,
// whose lock this process holds for as long as the cluster is wanted.
type folder struct {
	path  string
	lock  *flock.Flock
	owner *syscall.Credential // whom the server runs as; nil means as ourselves
}

// makeFolder makes and locks an empty folder that only the server's user may
// read, after clearing up the ones that killed runs left.
func makeFolder() (*folder, error) {
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	parent := parentFor(owner)
	sweep(parent)
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, fmt.Errorf("pgtest: make folder: %w", err)
	}
	f := &folder{path: path, lock: flock.New(filepath.Join(path, "lock")), owner: owner}
	if held, err := f.lock.TryLock(); err != nil || !held {
		return nil, errors.Join(fmt.Errorf("pgtest: lock %q: %w", path, err), f.remove())
	}
	if owner != nil {
		if err := os.Chown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, errors.Join(fmt.Errorf("pgtest: %w", err), f.remove())
		}
	}
	return f, nil
}

func (f *folder) data() string { return filepath.Join(f.path, "data") }
func (f *folder) log() string  { return filepath.Join(f.path, "log") }

// remove gives the folder's lock back and deletes everything in it.
func (f *folder) remove() error {
	return errors.Join(f.lock.Close(), os.RemoveAll(f.path))
}

// serverUser says whom the server must run as. Postgres refuses root, so root
// hands it to the user that its package made, else to nobody.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("pgtest: user %q: %w", name, err)
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("pgtest: user %q: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New(`pgtest: Postgres refuses to run as root, and there is neither a user "postgres" nor "nobody"`)
}

// parentFor returns the folder for temporary files, or /tmp if the server's user
// could not reach what lies in it (root's TMPDIR is often closed to others).
func parentFor(owner *syscall.Credential) string {
	parent := os.TempDir()
	if owner == nil {
		return parent
	}
	for dir := parent; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return "/tmp"
		}
		if dir == filepath.Dir(dir) {
			return parent
		}
	}
}

// sweep removes the folders of runs that were killed. A server that still lives
// in one (only possible where no death signal exists) ends by itself within a
// minute of losing its postmaster.pid. What cannot be removed stays: it is a
// tidiness, and no test depends on it.
func sweep(parent string) {
	found, _ := filepath.Glob(filepath.Join(parent, prefix+"*")) // fails on a malformed pattern only
	for _, path := range found {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < abandoned {
			continue
		}
		// Opened without O_CREATE: a stranger may own a folder of this name.
		lock := flock.New(filepath.Join(path, "lock"), flock.SetFlag(os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK))
		if held, err := lock.TryLock(); err != nil || !held {
			continue
		}
		os.RemoveAll(path)
		lock.Close()
	}
}
