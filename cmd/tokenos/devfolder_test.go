package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Of many who write a secret at once exactly one wins, and what it wrote stays,
// whole and private, with no litter beside it.
func TestWriteOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret")
	var all sync.WaitGroup
	var mu sync.Mutex
	var won []string
	for n := range 32 {
		all.Go(func() {
			text := fmt.Sprintf("%052d", n)
			err := writeOnce(path, []byte(text))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, text)
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	raw, err := os.ReadFile(path)
	if err != nil || len(won) != 1 || string(raw) != won[0] {
		t.Errorf("%d won, the file holds %q (%v)", len(won), raw, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("beside the secret: %v (%v)", left, err)
	}
}

// The server secret is made once, 52 random characters, and read again after
// that; two folders have two.
func TestServerSecret(t *testing.T) {
	var found []string
	for _, dir := range []string{t.TempDir(), t.TempDir()} {
		f := &devFolder{path: dir}
		first, err := f.serverSecret()
		if err != nil {
			t.Fatal(err)
		}
		again, err := f.serverSecret()
		if err != nil || again.Reveal() != first.Reveal() {
			t.Errorf("read again it is another (%v)", err)
		}
		if len(first.Reveal()) != secretBytes {
			t.Errorf("it has %d characters", len(first.Reveal()))
		}
		found = append(found, first.Reveal())
	}
	if found[0] == found[1] {
		t.Error("two folders have the same secret")
	}
}
