package pgtest

import (
	"cmp"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrMissing says that this machine has no Postgres server. Its text tells how
// to install one.
var ErrMissing = errors.New("pgtest: no Postgres here: install it with " +
	`"sudo apt-get install postgresql" (Debian, Ubuntu), "sudo dnf install postgresql-server" (Fedora) ` +
	`or "brew install postgresql@17" (macOS), or run "make test"`)

// folders are where packages put the server's programs without linking them into
// PATH: Debian, Red Hat's and Homebrew's ways, and Postgres' own default.
var folders = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/usr/local/pgsql/bin",
}

// find returns the folder that holds both initdb and postgres: the one in PATH,
// else the newest of a known place, else where pg_config points. It returns
// [ErrMissing] if there is none.
func find(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil && complete(filepath.Dir(path)) {
		return filepath.Dir(path), nil
	}
	for _, pattern := range folders {
		found, _ := filepath.Glob(pattern) // fails on a malformed pattern only
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
		if i := slices.IndexFunc(found, complete); i >= 0 {
			return found[i], nil
		}
	}
	// Last, because pg_config comes with the client library, whose version may
	// belong to no installed server.
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		if bin := strings.TrimSpace(string(out)); complete(bin) {
			return bin, nil
		}
	}
	return "", ErrMissing
}

// complete reports whether dir holds the two programs that make a cluster.
func complete(dir string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err != nil {
			return false
		}
	}
	return true
}

// version reads the major version out of a folder's path (15 for
// /usr/lib/postgresql/15/bin), so that 17 comes after 9. Zero if it has none.
func version(dir string) int {
	name := filepath.Base(filepath.Dir(dir))
	name = name[strings.LastIndexAny(name, "-@")+1:]
	major, _, _ := strings.Cut(name, ".")
	n, err := strconv.Atoi(major)
	if err != nil {
		return 0
	}
	return n
}
