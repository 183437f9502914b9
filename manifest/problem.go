package manifest

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with a document: where, what, and how to mend it. It
// never repeats a value.
type Problem struct {
	File   string
	Line   int    // 0: the file as a whole
	Member string // path of the member, "": none
	Detail string
	Fix    string
}

func (p Problem) String() string {
	at := p.File
	if p.Line > 0 {
		at += fmt.Sprintf(":%d", p.Line)
	}
	text := strings.TrimLeft(p.Member+" "+p.Detail, " ")
	if p.Fix != "" {
		text += "; " + p.Fix
	}
	return at + ": " + text
}

// Error lists everything that is wrong with documents, by file and line, the
// first hundred.
type Error struct {
	Problems []Problem
	More     int // beyond those
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.More))
	}
	return strings.Join(lines, "\n")
}

func (e *Error) add(p Problem) {
	if len(e.Problems) >= maxProblems {
		e.More++
		return
	}
	e.Problems = append(e.Problems, p)
}

func (e *Error) orNil() error {
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// nearest is the known name that was probably meant, "" if none is near.
func nearest(name string, known []string) string {
	best, most := "", 3
	for _, k := range known {
		if d := distance(name, k); d < most && d < len(k)/2+1 {
			best, most = k, d
		}
	}
	return best
}

// distance is how many letters to put in, leave out or exchange (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// quoted lists names for people.
func quoted(names []string) string {
	return strings.Join(slices.Sorted(slices.Values(names)), ", ")
}
