package hydratest

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/hydradev"
)

// stopTime bounds the stop of one Hydra; it is killed afterwards.
const stopTime = 10 * time.Second

// shared is the test package's Hydra.
var shared struct {
	once   sync.Once
	server *hydradev.Server
	err    error
}

// Main runs the tests of a package (m is its [*testing.M], or what wraps one) and
// stops its shared Hydra; it returns the exit code for os.Exit.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	if err := Close(); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return max(code, 1)
	}
	return code
}

// Close stops the shared Hydra, if it was started. It is for packages whose
// TestMain is not [Main].
func Close() error {
	if shared.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	return shared.server.Stop(ctx)
}

// Shared returns the test package's Hydra, starting it the first time. Do not
// stop it: other tests use it. Its output is shown with go test -v.
func Shared(t testing.TB) *hydradev.Server {
	t.Helper()
	shared.once.Do(func() {
		cfg := hydradev.Config{}
		if testing.Verbose() {
			cfg.Log = os.Stderr
		}
		shared.server, shared.err = start(cfg)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}

// New starts a Hydra of the test's own and stops it when the test ends. Without
// cfg.Dir nothing is kept; without cfg.Log its output goes to the test's.
func New(t testing.TB, cfg hydradev.Config) *hydradev.Server {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = t.Output()
	}
	s, err := start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start runs a Hydra from the template.
func start(cfg hydradev.Config) (*hydradev.Server, error) {
	binary, err := hydradev.Binary(context.Background(), hydradev.BinaryConfig{Path: cfg.Binary, Progress: os.Stderr})
	if err != nil {
		return nil, err
	}
	cfg.Binary = binary
	cfg.Memory = cfg.Dir == ""
	if cfg.Template == "" && cfg.DSN == "" {
		if cfg.Template, err = template(binary); err != nil {
			return nil, err
		}
	}
	return hydradev.Start(context.Background(), cfg)
}
