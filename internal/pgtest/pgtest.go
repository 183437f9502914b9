package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// RequireVariable names the environment variable that, set to 1, turns a missing
// Postgres from a skipped test into a failed one.
const RequireVariable = "TOKENOS_TEST_REQUIRE"

// patience bounds every single act on a cluster: far above what a loaded machine
// needs, far below go test's own time-out.
const patience = 60 * time.Second

// shared is the cluster behind [URL], nil until the first call.
var shared struct {
	sync.Mutex
	server *Server
	err    error
}

// Main runs the tests of a package and stops the shared cluster after them. It
// returns the code to exit with. m is a *testing.M, or anything that wraps one.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	if err := Shutdown(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// Shutdown stops the shared cluster and removes its folder, for a TestMain that
// cannot use [Main]. Without a cluster it does nothing.
func Shutdown() error {
	shared.Lock()
	defer shared.Unlock()
	server := shared.server
	shared.server = nil
	if server == nil {
		return nil
	}
	return server.Close()
}

// URL returns the address of a new, empty database in the shared cluster, as
// postgres://user:password@127.0.0.1:port/name?sslmode=disable, and drops it,
// sessions and all, when the test ends. Safe for parallel tests.
func URL(t testing.TB) string {
	t.Helper()
	shared.Lock()
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = Open(t.Context(), Config{})
	}
	server, err := shared.server, shared.err
	shared.Unlock()
	if err != nil {
		giveUp(t, err)
	}
	return server.URL(t)
}

// New starts a cluster of the test's own, which the test may stop, kill and
// freeze, and closes it when the test ends.
func New(t testing.TB, config Config) *Server {
	t.Helper()
	server, err := Open(t.Context(), config)
	if err != nil {
		giveUp(t, err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// URL is [URL] for a cluster of one's own.
func (s *Server) URL(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	url, drop, err := s.Database(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		// A test that leaves its cluster down has nothing left to drop.
		if err := drop(ctx); err != nil && s.Running() {
			t.Error(err)
		}
	})
	return url
}

// giveUp ends a test that got no cluster: skipped when Postgres is not on the
// machine and nobody demands it, failed otherwise.
func giveUp(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrMissing) && os.Getenv(RequireVariable) != "1" {
		t.Skip("left out: Postgres suite:", err)
	}
	t.Fatal(err)
}
