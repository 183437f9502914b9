package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/scan"
)

const (
	maxIgnoreFile = 1 << 20 // bytes
	maxUnread     = 100     // that are named one by one
)

// scanOptions are the flags of tokenos scan.
type scanOptions struct {
	git, ids           bool
	ignoreFile, output string
}

func (p program) scan() *cobra.Command {
	var o scanOptions
	c := &cobra.Command{
		Use:   "scan [PATH|-]...",
		Short: "Find secrets of keys in files, in a git history or on standard input",
		Long: "Find secrets of keys in files, in a git history or on standard input (-).\n\n" +
			"A secret of a key has a checksum, so what is found is real, and no network is\n" +
			"needed to tell. It is found in files of any kind and size, in base64 (as in an\n" +
			"Authorization header), and in percent-encoding. It is never printed: its last\n" +
			"four characters are, the id that stands nearest to it, which is most likely its\n" +
			"key's, and a fingerprint, which is the same wherever that secret is.\n\n" +
			"Without PATH it is the folder one is in. Links and folders .git are not followed.\n" +
			"With --git, PATH is a repository, and all is looked through that its refs and its\n" +
			"index lead to: every version of every file, names, messages of commits and tags.\n\n" +
			"Exit code 0 if nothing was found; 1 if something was; 2 if it was called wrongly,\n" +
			"or if nothing was found but something could not be read.",
		Args: func(_ *cobra.Command, args []string) error { return o.check(args) },
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"."}
			}
			return p.scanWith(c.Context(), args, o)
		},
	}
	c.Flags().BoolVar(&o.git, "git", false, "look through the history of the git repository at PATH; needs git")
	c.Flags().BoolVar(&o.ids, "ids", false, "find ids of keys, too, which are not secret")
	c.Flags().StringVar(&o.ignoreFile, "ignore-file", "", "file of fingerprints that are not reported, one in a line; # begins a comment")
	c.Flags().StringVarP(&o.output, "output", "o", "table", "table or json")
	return c
}

func (o scanOptions) check(args []string) error {
	switch {
	case slices.Contains(args, ""):
		return usagef("PATH must not be empty")
	case o.git && (len(args) > 1 || slices.Contains(args, "-")):
		return usagef("--git takes one repository")
	}
	return oneOf("output", o.output, "table", "json")
}

// scanWith looks through every path and writes what was found to stdout. The
// error is how the program is to end.
func (p program) scanWith(ctx context.Context, paths []string, o scanOptions) error {
	ignored, err := ignoredFingerprints(o.ignoreFile)
	if err != nil {
		return usageError{err}
	}
	unread := 0
	s := &scan.Search{IDs: o.ids, Ignore: ignored, Unread: func(path string, err error) {
		if unread++; unread <= maxUnread {
			fmt.Fprintf(p.stderr, "not read: %s: %s\n", cell(strings.ToValidUTF8(path, "?")), cell(err.Error()))
		}
	}}
	stop := p.busy(func(since time.Duration) string { return fmt.Sprintf("%s looked at in %s", o.amount(s), since) })
	defer stop()
	for _, path := range paths {
		if err := p.scanPath(ctx, s, path, o.git); err != nil {
			return err
		}
	}
	stop()
	write := p.writeFindings
	if o.output == "json" {
		write = p.writeFindingsJSON
	}
	if err := write(s, unread); err != nil {
		return err
	}
	return p.scanEnding(s, unread, o)
}

func (p program) scanPath(ctx context.Context, s *scan.Search, path string, git bool) error {
	switch {
	case git:
		err := s.History(ctx, path)
		if err != nil && ctx.Err() == nil {
			return coded{withHint(err, "without --git, files are looked through as they are now"), exitUsage}
		}
		return err
	case path == "-":
		in, done := interruptible(ctx, p.stdin)
		defer done()
		return s.Reader(ctx, path, in)
	}
	return s.Path(ctx, path)
}

// interruptible reads r until ctx is done, even while r, such as a terminal, keeps
// one waiting. A read that is under way then ends with the program.
func interruptible(ctx context.Context, r io.Reader) (in io.Reader, done func()) {
	out, into := io.Pipe()
	go func() {
		_, err := io.Copy(into, r)
		into.CloseWithError(err)
	}()
	stop := context.AfterFunc(ctx, func() { out.CloseWithError(ctx.Err()) })
	return out, func() {
		stop()
		out.CloseWithError(io.ErrClosedPipe)
	}
}

var fingerprintForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// ignoredFingerprints reads a file of them, none if it has no name. Its errors do
// not repeat a line: a secret may stand there by mistake.
func ignoredFingerprints(name string) (map[string]bool, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--ignore-file cannot be read: %w", reason(err))
	}
	defer f.Close() //nolint:errcheck // it was only read
	raw, err := io.ReadAll(io.LimitReader(f, maxIgnoreFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("--ignore-file cannot be read: %w", reason(err))
	case len(raw) > maxIgnoreFile:
		return nil, errors.New("--ignore-file must be 1 MiB at most")
	}
	out := map[string]bool{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text = strings.TrimSpace(text)
		switch {
		case fingerprintForm.MatchString(text):
			out[text] = true
		case text != "":
			return nil, fmt.Errorf("--ignore-file: line %d is not a fingerprint, which has 32 hexadecimal digits", n)
		}
	}
	return out, lines.Err()
}

// reason leaves out the path, which the caller knows and we have not looked at.
func reason(err error) error {
	if in, ok := errors.AsType[*os.PathError](err); ok {
		return in.Err
	}
	return err
}
