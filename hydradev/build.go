package hydradev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
)

const (
	// signOfLife is the pause between two lines of progress: people are
	// promised one every five seconds.
	signOfLife = 4 * time.Second

	// hydraPackage is what is built.
	hydraPackage = "github.com/ory/hydra/v2"

	// lockPoll is how often a second builder looks whether the first is done.
	lockPoll = 200 * time.Millisecond
)

// builder builds Hydra into dir, which belongs to this version alone.
type builder struct {
	dir, bin string
	progress io.Writer
	every    time.Duration // between two signs of life
}

// build makes b.bin, or waits until another process has made it. The binary
// appears by a rename, so that a killed build leaves nothing that looks whole.
func (b builder) build(ctx context.Context) error {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("hydradev: there is no Ory Hydra in the cache and no Go toolchain to build one: install Go (https://go.dev/dl), or name a Hydra binary by --hydra or %s", EnvBinary)
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return b.unwritable(err)
	}
	lock := flock.New(filepath.Join(b.dir, "lock"))
	if err := b.take(ctx, lock); err != nil {
		return err
	}
	defer lock.Close()
	if runnable(b.bin) {
		return nil
	}
	source, err := b.unpack()
	if err != nil {
		return b.unwritable(err)
	}
	return b.compile(ctx, goTool, source)
}

// unwritable says what to do about a cache that cannot be written.
func (b builder) unwritable(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	return fmt.Errorf("hydradev: the cache folder %q cannot be written (%w): make it writable, or name a Hydra binary by --hydra or %s", b.dir, err, EnvBinary)
}

// take takes the builders' lock, telling people while another holds it.
func (b builder) take(ctx context.Context, lock *flock.Flock) error {
	got, err := lock.TryLock()
	if err != nil {
		return b.unwritable(err)
	}
	if got {
		return nil
	}
	fmt.Fprintf(b.progress, "Another process is building Ory Hydra %s: waiting for it\n", Version)
	stop := b.live(func(d time.Duration) string { return fmt.Sprintf("  %s: still waiting", d) })
	defer stop()
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return fmt.Errorf("hydradev: wait for another build of Hydra: %w", err)
	}
	return nil
}

// unpack writes the sources. Their folder is the same each time, because the
// path is part of what Go's build cache goes by; leftovers of killed builds go.
func (b builder) unpack() (string, error) {
	old, err := filepath.Glob(filepath.Join(b.dir, "hydra-*.tmp"))
	if err != nil {
		return "", err
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return "", err
		}
	}
	source := filepath.Join(b.dir, "source")
	if err := os.MkdirAll(filepath.Join(source, "sqlite3shim"), 0o755); err != nil {
		return "", err
	}
	for _, f := range sourceFiles {
		text, err := sources.ReadFile(f.embedded)
		if err != nil {
			return "", err
		}
		path := filepath.Join(source, filepath.FromSlash(f.built))
		if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, text) {
			continue
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return "", err
		}
	}
	return source, nil
}

// compile runs the Go toolchain, tries what it made, and puts it in place.
func (b builder) compile(ctx context.Context, goTool, source string) error {
	out, err := os.CreateTemp(b.dir, "hydra-*.tmp")
	if err != nil {
		return b.unwritable(err)
	}
	tmp := out.Name()
	defer os.Remove(tmp)
	if err := out.Close(); err != nil {
		return b.unwritable(err)
	}
	fmt.Fprintf(b.progress, "Building Ory Hydra %s (first time only, one to three minutes)\n", Version)
	started := time.Now()
	count := &buildCount{}
	cmd := exec.CommandContext(ctx, goTool, "build", "-v", "-buildvcs=false", "-tags", "sqlite",
		"-ldflags", "-s -w -X "+hydraPackage+"/driver/config.Version="+Version, "-o", tmp, hydraPackage)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = source, buildEnv(), count, count
	stop := b.live(count.line)
	err = runChild(cmd)
	stop()
	if ctx.Err() != nil {
		return fmt.Errorf("hydradev: build Hydra: %w", context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("hydradev: build Hydra: %w\n%s", err, count.tail())
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return b.unwritable(err)
	}
	if said, err := exec.CommandContext(ctx, tmp, "version").CombinedOutput(); err != nil {
		return fmt.Errorf("hydradev: run the Hydra just built: %w\n%s", err, bytes.TrimSpace(said))
	}
	if err := os.Rename(tmp, b.bin); err != nil {
		return b.unwritable(err)
	}
	fmt.Fprintf(b.progress, "Built Ory Hydra %s in %s\n", Version, time.Since(started).Round(time.Second))
	return nil
}

// buildEnv is the user's environment (proxy, toolchain and caches are theirs)
// without what would build something else: their flags, workspace and platform.
func buildEnv() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GO111MODULE=on",
		"GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}

// live writes a line every b.every until the returned function is called.
func (b builder) live(line func(elapsed time.Duration) string) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	started := time.Now()
	go func() {
		defer close(done)
		tick := time.NewTicker(b.every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintln(b.progress, line(time.Since(started).Round(time.Second)))
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}
