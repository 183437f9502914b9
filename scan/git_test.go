package scan_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/runtest"
	"github.com/tokenos/tokenos/scan"
)

// repo is a git repository that a test writes.
type repo struct {
	t   *testing.T
	dir string
}

func newRepo(t *testing.T) repo {
	t.Helper()
	runtest.Tool(t, "the search of git histories", "git")
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(t.TempDir(), "none"))
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	r := repo{t, t.TempDir()}
	r.git("init", "-q", "-b", "main")
	r.git("config", "user.name", "Ada")
	r.git("config", "user.email", "ada@example.com")
	return r
}

func (r repo) git(args ...string) string {
	r.t.Helper()
	out, err := exec.CommandContext(r.t.Context(), "git", append([]string{"-C", r.dir}, args...)...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out))
}

// write puts a text into a file of the index.
func (r repo) write(name, text string) {
	r.t.Helper()
	write(r.t, filepath.Join(r.dir, name), text)
	r.git("add", "--", name)
}

// commit makes a commit and returns its id.
func (r repo) commit(message string) string {
	r.t.Helper()
	r.git("commit", "-q", "--allow-empty", "-m", message)
	return r.git("rev-parse", "HEAD")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// search is a Search that notes what it could not read.
func search() (s *scan.Search, unread *[]string) {
	unread = new([]string)
	return &scan.Search{Unread: func(path string, err error) { *unread = append(*unread, path+": "+err.Error()) }}, unread
}

// told is findings as lines.
func told(found []scan.Finding) (out []string) {
	for _, f := range found {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%.7s %s %s:%d:%d %s", f.Commit, f.Part, f.Path, f.Line, f.Column, f.Redacted)))
	}
	return out
}

// history is what a repository's history has.
func history(t *testing.T, dir string) ([]string, []string) {
	t.Helper()
	s, unread := search()
	if err := s.History(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return sorted(told(s.Findings())...), *unread
}

// sorted is lines in an order of their own: commits of one second have none.
func sorted(lines ...string) []string {
	slices.Sort(lines)
	return lines
}

// A secret that was committed is found after it was removed, changed around,
// renamed and merged, with the oldest commit that has it and where it is there,
// from any folder and with any settings.
func TestHistory(t *testing.T) {
	r := newRepo(t)
	r.commit("nothing yet")
	r.write("a b/\"käse\".env", "# new\nSECRET="+secret+"\n")
	first := r.commit("add it")
	r.write("a b/\"käse\".env", "SECRET="+secret+"\n")
	r.commit("change the file")
	r.git("mv", "a b/\"käse\".env", "other.env")
	r.commit("rename it")
	r.git("rm", "-q", "other.env")
	r.commit("remove it")
	r.git("checkout", "-q", "-b", "side", "HEAD~2")
	other := apikey.GenerateSecret().Reveal()
	r.write("side.txt", other)
	side := r.commit("on a branch")
	r.git("checkout", "-q", "main")
	r.write("main.txt", "nothing")
	r.commit("on main")
	r.git("merge", "-q", "--no-commit", "-s", "ours", "side")
	evil := apikey.GenerateSecret().Reveal()
	r.write("merged.txt", evil)
	merged := r.commit("merge")

	for _, setting := range []string{"color.ui=always", "diff.relative=true", "diff.noprefix=true", "log.showSignature=true", "log.showRoot=false", "core.quotePath=true"} {
		name, value, _ := strings.Cut(setting, "=")
		r.git("config", name, value)
	}
	write(t, filepath.Join(r.dir, "sub", "x"), "")
	got, unread := history(t, filepath.Join(r.dir, "sub"))
	want := sorted(
		merged[:7]+"  merged.txt:1:1 "+short(evil),
		side[:7]+"  side.txt:1:1 "+short(other),
		first[:7]+"  a b/\"käse\".env:2:8 "+short(secret),
	)
	if diff := cmp.Diff(want, got); diff != "" || len(unread) > 0 {
		t.Errorf("(-want +got):\n%sunread: %q", diff, unread)
	}
}

// What no commit has in a file is found as well: in messages, tags, names, the
// index, and on refs that are no branch.
func TestHistoryElsewhere(t *testing.T) {
	r := newRepo(t)
	inMessage := r.commit("log in with " + secret)
	r.write("d/"+secret+"/x", "")
	inName := r.commit("a name")
	r.git("rm", "-q", "-r", "d")
	r.commit("away")
	r.git("tag", "-a", "-m", "tagged with "+secret, "v1")
	r.write("stashed", secret)
	r.git("stash", "-q")
	stashed := r.git("rev-parse", "stash^2") // what was in the index
	r.write("staged", "x"+secret)

	got, _ := history(t, r.dir)
	want := sorted(
		"staged:1:2 "+short(secret),
		inMessage[:7]+" message :0:0 "+short(secret),
		"message v1:0:0 "+short(secret),
		stashed[:7]+"  stashed:1:1 "+short(secret),
		inName[:7]+" name d/"+short(secret)+":0:0 "+short(secret),
	)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A clone that lacks part of the history says so, and is not fetched from.
func TestHistoryInPart(t *testing.T) {
	r := newRepo(t)
	r.write("x", secret)
	r.commit("secret")
	r.git("rm", "-q", "x")
	r.commit("gone")
	r.git("config", "uploadpack.allowFilter", "true")
	for _, c := range []struct {
		option, want string
	}{
		{"--depth=1", "a shallow clone: the history before its first commit is not here (git fetch --unshallow)"},
		{"--filter=blob:none", "1 of the history's objects are not in this clone"},
	} {
		into := filepath.Join(t.TempDir(), "clone")
		r.git("clone", "-q", c.option, "file://"+r.dir, into)
		got, unread := history(t, into)
		if len(got) != 0 || len(unread) != 1 || !strings.HasSuffix(unread[0], ": "+c.want) {
			t.Errorf("%s: found %v, unread %q", c.option, got, unread)
		}
	}
}

// A repository that is damaged says so, and what was found so far is told.
func TestHistoryDamaged(t *testing.T) {
	r := newRepo(t)
	r.write("x", "to be damaged")
	r.commit(secret)
	object := r.git("rev-parse", "HEAD:x")
	path := filepath.Join(r.dir, ".git", "objects", object[:2], object[2:])
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "damaged")
	got, unread := history(t, r.dir)
	if len(got) != 1 || !strings.Contains(got[0], " message ") || len(unread) == 0 {
		t.Errorf("found %v, unread %q", got, unread)
	}
}

// What is no repository, and a machine without git, are errors that say so.
func TestNoHistory(t *testing.T) {
	newRepo(t) // for its environment
	s, _ := search()
	dir := filepath.Join(t.TempDir(), secret)
	err := s.History(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "scan: git: cannot change to") || strings.Contains(err.Error(), secret) {
		t.Errorf("no folder: %v", err)
	}
	if err := s.History(t.Context(), t.TempDir()); err == nil || !strings.HasPrefix(err.Error(), "scan: git: not a git repository") {
		t.Errorf("no repository: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.History(ctx, newRepo(t).dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if got, _ := history(t, newRepo(t).dir); got != nil {
		t.Errorf("an empty repository has %v", got)
	}
	t.Setenv("PATH", t.TempDir())
	if err := s.History(t.Context(), "."); !errors.Is(err, scan.ErrNoGit) {
		t.Errorf("without git: %v", err)
	}
}
