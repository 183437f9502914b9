package config

import (
	"fmt"
	"slices"
	"strings"
)

// Most problems that one Error lists; a file of nonsense may have any number.
const maxProblems = 100

// Problem is one thing wrong with the configuration. It never holds a value.
type Problem struct {
	Key      string // "hydra.timeout", "previous_secrets[1]", a variable's or a file's name
	Source   string // "tokenos.yaml:12", "env TOKENOS_X", "flag --x", "default"; "" if there is none
	Expected string // what was expected, or what to do
}

// String returns "key (source): expected".
func (p Problem) String() string {
	if p.Source == "" {
		return p.Key + ": " + p.Expected
	}
	return fmt.Sprintf("%s (%s): %s", p.Key, p.Source, p.Expected)
}

// Error holds every problem that [Load] found, at least one, ordered by key as
// in [Config], what is not a key first.
type Error struct {
	Problems []Problem
	More     int // further problems that are not listed
}

// Error returns one line per problem, each beginning with "config: ".
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		lines = append(lines, "config: "+p.String())
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("config: and %d more problems", e.More))
	}
	return strings.Join(lines, "\n")
}

// add keeps p, or counts it when there are enough.
func (e *Error) add(p Problem) {
	if len(e.Problems) >= maxProblems {
		e.More++
		return
	}
	e.Problems = append(e.Problems, p)
}

// sort brings the problems into the order of the keys.
func (e *Error) sort() {
	rank := make(map[string]int, len(vars()))
	for i, v := range vars() {
		rank[v.Path] = i + 1
	}
	of := func(p Problem) int {
		path, _, _ := strings.Cut(p.Key, "[")
		return rank[path]
	}
	slices.SortStableFunc(e.Problems, func(a, b Problem) int { return of(a) - of(b) })
}

// quote shows a name that somebody else chose: escaped and not too long.
func quote(name string) string {
	if r := []rune(name); len(r) > 64 {
		name = string(r[:64]) + "..."
	}
	return fmt.Sprintf("%q", name)
}

// suggest returns `; did you mean "x"?` with the known name nearest to name, or
// "" if none is near: at most a third of the letters may differ. What all names
// begin with (prefix) does not count, else any two would be near. A name that is
// only the last part of others ("listen") is near to those.
func suggest(name string, known []string, prefix string) string {
	name = strings.TrimPrefix(name, prefix)
	if name == "" || len(name) > 64 {
		return ""
	}
	var best []string
	least := len(name)/3 + 1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(strings.TrimPrefix(k, prefix))); d < least {
			best, least = []string{fmt.Sprintf("%q", k)}, d
		}
	}
	if len(best) == 0 {
		best = endingIn(name, known)
	}
	if len(best) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(best, " or ") + "?"
}

// endingIn returns up to three names whose last part is name, quoted.
func endingIn(name string, known []string) []string {
	var all []string
	for _, k := range known {
		if (strings.HasSuffix(k, "."+name) || strings.HasSuffix(k, "_"+name)) && len(all) < 3 {
			all = append(all, fmt.Sprintf("%q", k))
		}
	}
	return all
}

// distance is the optimal string alignment distance in bytes: insertions,
// deletions, replacements and swaps of neighbours cost 1 each.
func distance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, prev, row = prev, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
