package apikey_test

import (
	"os"
	"testing"

	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(m)) }

// The service keeps the promises of apikey.API, on SQLite.
func TestServiceOnSQLite(t *testing.T) {
	apikeytest.Run(t, apikeytest.NewWorld(t, apikeytest.Options{}).Fixture())
}

// The service keeps the promises of apikey.API, on Postgres.
func TestServiceOnPostgres(t *testing.T) {
	apikeytest.Run(t, apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: pgtest.URL(t)}).Fixture())
}
