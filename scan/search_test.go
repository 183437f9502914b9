//go:build unix

package scan_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/scan"
)

// A folder is looked through with all that is below it, but for .git, links and
// what is no file.
func TestFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a/b/.env", "S="+secret)
	write(t, "a/empty", "")
	write(t, "a/.git/config", secret)
	write(t, "a/"+secret+"/"+secret+".txt", "nothing inside")
	write(t, "elsewhere/x", secret)
	for name, to := range map[string]string{"a/file": "../elsewhere/x", "a/folder": "../elsewhere", "a/nowhere": "../x", "link": "a"} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo("a/pipe", 0o600); err != nil { // who opens it waits for ever
		t.Fatal(err)
	}
	for _, root := range []string{"a", "./a/", "link"} {
		s, unread := search()
		if err := s.Path(t.Context(), root); err != nil {
			t.Fatal(err)
		}
		at := filepath.Clean(root)
		want := []string{
			at + "/b/.env:1:3 " + short(secret),
			"name " + at + "/" + short(secret) + ":0:0 " + short(secret),
			"name " + at + "/" + short(secret) + "/" + short(secret) + ".txt:0:0 " + short(secret),
		}
		if diff := cmp.Diff(want, told(s.Findings())); diff != "" || len(*unread) > 0 {
			t.Errorf("%s (-want +got):\n%sunread: %q", root, diff, *unread)
		}
		if objects, bytes := s.Seen(); objects != 3 || bytes != int64(len("S="+secret+"nothing inside")) {
			t.Errorf("%s: %d files, %d bytes", root, objects, bytes)
		}
	}
}

// What is named is read even if it is a link, in .git, or a pipe, and twice is once.
func TestNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".git/x", secret)
	if err := os.Symlink(".git/x", "link"); err != nil {
		t.Fatal(err)
	}
	s, unread := search()
	for _, path := range []string{"link", "./link", ".git", ".git/x"} {
		if err := s.Path(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Reader(t.Context(), "-", iotest.HalfReader(strings.NewReader("id\n"+secret))); err != nil {
		t.Fatal(err)
	}
	want := []string{"link:1:1 " + short(secret), ".git/x:1:1 " + short(secret), "-:2:1 " + short(secret)}
	if diff := cmp.Diff(want, told(s.Findings())); diff != "" || len(*unread) > 0 {
		t.Errorf("(-want +got):\n%sunread: %q", diff, *unread)
	}
}

// What cannot be read is told without a secret that its name holds, and the search
// goes on.
func TestUnread(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "d/"+secret, "")
	write(t, "d/z", secret)
	closed := os.Geteuid() != 0 // whom no mode keeps out
	if closed {
		write(t, "d/closed/x", secret)
		for name, mode := range map[string]os.FileMode{"d/" + secret: 0, "d/closed": 0} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { _ = os.Chmod("d/closed", 0o700) })
	}
	s, unread := search()
	for _, path := range []string{"gone/" + secret, "d"} {
		if err := s.Path(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Reader(t.Context(), "-", io.MultiReader(strings.NewReader(secret), iotest.ErrReader(errors.New("torn")))); err != nil {
		t.Fatal(err)
	}
	want := []string{"gone/" + short(secret) + ": no such file or directory"}
	if closed {
		want = append(want, "d/closed: permission denied", "d/"+short(secret)+": permission denied")
	}
	if diff := cmp.Diff(append(want, "-: torn"), *unread); diff != "" {
		t.Errorf("unread (-want +got):\n%s", diff)
	}
	if got := s.Findings(); len(got) != 3 || s.Full() {
		t.Errorf("found %v", told(got))
	}
}

// A fingerprint to ignore is no finding, and neither takes room.
func TestIgnore(t *testing.T) {
	other := apikey.GenerateSecret().Reveal()
	s, _ := search()
	s.Ignore = map[string]bool{scanned(t, secret, false)[0].Fingerprint: true}
	text := strings.Repeat(secret+"\n", scan.MaxFindings+1) + other
	if err := s.Reader(t.Context(), "-", strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	if got := s.Findings(); len(got) != 1 || got[0].Redacted != short(other) || s.Full() {
		t.Errorf("found %v, full %t", told(got), s.Full())
	}
}

// A search ends when it has as many findings as are kept, and says so.
func TestFull(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "d/1", strings.Repeat(secret+"\n", scan.MaxFindings))
	write(t, "d/2", secret)
	write(t, "d/3", secret)
	s, _ := search()
	if err := s.Path(t.Context(), "d/1"); err != nil || s.Full() {
		t.Fatalf("just as many: full %t, %v", s.Full(), err)
	}
	if err := s.Path(t.Context(), "d"); err != nil || !s.Full() || len(s.Findings()) != scan.MaxFindings {
		t.Errorf("full %t, %d findings, %v", s.Full(), len(s.Findings()), err)
	}
	if objects, _ := s.Seen(); objects > 3 {
		t.Errorf("%d files were read", objects)
	}
	s, _ = search()
	if err := s.Reader(t.Context(), "-", again(secret)); err != nil || !s.Full() {
		t.Errorf("a stream without an end: full %t, %v", s.Full(), err)
	}
}

// again is a stream that says one thing again and again.
type again string

func (a again) Read(p []byte) (int, error) { return copy(p, a), nil }

// endless is a stream of one byte.
type endless struct{ cancel func() }

func (e endless) Read(p []byte) (int, error) {
	e.cancel()
	return len(p), nil
}

// A search ends with its context, within a file, too.
func TestSearchCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, unread := search()
	if err := s.Reader(ctx, "-", endless{cancel}); !errors.Is(err, context.Canceled) || len(*unread) > 0 {
		t.Errorf("got %v, unread %q", err, *unread)
	}
	if err := s.Path(ctx, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Secrets are cut out of a text, whatever they are wrapped in.
func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "",
		"plain/" + id:                     "plain/" + id,
		"a" + secret + "b" + secret + "/": "a" + short(secret) + "b" + short(secret) + "/",
		"q=" + escape(secret) + "&":       "q=" + short(secret) + "&",
		secret:                            short(secret),
	} {
		if got := scan.Redact(text); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
