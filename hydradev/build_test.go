//go:build unix

package hydradev

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fakeGo stands for the Go toolchain where the real one would take minutes. It
// notes each call in calls, then runs body with $out set to the file to make.
func fakeGo(t *testing.T, body string) (calls string) {
	t.Helper()
	dir := t.TempDir()
	calls = filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho \"$@\" >>'" + calls + "'\n" +
		"while [ $# -gt 0 ]; do [ \"$1\" = -o ] && out=$2; shift; done\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	t.Setenv(EnvBinary, "")
	return calls
}

// makesHydra makes something that runs.
const makesHydra = `printf '#!/bin/sh\necho hydra\n' >"$out"`

// callsOf counts the calls of a fake toolchain.
func callsOf(t *testing.T, calls string) int {
	t.Helper()
	b, err := os.ReadFile(calls)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

// builderIn is a builder with a cache of its own and quick signs of life.
func builderIn(t *testing.T, cache string, progress *record) builder {
	t.Helper()
	dir, err := cacheFolder(cache)
	if err != nil {
		t.Fatal(err)
	}
	return builder{dir: dir, bin: filepath.Join(dir, "hydra"), progress: progress, every: 5 * time.Millisecond}
}

// A build shows its start, that it lives, what it counts, and its end; and not
// the compiler's output.
func TestBuildShowsThatItLives(t *testing.T) {
	fakeGo(t, `echo "go: downloading example.test/a v1" >&2
echo "go: downloading example.test/b v1" >&2
echo example.test/a >&2
sleep 0.3
`+makesHydra)
	log := &record{}
	b := builderIn(t, t.TempDir(), log)
	if err := b.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(got) < 3 {
		t.Fatalf("too few lines: %q", got)
	}
	if want := "Building Ory Hydra v2.3.0 (first time only, one to three minutes)"; got[0] != want {
		t.Errorf("first line %q, want %q", got[0], want)
	}
	if want := "  0s: 2 modules downloaded, 1 packages compiled of about 820"; got[len(got)-2] != want {
		t.Errorf("sign of life %q, want %q", got[len(got)-2], want)
	}
	if want := "Built Ory Hydra v2.3.0 in 0s"; got[len(got)-1] != want {
		t.Errorf("last line %q, want %q", got[len(got)-1], want)
	}
	if signOfLife > 5*time.Second {
		t.Errorf("a sign of life only each %s", signOfLife)
	}
}

// A binary that is there is used without starting the Go toolchain, and in the
// order that is promised.
func TestNothingIsBuiltTwice(t *testing.T) {
	calls := fakeGo(t, makesHydra)
	cache := t.TempDir()
	first, err := Binary(t.Context(), BinaryConfig{CacheDir: cache})
	if err != nil {
		t.Fatal(err)
	}
	log := &record{}
	second, err := Binary(t.Context(), BinaryConfig{CacheDir: cache, Progress: log})
	if err != nil || second != first {
		t.Errorf("got %q, %v, want %q", second, err, first)
	}
	if n := callsOf(t, calls); n != 1 {
		t.Errorf("the toolchain ran %d times, want once", n)
	}
	if log.String() != "" {
		t.Errorf("words about nothing: %q", log)
	}
	t.Setenv(EnvBinary, "/bin/sh")
	if got, err := Binary(t.Context(), BinaryConfig{CacheDir: cache}); err != nil || got != "/bin/sh" {
		t.Errorf("by the environment: got %q, %v", got, err)
	}
	if got, err := Binary(t.Context(), BinaryConfig{Path: first, CacheDir: cache}); err != nil || got != first {
		t.Errorf("by path: got %q, %v", got, err)
	}
	t.Setenv(EnvBinary, "/no/such")
	if _, err := Binary(t.Context(), BinaryConfig{CacheDir: cache}); err == nil || !strings.Contains(err.Error(), `TOKENOS_HYDRA_BINARY "/no/such" cannot be run`) {
		t.Errorf("a wrong environment: got %v", err)
	}
}

// Of eight builders at once one builds, and all get the binary.
func TestBuildersWaitForEachOther(t *testing.T) {
	calls := fakeGo(t, "sleep 0.3\n"+makesHydra)
	cache := t.TempDir()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			bin, err := Binary(context.Background(), BinaryConfig{CacheDir: cache})
			if err != nil || !runnable(bin) {
				t.Errorf("got %q, %v", bin, err)
			}
		})
	}
	all.Wait()
	if n := callsOf(t, calls); n != 1 {
		t.Errorf("the toolchain ran %d times, want once", n)
	}
}

// Who waits for another builder hears so, and may give up.
func TestWaitingBuilderSpeaksAndObeys(t *testing.T) {
	calls := fakeGo(t, "sleep 600")
	cache := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := Binary(ctx, BinaryConfig{CacheDir: cache})
		first <- err
	}()
	eventually(t, "the first builds", func() bool { return callsOf(t, calls) == 1 })
	log := &record{}
	brief, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	err := builderIn(t, cache, log).build(brief)
	if err == nil || !strings.HasPrefix(log.String(), "Another process is building Ory Hydra") || !strings.Contains(log.String(), "still waiting") {
		t.Errorf("got %v after %q", err, log)
	}
	cancel()
	if err := <-first; err == nil {
		t.Error("a cancelled build succeeded")
	}
}

// A failed or cancelled build leaves nothing that passes for a binary, says why
// with the end of the output, and the next one succeeds.
func TestFailedBuildLeavesNothing(t *testing.T) {
	cache := t.TempDir()
	for name, body := range map[string]string{
		"the build fails":      "echo half >\"$out\"\necho 'x.go:1: no such thing' >&2\nexit 1",
		"the result can't run": "printf '#!/bin/sh\\necho no such thing\\nexit 1\\n' >\"$out\"",
	} {
		fakeGo(t, body)
		b := builderIn(t, cache, &record{})
		err := b.build(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no such thing") {
			t.Errorf("%s: got %v", name, err)
		}
		if runnable(b.bin) {
			t.Errorf("%s: a binary is there", name)
		}
	}
	calls := fakeGo(t, "echo half >\"$out\"\nsleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- builderIn(t, cache, &record{}).build(ctx) }()
	eventually(t, "the build runs", func() bool { return callsOf(t, calls) == 1 })
	cancel()
	if err := <-done; err == nil {
		t.Error("a cancelled build succeeded")
	}
	b := builderIn(t, cache, &record{})
	if runnable(b.bin) {
		t.Error("a cancelled build left a binary")
	}
	fakeGo(t, makesHydra)
	if err := b.build(t.Context()); err != nil || !runnable(b.bin) {
		t.Errorf("the next build: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(b.dir, "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Without a toolchain, or with a cache that cannot be written, one sentence says
// what to do.
func TestBuildSaysWhatIsMissing(t *testing.T) {
	fakeGo(t, makesHydra)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Binary(t.Context(), BinaryConfig{CacheDir: filepath.Join(file, "cache")})
	if err == nil || !strings.Contains(err.Error(), "cannot be written (not a directory): make it writable, or name a Hydra binary by --hydra or TOKENOS_HYDRA_BINARY") {
		t.Errorf("unwritable cache: got %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	_, err = Binary(t.Context(), BinaryConfig{CacheDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "install Go (https://go.dev/dl), or name a Hydra binary by --hydra or TOKENOS_HYDRA_BINARY") {
		t.Errorf("no toolchain: got %v", err)
	}
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	if _, err = Binary(t.Context(), BinaryConfig{}); err == nil || !strings.Contains(err.Error(), "set HOME or XDG_CACHE_HOME") {
		t.Errorf("no cache folder: got %v", err)
	}
}

// The embedded sources build with the real toolchain, also when the user's
// environment asks for another platform and for other flags, and the result is a
// Hydra that works.
func TestRealBuild(t *testing.T) {
	t.Setenv(EnvBinary, "")
	t.Setenv("GOOS", "plan9")
	t.Setenv("GOFLAGS", "-mod=vendor")
	bin, err := Binary(t.Context(), BinaryConfig{CacheDir: t.TempDir(), Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Binary: bin})
	if status, body := call(t, "GET", s.AdminURL()+"/version", ""); status != 200 || !strings.Contains(string(body), Version) {
		t.Errorf("version: got %d %s", status, body)
	}
}
