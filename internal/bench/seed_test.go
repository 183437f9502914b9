package bench

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"; "sqlite" comes with the ledger

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/ledger"
)

// owners is among how many small owners half of the keys are spread, so that
// each has a page, whatever the number of keys.
func owners(keys int) int { return keys / 2 / page }

// medium is how many keys have the label medium=yes, scattered over all: too
// many to gather for nothing, too few to come upon soon.
const medium = 1500

// bigOwner has the other half.
const bigOwner = "acme"

// seeded makes the i-th of n keys: as ledgertest's, but each small owner has
// a page of them, and so has the label rare=yes; medium=yes has medium of them.
func seeded(i, n int) apikey.Record {
	r := ledgertest.Key(i)
	r.Owner = bigOwner
	if i%2 == 1 {
		r.Owner = fmt.Sprintf("owner-%d", i/2%owners(n))
	}
	delete(r.Labels, "rare")
	if i%(n/page) == 0 {
		r.Labels["rare"] = "yes"
	}
	if i%(n/medium) == 0 {
		r.Labels["medium"] = "yes"
	}
	return r
}

// fill puts n keys into a ledger.
func fill(b *testing.B, db *ledger.DB, n int) {
	b.Helper()
	const atOnce = 10_000
	for from := 0; from < n; from += atOnce {
		records := make([]apikey.Record, 0, atOnce)
		for i := from; i < min(n, from+atOnce); i++ {
			records = append(records, seeded(i, n))
		}
		if err := db.Import(b.Context(), records); err != nil {
			b.Fatal(err)
		}
	}
}

// template is the client of which fillHydra makes copies.
const template = "template"

// fillHydra puts n clients into Hydra, with owners as in the ledger, by copying
// one row in its database: through its API they would take minutes.
func fillHydra(b *testing.B, p *place, name string, n int) {
	b.Helper()
	if err := p.raw.create(template); err != nil {
		b.Fatal(err)
	}
	driver, dsn := "sqlite", "file:"+filepath.Join(p.raw.dir, "hydra.sqlite")+"?_pragma=busy_timeout(8000)"
	if name == "postgres" {
		driver, dsn = "pgx", strings.Split(p.raw.dsn, "&max_conns")[0]
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(b.Context(), "SELECT * FROM hydra_client LIMIT 0")
	if err != nil {
		b.Fatal(err)
	}
	columns, err := rows.Columns()
	if err != nil {
		b.Fatal(err)
	}
	if err := rows.Close(); err != nil {
		b.Fatal(err)
	}
	_, err = db.ExecContext(b.Context(), copying(columns, n))
	if err == nil && name == "postgres" {
		_, err = db.ExecContext(b.Context(), "ANALYZE hydra_client")
	}
	if err != nil {
		b.Fatal(err)
	}
}

// copying is the statement for n copies, the same for both databases.
func copying(columns []string, n int) string {
	values := make([]string, len(columns))
	for i, c := range columns {
		switch c {
		case "id":
			values[i] = "'key_live_' || substr(CAST(100000000 + n.i AS TEXT), 2) || '000000000000000000'"
		case "pk": // a retired column
			values[i] = "NULL"
		case "client_name":
			values[i] = "'billing worker ' || CAST(n.i AS TEXT)"
		case "owner":
			values[i] = fmt.Sprintf("CASE WHEN n.i %% 2 = 0 THEN '%s' ELSE 'owner-' || CAST(n.i / 2 %% %d AS TEXT) END", bigOwner, owners(n))
		default:
			values[i] = "c." + c
		}
	}
	return fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO hydra_client (%s) SELECT %s FROM n CROSS JOIN hydra_client c WHERE c.id = '%s'`,
		n-1, strings.Join(columns, ", "), strings.Join(values, ", "), template)
}

// clientID is the id of Hydra's i-th copy.
func clientID(i int) string { return fmt.Sprintf("key_live_%08d000000000000000000", i) }
