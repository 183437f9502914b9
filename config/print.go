package config

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/knadh/koanf/maps"
	"go.yaml.in/yaml/v3"
)

// Print writes the configuration as "yaml" or "json", every key, in the form
// that Load reads, except that secrets are "[redacted]" and ledger.url is
// without its password. With sources, YAML has the source of each value as a
// comment, and JSON is {"config": {...}, "sources": {"server.listen": "default"}}.
func (c *Config) Print(w io.Writer, format string, sources bool) error {
	switch format {
	case "yaml":
		return c.printYAML(w, sources)
	case "json":
		return c.printJSON(w, sources)
	}
	return fmt.Errorf("config: print as %s: expected yaml or json", quote(format))
}

// shown returns a key's value as it may be seen.
func (c *Config) shown(v Var) any {
	if v.Path == "ledger.url" {
		return c.Ledger.Redacted()
	}
	switch x := reflect.ValueOf(c).Elem().FieldByIndex(v.index).Interface().(type) {
	case Secret:
		return x.String()
	case []Secret:
		list := make([]string, len(x))
		for i, s := range x {
			list[i] = s.String()
		}
		return list
	case []string:
		return append([]string{}, x...)
	case Duration:
		return x.String()
	default:
		return x
	}
}

func (c *Config) printYAML(w io.Writer, sources bool) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	sections := map[string]*yaml.Node{"": root}
	for _, v := range vars() {
		value := &yaml.Node{}
		if err := value.Encode(c.shown(v)); err != nil {
			return fmt.Errorf("config: print %s: %w", v.Path, err)
		}
		if value.Kind == yaml.SequenceNode {
			value.Style = yaml.FlowStyle
		}
		if sources {
			value.LineComment = c.Source(v.Path)
		}
		parent, name := sectionOf(sections, v.Path)
		parent.Content = append(parent.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, value)
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return fmt.Errorf("config: print: %w", err)
	}
	return enc.Close()
}

// sectionOf returns the mapping that a key stands in, made if new, and the
// key's name there.
func sectionOf(sections map[string]*yaml.Node, path string) (*yaml.Node, string) {
	dot := strings.LastIndex(path, ".")
	if dot < 0 {
		return sections[""], path
	}
	prefix, name := path[:dot], path[dot+1:]
	if sections[prefix] == nil {
		sections[prefix] = &yaml.Node{Kind: yaml.MappingNode}
		parent, own := sectionOf(sections, prefix)
		parent.Content = append(parent.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: own}, sections[prefix])
	}
	return sections[prefix], name
}

func (c *Config) printJSON(w io.Writer, sources bool) error {
	flat, from := map[string]any{}, map[string]string{}
	for _, v := range vars() {
		flat[v.Path], from[v.Path] = c.shown(v), c.Source(v.Path)
	}
	var out any = maps.Unflatten(flat, ".")
	if sources {
		out = map[string]any{"config": out, "sources": from}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("config: print: %w", err)
	}
	return nil
}
