package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenos/tokenos/scan"
)

// writeFindings is for people: a line for each, which begins as editors and
// terminals know places.
func (p program) writeFindings(s *scan.Search, _ int) error {
	found := s.Findings()
	if len(found) == 0 {
		return nil
	}
	t := grid{heading: []string{"PLACE", "FOUND", "KEY", "FINGERPRINT"}}
	committed := slices.ContainsFunc(found, func(f scan.Finding) bool { return f.Commit != "" })
	if committed {
		t.heading = append(t.heading, "COMMIT")
	}
	for _, f := range found {
		what := f.Redacted
		if f.Encoding != "" {
			what += " in " + string(f.Encoding)
		}
		row := []string{placeOf(f), what, or(f.ID, "-"), f.Fingerprint}
		if committed {
			row = append(row, or(f.Commit, "-"))
		}
		t.add(row...)
	}
	return t.write(p.stdout, false)
}

func placeOf(f scan.Finding) string {
	path := strings.ToValidUTF8(f.Path, "?") // names of files need not be text
	switch f.Part {
	case scan.InName:
		return path + " (its name)"
	case scan.InMessage:
		return strings.TrimSpace(path + " (message)")
	}
	return fmt.Sprintf("%s:%d:%d", path, f.Line, f.Column)
}

// writeFindingsJSON is for programs.
func (p program) writeFindingsJSON(s *scan.Search, unread int) error {
	objects, size := s.Seen()
	return writeJSON(p.stdout, map[string]any{
		"version": version(), "findings": append([]scan.Finding{}, s.Findings()...), "complete": unread == 0 && !s.Full(),
		"scanned": map[string]int64{"objects": objects, "bytes": size}, "unread": unread,
	})
}

// scanEnding tells on stderr what it comes to, and is nil if all is well.
func (p program) scanEnding(s *scan.Search, unread int, o scanOptions) error {
	if unread > maxUnread {
		fmt.Fprintf(p.stderr, "not read: %d more\n", unread-maxUnread)
	}
	if s.Full() {
		fmt.Fprintf(p.stderr, "only the first %d findings are told; there may be more\n", scan.MaxFindings)
	}
	found := s.Findings()
	secrets, ids := map[string]bool{}, map[string]bool{}
	for _, f := range found {
		if f.Kind == scan.Secret {
			secrets[f.Fingerprint] = true
		} else {
			ids[f.Fingerprint] = true
		}
	}
	switch {
	case len(secrets) > 0:
		err := fmt.Errorf("found in %s: %s", count(len(found), "place"), count(len(secrets), "secret"))
		if len(ids) > 0 {
			err = fmt.Errorf("%w, %s", err, count(len(ids), "id"))
		}
		return coded{withHint(err, "who can read it can use the key: rotate or revoke it first, then remove it (docs/scan.md)"), exitFailed}
	case len(ids) > 0:
		return coded{fmt.Errorf("found in %s: %s", count(len(found), "place"), count(len(ids), "id")), exitFailed}
	case unread > 0:
		return coded{withHint(errors.New("nothing found, but not everything could be read"), "what was not read, and why, stands above"), exitUsage}
	}
	fmt.Fprintf(p.stderr, "nothing found: %s looked at\n", o.amount(s))
	return nil
}

// amount says how much was looked at.
func (o scanOptions) amount(s *scan.Search) string {
	objects, size := s.Seen()
	what := "file"
	if o.git {
		what = "object"
	}
	return fmt.Sprintf("%s, %d bytes", count(objects, what), size)
}

// count writes a number of things.
func count[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
