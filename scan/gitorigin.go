package scan

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// origin is where something came into a history.
type origin struct {
	commit, path string
	age          int // commits that are newer, in an order in which parents come last
}

// origins finds the oldest commit that has each object with a finding, or for a
// name its path.
func (g repository) origins(ctx context.Context, found []Finding) (map[string]origin, error) {
	born := map[string]origin{}
	for _, f := range found {
		born[f.object] = origin{}
	}
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	c := g.command(within, "log", "--all", "--topo-order", "--root", "-c", "-t", "--raw", "--no-abbrev",
		"--no-renames", "--no-color", "--no-show-signature", "--no-ext-diff", "--no-textconv", "--format=%H")
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("scan: git: %w", err)
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("scan: git: %w", err)
	}
	r := bufio.NewReaderSize(out, 64<<10)
	now := origin{}
	for {
		line, err := readTo(r, '\n')
		if err != nil {
			break // git's end says why
		}
		switch {
		case strings.HasPrefix(line, ":"):
			object, path := change(line)
			now.path = path
			for _, known := range []string{object, named(path)} {
				if _, ok := born[known]; ok {
					born[known] = now
				}
			}
		case line != "":
			now.commit = line
			now.age++
		}
	}
	return born, explain(ctx, c, c.Wait())
}

// change reads a line of git's raw format (git-diff, RAW OUTPUT FORMAT and DIFF
// FORMAT FOR MERGES): the object after the commit, and the path. There is a colon
// for each parent, then their modes and that of the result, then the objects.
func change(line string) (object, name string) {
	facts, name, _ := strings.Cut(line, "\t")
	parents := len(facts) - len(strings.TrimLeft(facts, ":"))
	fields := strings.Fields(facts)
	if i := 2*parents + 1; i < len(fields) {
		object = fields[i]
	}
	if plain, err := strconv.Unquote(name); err == nil {
		name = plain
	}
	return object, name
}

// oldest gives findings their commits and keeps one for each secret in a path or
// a message: that of the oldest commit.
func oldest(found []Finding, born map[string]origin) []Finding {
	known := map[Finding]int{}
	var out []Finding
	for _, f := range found {
		from := born[f.object]
		if f.Part != InMessage {
			f.Commit = from.commit
		}
		if f.Part == "" && from.path != "" {
			f.Path = Redact(from.path)
		}
		same := Finding{Kind: f.Kind, Path: f.Path, Part: f.Part, Encoding: f.Encoding, Fingerprint: f.Fingerprint}
		if f.Part == InMessage {
			same.Commit = f.Commit
		}
		i, twice := known[same]
		switch {
		case !twice:
			known[same] = len(out)
			out = append(out, f)
		case from.age > born[out[i].object].age:
			out[i] = f
		}
	}
	return out
}
