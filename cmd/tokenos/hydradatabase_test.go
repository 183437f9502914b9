package main

import (
	"fmt"
	"strings"
	"testing"
)

// Hydra's DSN is read as Hydra means it: what it keeps for itself is left out, the
// connection is to read only, and no password is shown, whatever is wrong.
func TestParseHydraDSN(t *testing.T) {
	for _, c := range []struct {
		dsn, driver, source string // driver "": refused
		connections         int
	}{
		{"postgres://hydra:pa%40ss-w0rd@db:5432/hydra?sslmode=require&max_conns=60&max_idle_conns=4", "pgx", "postgres://hydra:pa%40ss-w0rd@db:5432/hydra?default_transaction_read_only=on&sslmode=require", 60},
		{"postgresql://db/hydra?max_conns=many", "pgx", "postgresql://db/hydra?default_transaction_read_only=on", 0},
		{"sqlite:///var/lib/hydra/db.sqlite?_fk=true", "sqlite", "file:///var/lib/hydra/db.sqlite?_pragma=query_only%281%29&_pragma=busy_timeout%282000%29&mode=ro", 0},
		{"sqlite://db.sqlite?_fk=true", "", "", 0},
		{"memory", "", "", 0},
		{"", "", "", 0},
		{"mysql://hydra:pa%40ss-w0rd@tcp(db:3306)/hydra", "", "", 0},
		{"postgres://hydra:pa@ss-w0rd/%@db", "", "", 0},
	} {
		d, err := parseHydraDSN(c.dsn)
		if err != nil || c.driver == "" {
			if c.driver != "" || err == nil || strings.Contains(err.Error(), "w0rd") {
				t.Errorf("%q: %v", c.dsn, err)
			}
			continue
		}
		if d.driver != c.driver || d.source.Reveal() != c.source || d.connections != c.connections {
			t.Errorf("%q: %s %s %d", c.dsn, d.driver, d.source.Reveal(), d.connections)
		}
		if shown := fmt.Sprintf("%+v %s", d, d.blotted("no way to pa@ss-w0rd, pa%40ss-w0rd")); strings.Contains(shown, "w0rd") && strings.Contains(c.dsn, "w0rd") {
			t.Errorf("shows the password: %s", shown)
		}
	}
}
