package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/gofrs/flock"

	"github.com/tokenos/tokenos/apikey"
)

const secretBytes = 52 // two of rand.Text, 130 bits each

// devFolder is the data folder of tokenos dev, in use by us alone.
type devFolder struct {
	path      string
	temporary bool
	lock      *flock.Flock
}

// openDevFolder makes the data folder if need be, private, and locks it.
func openDevFolder(o devOptions) (*devFolder, error) {
	f := &devFolder{temporary: o.memory}
	if err := f.make(o); err != nil {
		if cause, ok := errors.AsType[*fs.PathError](err); ok {
			err = cause.Err // without the path, which we say ourselves
		}
		return nil, withHint(fmt.Errorf("the data folder %q cannot be written: %w", f.path, err), "choose another with --data-dir, or keep nothing with --memory")
	}
	f.lock = flock.New(filepath.Join(f.path, "dev.lock"), flock.SetPermissions(0o600))
	mine, err := f.lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	if !mine {
		return nil, withHint(fmt.Errorf("the data folder %q is in use by another `tokenos dev`", f.path), otherDevHint)
	}
	return f, nil
}

// make finds the folder, makes it, and tries to write.
func (f *devFolder) make(o devOptions) (err error) {
	switch {
	case o.memory:
		f.path, err = os.MkdirTemp("", "tokenos-dev-")
	case o.dataDir != "":
		f.path, err = filepath.Abs(o.dataDir)
	default:
		f.path, err = defaultDataDir()
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.path, 0o700); err != nil {
		return err
	}
	probe, err := os.CreateTemp(f.path, ".probe-")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// close gives the folder back and removes a temporary one.
func (f *devFolder) close() error {
	err := f.lock.Close()
	if f.temporary {
		err = errors.Join(err, os.RemoveAll(f.path))
	}
	return err
}

func (f *devFolder) file(name string) string { return filepath.Join(f.path, name) }

func (f *devFolder) ledgerURL() string {
	return "sqlite://" + (&url.URL{Path: filepath.ToSlash(f.file("ledger.db"))}).EscapedPath()
}

// serverSecret reads dev's own server secret, or makes it: random, readable by
// this user alone, and never made a second time beside a ledger that needs the
// first.
func (f *devFolder) serverSecret() (apikey.Secret, error) {
	path := f.file("secret")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(f.file("ledger.db")); err == nil {
			return apikey.Secret{}, withHint(fmt.Errorf("the server secret %q is gone, and the ledger beside it needs it", path), "restore it, or remove the data folder to begin anew")
		}
		raw = []byte(rand.Text() + rand.Text())
		err = writeOnce(path, raw)
	}
	if err != nil {
		return apikey.Secret{}, fmt.Errorf("server secret: %w", err)
	}
	secret := strings.TrimSpace(string(raw))
	if len(secret) != secretBytes {
		return apikey.Secret{}, withHint(fmt.Errorf("the server secret %q is damaged", path), "restore it, or remove the data folder to begin anew")
	}
	return apikey.NewSecret(secret), nil
}

// writeOnce writes a private file whole or not at all, and never over another: a
// link, unlike a rename, fails where a file is.
func writeOnce(path string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	err = os.Link(f.Name(), path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without links. The folder is locked, and nothing was there.
	return os.Rename(f.Name(), path)
}

// shownDataDir is the default folder in a form for --help.
func shownDataDir() string {
	dir, err := defaultDataDir()
	if err != nil {
		return "none on this system"
	}
	if home, err := os.UserHomeDir(); err == nil {
		if rest, ok := strings.CutPrefix(dir, home+string(filepath.Separator)); ok {
			return filepath.Join("~", rest)
		}
	}
	return dir
}

// defaultDataDir is "tokenos" in the user's data folder.
func defaultDataDir() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "tokenos"), nil
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		dir, err := os.UserConfigDir() // also the place for data there
		return filepath.Join(dir, "tokenos"), err
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".local", "share", "tokenos"), err
}
