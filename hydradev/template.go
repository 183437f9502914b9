package hydradev

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// fill copies the data of a stopped server into a folder that has none. The
// database comes last but one, so that an interrupted copy is made anew; the mark
// of its migration comes after it.
func (f *folder) fill(template string) error {
	if _, err := os.Stat(f.file(databaseFile)); err == nil {
		return nil
	}
	for _, name := range []string{secretFile, databaseFile + "-wal", databaseFile, migratedFile} {
		err := f.copyFrom(template, name)
		if errors.Is(err, fs.ErrNotExist) && name == databaseFile+"-wal" {
			continue // the template was stopped after a checkpoint
		}
		if err != nil {
			return fmt.Errorf("hydradev: copy the template %q: %w", template, err)
		}
	}
	return nil
}

// copyFrom copies one file of the template, private and by a rename.
func (f *folder) copyFrom(template, name string) error {
	from, err := os.Open(filepath.Join(template, name))
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.CreateTemp(f.path, name+"-*.tmp") // mode 0600
	if err != nil {
		return f.unwritable(err)
	}
	defer os.Remove(to.Name())
	_, err = io.Copy(to, from)
	if e := to.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(to.Name(), f.file(name))
}
