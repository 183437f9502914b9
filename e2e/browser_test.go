//go:build unix

package e2e_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/runtest"
)

// browserLinks is how many links the browser's tests may use up.
const browserLinks = 8

// picturesSpec is no test: it makes the pictures of the documentation, alone, and
// only if TOKENOS_DOCS_PICTURES names their folder.
const picturesSpec = "pictures"

// oneBrowser runs at a time: two would wait for each other, and for the processors.
var oneBrowser sync.Mutex

// The dashboard in a real browser: what people see and do, in both themes and on a
// narrow screen, without a fault of accessibility, a breach of its policy or a
// request to another origin. The tests are e2e/browser/*.spec.mjs, here those that
// `tokenos dev` serves. TOKENOS_TEST_BROWSER narrows them to the files that match a
// pattern (tools, k*); pictures of every page go to TOKENOS_TEST_PICTURES, if it
// names a folder.
func TestBrowser(t *testing.T) {
	t.Parallel()
	files := browserFiles(t, func(spec string) bool {
		return spec != ownersSpec && (spec == picturesSpec) == (os.Getenv("TOKENOS_DOCS_PICTURES") != "")
	})
	runner, chromium := runtest.Playwright(t, "the dashboard in a browser")
	oneBrowser.Lock()
	defer oneBrowser.Unlock()
	folder := t.TempDir()
	program := build(t, "cmd/tokenos")
	dev, links := startDev(t, program, folder)
	browse(t, runner, files, "TOKENOS_CHROMIUM="+chromium, "TOKENOS_DEV="+string(dev), "TOKENOS_LINKS="+links, "TOKENOS_TAMPER="+tamper(t, folder), "TOKENOS_PROGRAM="+program)
}

// browse runs the files in the browser.
func browse(t *testing.T, runner runtest.Interpreter, files map[string]string, env ...string) {
	t.Helper()
	out, errOut, err := runner.Run(t, files, "playwright.config.mjs", append(env, "TOKENOS_BROWSER_OUTPUT="+t.TempDir())...)
	if err != nil {
		t.Errorf("%v\n%s%s", err, out, errOut)
	}
	t.Log(lastLine(out))
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

func address(t *testing.T, dev []byte) string {
	t.Helper()
	var info struct {
		APIURL string `json:"api_url"`
	}
	if err := json.Unmarshal(dev, &info); err != nil {
		t.Fatal(err)
	}
	return info.APIURL
}

// browserFiles are what the browser's tests consist of, by name. Of the specs they
// are those that are wanted; without one there is nothing to test.
func browserFiles(t *testing.T, wanted func(spec string) bool) map[string]string {
	t.Helper()
	found, err := filepath.Glob(runtest.Path("e2e", "browser", "*.mjs"))
	if err != nil || len(found) < 3 {
		t.Fatalf("found %v, %v", found, err)
	}
	out, specs := map[string]string{}, 0
	for _, path := range found {
		name := filepath.Base(path)
		if spec, is := strings.CutSuffix(name, ".spec.mjs"); is {
			if narrowed, err := filepath.Match(cmp.Or(os.Getenv("TOKENOS_TEST_BROWSER"), "*"), spec); err != nil || !narrowed || !wanted(spec) {
				continue
			}
			specs++
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(raw)
	}
	if specs == 0 {
		if os.Getenv("TOKENOS_TEST_REQUIRE") == "1" {
			t.Fatal("left out by TOKENOS_TEST_BROWSER")
		}
		t.Skip("left out by TOKENOS_TEST_BROWSER")
	}
	return out
}

var aLink = regexp.MustCompile(`http://\S+/sign-in/once/\S+`)

// tamper is an address at which a POST alters the newest event of the ledger in the
// folder, as somebody with access to the database could.
func tamper(t *testing.T, folder string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, "*", "ledger.db"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the ledger is one of %v, %v", found, err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		apikeytest.Alter(t, "sqlite://"+found[0], `UPDATE events SET payload = REPLACE(payload, '"principal":"', '"principal":"not ') WHERE id = (SELECT MAX(id) FROM events)`)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// startDev runs `tokenos dev` until the test ends, with its folder in that one, and
// has it print links.
func startDev(t *testing.T, program, folder string) (info []byte, links string) {
	t.Helper()
	cmd := exec.Command(program, "dev", "--memory", "-o", "json", "--port", "0", "--hydra-public-port", "0", "--hydra-admin-port", "0")
	cmd.Env = append(os.Environ(), "TMPDIR="+folder)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	printed := make(chan string, browserLinks)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if link := aLink.FindString(lines.Text()); link != "" {
				printed <- link
			} else {
				_, _ = io.WriteString(t.Output(), lines.Text()+"\n")
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("tokenos dev did not start: %v", err)
	}
	all := make([]string, 0, browserLinks)
	for range browserLinks {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address(t, line)+"/sign-in/link", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		all = append(all, <-printed)
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return line, string(raw)
}
