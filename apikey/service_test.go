package apikey_test

import (
	"os"
	"testing"

	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(databases{m})) }

// databases ends the shared Postgres before hydratest ends the shared Hydra.
type databases struct{ m *testing.M }

func (d databases) Run() int { return pgtest.Main(d.m) }

// The service keeps the promises of apikey.API, on SQLite.
func TestServiceOnSQLite(t *testing.T) {
	apikeytest.Run(t, apikeytest.NewWorld(t, apikeytest.Options{}).Fixture())
}

// The service keeps the promises of apikey.API, on Postgres.
func TestServiceOnPostgres(t *testing.T) {
	apikeytest.Run(t, apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: pgtest.URL(t)}).Fixture())
}
