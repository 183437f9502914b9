package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxFileBytes  = 1 << 20  // of the configuration file and of PEM files
	maxValueBytes = 64 << 10 // of a file named by a TOKENOS_..._FILE variable
)

// readFile reads a regular file of at most limit bytes. Anything else (a
// folder, a pipe that nobody writes to, /dev/zero) is refused before it is
// opened. The error names neither path nor contents.
func readFile(path string, limit int64) (data []byte, mode fs.FileMode, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, bare(err)
	}
	defer func() { _ = f.Close() }()
	data, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, 0, bare(err)
	}
	if int64(len(data)) > limit {
		return nil, 0, fmt.Errorf("larger than %d bytes", limit)
	}
	return data, info.Mode(), nil
}

// bare takes operation and path off a file system's error.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// document is a YAML file as values by key, with the line of each. koanf gets
// the values; reading the nodes ourselves yields lines, duplicates and unknown
// keys, all at once, and spares us anchors.
type document struct {
	name    string
	values  map[string]any
	lines   map[string]int
	broken  map[string]bool // keys that were given, but not as what they are
	problem func(Problem)
}

// readDocument reads YAML text. Its problems go to problem.
func readDocument(name string, text []byte, problem func(Problem)) *document {
	d := &document{name: name, values: map[string]any{}, lines: map[string]int{}, broken: map[string]bool{}, problem: problem}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if !errors.Is(err, io.EOF) {
			d.syntax(err)
		}
		return d
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		d.at(name, 0, "expected one YAML document, found more after it")
		return d
	}
	if n := findAnchor(&root); n != nil {
		d.at(name, n.Line, "anchors, aliases and merge keys are not supported: write the value out")
		return d
	}
	d.section(root.Content[0], "")
	return d
}

// syntax reports what the parser says. The one text of it that repeats what
// stands in the file, which may be a secret that begins with an asterisk, is
// put into our own words.
func (d *document) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.Contains(text, "unknown anchor") {
		text = "a value that begins with * must stand in quotes"
	}
	d.problem(Problem{Key: d.name, Expected: "expected YAML: " + text})
}

func (d *document) at(key string, line int, expected string) {
	source := d.name
	if line > 0 {
		source = fmt.Sprintf("%s:%d", d.name, line)
	}
	if key == d.name {
		key, source = source, ""
	}
	d.problem(Problem{Key: key, Source: source, Expected: expected})
}

// findAnchor returns the first node that uses YAML's references.
func findAnchor(n *yaml.Node) *yaml.Node {
	if n.Anchor != "" || n.Kind == yaml.AliasNode || n.Tag == "!!merge" {
		return n
	}
	for _, c := range n.Content {
		if found := findAnchor(c); found != nil {
			return found
		}
	}
	return nil
}

// section reads a mapping of keys; prefix is its path with a dot behind it.
// Nothing (null) is an empty section.
func (d *document) section(n *yaml.Node, prefix string) {
	where := strings.TrimSuffix(prefix, ".")
	if where == "" {
		where = d.name
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.at(where, n.Line, "expected a section of keys")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" {
			d.at(where, name.Line, "expected the name of a key")
			continue
		}
		if first, twice := seen[name.Value]; twice {
			d.at(prefix+clip(name.Value), name.Line, fmt.Sprintf("given twice, first in line %d", first))
			d.broken[prefix+name.Value] = true
			continue
		}
		seen[name.Value] = name.Line
		d.member(prefix, name, value)
	}
}

// clip makes an unknown name fit to be printed; known ones stay as they are.
func clip(name string) string {
	if q := quote(name); q != `"`+name+`"` {
		return q
	}
	return name
}

func (d *document) member(prefix string, name, value *yaml.Node) {
	path := prefix + name.Value
	_, known := varAt(path)
	switch {
	case strings.Contains(name.Value, "."):
		d.at(clip(path), name.Line, "unknown key; a dot is written as a section: the part before it, then an indented line with the rest")
	case known && value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null":
		// "listen:" with nothing behind it sets nothing.
	case known:
		d.lines[path] = name.Line
		v, err := plain(value)
		if err != nil {
			d.broken[path] = true
			d.at(path, value.Line, err.Error())
			return
		}
		d.values[path] = v
	case isSectionPath(path):
		d.section(value, path+".")
	default:
		d.at(clip(path), name.Line, "unknown key"+suggest(path, knownPaths(), ""))
	}
}

// plain returns the value of a node: text, number, truth value or list of
// such. Dates are text here, as they are in YAML 1.2.
func plain(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			if c.Kind != yaml.ScalarNode {
				return nil, errors.New("expected a list of single values")
			}
			v, err := plain(c)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.ScalarNode:
		switch n.ShortTag() {
		case "!!str", "!!timestamp":
			return n.Value, nil
		case "!!int", "!!float", "!!bool", "!!null":
			var v any
			if err := n.Decode(&v); err != nil {
				return nil, errors.New("expected a value that fits its YAML tag")
			}
			return v, nil
		}
		return nil, errors.New("expected a plain value, without a YAML tag")
	}
	return nil, errors.New("expected a value, not a section of keys")
}

// isSectionPath reports whether keys begin with path and a dot.
func isSectionPath(path string) bool {
	for _, v := range vars() {
		if strings.HasPrefix(v.Path, path+".") {
			return true
		}
	}
	return false
}

// knownPaths lists all keys and their sections, to suggest from.
func knownPaths() []string {
	var all []string
	seen := map[string]bool{}
	for _, v := range vars() {
		for i, r := range v.Path + "." {
			if r == '.' && !seen[v.Path[:i]] {
				seen[v.Path[:i]] = true
				all = append(all, v.Path[:i])
			}
		}
	}
	return all
}
