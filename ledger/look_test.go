package ledger_test

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// The backlog tells changes that are carried out from those whose holder has not
// finished in time and from those in line, and forgets what is done.
func TestBacklog(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		want := func(b ledger.Backlog) {
			t.Helper()
			if got, err := db.Backlog(t.Context()); err != nil || got != b {
				t.Errorf("got %+v, %v; want %+v", got, err, b)
			}
		}
		want(ledger.Backlog{})
		first, second := created(t, db, nil), created(t, db, nil)
		want(ledger.Backlog{})

		held := begin(t, db, asking(apikey.ActionUpdate, first))
		late := asking(apikey.ActionUpdate, second)
		late.Lease = 0
		begin(t, db, late)
		want(ledger.Backlog{Begun: 1, Stale: 1})
		line := asking(apikey.ActionRevoke, first)
		line.Wait = true
		begin(t, db, line)
		want(ledger.Backlog{Begun: 1, Stale: 1, Queued: 1})
		if err := db.Finish(t.Context(), finishing(held.Change)); err != nil {
			t.Fatal(err)
		}
		want(ledger.Backlog{Stale: 1, Queued: 1})
	})
}

// Who only looks at a ledger can tell whether the server secret is its own, beside
// the process that writes it.
func TestCheckSecret(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, url string) {
		check := func(proved bool, fault error, secrets ...apikey.Secret) {
			t.Helper()
			look, err := ledger.Open(t.Context(), ledger.Config{URL: url, ServerSecrets: secrets, ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer look.Close() //nolint:errcheck // nothing was written
			if got, err := look.CheckSecret(t.Context()); got != proved || !errors.Is(err, fault) {
				t.Errorf("got %v, %v; want %v, %v", got, err, proved, fault)
			}
		}
		other := apikey.NewSecret("another-server-secret-0123456789abcdefghij")
		check(false, nil, other) // there is nothing to tell by
		created(t, db, nil)
		check(true, nil, serverSecrets...)
		check(true, nil, other, serverSecrets[0])
		check(false, ledger.SecretError{}, other)
	})
}

// The database's clock is read with its zone and to the millisecond.
func TestClock(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		before := time.Now()
		got, err := db.Clock(t.Context())
		if err != nil || got.Before(before.Add(-time.Second)) || got.After(time.Now().Add(time.Second)) || got.Location() != time.UTC {
			t.Errorf("got %v, %v at %v", got, err, before)
		}
	})
}

// What is wrong with a schema, and that there is no file, can be told by the
// error.
func TestOpenFaults(t *testing.T) {
	url := sqliteURL(t)
	cfg := ledger.Config{URL: url, ServerSecrets: serverSecrets, ReadOnly: true}
	if _, err := ledger.Open(t.Context(), cfg); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	db := open(t, ledger.Config{URL: url})
	if db.Kind() != "SQLite" {
		t.Errorf("kind %q", db.Kind())
	}
	for _, have := range []int64{3, 2} { // one migration is missing in the middle, then more
		if err := db.Exec(t.Context(), "DELETE FROM ledger_migrations WHERE version_id = $1", have+1); err != nil {
			t.Fatal(err)
		}
		_, err := ledger.Open(t.Context(), cfg)
		if old, ok := errors.AsType[*ledger.SchemaError](err); !ok || old.Have != have || old.Want <= have {
			t.Errorf("a schema that is whole up to %d: %v", have, err)
		}
	}
}
