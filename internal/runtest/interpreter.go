package runtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Interpreter runs programs of one language.
type Interpreter struct {
	Command []string // to which the program's file is added
	Dir     string   // working folder; "" for that of the program
	modules string   // becomes node_modules beside the program; "" for none

	runTime time.Duration // of one run; 0: three minutes, because the first of a Go program compiles it
}

// LeaveOut ends a test that cannot run here: it is skipped with words, or a
// failure if nothing may be left out. what names the suite, such as "the curl
// snippets".
func LeaveOut(t testing.TB, what, why string) {
	t.Helper()
	if os.Getenv("TOKENOS_TEST_REQUIRE") == "1" {
		t.Fatalf("%s cannot be tested: %s", what, why)
	}
	t.Skipf("left out, %s: %s", what, why)
}

// Tool returns the path of a program.
func Tool(t testing.TB, what, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		LeaveOut(t, what, name+" is missing: apt-get install "+strings.Replace(name, "node", "nodejs", 1))
	}
	return path
}

// Node finds Node 20 or newer, with the npm packages that are named.
func Node(t testing.TB, what string, packages ...string) Interpreter {
	t.Helper()
	node := Tool(t, what, "node")
	major, _, _ := strings.Cut(strings.TrimPrefix(say(t, node, "--version"), "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 20 {
		LeaveOut(t, what, "Node 20 or newer is needed, see https://nodejs.org/en/download")
	}
	out := Interpreter{Command: []string{node}}
	for _, name := range packages {
		out.modules = filepath.Join(npm(t, "clients"), "node_modules")
		if _, err := os.Stat(filepath.Join(out.modules, filepath.FromSlash(name))); err != nil {
			LeaveOut(t, what, name+" is missing: run tools/setup")
		}
	}
	return out
}

// Playwright finds what runs the tests of e2e/browser and the Chromium that they
// run in. Its Run takes the configuration for main.
func Playwright(t testing.TB, what string) (runner Interpreter, chromium string) {
	t.Helper()
	runner = Node(t, what)
	runner.modules = filepath.Join(npm(t, "browser"), "node_modules")
	cli := filepath.Join(runner.modules, "@playwright", "test", "cli.js")
	if _, err := os.Stat(cli); err != nil {
		LeaveOut(t, what, "@playwright/test is missing: run tools/setup")
	}
	runner.Command = append(runner.Command, cli, "test", "--config")
	runner.runTime = 10 * time.Minute
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return runner, path
		}
	}
	LeaveOut(t, what, "chromium is missing: apt-get install chromium")
	return runner, ""
}

// npm is the folder into which tools/setup installs npm's packages, by the lock
// file of a folder of e2e.
func npm(t testing.TB, folder string) string {
	t.Helper()
	lock, err := os.ReadFile(Path("e2e", folder, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(home, ".cache") // as in tools/setup, on every system
	}
	return filepath.Join(cache, "tokenos", fmt.Sprintf("npm-%.6x", sha256.Sum256(lock)))
}

// Path is a path in the repository.
func Path(elements ...string) string {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	return filepath.Join(append([]string{root}, elements...)...)
}

// Python takes the first Python 3.9 or newer that has the modules: Debian's
// packages belong to Debian's own Python, which need not be the first one. debian
// names the package to install.
func Python(t testing.TB, what, debian string, modules ...string) Interpreter {
	t.Helper()
	needs := "import ssl, sys; assert sys.version_info >= (3, 9)"
	for _, m := range modules {
		needs += "; import " + m
	}
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err = exec.CommandContext(ctx, path, "-c", needs).Run()
		cancel()
		if err == nil {
			return Interpreter{Command: []string{path}}
		}
	}
	LeaveOut(t, what, "Python 3.9 with what it needs is missing: apt-get install "+debian)
	return Interpreter{}
}

func say(t testing.TB, command string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, command, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(string(out))
}
