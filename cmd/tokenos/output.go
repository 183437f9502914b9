package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// printing is how a command shows what it got: -o and --no-headers.
type printing struct {
	format    string
	noHeaders bool
}

// formats are what -o takes. json and yaml have the members of the REST API.
var formats = []string{"table", "json", "yaml", "name"}

func (o *printing) flags(f *pflag.FlagSet, usual string) {
	if usual == "" {
		usual = "table"
	}
	f.StringVarP(&o.format, "output", "o", usual, "table, json, yaml or name (ids alone); TOKENOS_OUTPUT sets the default")
	f.BoolVar(&o.noHeaders, "no-headers", false, "no headings above a table")
}

func (o *printing) check() error { return oneOf("output", o.format, formats...) }

// shown is an answer, in each form that -o can ask for.
type shown struct {
	value any      // for json and yaml
	names []string // for name
	table grid     // for people
}

// grid is a table: a heading, or none for a list of fields, and rows of as many
// cells.
type grid struct {
	heading []string
	rows    [][]string
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

// field adds a line to a list of fields, unless there is nothing to say.
func (g *grid) field(name, value string) {
	if value != "" {
		g.add(name, value)
	}
}

// print writes the answer to w. Nothing in it, a key's name least of all, does
// anything to the terminal.
func (o *printing) print(w io.Writer, s shown) error {
	var b bytes.Buffer
	var err error
	switch o.format {
	case "json":
		err = writeJSON(&b, s.value)
	case "yaml":
		err = writeYAML(&b, s.value)
	case "name":
		for _, name := range s.names {
			fmt.Fprintln(&b, cell(name))
		}
	default:
		err = s.table.write(&b, o.noHeaders)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

func (g grid) write(w io.Writer, noHeaders bool) error {
	tab := tabwriter.NewWriter(w, 0, 0, 3, ' ', tabwriter.StripEscape)
	rows := g.rows
	if len(g.heading) > 0 && !noHeaders {
		rows = slices.Concat([][]string{g.heading}, rows)
	}
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, text := range row {
			cells[i] = cell(text)
		}
		fmt.Fprintln(tab, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	return tab.Flush()
}

// writeJSON writes what a terminal may be shown: characters that do something to
// it are escaped, as JSON allows within its strings, where alone they can stand.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	if err := out.Encode(v); err != nil {
		return errors.New("the answer cannot be written as JSON")
	}
	_, err := io.WriteString(w, plain(b.String()))
	return err
}

// writeYAML writes the members in the order that they have in JSON.
func writeYAML(w io.Writer, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return errors.New("the answer cannot be written as YAML")
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(inYAML(string(raw))), &node); err != nil { // JSON is YAML
		return errors.New("the answer cannot be written as YAML")
	}
	unquote(&node)
	var b bytes.Buffer
	out := yaml.NewEncoder(&b)
	out.SetIndent(2)
	if err := errors.Join(out.Encode(&node), out.Close()); err != nil {
		return errors.New("the answer cannot be written as YAML")
	}
	_, err = io.WriteString(w, inYAML(b.String()))
	return err
}

// inYAML escapes what stands within quotation marks. What a terminal minds is in
// part printable to YAML, and in part not allowed in it.
func inYAML(text string) string {
	return escaped(text, func(r rune) string { return fmt.Sprintf(`\U%08x`, r) })
}

// unquote drops the braces and the quotation marks of JSON where YAML needs none.
func unquote(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		text := n.Value
		n.SetString(text)
		if strings.ContainsFunc(text, unsafeRune) {
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	for _, c := range n.Content {
		unquote(c)
	}
}

// moment is a time for people, in UTC; "" for none.
func moment(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

// or is text, or instead something for nothing.
func or(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}
