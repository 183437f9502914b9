package hydradev

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// call sends a request and returns the status and the body.
func call(t *testing.T, method, url, body string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := prober.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

// A started Hydra has ES256 keys, one for each kind of JWT, and makes no other when
// jwks.json is read.
func TestStartMakesTheSigningKeys(t *testing.T) {
	s := start(t, Config{})
	status, body := call(t, "GET", s.PublicURL()+"/.well-known/jwks.json", "")
	if status != 200 {
		t.Fatalf("jwks.json: got %d %s", status, body)
	}
	var set struct {
		Keys []struct{ Kid, Alg string }
	}
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range set.Keys {
		got = append(got, k.Kid+" "+k.Alg)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{SigningKeyID + " ES256", idTokenKeyID + " ES256"}, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// State survives a stop, the second start does not migrate and is ready in well
// under two seconds, in a folder whose name needs care in URLs and in YAML.
func TestSecondStartIsFast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b%41#?&: 'ü'")
	s := start(t, Config{Dir: dir})
	if status, body := call(t, "POST", s.AdminURL()+"/admin/clients", `{"client_id":"stays"}`); status != 201 {
		t.Fatalf("create a client: got %d %s", status, body)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(dir, migratedFile)
	before, err := os.Stat(mark)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s = start(t, Config{Dir: dir})
	t.Logf("second start: ready in %s", time.Since(began))
	after, err := os.Stat(mark)
	if err != nil {
		t.Fatal(err)
	}
	if !after.ModTime().Equal(before.ModTime()) {
		t.Error("the second start migrated again")
	}
	if status, body := call(t, "GET", s.AdminURL()+"/admin/clients/stays", ""); status != 200 {
		t.Errorf("the client after a restart: got %d %s", status, body)
	}
}

// A mark of a migration that did not happen (a restored or emptied file) does
// not stop Hydra: it is migrated after all.
func TestWrongMarkIsHealed(t *testing.T) {
	dir := t.TempDir()
	s := start(t, Config{Dir: dir})
	binary := s.binary
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(dir, databaseFile+end)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	// A database without tables, one page long.
	page := make([]byte, 4096)
	copy(page, "SQLite format 3\x00\x10\x00\x01\x01\x00\x40\x20\x20\x00\x00\x00\x01\x00\x00\x00\x01")
	page[47], page[59], page[100] = 4, 1, 13
	page[105], page[106] = 16, 0
	if err := os.WriteFile(filepath.Join(dir, databaseFile), page, 0o600); err != nil {
		t.Fatal(err)
	}
	if !(&folder{path: dir}).migrated(binary) {
		t.Fatal("the test's mark is not believed: it proves nothing")
	}
	s = start(t, Config{Dir: dir})
	if status, body := call(t, "GET", s.AdminURL()+"/admin/clients", ""); status != 200 {
		t.Errorf("list clients: got %d %s", status, body)
	}
}

// Nobody but the owner can read what is in the data folder, and the system
// secret is random and stays the same.
func TestDataFolderIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no file modes; the folder is private by the user's profile")
	}
	dir := filepath.Join(t.TempDir(), "data")
	s := start(t, Config{Dir: dir})
	first, err := os.ReadFile(filepath.Join(dir, secretFile))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, want 600", e.Name(), fi.Mode().Perm())
		}
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %v (%v), want 700", fi.Mode().Perm(), err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, Config{Dir: dir})
	second, err := os.ReadFile(filepath.Join(dir, secretFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 65 || !bytes.Equal(first, second) {
		t.Errorf("the system secret has %d bytes and stays the same: %v", len(first), bytes.Equal(first, second))
	}
}

// With Memory nothing is left after Stop, and Stop may be called again.
func TestMemoryLeavesNothing(t *testing.T) {
	s := start(t, Config{Memory: true})
	dir, pid := s.Dir(), s.PID()
	if _, err := os.Stat(filepath.Join(dir, databaseFile)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the temporary folder after Stop: %v", err)
	}
	if s.PID() != 0 {
		t.Errorf("process %d is said to be running as %d after Stop", pid, s.PID())
	}
	if err := s.Resume(t.Context()); err == nil {
		t.Error("a stopped server could be resumed")
	}
}

// What stands in the way of a start is said in one sentence with the way out.
func TestStartSaysWhatIsWrong(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	busy := t.TempDir()
	start(t, Config{Dir: busy})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"port in use", Config{Memory: true, AdminPort: taken}, fmt.Sprintf("admin port %d cannot be used on 127.0.0.1 (bind: address already in use): stop the program", taken)},
		{"folder in use", Config{Dir: busy}, "is in use by another Hydra of ours"},
		{"folder unwritable", Config{Dir: filepath.Join(file, "x")}, "cannot be written (not a directory): make it writable"},
		{"no folder", Config{}, "name a data folder, or choose memory"},
		{"both", Config{Dir: busy, Memory: true}, "not both"},
		{"equal ports", Config{Memory: true, PublicPort: 25000, AdminPort: 25000}, "both 25000"},
		{"no such port", Config{Memory: true, PublicPort: 65536}, "65536 is not between"},
		{"port by the back door", Config{Memory: true, Settings: map[string]any{"serve": nil}}, `setting "serve" would replace`},
		{"unknown setting", Config{Memory: true, Settings: map[string]any{"no.such": 1}}, "additionalProperties"},
		{"hook without host", Config{Memory: true, TokenHook: &TokenHook{URL: "/hook"}}, "absolute http or https URL"},
		{"no binary", Config{Memory: true, Binary: file}, "cannot be run: permission denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := Start(t.Context(), test.cfg)
			if err == nil {
				_ = s.Stop(context.Background())
				t.Fatalf("it started, want an error with %q", test.want)
			}
			if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "hydradev: ") {
				t.Errorf("got %q, want %q in it", err, test.want)
			}
		})
	}
}

// A start ends when its context does and leaves no process and no folder.
func TestStartObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	if _, err := Start(ctx, Config{Memory: true}); err == nil {
		t.Fatal("a cancelled start succeeded")
	}
	left, err := os.ReadDir(tmp)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 0 {
		t.Errorf("a cancelled start left %v", left)
	}
}

// A variable in our environment cannot change Hydra's settings.
func TestEnvironmentDoesNotReachHydra(t *testing.T) {
	t.Setenv("DSN", "postgres://nowhere.invalid/hydra")
	t.Setenv("SERVE_ADMIN_PORT", "1")
	start(t, Config{})
}
