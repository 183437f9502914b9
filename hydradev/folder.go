package hydradev

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// The files in a data folder.
const (
	databaseFile = "hydra.sqlite"
	settingsFile = "hydra.yaml"
	secretFile   = "hydra-system-secret"
	migratedFile = "hydra-migrated" // names the binary that last migrated databaseFile
	lockFile     = "hydra.lock"
)

// folder is a data folder in use by us alone.
type folder struct {
	path      string
	temporary bool
	lock      *flock.Flock
}

// openFolder makes the data folder if need be and locks it.
func openFolder(c Config) (*folder, error) {
	f := &folder{path: c.Dir, temporary: c.Memory}
	var err error
	if c.Memory {
		f.path, err = os.MkdirTemp("", "tokenos-hydra-*")
	} else if f.path, err = filepath.Abs(c.Dir); err == nil {
		err = os.MkdirAll(f.path, 0o700)
	}
	if err != nil {
		return nil, f.unwritable(err)
	}
	f.lock = flock.New(f.file(lockFile), flock.SetPermissions(0o600))
	got, err := f.lock.TryLock()
	if err != nil {
		return nil, f.unwritable(err)
	}
	if !got {
		return nil, fmt.Errorf("hydradev: the data folder %q is in use by another Hydra of ours: stop that one, or choose another folder", f.path)
	}
	return f, nil
}

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

// unwritable says what to do about a folder that cannot be used.
func (f *folder) unwritable(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	return fmt.Errorf("hydradev: the data folder %q cannot be written (%w): make it writable, or choose another", f.path, err)
}

// systemSecret returns Hydra's system secret, 64 hexadecimal digits made once. It
// encrypts the signing keys in the database, so it must outlive restarts.
func (f *folder) systemSecret() (string, error) {
	b, err := os.ReadFile(f.file(secretFile))
	if err == nil {
		secret := strings.TrimSpace(string(b))
		if len(secret) < 32 {
			return "", fmt.Errorf("hydradev: %q holds no system secret of 32 characters: restore it, or remove the whole data folder", f.file(secretFile))
		}
		return secret, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("hydradev: read Hydra's system secret: %w", err)
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	secret := hex.EncodeToString(random)
	return secret, f.write(secretFile, []byte(secret+"\n"))
}

// write puts a private file in place by a rename: nobody ever sees half of it.
func (f *folder) write(name string, text []byte) error {
	tmp, err := os.CreateTemp(f.path, name+"-*.tmp") // mode 0600
	if err != nil {
		return f.unwritable(err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), f.file(name))
	}
	if err != nil {
		return f.unwritable(err)
	}
	return nil
}

// migrated reports whether binary has already migrated the database here.
func (f *folder) migrated(binary string) bool {
	db, err := os.Stat(f.file(databaseFile))
	if err != nil || db.Size() == 0 {
		return false
	}
	mark, err := os.ReadFile(f.file(migratedFile))
	return err == nil && string(mark) == fingerprint(binary)
}

// prepareDatabase makes the SQLite file private before Hydra opens it: SQLite
// gives its journal the same mode.
func (f *folder) prepareDatabase() error {
	db, err := os.OpenFile(f.file(databaseFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return f.unwritable(err)
	}
	return db.Close()
}

// markMigrated remembers that binary has migrated the database here.
func (f *folder) markMigrated(binary string) error {
	return f.write(migratedFile, []byte(fingerprint(binary)))
}

// fingerprint tells one binary from another without reading all of it.
func fingerprint(binary string) string {
	fi, err := os.Stat(binary)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s\n%d bytes\n%s\n", binary, fi.Size(), fi.ModTime().UTC())
}

// close gives the folder back and removes a temporary one.
func (f *folder) close() error {
	if err := f.lock.Close(); err != nil {
		return fmt.Errorf("hydradev: unlock the data folder: %w", err)
	}
	if !f.temporary {
		return nil
	}
	if err := os.RemoveAll(f.path); err != nil {
		return fmt.Errorf("hydradev: remove the temporary data folder: %w", err)
	}
	return nil
}
