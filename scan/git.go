package scan

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// ErrNoGit says that there is no program git.
var ErrNoGit = errors.New("git is not installed, or not in PATH")

// History looks through everything in the repository that dir is in which any of
// its refs leads to, and its index: contents of files, their names, messages of
// commits and tags. It reads what is in this clone, never from a remote. One
// secret in one path is one finding, however many versions of it there are, and
// names the oldest commit.
//
// It fails with ctx, with [ErrNoGit], and in git's words if there is no repository.
// That this clone does not have the whole history, or that git stumbles over it,
// goes to Unread.
func (s *Search) History(ctx context.Context, dir string) error {
	program, err := exec.LookPath("git")
	if err != nil {
		return fmt.Errorf("scan: %w", ErrNoGit)
	}
	g := repository{program, dir}
	shallow, err := g.say(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil {
		return err
	}
	if strings.TrimSpace(shallow) == "true" {
		s.unread(dir, errors.New("a shallow clone: the history before its first commit is not here (git fetch --unshallow)"))
	}
	first := len(s.found)
	if err := s.everyObject(ctx, g); ctx.Err() == nil && s.unlessFull(err) != nil {
		s.unread(dir, err)
	}
	var born map[string]origin
	if len(s.found) > first && ctx.Err() == nil {
		if born, err = g.origins(ctx, s.found[first:]); err != nil {
			s.unread(dir, err)
		}
	}
	s.found = append(s.found[:first], oldest(s.found[first:], born)...)
	return ctx.Err()
}

// repository runs git in a folder.
type repository struct{ program, dir string }

// command is git with arguments that we wrote: no setting of the user or the
// repository makes it run another program, ask a person, or use a network.
func (g repository) command(ctx context.Context, args ...string) *exec.Cmd {
	args = append([]string{"--no-pager", "--no-replace-objects", "-C", g.dir, "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", "diff.relative=false"}, args...)
	c := exec.CommandContext(ctx, g.program, args...)
	c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { // which a hook of another repository may have
		return strings.HasPrefix(v, "GIT_DIR=") || strings.HasPrefix(v, "GIT_WORK_TREE=")
	})
	c.Env = append(c.Env, "GIT_ALLOW_PROTOCOL=none", "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	c.Stderr = &words{}
	return c
}

// words keeps the beginning of what git says on stderr.
type words struct{ bytes.Buffer }

func (w *words) Write(p []byte) (int, error) {
	_, _ = w.Buffer.Write(p[:min(len(p), 1024-min(w.Len(), 1024))])
	return len(p), nil
}

// explain makes git's words the error.
func explain(ctx context.Context, c *exec.Cmd, err error) error {
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	said, _, _ := strings.Cut(strings.TrimSpace(c.Stderr.(*words).String()), "\n")
	if said == "" {
		said = err.Error()
	}
	said = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?' // for a terminal it may mean more
		}
		return r
	}, Redact(strings.TrimPrefix(said, "fatal: ")))
	return fmt.Errorf("scan: git: %s", said)
}

// say runs git for its answer, which is short.
func (g repository) say(ctx context.Context, args ...string) (string, error) {
	c := g.command(ctx, args...)
	var out words
	c.Stdout = &out
	err := c.Run()
	return out.String(), explain(ctx, c, err)
}

// everyObject scans each object once, newest first.
func (s *Search) everyObject(ctx context.Context, g repository) error {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	list := g.command(within, "rev-list", "--objects", "--all", "--indexed-objects", "--missing=print")
	names, err := list.StdoutPipe()
	if err != nil {
		return fmt.Errorf("scan: git: %w", err)
	}
	cat := g.command(within, "cat-file", "--buffer", "--batch=%(objectname) %(objecttype) %(objectsize) %(rest)")
	cat.Stdin = names // a file: git reads from git
	objects, err := cat.StdoutPipe()
	if err != nil {
		return fmt.Errorf("scan: git: %w", err)
	}
	if err := list.Start(); err != nil {
		return fmt.Errorf("scan: git: %w", err)
	}
	read := cat.Start()
	names.Close() // so that only git has it, and the list ends if git does
	if read == nil {
		var missing int
		missing, read = s.batch(ctx, bufio.NewReaderSize(objects, 64<<10))
		if missing > 0 {
			s.unread(g.dir, fmt.Errorf("%d of the history's objects are not in this clone", missing))
		}
	}
	if read != nil {
		cancel()
	}
	ended := errors.Join(explain(ctx, cat, cat.Wait()), explain(ctx, list, list.Wait()))
	if ended == nil || s.stop(ctx) != nil {
		return read
	}
	return ended
}

// batch reads what git cat-file --batch writes: a line about each object, then the
// object and a line end (git-cat-file, BATCH OUTPUT). It counts objects that are not
// there.
func (s *Search) batch(ctx context.Context, r *bufio.Reader) (missing int, err error) {
	for {
		line, err := readTo(r, '\n')
		if errors.Is(err, io.EOF) {
			return missing, nil
		}
		if err != nil {
			return missing, fmt.Errorf("scan: git: %w", err)
		}
		if fields := strings.Fields(line); len(fields) == 2 && fields[1] == "missing" {
			missing++
			continue
		}
		if err := s.object(ctx, line, r); err != nil {
			return missing, err
		}
	}
}

// readTo reads up to an end, which it leaves out, and drops what is more than r's
// buffer.
func readTo(r *bufio.Reader, end byte) (string, error) {
	start, err := r.ReadSlice(end)
	text := strings.TrimSuffix(string(start), string(end))
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.ReadSlice(end)
	}
	return text, err
}

// object scans one object, of which r has the content.
func (s *Search) object(ctx context.Context, line string, r *bufio.Reader) error {
	fields := strings.SplitN(line, " ", 4)
	if len(fields) < 4 {
		return errors.New("scan: git: cat-file answers in a form that is not known")
	}
	size, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return errors.New("scan: git: cat-file answers with a size that is none")
	}
	where := Finding{object: fields[0], Path: fields[3]}
	content := &io.LimitedReader{R: r, N: size}
	switch fields[1] {
	case "tree":
		err = s.tree(ctx, where, content)
	case "commit":
		where.Commit = fields[0]
		fallthrough
	case "tag":
		where.Part = InMessage
		fallthrough
	default:
		err = s.scan(ctx, where, content)
	}
	if err == nil {
		_, err = io.CopyN(io.Discard, r, content.N+1)
	}
	return err
}

// tree looks at the names in a folder. Each entry is a mode, a space, the name, a
// zero byte, and the object's id in binary.
func (s *Search) tree(ctx context.Context, where Finding, content io.Reader) error {
	s.objects.Add(1)
	r := bufio.NewReaderSize(content, 16<<10)
	for {
		entry, err := readTo(r, 0)
		if err != nil {
			return s.stop(ctx)
		}
		_, name, _ := strings.Cut(entry, " ")
		s.name(path.Join(where.Path, name))
		if _, err := r.Discard(len(where.object) / 2); err != nil {
			return s.stop(ctx)
		}
	}
}
