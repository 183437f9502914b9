package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tokenos/tokenos/apikey"
)

// Source is one text with documents.
type Source struct {
	Name string // for messages
	Text []byte
	// Open reads a file that a document names, relative to the text, of which the
	// first 64 KiB and a byte are enough. Nil: none may be named. The error says why
	// it cannot be read, and not the path.
	Open func(path string) ([]byte, error)
}

// Parse reads documents in their order. It needs no server: what a policy refuses
// or a caller may not do is not known here. The time tells what has ended. The
// error is an *[Error] with everything that is wrong.
func Parse(sources []Source, now time.Time) ([]Document, error) {
	all := &Error{}
	var docs []Document
	total := 0
	for _, s := range sources {
		if total += len(s.Text); total > MaxBytes {
			all.add(Problem{File: s.Name, Detail: fmt.Sprintf("makes more than %d MiB together", MaxBytes>>20), Fix: "apply fewer files at once"})
			return nil, all
		}
		f := &file{Source: s, problems: all, now: now}
		docs = append(docs, f.documents(len(docs))...)
	}
	twice(docs, all)
	if err := all.orNil(); err != nil {
		slices.SortStableFunc(all.Problems, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.File, b.File), a.Line-b.Line) })
		return nil, err
	}
	return docs, nil
}

// twice refuses documents of which an earlier one is about the same key.
func twice(docs []Document, all *Error) {
	ids, names := map[string]Document{}, map[name]Document{}
	for _, d := range docs {
		first, same := ids[d.ID]
		if d.ID == "" {
			first, same = names[nameOf(d)]
			names[nameOf(d)] = d
		} else {
			ids[d.ID] = d
		}
		if same {
			all.add(Problem{File: d.File, Line: d.Line, Detail: fmt.Sprintf("is about the same key as %s:%d", first.File, first.Line),
				Fix: "leave one of them out, or tell them apart by id"})
		}
	}
}

// name is how a document without id finds its key.
type name struct {
	owner       string
	environment apikey.Environment
	name        string
}

func nameOf(d Document) name { return name{d.Owner, d.Environment, d.Name} }

// file reads the documents of one text.
type file struct {
	Source
	problems *Error
	now      time.Time
	lines    map[string]int  // of the document being read, by RFC 6901 pointer
	faulty   map[string]bool // its members that have a problem
	unread   map[string]bool // those of them that could not even be read
	strange  bool            // it has members that are not known
	bad      bool            // it has a problem
}

func (f *file) documents(before int) (docs []Document) {
	if line := f.tooLong(); line > 0 {
		f.problem(line, "", fmt.Sprintf("has a document of more than %d KiB", maxDocument>>10), "")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(f.Text))
	for {
		var root yaml.Node
		err := dec.Decode(&root)
		switch {
		case errors.Is(err, io.EOF):
			return docs
		case err != nil:
			f.syntax(err)
			return docs
		case len(root.Content) == 0 || root.Content[0].ShortTag() == "!!null": // nothing between two "---"
			continue
		case before+len(docs) >= MaxDocuments:
			f.problem(root.Content[0].Line, "", fmt.Sprintf("is one document too many: %d at once are enough", MaxDocuments), "apply fewer files at once")
			return docs
		}
		if d, ok := f.document(root.Content[0]); ok {
			docs = append(docs, d)
		}
	}
}

// tooLong is the line in which a document becomes longer than one may be, 0 if
// none does. YAML takes much memory for little text, and is read document by
// document. The mark --- at the beginning of a line begins one, whatever stands
// before it (YAML 1.2.2 section 9.1.2).
func (f *file) tooLong() int {
	n, size := 0, 0
	for line := range bytes.Lines(f.Text) {
		n++
		if rest, begins := bytes.CutPrefix(line, []byte("---")); begins && (len(rest) == 0 || bytes.ContainsAny(rest[:1], " \t\r\n")) {
			size = 0
		}
		if size += len(line); size > maxDocument {
			return n
		}
	}
	return 0
}

func (f *file) document(n *yaml.Node) (d Document, ok bool) {
	f.lines, f.faulty, f.strange, f.bad = map[string]int{}, map[string]bool{}, false, false
	if at := referring(n); at != nil {
		f.problem(at.Line, "", "anchors, aliases, merge keys and tags are not supported", "write the value out")
		return d, false
	}
	if d = f.read(n); n.Kind == yaml.MappingNode {
		f.check(&d)
	}
	return d, !f.bad
}

// referring returns the first node that uses YAML's references, which can make
// much of little, or a tag, which makes another thing of what is written.
func referring(n *yaml.Node) *yaml.Node {
	if n.Anchor != "" || n.Kind == yaml.AliasNode || n.Tag == "!!merge" || n.Style&yaml.TaggedStyle != 0 {
		return n
	}
	for _, c := range n.Content {
		if found := referring(c); found != nil {
			return found
		}
	}
	return nil
}

// syntax reports what the YAML parser says, but for the one text of it that
// repeats what stands there.
func (f *file) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if after, found := strings.CutPrefix(text, "line "); found {
		if digits, rest, cut := strings.Cut(after, ": "); cut {
			line, _ = strconv.Atoi(digits)
			text = rest
		}
	}
	if strings.Contains(text, "unknown anchor") {
		text = "a value that begins with * must stand in quotes"
	}
	f.problem(line, "", "cannot be read as YAML from here on: "+text, "")
}

func (f *file) problem(line int, member, detail, fix string) {
	f.bad = true
	f.problems.add(Problem{File: f.Name, Line: line, Member: member, Detail: detail, Fix: fix})
}

// at reports a problem at a place in the document.
func (f *file) at(pointer, detail, fix string) {
	f.faulty[top(pointer)] = true
	f.problem(f.line(pointer), strings.ReplaceAll(strings.Trim(pointer, "/"), "/", "."), detail, fix)
}

// top is the member of the document that a pointer leads into.
func top(pointer string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	return name
}

// line is where a pointer leads, or what is nearest above it.
func (f *file) line(pointer string) int {
	line, found := f.lines[pointer]
	for !found && pointer != "" {
		pointer = pointer[:max(strings.LastIndexByte(pointer, '/'), 0)]
		line, found = f.lines[pointer]
	}
	return line
}

// check asks apikey what is wrong with the key by itself, and takes over how keys
// have what is right. Moments that are over are no mistake here: the key may have
// ended just so.
func (f *file) check(d *Document) {
	p := d.params()
	if at := d.ExpiresAt; at.Value == nil || at.Value.After(f.now) {
		p.ExpiresAt = at
	}
	if d.PublicKeys == nil && p.AuthMethod == apikey.PrivateKeyJWT {
		p.AuthMethod = "" // a key that is there keeps its public keys
	}
	for _, k := range d.PublicKeys {
		p.PublicKeys = append(p.PublicKeys, apikey.PublicKeyInput{JWK: k.JWK})
	}
	def, err := p.Definition(f.now)
	if invalid, ok := errors.AsType[*apikey.InvalidError](err); ok {
		f.unread = maps.Clone(f.faulty)
		for _, wrong := range invalid.Fields {
			f.refused(strings.TrimPrefix(wrong.Pointer, "#"), wrong)
		}
		return
	}
	if err != nil {
		f.problem(d.Line, "", "cannot be checked", "")
		return
	}
	if !f.bad {
		d.accept(def)
	}
}

// refused reports what apikey says about a member, unless it follows from what
// is known to be wrong: a member that could not be read, or has another name.
func (f *file) refused(pointer string, wrong apikey.FieldError) {
	_, given := f.lines["/"+top(pointer)]
	if given && !f.unread[top(pointer)] || !given && !f.strange {
		f.at(pointer, wrong.Detail, wrong.Fix)
	}
}

// accept takes over the members in the form that keys have.
func (d *Document) accept(def apikey.Definition) {
	d.Name, d.Owner, d.Environment, d.Scopes = def.Name, def.Owner, def.Environment, def.Scopes
	if d.Description != nil {
		d.Description = &def.Description
	}
	if d.Labels != nil {
		d.Labels = def.Labels
	}
	if d.Audiences != nil {
		d.Audiences = append([]string{}, def.Audiences...)
	}
	for i, k := range def.PublicKeys {
		k.ExpiresAt, k.CreatedAt = d.PublicKeys[i].ExpiresAt, time.Time{}
		d.PublicKeys[i] = k
	}
}
