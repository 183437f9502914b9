package apikeytest

import (
	"database/sql"
	"strings"
	"testing"
)

// Alter runs a statement on a ledger's database behind the ledger's back, as
// somebody with access to the database could. The drivers are those that the
// ledger brings with it.
func Alter(t testing.TB, url, statement string) {
	t.Helper()
	driver, source := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite://"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the statement tells whether it went well
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
