package scan

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// Search takes a [Scanner] through files, folders, streams and histories, and
// keeps up to [MaxFindings] of what they hold. The zero Search looks for secrets
// only. Its methods are for one goroutine but for [Search.Seen].
type Search struct {
	IDs    bool            // ids are findings, too
	Ignore map[string]bool // fingerprints that are none

	// Unread is told, by a redacted path, of what could not be read and is
	// therefore not known to hold nothing. Required.
	Unread func(path string, err error)

	found  []Finding
	twice  map[Finding]bool
	full   bool
	buffer []byte

	objects, bytes atomic.Int64
}

// errFull ends a search that has no more room.
var errFull = errors.New("scan: as many findings as are kept")

// Findings is what was found, in the order in which it was come upon.
func (s *Search) Findings() []Finding { return s.found }

// Full reports whether there may be more than the findings: the search ended
// early.
func (s *Search) Full() bool { return s.full }

// Seen is how many files or objects of git, and how many bytes, were looked at so
// far. Any goroutine may ask.
func (s *Search) Seen() (objects, bytes int64) { return s.objects.Load(), s.bytes.Load() }

// Reader looks through r, which the findings call by the path. It fails only with
// ctx.
func (s *Search) Reader(ctx context.Context, path string, r io.Reader) error {
	return s.unlessFull(s.content(ctx, path, r))
}

// Path looks through a file, or a folder and all that is in it. What it names may
// be a link or a pipe; below a folder neither is followed or read, and neither is
// a folder .git, which [Search.History] is for. It fails only with ctx.
func (s *Search) Path(ctx context.Context, path string) error {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		s.unread(path, err)
		return nil
	case info.IsDir():
		return s.unlessFull(s.folder(ctx, path))
	}
	s.name(path)
	return s.unlessFull(s.file(ctx, path))
}

// unlessFull takes having no more room for an end as good as any.
func (s *Search) unlessFull(err error) error {
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// stop is why a search goes no further, nil if it does.
func (s *Search) stop(ctx context.Context) error {
	if s.full {
		return errFull
	}
	return ctx.Err()
}

func (s *Search) folder(ctx context.Context, root string) error {
	// The separator makes a link that was named the folder that it leads to.
	root += string(filepath.Separator)
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if stop := s.stop(ctx); stop != nil {
			return stop
		}
		if err != nil { // of a folder that cannot be listed: the walk goes on behind it
			s.unread(path, err)
			return nil
		}
		if path != root {
			s.name(path)
		}
		switch {
		case d.IsDir() && d.Name() == ".git" && path != root:
			return fs.SkipDir
		case d.Type().IsRegular():
			return s.file(ctx, path)
		}
		return nil
	})
}

// file looks through a file, and says so if it cannot be read.
func (s *Search) file(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		s.unread(path, err)
		return nil
	}
	defer f.Close() //nolint:errcheck // it was only read
	return s.content(ctx, path, f)
}

// content scans what r has, as the content of the path.
func (s *Search) content(ctx context.Context, path string, r io.Reader) error {
	err := s.scan(ctx, Finding{Path: path}, r)
	if stop := s.stop(ctx); stop != nil {
		return stop
	}
	if err != nil {
		s.unread(path, err)
	}
	return nil
}

// scan keeps what r has as found where it is said.
func (s *Search) scan(ctx context.Context, where Finding, r io.Reader) error {
	if err := s.stop(ctx); err != nil {
		return err
	}
	if s.buffer == nil {
		s.buffer = make([]byte, 64<<10)
	}
	s.objects.Add(1)
	scanner := s.scanner()
	_, err := io.CopyBuffer(scanner, &counted{r, &s.bytes, func() error {
		if scanner.full {
			return errFull
		}
		return ctx.Err()
	}}, s.buffer)
	s.keep(scanner, where)
	if err == nil {
		err = s.stop(ctx)
	}
	return err
}

// name looks at the last name in a path, if it is long enough to hold anything.
func (s *Search) name(path string) {
	name := filepath.Base(path)
	if len(name) < idLen {
		return
	}
	scanner := s.scanner()
	_, _ = io.WriteString(scanner, name)
	s.keep(scanner, Finding{Path: path, Part: InName, object: named(path)})
}

// named stands for the object that a path is the name of, and does not tell it.
func named(path string) string { return "name " + fingerprint(path) }

func (s *Search) scanner() *Scanner {
	scanner := NewScanner(s.IDs, MaxFindings-len(s.found))
	scanner.ignore = s.Ignore
	return scanner
}

// keep takes over what a scanner found in a place, unless it is known.
func (s *Search) keep(scanner *Scanner, where Finding) {
	s.full = s.full || scanner.Full()
	if len(scanner.found) == 0 {
		return
	}
	if s.twice == nil {
		s.twice = map[Finding]bool{}
	}
	where.Path = Redact(where.Path)
	for _, f := range scanner.found {
		f.Path, f.Part, f.Commit, f.object = where.Path, where.Part, where.Commit, where.object
		if f.Part != "" {
			f.Line, f.Column, f.Offset = 0, 0, 0
			f.line, f.end, f.apart = 0, 0, 0
		}
		if !s.twice[f] {
			s.twice[f] = true
			s.found = append(s.found, f)
		}
	}
}

// unread tells of what could not be read. The errors of package os repeat the path.
func (s *Search) unread(path string, err error) {
	if in, ok := errors.AsType[*fs.PathError](err); ok {
		err = in.Err
	}
	s.Unread(Redact(path), err)
}

// counted counts what is read from r, until there is a reason to stop.
type counted struct {
	r     io.Reader
	bytes *atomic.Int64
	stop  func() error
}

func (c *counted) Read(p []byte) (int, error) {
	if err := c.stop(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// Redact replaces the secrets in a text, for example in the name of a file.
func Redact(text string) string {
	s := NewScanner(false, len(text)/secretLen)
	_, _ = io.WriteString(s, text)
	var b strings.Builder
	done := int64(0)
	for _, f := range s.found {
		if f.Offset >= done {
			b.WriteString(text[done:f.Offset] + f.Redacted)
			done = f.end
		}
	}
	return b.String() + text[done:]
}
