package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// PolicyFile is a YAML file of policies. What they mean is not known here: they
// are handed on as JSON, with the line of each value.
type PolicyFile struct {
	// JSON is the file's document. One that holds nothing is null.
	JSON []byte

	name  string
	lines map[string]int // by RFC 6901 pointer
}

const policyFileKey = "keys.policy_file"

// ReadPolicyFile reads a policy file of at most 1 MiB. Its YAML is read as
// strictly as the configuration's: one document, no name twice, no anchors, no
// tags, names that are text. On a fault it returns nil and an [*Error] with
// every problem found.
func ReadPolicyFile(path string) (*PolicyFile, error) {
	text, _, err := readFile(path, maxFileBytes)
	if err != nil {
		return nil, &Error{Problems: []Problem{{Key: policyFileKey, Expected: unreadablePolicies(path, err)}}}
	}
	errs := &Error{}
	f := &PolicyFile{name: path, lines: map[string]int{}}
	r := policyReader{f, func(line int, expected string) {
		errs.add(Problem{Key: policyFileKey, Source: fmt.Sprintf("%s:%d", clip(path), line), Expected: expected})
	}}
	value := r.document(string(text))
	if len(errs.Problems) > 0 {
		return nil, errs
	}
	if f.JSON, err = json.Marshal(value); err != nil { // a number that JSON has not, such as .inf
		return nil, &Error{Problems: []Problem{{Key: policyFileKey, Source: clip(path), Expected: "expected values that can be written as JSON"}}}
	}
	return f, nil
}

func unreadablePolicies(path string, err error) string {
	return fmt.Sprintf("expected a readable policy file, %s: %v", showPath(path), err)
}

// Line is the line of a place in the document, 0 if the file holds nothing. The
// pointer is an RFC 6901 one, with or without "#" before it; one that leads to
// nothing stands for what is nearest above it.
func (f *PolicyFile) Line(pointer string) int {
	at := strings.TrimPrefix(pointer, "#")
	line, found := f.lines[at]
	for !found && at != "" {
		at = at[:max(strings.LastIndexByte(at, '/'), 0)]
		line, found = f.lines[at]
	}
	return line
}

// Problem says what is wrong at a place in the document.
func (f *PolicyFile) Problem(pointer, expected string) Problem {
	where := clip(f.name)
	if line := f.Line(pointer); line > 0 {
		where += ":" + strconv.Itoa(line)
	}
	return Problem{Key: policyFileKey, Source: where, Expected: clip(strings.TrimPrefix(pointer, "#/")) + " " + expected}
}

// policies reads the policy file that is named.
func (l *loader) policies(c *Config) {
	path := c.Keys.PolicyFile
	if path == "" || !l.fine(policyFileKey) {
		return
	}
	f, err := ReadPolicyFile(path)
	if e, ok := errors.AsType[*Error](err); ok {
		for _, p := range e.Problems {
			if p.Source == "" {
				l.bad(policyFileKey, p.Expected)
				continue
			}
			l.errs.add(p)
		}
		l.errs.More += e.More
		return
	}
	c.Policies = f
}

// policyReader turns YAML nodes into what JSON has, and notes their lines.
type policyReader struct {
	*PolicyFile
	problem func(line int, expected string)
}

func (r policyReader) document(text string) any {
	dec := yaml.NewDecoder(strings.NewReader(text))
	var root yaml.Node
	if err := dec.Decode(&root); err != nil {
		if !errors.Is(err, io.EOF) {
			(&document{problem: func(p Problem) { r.problem(lineOf(p.Expected), p.Expected) }}).syntax(err)
		}
		return nil
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.problem(1, "expected one YAML document, found more after it")
		return nil
	}
	if n := findAnchor(&root); n != nil {
		r.problem(n.Line, "anchors, aliases and merge keys are not supported: write the value out")
		return nil
	}
	return r.value(root.Content[0], "")
}

// lineOf finds the line that the YAML parser names in its message.
func lineOf(message string) int {
	_, rest, _ := strings.Cut(message, "line ")
	digits, _, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 1
	}
	return n
}

// value is a node as JSON has it.
func (r policyReader) value(n *yaml.Node, at string) any {
	if _, known := r.lines[at]; !known { // a member's is that of its name
		r.lines[at] = n.Line
	}
	switch n.Kind {
	case yaml.MappingNode:
		return r.mapping(n, at)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, c := range n.Content {
			list = append(list, r.value(c, at+"/"+strconv.Itoa(i)))
		}
		return list
	}
	v, err := plain(n)
	if err != nil {
		r.problem(n.Line, err.Error())
	}
	return v
}

func (r policyReader) mapping(n *yaml.Node, at string) any {
	out := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" {
			r.problem(name.Line, "expected a name that is text; put it in quotes")
			continue
		}
		here := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name.Value)
		if _, twice := out[name.Value]; twice {
			r.problem(name.Line, fmt.Sprintf("%s is given twice, first in line %d", clip(name.Value), r.lines[here]))
			continue
		}
		r.lines[here] = name.Line
		out[name.Value] = r.value(value, here)
	}
	return out
}
