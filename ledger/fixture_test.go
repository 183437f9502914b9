package ledger_test

import (
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/pgtest"
	"github.com/tokenos/tokenos/ledger"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// databases makes an empty database of each kind.
var databases = map[string]func(testing.TB) string{"SQLite": sqliteURL, "Postgres": pgtest.URL}

func sqliteURL(t testing.TB) string { return "sqlite://" + filepath.Join(t.TempDir(), "ledger.db") }

// onBoth runs a test on each database, migrated, with its URL.
func onBoth(t *testing.T, test func(t *testing.T, db *ledger.DB, url string)) {
	for name, url := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := url(t)
			test(t, open(t, ledger.Config{URL: url}), url)
		})
	}
}

var serverSecrets = []apikey.Secret{apikey.NewSecret("ledger-test-server-secret-0123456789abcdef")}

// open migrates and opens a ledger until the test ends.
func open(t testing.TB, cfg ledger.Config) *ledger.DB {
	t.Helper()
	if cfg.ServerSecrets == nil {
		cfg.ServerSecrets = serverSecrets
	}
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	if _, err := ledger.Migrate(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	db, err := ledger.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// start is the moment at which the tests' keys are made.
var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// definition is a new key; edit, if given, changes it.
func definition(edit func(*apikey.Definition)) apikey.Definition {
	d := apikey.Definition{ID: apikey.NewID(apikey.Live, start), Kind: apikey.KindAPI, Name: "billing worker", Owner: "acme", Environment: apikey.Live,
		AuthMethod: apikey.ClientSecretBasic, Scopes: []string{"orders:read"}, Labels: map[string]string{"team": "payments"},
		Token: apikey.TokenSettings{Format: apikey.Opaque, Lifetime: apikey.Duration(15 * time.Minute)}, CreatedAt: start, CreatedBy: "user:test", UpdatedAt: start, Revision: 1}
	d.RootID = d.ID
	if edit != nil {
		edit(&d)
	}
	return d
}

// asking is T1 of a change whose plan comes to target.
func asking(action apikey.Action, target apikey.Definition) apikey.Begin {
	return apikey.Begin{Change: apikey.Change{Op: rand.Text(), KeyID: target.ID, Action: action, At: start, Actor: apikey.System("test")}, Lease: time.Minute,
		Plan: func(apikey.Record, bool) (apikey.Planned, error) { return apikey.Planned{Target: target}, nil }}
}

func begin(t testing.TB, db *ledger.DB, b apikey.Begin) apikey.Begun {
	t.Helper()
	begun, err := db.Begin(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return begun
}

// finishing is T2 of a begun change.
func finishing(c apikey.Change) apikey.Finish {
	return apikey.Finish{Op: c.Op, Attempt: c.Attempt, Target: c.Target, Upkeep: apikey.Upkeep{Op: c.Op, Open: true}, Delete: c.Action == apikey.ActionDelete,
		Event: &apikey.Event{At: c.At, Action: c.Action, KeyID: c.KeyID, Owner: c.Target.Owner, Kind: c.Target.Kind, Revision: c.Target.Revision, ChangeID: c.Op}}
}

// apply does a whole change.
func apply(t testing.TB, db *ledger.DB, action apikey.Action, target apikey.Definition) {
	t.Helper()
	begun := begin(t, db, asking(action, target))
	if err := db.Finish(t.Context(), finishing(begun.Change)); err != nil {
		t.Fatal(err)
	}
}

// created makes a key.
func created(t testing.TB, db *ledger.DB, edit func(*apikey.Definition)) apikey.Definition {
	t.Helper()
	d := definition(edit)
	apply(t, db, apikey.ActionCreate, d)
	return d
}
