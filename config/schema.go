package config

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Schema returns the JSON schema (draft 2020-12) of the configuration file, for
// editors. Nothing is required in it: a key may come from elsewhere. The limits
// of durations and the rules between keys stand in the descriptions only.
func Schema() ([]byte, error) {
	// One of our own: what follows would change what the checks use.
	registry, root := newSchema()
	defs := registry.Map()
	delete(defs, "Config")
	for _, v := range vars() {
		s := property(registry, root, v.Path)
		if s == nil {
			return nil, fmt.Errorf("config: schema of %s: no such property", v.Path)
		}
		if !v.Required {
			s.Default = v.preset()
		}
		if v.Type == "duration" {
			s.Description += " From " + v.Limits + "."
		}
		s.Nullable = false
	}
	root.Required = nil
	for _, s := range defs {
		s.Required = nil
	}
	root.Title = "Configuration of tokenos serve"
	root.Extensions = map[string]any{"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": defs}
	return json.MarshalIndent(root, "", "  ")
}

// property follows a path through sections.
func property(r huma.Registry, s *huma.Schema, path string) *huma.Schema {
	for name := range strings.SplitSeq(path, ".") {
		if s.Ref != "" {
			s = r.SchemaFromRef(s.Ref)
		}
		if s == nil || s.Properties[name] == nil {
			return nil
		}
		s = s.Properties[name]
	}
	return s
}
