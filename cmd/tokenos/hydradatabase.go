package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tokenos/tokenos/config"
)

// hydraDatabase is where Hydra keeps its data, as its own configuration says it
// (dsn). It is opened to read only, and only by the doctor.
type hydraDatabase struct {
	driver      string        // as database/sql knows it; the ledger brings the drivers
	source      config.Secret // as the driver takes it
	password    config.Secret // in source
	connections int           // Hydra's pool (max_conns); 0: not said
}

// maxDSN bounds the file that holds a DSN.
const maxDSN = 4096 // bytes

// errDSN says what a file with a DSN should hold, without what it holds.
var errDSN = errors.New("--hydra-dsn-file must name a file with Hydra's dsn, postgres://user:password@host/database?max_conns=50 or sqlite:///absolute/path/file.sqlite")

// openHydraDatabase reads Hydra's DSN from a file, so that no password is seen
// among the arguments.
func openHydraDatabase(file string) (*hydraDatabase, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, errors.New("--hydra-dsn-file cannot be read")
	}
	defer func() { _ = f.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(f, maxDSN))
	if err != nil {
		return nil, errors.New("--hydra-dsn-file cannot be read")
	}
	return parseHydraDSN(strings.TrimSpace(string(text)))
}

// hydrasOwn are parameters of a DSN that Hydra keeps for itself.
var hydrasOwn = []string{"max_conns", "max_idle_conns", "max_conn_lifetime", "max_conn_idle_time"}

func parseHydraDSN(dsn string) (*hydraDatabase, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, errDSN
	}
	q := u.Query()
	switch u.Scheme {
	case "postgres", "postgresql":
		d := &hydraDatabase{driver: "pgx"}
		d.connections, _ = strconv.Atoi(q.Get("max_conns")) // 0: Hydra's default
		for _, name := range hydrasOwn {
			q.Del(name)
		}
		q.Set("default_transaction_read_only", "on")
		u.RawQuery = q.Encode()
		password, _ := u.User.Password()
		d.source, d.password = config.NewSecret(u.String()), config.NewSecret(password)
		return d, nil
	case "sqlite":
		if !filepath.IsAbs(u.Path) || u.Host != "" {
			return nil, errDSN
		}
		only := url.Values{"mode": {"ro"}, "_pragma": {"query_only(1)", "busy_timeout(2000)"}}
		return &hydraDatabase{driver: "sqlite", source: config.NewSecret((&url.URL{Scheme: "file", Path: u.Path, RawQuery: only.Encode()}).String())}, nil
	}
	return nil, errDSN
}

// rows counts rows of a table up to a bound.
func (d *hydraDatabase) rows(ctx context.Context, db *sql.DB, from string, most int, args ...any) (n int, err error) {
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+from+" LIMIT "+strconv.Itoa(most)+") t", args...).Scan(&n)
	if err != nil {
		err = errors.New("Hydra's database: " + d.blotted(err.Error()))
	}
	return n, err
}

// blotted is a message without the password.
func (d *hydraDatabase) blotted(message string) string {
	if d.password.IsEmpty() {
		return message
	}
	return strings.NewReplacer(d.password.Reveal(), "[redacted]", url.QueryEscape(d.password.Reveal()), "[redacted]").Replace(message)
}

const (
	// oldToken is older than any token of a key is good for, twice.
	oldToken = 48 * time.Hour
	// oldMost are more rows than a janitor that runs leaves.
	oldMost = 100_000
)

func checkTables(ctx context.Context, p *patient) finding {
	if p.hydraDSNFile == "" {
		return unknown("Hydra tells nobody; name a file with its DSN in --hydra-dsn-file")
	}
	d, err := openHydraDatabase(p.hydraDSNFile)
	if err != nil {
		f := bad(err.Error(), "give the doctor what Hydra has as dsn")
		f.code = exitUsage
		return f
	}
	db, err := sql.Open(d.driver, d.source.Reveal())
	if err != nil {
		return bad("Hydra's database: "+d.blotted(err.Error()), "give the doctor what Hydra has as dsn")
	}
	defer func() { _ = db.Close() }() // nothing was written
	var before any = time.Now().UTC().Add(-oldToken)
	mark := "$1"
	if d.driver == "sqlite" { // where Hydra keeps times as text
		before, mark = time.Now().UTC().Add(-oldToken).Format(time.DateTime), "?"
	}
	tokens, err := d.rows(ctx, db, "hydra_oauth2_access WHERE requested_at < "+mark, oldMost, before)
	if err != nil {
		return away(err, "let this machine reach Hydra's database, with rights to read hydra_oauth2_access and hydra_oauth2_jti_blacklist")
	}
	jtis, err := d.rows(ctx, db, "hydra_oauth2_jti_blacklist", oldMost)
	if err != nil {
		return away(err, "let this machine reach Hydra's database, with rights to read hydra_oauth2_access and hydra_oauth2_jti_blacklist")
	}
	switch {
	case tokens >= oldMost:
		return unwise(fmt.Sprintf("%d or more tokens from before two days are still in hydra_oauth2_access", oldMost), "run `hydra janitor --tokens` every day, at a quiet hour")
	case jtis >= oldMost:
		return unwise(fmt.Sprintf("%d or more used assertions are in hydra_oauth2_jti_blacklist, where each stays until its exp", oldMost), "have programs make assertions that are good for a minute, not for days")
	}
	return good(fmt.Sprintf("%d tokens from before two days and %d used assertions", tokens, jtis))
}

// poolFine is what Hydra's pool should have at least.
const poolFine = 50

// checkPool looks for the deadlock of Hydras before the one that keeps rotated
// secrets: each request for a JWT holds a connection while it waits for another.
func checkPool(ctx context.Context, p *patient) finding {
	found, err := p.hydra.Capabilities(ctx)
	if err != nil {
		return away(err, again)
	}
	if found.NativeRotation {
		return good("this Hydra does not wait for a connection while it holds one")
	}
	use, err := p.ledger.JWTUse(ctx)
	switch {
	case err != nil:
		return away(err, "look at the database")
	case use.Keys == 0:
		return good("no key buys JWTs, and opaque tokens do not block")
	}
	seen := fmt.Sprintf("%d keys buy JWTs from a Hydra that can block", use.Keys)
	const fix = "set max_conns=50 or more in Hydra's dsn, and let a proxy bound concurrent requests to /oauth2/token below that; or use opaque tokens"
	if p.hydraDSNFile == "" {
		return unwise(seen+"; how many connections it has is not seen (--hydra-dsn-file)", fix)
	}
	d, err := openHydraDatabase(p.hydraDSNFile)
	switch {
	case err != nil:
		return unwise(seen+"; "+err.Error(), fix)
	case d.driver == "sqlite":
		return unwise(seen+", on SQLite, where key pairs that buy JWTs wait for each other", "move Hydra to Postgres")
	case d.connections < poolFine:
		return bad(fmt.Sprintf("%s, with a pool of %d connections (0: two for each CPU)", seen, d.connections), fix)
	}
	return good(fmt.Sprintf("%s, with a pool of %d connections", seen, d.connections))
}
