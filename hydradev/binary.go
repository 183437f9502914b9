package hydradev

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// EnvBinary names the environment variable that points at a Hydra binary.
const EnvBinary = "TOKENOS_HYDRA_BINARY"

// sources is what Hydra is built from; see [sourceFiles].
//
//go:embed src/hydra.mod src/hydra.sum src/sqlite3.go.txt src/sqlite3.mod
var sources embed.FS

// sourceFiles lists the embedded files and the names they get in the build
// folder. A folder that holds a go.mod cannot be embedded, hence other names.
var sourceFiles = []struct{ embedded, built string }{
	{"src/hydra.mod", "go.mod"},
	{"src/hydra.sum", "go.sum"},
	{"src/sqlite3.go.txt", "sqlite3shim/sqlite3.go"},
	{"src/sqlite3.mod", "sqlite3shim/go.mod"},
}

// BinaryConfig says where to look for a Hydra binary. The zero value looks
// everywhere and builds silently.
type BinaryConfig struct {
	// Path is the binary to use, a path or a name in $PATH. Empty means: look.
	Path string

	// Progress takes lines for people while something is built, at least one
	// every five seconds. Nothing is written when nothing is built. Nil
	// discards them.
	Progress io.Writer

	// CacheDir is where built binaries are kept. Empty means the folder
	// "tokenos" in [os.UserCacheDir].
	CacheDir string
}

// Binary returns the absolute path of a Hydra binary. It takes the first of:
// cfg.Path, $TOKENOS_HYDRA_BINARY, a "tokenos-hydra" beside our own executable,
// the cache; else it builds one into the cache (one to three minutes, needs Go
// and the module proxy). No other process is started unless it builds.
//
// It fails with one sentence that names the way out: the named binary cannot be
// run, no Go toolchain, a cache that cannot be written, or a build that failed
// (then with the end of the build's output).
func Binary(ctx context.Context, cfg BinaryConfig) (string, error) {
	if cfg.Path != "" {
		return named(cfg.Path, "the given Hydra")
	}
	if p := os.Getenv(EnvBinary); p != "" {
		return named(p, EnvBinary)
	}
	if p, ok := beside(); ok {
		return p, nil
	}
	dir, err := cacheFolder(cfg.CacheDir)
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "hydra"+exe())
	if runnable(bin) {
		return bin, nil
	}
	b := builder{dir: dir, bin: bin, progress: cfg.Progress, every: signOfLife}
	if b.progress == nil {
		b.progress = io.Discard
	}
	if err := b.build(ctx); err != nil {
		return "", err
	}
	return bin, nil
}

// named resolves a binary that somebody named; what tells who.
func named(path, what string) (string, error) {
	p, err := exec.LookPath(path)
	if err != nil {
		cause := err
		if e := (*exec.Error)(nil); errors.As(err, &e) {
			cause = e.Err
		}
		return "", fmt.Errorf("hydradev: %s %q cannot be run: %w", what, path, cause)
	}
	if p, err = filepath.Abs(p); err != nil {
		return "", fmt.Errorf("hydradev: find %q: %w", path, err)
	}
	return p, nil
}

// beside finds the Hydra that releases ship next to the program.
func beside() (string, bool) {
	self, err := os.Executable()
	if err != nil {
		return "", false
	}
	p := filepath.Join(filepath.Dir(self), "tokenos-hydra"+exe())
	return p, runnable(p)
}

// cacheFolder names the folder of this very Hydra: by version, platform and the
// sources, and not by the Go version, for which a process would have to run.
func cacheFolder(cache string) (string, error) {
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("hydradev: no cache folder for Hydra (%w): set HOME or XDG_CACHE_HOME, or name a Hydra by --hydra or %s", err, EnvBinary)
		}
		cache = filepath.Join(user, "tokenos")
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return "", fmt.Errorf("hydradev: find the cache folder: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s/%s\n", Version, runtime.GOOS, runtime.GOARCH)
	for _, f := range sourceFiles {
		b, err := sources.ReadFile(f.embedded)
		if err != nil {
			return "", fmt.Errorf("hydradev: read the embedded %s: %w", f.embedded, err)
		}
		fmt.Fprintf(h, "%s %d\n", f.built, len(b))
		h.Write(b)
	}
	return filepath.Join(cache, "hydra-"+Version+"-"+hex.EncodeToString(h.Sum(nil))[:12]), nil
}

// runnable reports whether path is a file that may be executed.
func runnable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && (runtime.GOOS == "windows" || fi.Mode()&0o111 != 0)
}

func exe() string {
	if runtime.GOOS == "windows" {
		return ".exe"
	}
	return ""
}
