package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"

	"golang.org/x/term"
)

// errDeclined is a person's no.
var errDeclined = errors.New("not confirmed; nothing was changed")

// plain is text that does nothing to a terminal: what moves the cursor, colours,
// or turns the direction of writing stands there as what it is, as JSON escapes
// it. Line ends stay.
func plain(s string) string {
	return escaped(s, func(r rune) string { // as JSON writes it
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	})
}

// escaped is s with its unsafe characters as JSON and YAML escape them in quotation
// marks; wide is for those beyond the first 65,536, where the two differ.
func escaped(s string, wide func(rune) string) string {
	if !strings.ContainsFunc(s, unsafeRune) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case !unsafeRune(r):
			b.WriteRune(r)
		case r > 0xffff:
			b.WriteString(wide(r))
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func unsafeRune(r rune) bool {
	return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029')
}

// source is plain text that keeps its tabs: Go's source is indented by them.
func source(s string) string {
	parts := strings.Split(s, "\t")
	for i, part := range parts {
		parts[i] = plain(part)
	}
	return strings.Join(parts, "\t")
}

// cell is plain text in one line.
func cell(s string) string { return strings.ReplaceAll(plain(s), "\n", `\n`) }

// interactive reports whether a person can be asked: stdin and stderr are
// terminals.
func (p program) interactive() bool {
	in, ok := p.stdin.(*os.File)
	out, also := p.stderr.(*os.File)
	return ok && also && term.IsTerminal(int(in.Fd())) && term.IsTerminal(int(out.Fd()))
}

// askable fails if there is nobody to ask, and says that --yes answers for
// scripts.
func (p program) askable(yes bool) error {
	if yes || p.interactive() {
		return nil
	}
	return usagef("this needs a yes, and there is no terminal to ask at: add --yes")
}

// confirm asks a person on stderr.
func (p program) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if err := p.askable(yes); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "%s [y/N] ", plain(question))
	line, err := p.line(ctx)
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errDeclined
}

// line reads one line of stdin. Ctrl-C ends the wait.
func (p program) line(ctx context.Context) (string, error) {
	return within(ctx, func() (string, error) {
		line, err := bufio.NewReader(io.LimitReader(p.stdin, maxStdin)).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return line, err
	})
}

// hidden asks for a line that is not shown while it is typed.
func (p program) hidden(ctx context.Context, question string) (string, error) {
	in, ok := p.stdin.(*os.File)
	if !ok {
		return "", errors.New("stdin is not a terminal")
	}
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err == nil {
		err = hush(fd) // before it is asked, because a program answers at once
	}
	if err != nil {
		return "", fmt.Errorf("ask at the terminal: %w", err)
	}
	defer func() { // also after Ctrl-C
		_ = term.Restore(fd, before)
		fmt.Fprintln(p.stderr)
	}()
	fmt.Fprint(p.stderr, question)
	return within(ctx, func() (string, error) {
		b, err := term.ReadPassword(fd)
		return string(b), err
	})
}

// within waits for f no longer than ctx lives. f may go on: the program ends soon.
func within(ctx context.Context, f func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := f()
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-done:
		return r.text, r.err
	}
}

// maxStdin bounds what is read from stdin, in bytes.
const maxStdin = 1 << 20

// piped reads stdin whole, at most maxStdin.
func (p program) piped(ctx context.Context) (string, error) {
	return within(ctx, func() (string, error) {
		if p.stdin == nil {
			return "", nil
		}
		b, err := io.ReadAll(io.LimitReader(p.stdin, maxStdin+1))
		if err == nil && len(b) > maxStdin {
			err = errors.New("more than 1 MiB on stdin")
		}
		return string(b), err
	})
}

// variable is an environment variable, "" if it is not set.
func (p program) variable(name string) string {
	for i := len(p.env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(p.env[i], name+"="); ok {
			return value
		}
	}
	return ""
}
