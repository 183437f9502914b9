//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// freePorts lets dev choose.
var freePorts = []string{"--port", "0", "--hydra-public-port", "0", "--hydra-admin-port", "0"}

// dev starts tokenos dev -o json and waits until it is ready.
func dev(t *testing.T, env []string, args ...string) (*child, devInfo) {
	t.Helper()
	c := run(t, env, append([]string{"dev", "-o", "json"}, args...)...)
	c.says(&c.stdout, "\n")
	var info devInfo
	if err := json.Unmarshal([]byte(c.stdout.String()), &info); err != nil {
		t.Fatalf("stdout is not JSON: %v", err)
	}
	return c, info
}

// interrupt is Ctrl-C; it must end with exit code 0 and leave no process.
func interrupt(t *testing.T, c *child, info devInfo) {
	t.Helper()
	c.signal(os.Interrupt)
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d after Ctrl-C, want 0", code)
	}
	gone(t, info.HydraPID)
	for _, url := range []string{info.APIURL, info.HydraPublicURL, info.HydraAdminURL} {
		if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://")); err == nil {
			t.Errorf("somebody still listens at %s", url)
			_ = conn.Close()
		}
	}
}

// api is the REST API with the management token.
func (i devInfo) api(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{BaseURL: i.APIURL, Token: client.StaticToken(i.ManagementToken)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// healthy wants nothing to be wrong with what dev runs.
func healthy(t *testing.T, info devInfo) {
	t.Helper()
	d, err := info.api(t).Doctor(t.Context())
	if err != nil || d.Result != apikey.CheckPassed || len(d.Checks) != len(checks) {
		t.Errorf("doctor: %+v, %v", d, err)
	}
	for _, c := range d.Checks {
		if c.Result != passed && c.Name != "hydra_tables" {
			t.Errorf("check %+v", c)
		}
	}
}

func (i devInfo) create(t *testing.T, name string) apikey.Issued {
	t.Helper()
	issued, err := i.api(t).Create(t.Context(), apikey.CreateParams{Name: name, Owner: "acme", Scopes: []string{"orders:read"}})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func (i devInfo) buy(ctx context.Context, k apikey.Issued) (string, error) {
	return hydratest.Buy(ctx, hydratest.Purchase{TokenURL: i.TokenURL, ID: k.Key.ID, Secret: k.Secret.Reveal(), Scopes: []string{"orders:read"}})
}

// With -o json, dev prints one line of JSON on stdout, exactly these members,
// and nothing else there; --memory leaves no file; Ctrl-C leaves no process.
func TestDevJSON(t *testing.T) {
	tmp := t.TempDir()
	c, info := dev(t, []string{"TMPDIR=" + tmp}, append(freePorts, "--memory")...)
	if got := statusOf(t.Context(), info.APIURL+"/health/ready"); got != http.StatusOK {
		t.Errorf("readiness answers %d", got)
	}
	healthy(t, info)
	interrupt(t, c, info)
	if got := lines(c.stdout.String()); len(got) != 1 {
		t.Errorf("stdout has %d lines: %q", len(got), got)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(c.stdout.String()), &members); err != nil {
		t.Fatal(err)
	}
	want := []string{"api_url", "dashboard_url", "hydra_admin_url", "hydra_pid", "hydra_public_url", "management_client_id",
		"management_client_secret", "management_token", "pid", "token_url"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(members))); diff != "" {
		t.Errorf("members: -want +got\n%s", diff)
	}
	if info.PID != c.cmd.Process.Pid || info.TokenURL != info.HydraPublicURL+"/oauth2/token" || !strings.HasPrefix(info.DashboardURL, info.APIURL+"/sign-in/once/") {
		t.Errorf("pid %d of %d, token_url %s of %s, dashboard_url %q", info.PID, c.cmd.Process.Pid, info.TokenURL, info.HydraPublicURL, info.DashboardURL)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("--memory leaves %v (%v)", left, err)
	}
}

// Ports can be chosen, and the three curl lines that dev prints work when pasted
// into bash: they create a key, buy a token with it, and find it active.
func TestDevText(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("TOKENOS_TEST_REQUIRE") == "1" {
				t.Fatal(err)
			}
			t.Skipf("left out, the lines to paste: %v", err)
		}
	}
	var ports []string
	for range 3 {
		port, err := hydradev.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, fmt.Sprint(port))
	}
	c := run(t, nil, "dev", "--memory", "--port", ports[0], "--hydra-public-port", ports[1], "--hydra-admin-port", ports[2])
	c.says(&c.stdout, "/admin/oauth2/introspect")
	text := c.stdout.String()
	for _, want := range []string{"http://127.0.0.1:" + ports[0] + "/v1", "http://127.0.0.1:" + ports[1] + "/oauth2/token", "http://127.0.0.1:" + ports[2] + "\n", "management token  ory_at_", "Nothing is kept"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q", want)
		}
	}
	_, pasted, _ := strings.Cut(text, "Paste line by line:")
	bash := exec.CommandContext(t.Context(), "bash", "--norc")
	bash.Stdin = strings.NewReader(pasted)
	answers, err := bash.Output()
	if err != nil {
		t.Fatal(err)
	}
	checkPasted(t, answers)
	c.signal(os.Interrupt)
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if words := c.stderr.String(); words != "" {
		t.Errorf("stderr is not empty: %s", words)
	}
}

// checkPasted reads the answers of the three lines.
func checkPasted(t *testing.T, answers []byte) {
	t.Helper()
	var key struct {
		Key struct {
			ID string `json:"id"`
		} `json:"key"`
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	var found struct {
		Active   bool   `json:"active"`
		ClientID string `json:"client_id"`
	}
	all := json.NewDecoder(bytes.NewReader(answers))
	for _, into := range []any{&key, &token, &found} {
		if err := all.Decode(into); err != nil {
			t.Fatalf("%v in %s", err, answers)
		}
	}
	if !found.Active || found.ClientID != key.Key.ID || key.Key.ID == "" || token.AccessToken == "" {
		t.Errorf("the lines answer %s", answers)
	}
}

// State survives kill -9 of the parent, which takes Hydra down with it, and a
// restart: the same management key, and a key made before still works. The
// folder is private, and a second dev in it is told so.
func TestDevKeepsState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not yet there")
	args := append(freePorts, "--data-dir", dir)
	c, first := dev(t, nil, args...)
	issued := first.create(t, "made before the fall")
	checkPrivate(t, dir)

	second := run(t, nil, append([]string{"dev"}, args...)...)
	if code := second.exit(); code != exitFailed {
		t.Errorf("a second dev in the folder ends with %d", code)
	}
	want := fmt.Sprintf("error: the data folder %q is in use by another `tokenos dev`\nhint: %s\n", dir, otherDevHint)
	if diff := cmp.Diff(want, second.stderr.String()); diff != "" {
		t.Errorf("a second dev says: -want +got\n%s", diff)
	}

	c.signal(syscall.SIGKILL)
	c.exit()
	gone(t, first.HydraPID)

	for _, after := range []string{"kill -9", "Ctrl-C"} {
		start := time.Now()
		c, again := dev(t, nil, args...)
		t.Logf("ready %s after the start, after %s", time.Since(start).Round(time.Millisecond), after)
		if again.ManagementClientID != first.ManagementClientID || again.ManagementClientSecret != first.ManagementClientSecret {
			t.Errorf("after %s the management key is another", after)
		}
		token, err := again.buy(t.Context(), issued)
		if err != nil || !hydratest.Introspect(t, again.HydraAdminURL, token) {
			t.Errorf("after %s the key made before does not work: %v", after, err)
		}
		if _, err := again.api(t).Get(t.Context(), issued.Key.ID); err != nil {
			t.Errorf("after %s: %v", after, err)
		}
		interrupt(t, c, again)
	}
	checkPrivate(t, dir)
}

// checkPrivate wants folders with mode 0700 and files with 0600.
func checkPrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", path, got, want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A Hydra that dies is started again, and keys work as before.
func TestDevRestartsHydra(t *testing.T) {
	c, info := dev(t, nil, append(freePorts, "--data-dir", t.TempDir())...)
	before := info.create(t, "made before Hydra died")
	if err := syscall.Kill(info.HydraPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		_, err := info.buy(ctx, before)
		return err
	})
	if _, err := info.buy(t.Context(), info.create(t, "made after Hydra died")); err != nil {
		t.Errorf("a new key does not work: %v", err)
	}
	if words := c.stderr.String(); !strings.Contains(words, fmt.Sprintf("Hydra (process %d) ended by itself", info.HydraPID)) {
		t.Errorf("nobody was told: %s", words)
	}
	interrupt(t, c, info)
}
