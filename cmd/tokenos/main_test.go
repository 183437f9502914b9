package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

var update = flag.Bool("update", false, "write what the scripts' cmp finds into testdata")

// TestMain makes this very binary the programs "tokenos" and "tamper" in $PATH,
// for scripts and for tests that start the program as a child: the same code,
// under the race detector too.
func TestMain(m *testing.M) {
	testscript.Main(withHydra{m}, map[string]func(){"tokenos": main, "tamper": tamper})
}

// withHydra stops the shared Hydra after the tests.
type withHydra struct{ m *testing.M }

func (w withHydra) Run() int { return hydratest.Main(w.m) }

// tamper runs a statement on an SQLite file behind everyone's back:
// tamper FILE STATEMENT.
func tamper() {
	db, err := sql.Open("sqlite", "file:"+os.Args[1]+"?_pragma=busy_timeout(5000)")
	if err == nil {
		_, err = db.ExecContext(context.Background(), os.Args[2])
	}
	if err = errors.Join(err, db.Close()); err != nil {
		fmt.Fprintln(os.Stderr, "tamper:", err)
		os.Exit(1)
	}
}

// The scripts in testdata are the manual of the command line, and it is true.
// They find a running Hydra at $HYDRA_ADMIN and $HYDRA_PUBLIC, a free port in
// $OPS_PORT, and what tokenos dev -o json wrote, one server for all of them, in
// dev.json: a script has owners of its own there.
func TestManual(t *testing.T) {
	h := hydratest.Shared(t)
	c, info := dev(t, nil, append(freePorts, "--memory")...)
	shown := shownScripts(t)
	shown["dev.json"] = c.stdout.String()
	testscript.RunT(oneByOne{t}, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			port, err := hydradev.FreePort()
			e.Setenv("HYDRA_ADMIN", h.AdminURL())
			e.Setenv("HYDRA_PUBLIC", h.PublicURL())
			e.Setenv("OPS_PORT", strconv.Itoa(port))
			e.Setenv("API", info.APIURL)
			e.Setenv("TOKEN", info.ManagementToken)
			e.Setenv("TOKEN_URL", info.TokenURL)
			e.Setenv("ISSUER", info.HydraPublicURL)
			e.Setenv("GORACE", os.Getenv("GORACE")) // the Makefile's, under the race detector
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			for name, text := range shown {
				err = errors.Join(err, os.WriteFile(filepath.Join(e.WorkDir, name), []byte(text), 0o600))
			}
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "await": await, "expand": expand, "kid": kid,
			"remember": remember, "enrol": enrol, "sign": sign, "buys": buys},
	})
}

// shownScripts are the scripts of the README and of the tour of the command line,
// by the names of their files.
func shownScripts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, at := range map[string]string{"first key": "README.md", "tour": "docs/cli.md", "ci": "docs/cli.md", "leak": "docs/cli.md"} {
		raw, err := os.ReadFile(filepath.Join("..", "..", at))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(raw), "<!-- run "+name+" -->\n```sh\n")
		text, _, ended := strings.Cut(rest, "```\n<!-- /run -->")
		if !found || !ended {
			t.Fatalf("%s does not show the script %q", at, name)
		}
		out[strings.TrimSuffix(name, " key")+".sh"] = text
	}
	return out
}

// oneByOne runs the scripts one after the other: they share one Hydra on SQLite,
// which answers some writers that come at once with "database is locked".
type oneByOne struct{ *testing.T }

func (oneByOne) Parallel()     {}
func (oneByOne) Verbose() bool { return testing.Verbose() }
func (o oneByOne) Run(name string, f func(testscript.T)) {
	o.T.Run(name, func(t *testing.T) { f(oneByOne{t}) })
}

// exits runs a program and wants its exit code: exits CODE PROGRAM ARGUMENT...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// await asks an address until it answers with a status: await STATUS URL
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await STATUS URL")
	}
	if err := until(context.Background(), func(ctx context.Context) error {
		if got := statusOf(ctx, args[1]); args[0] != strconv.Itoa(got) {
			return fmt.Errorf("%s answers %d, want %s", args[1], got, args[0])
		}
		return nil
	}); err != nil {
		ts.Fatalf("%v", err)
	}
}

// statusOf is the status that a GET gets, 0 for no answer.
func statusOf(ctx context.Context, url string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// expand replaces $NAMES in files by the script's variables: expand FILE...
func expand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// remember keeps what the last program wrote, one line, in a variable:
// remember NAME
func remember(ts *testscript.TestScript, neg bool, args []string) {
	text := strings.TrimSpace(ts.ReadFile("stdout"))
	if neg || len(args) != 1 || text == "" || strings.Contains(text, "\n") {
		ts.Fatalf("usage: remember NAME, after one line on stdout")
	}
	ts.Setenv(args[0], text)
}

// kid puts the line in a file into $KID: kid FILE.
func kid(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: kid FILE")
	}
	ts.Setenv("KID", strings.TrimSpace(ts.ReadFile(args[0])))
}

// patience is for what takes a moment, on a machine with much else to do.
const patience = time.Minute

// until tries again and again, and returns the last error when patience ends.
func until(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("in vain for %s: %w", patience, err)
		}
	}
}

// eventually is until in a test.
func eventually(t *testing.T, try func(context.Context) error) {
	t.Helper()
	if err := until(t.Context(), try); err != nil {
		t.Fatal(err)
	}
}

// lines splits a text into its lines, without the end of the last.
func lines(text string) []string { return strings.Split(strings.TrimSuffix(text, "\n"), "\n") }
