package ledger_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/pgtest"
	"github.com/tokenos/tokenos/ledger"
)

// refuses checks that a ledger cannot be opened and that the error says why and
// what to do.
func refuses(t *testing.T, cfg ledger.Config, words ...string) {
	t.Helper()
	cfg.ServerSecrets = serverSecrets
	db, err := ledger.Open(t.Context(), cfg)
	if err == nil {
		_ = db.Close()
		t.Fatalf("opened %q", cfg.URL)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want %q in it", err, w)
		}
	}
}

// migrationFiles are the names of all migrations, in order.
func migrationFiles(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir("migrations")
	if err != nil || len(entries) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A ledger without this program's schema is refused with the way out.
func TestOpenSchema(t *testing.T) {
	for name, url := range databases {
		t.Run(name, func(t *testing.T) {
			cfg := ledger.Config{URL: url(t), ServerSecrets: serverSecrets}
			refuses(t, cfg, `run "tokenos migrate"`)
			applied, err := ledger.Migrate(t.Context(), cfg)
			if all := migrationFiles(t); err != nil || !slices.Equal(applied, all) {
				t.Errorf("got %v, %v; want %v", applied, err, all)
			}
			applied, err = ledger.Migrate(t.Context(), cfg)
			if err != nil || len(applied) != 0 {
				t.Errorf("migrated again: got %v, %v; want nothing to do", applied, err)
			}
			db := open(t, cfg)
			id := db.Installation()
			if err := db.Exec(t.Context(), "INSERT INTO ledger_migrations (version_id, is_applied) VALUES (99, true)"); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			refuses(t, cfg, "version 99", "newer tokenos")
			if _, err := ledger.Migrate(t.Context(), cfg); err == nil || len(id) != 36 {
				t.Errorf("migrated a newer schema; installation %q", id)
			}
		})
	}
}

// Processes that migrate one Postgres at the same time all succeed.
func TestMigrateTogether(t *testing.T) {
	cfg := ledger.Config{URL: pgtest.URL(t)}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := ledger.Migrate(t.Context(), cfg); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	open(t, cfg)
}

// A URL that names no database is refused, and an error never repeats it.
func TestOpenURL(t *testing.T) {
	for _, url := range []string{"", "mysql://u:hunter2@h/d", "sqlite://", "sqlite:///x.db?hunter2", "postgres://u:hunter2@h:port/d", "postgres://u:hunter2@127.0.0.1:1/d"} {
		_, err := ledger.Open(t.Context(), ledger.Config{URL: url, ServerSecrets: serverSecrets})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v", url, err)
		}
	}
	refuses(t, ledger.Config{URL: "sqlite:///no/such/folder/x.db"}, "folder")
}

// A second process cannot have the SQLite file, under whichever name; it may
// look, with ReadOnly, at what is committed, and change nothing.
func TestSQLiteLock(t *testing.T) {
	url := sqliteURL(t)
	db := open(t, ledger.Config{URL: url})
	path := strings.TrimPrefix(url, "sqlite://")
	refuses(t, ledger.Config{URL: url}, path, path+".lock", "stop that process")
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	refuses(t, ledger.Config{URL: "sqlite://" + link}, "stop that process")
	if _, err := ledger.Migrate(t.Context(), ledger.Config{URL: url}); err == nil {
		t.Error("migrated a ledger that is in use")
	}

	look := func() {
		t.Helper()
		r, err := ledger.Open(t.Context(), ledger.Config{URL: url, ReadOnly: true, ServerSecrets: serverSecrets})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close() //nolint:errcheck // it only looked
		if v, err := r.VerifyChain(t.Context(), apikey.Head{}, nil); err != nil || !v.Intact() || v.Events != 1 {
			t.Errorf("got %+v, %v", v, err)
		}
		_, err = r.Begin(t.Context(), asking(apikey.ActionCreate, definition(nil)))
		wantError(t, "a change of a read-only ledger", err, apikey.ErrUnavailable)
	}
	created(t, db, nil)
	look() // beside its process
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	look() // alone
	open(t, ledger.Config{URL: url})
}

// Nobody but its owner can read the SQLite file and what lies beside it, even if
// it was open to others before.
func TestSQLiteModes(t *testing.T) {
	url := sqliteURL(t)
	path := strings.TrimPrefix(url, "sqlite://")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	created(t, open(t, ledger.Config{URL: url}), nil)
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 4 {
		t.Fatalf("got %v, %v; want the file, its -wal, -shm and .lock", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v; want 0600", f, info.Mode(), err)
		}
	}
}

// A relative SQLite URL, with characters in percent form, names a file below the
// working folder.
func TestSQLiteRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	open(t, ledger.Config{URL: "sqlite://a%20b%3F%23.db"})
	if _, err := os.Stat("a b?#.db"); err != nil {
		t.Error(err)
	}
}

// When SQLite's only process starts, whoever held a lease is dead: the changes
// are stale at once.
func TestSQLiteLeasesEndAtStart(t *testing.T) {
	url := sqliteURL(t)
	db := open(t, ledger.Config{URL: url})
	b := asking(apikey.ActionCreate, definition(nil))
	b.Lease = time.Hour
	begin(t, db, b)
	if stale, err := db.Stale(t.Context(), 10); err != nil || len(stale) != 0 {
		t.Errorf("before: got %v, %v", stale, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, ledger.Config{URL: url})
	if stale, err := db.Stale(t.Context(), 10); err != nil || len(stale) != 1 || stale[0].Op != b.Change.Op {
		t.Errorf("after: got %v, %v", stale, err)
	}
}
