package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) {
	if os.Getenv(sacrificeVariable) != "" {
		sacrifice()
	}
	os.Exit(Main(m))
}

// connect opens a session that the test closes.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	connection, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close(context.Background()) }) //nolint:errcheck // the server may be gone
	return connection
}

// value reads one value of one row.
func value[T any](t *testing.T, connection *pgx.Conn, query string) T {
	t.Helper()
	var v T
	if err := connection.QueryRow(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// execute runs a statement that must succeed.
func execute(t *testing.T, connection *pgx.Conn, statement string) {
	t.Helper()
	if _, err := connection.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Every call gives an empty database that other calls do not share and that is
// dropped, with the sessions still in it, when its test ends.
func TestURL(t *testing.T) {
	var urls []string
	t.Run("users", func(t *testing.T) {
		for range 3 {
			url := URL(t)
			urls = append(urls, url)
			connection := connect(t, url)
			execute(t, connection, "CREATE TABLE same_name (n int)")
			if got := value[int](t, connection, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); got != 1 {
				t.Errorf("tables in a new database: got %d, want only the one just made", got)
			}
		}
	})
	for _, url := range urls {
		connection, err := pgx.Connect(t.Context(), url)
		if err == nil {
			connection.Close(t.Context()) //nolint:errcheck // the test fails anyway
			t.Errorf("database %q is still there after its test", connection.Config().Database)
		}
	}
}

// A database is no friendlier than a production one: its owner is no superuser,
// its time zone is not UTC, its text sorts as a language does.
func TestUnfriendly(t *testing.T) {
	connection := connect(t, URL(t))
	if value[bool](t, connection, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user") {
		t.Error("the owner has a superuser's rights")
	}
	if got := value[string](t, connection, "SELECT to_char(timestamptz '2026-01-01T00:00:00Z', 'HH24:MI')"); got != "05:45" {
		t.Errorf("midnight UTC is shown as %s, want 05:45", got)
	}
	icu := value[bool](t, connection, "SELECT current_setting('server_version_num')::int >= 150000 AND EXISTS (SELECT 1 FROM pg_collation WHERE collprovider = 'i')")
	if got := value[bool](t, connection, "SELECT 'a' < 'B'"); got != icu {
		t.Errorf("'a' < 'B' is %v, want %v", got, icu)
	}
}

// Settings of the test's own reach the server, and Durable keeps fsync on.
func TestConfig(t *testing.T) {
	for _, test := range []struct {
		config       Config
		fsync, limit string
	}{
		{Config{}, "off", "200"},
		{Config{Durable: true, Settings: map[string]string{"max_connections": "21"}}, "on", "21"},
	} {
		connection := connect(t, New(t, test.config).URL(t))
		if got := value[string](t, connection, "SHOW fsync"); got != test.fsync {
			t.Errorf("%+v: fsync is %s, want %s", test.config, got, test.fsync)
		}
		if got := value[string](t, connection, "SHOW max_connections"); got != test.limit {
			t.Errorf("%+v: max_connections is %s, want %s", test.config, got, test.limit)
		}
	}
}

// A setting that Postgres refuses is an error that holds Postgres' own words, and
// leaves no folder behind.
func TestOpenRefused(t *testing.T) {
	temporary := openFolder(t)
	t.Setenv("TMPDIR", temporary)
	_, err := Open(t.Context(), Config{Settings: map[string]string{"max_connections": "many"}})
	if errors.Is(err, ErrMissing) {
		giveUp(t, err)
	}
	if err == nil || !strings.Contains(err.Error(), `invalid value for parameter "max_connections"`) {
		t.Errorf("got %v, want Postgres' refusal of max_connections", err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// runs is a testing.M whose tests are f.
type runs func() int

func (f runs) Run() int { return f() }

// Main passes the tests' exit code on, and leaves neither server nor folder.
func TestMainStops(t *testing.T) {
	var server *Server
	code := Main(runs(func() int {
		URL(t)
		server = shared.server
		return 7
	}))
	if code != 7 {
		t.Errorf("exit code: got %d, want 7", code)
	}
	if server.Running() {
		t.Error("the server still runs")
	}
	if _, err := os.Stat(server.folder.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if err := Shutdown(); err != nil {
		t.Errorf("a second shutdown: %v", err)
	}
}

// witness is a testing.TB that notes how a test was ended instead of ending it.
type witness struct {
	testing.TB
	skipped, failed string
}

func (w *witness) Helper()           {}
func (w *witness) Skip(args ...any)  { w.skipped = strings.TrimSpace(fmt.Sprintln(args...)) }
func (w *witness) Fatal(args ...any) { w.failed = strings.TrimSpace(fmt.Sprintln(args...)) }

// A missing Postgres skips a test and names the suite; under make test it fails
// it. Any other trouble always fails it.
func TestGiveUp(t *testing.T) {
	const suite = "left out: Postgres suite: "
	for _, test := range []struct {
		name, require   string
		err             error
		skipped, failed string
	}{
		{"missing", "", ErrMissing, suite + ErrMissing.Error(), ""},
		{"missing, required", "1", ErrMissing, "", ErrMissing.Error()},
		{"broken", "", errors.New("disk full"), "", "disk full"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(RequireVariable, test.require)
			w := &witness{TB: t}
			if giveUp(w, test.err); test.failed != "" && w.failed != test.failed {
				t.Errorf("failed with %q, want %q", w.failed, test.failed)
			}
			if w.skipped != test.skipped {
				t.Errorf("skipped with %q, want %q", w.skipped, test.skipped)
			}
		})
	}
}
