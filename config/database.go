package config

import (
	"net/url"
	"strings"
)

// ledger checks the form of ledger.url. Whether the database answers is for
// the ledger to find out.
func (l *loader) ledger(c *Ledger) {
	const path = "ledger.url"
	if !l.fine(path) {
		return
	}
	if wrong := checkLedgerURL(c.URL.Reveal()); wrong != "" {
		l.bad(path, wrong)
	}
}

// checkLedgerURL says what is wrong, without the URL, or "".
func checkLedgerURL(raw string) string {
	const form = "expected sqlite:///absolute/path/file.db or postgres://user:password@host/database"
	u, err := url.Parse(raw)
	if err != nil {
		return form + "; write special characters of a password in percent form, / as %2F"
	}
	switch u.Scheme {
	case "sqlite":
		switch {
		case u.Host != "" || u.Opaque != "" || !strings.HasPrefix(u.Path, "/"):
			return "expected sqlite:/// with three slashes and an absolute path"
		case strings.HasSuffix(u.Path, "/") || strings.HasSuffix(u.Path, ":memory:"):
			return "expected the path of a file; sqlite in memory would forget every key"
		case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
			return "expected sqlite:/// and a path, nothing else"
		}
	case "postgres", "postgresql":
		switch {
		case u.Opaque != "" || strings.Trim(u.Path, "/") == "":
			return form + ", with the name of a database"
		case u.Hostname() == "" && u.Query().Get("host") == "":
			return form + ", with a host, or ?host= for a socket's folder"
		case strings.Contains(u.EscapedPath(), "@"): // a password with @ and / in it: the rest of it would be taken for a host and a database, and shown
			return form + "; write special characters of a password in percent form, @ as %40 and / as %2F"
		case !isPort(u.Port()) || u.Fragment != "":
			return form + "; write special characters of a password in percent form, # as %23"
		}
	default:
		return form
	}
	return ""
}

// shownParameters are the parameters of a Postgres URL that hold no secret; the
// values of all others are hidden, also of those that nobody has thought of.
var shownParameters = map[string]bool{
	"application_name": true, "connect_timeout": true, "host": true, "port": true, "search_path": true,
	"sslmode": true, "sslrootcert": true, "target_session_attrs": true,
}

// Redacted returns the URL without what is secret in it, to show to people.
func (c Ledger) Redacted() string {
	if c.URL.IsEmpty() {
		return ""
	}
	raw := c.URL.Reveal()
	u, err := url.Parse(raw)
	if err != nil || checkLedgerURL(raw) != "" {
		return redacted
	}
	query := u.Query()
	for name := range query {
		if !shownParameters[name] {
			query[name] = []string{"xxxxx"}
		}
	}
	u.RawQuery = query.Encode()
	return u.Redacted()
}
