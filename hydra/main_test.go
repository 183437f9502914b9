package hydra_test

import (
	"os"
	"testing"

	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(m)) }

// running is the one real Hydra of this package's tests, which keep apart by id.
func running(t testing.TB) *hydradev.Server {
	t.Helper()
	return hydratest.Shared(t)
}
