package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

const (
	envPrefix  = "TOKENOS_"
	fileSuffix = "_FILE"
)

// Var describes one key of the configuration.
type Var struct {
	Path     string // "server.tls.cert_file"; the flag is "--" + Path
	Env      string // "TOKENOS_SERVER_TLS_CERT_FILE"; Env + "_FILE" names a file with the value
	Type     string // "string", "integer", "boolean", "duration" or "list"
	Default  string // as one would write it; "" for none, "[]" for the empty list
	Doc      string // one or more sentences
	Limits   string // "100ms to 1m", "debug, info, warn, error"; "" for none but the type's
	Secret   bool   // never shown
	Required bool   // has no usable default

	index    []int    // of the field in Config, for reflect
	min, max Duration // of a duration; max 0 for other types
}

// Vars lists every key in the order of [Config]. The caller may change it.
func Vars() []Var { return append([]Var(nil), vars()...) }

// vars is what the tags of Config say, read once.
var vars = sync.OnceValue(func() []Var { return collect(reflect.TypeFor[Config](), "", nil) })

func collect(t reflect.Type, prefix string, index []int) []Var {
	var all []Var
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("json")
		if !f.IsExported() || name == "-" {
			continue
		}
		at := append(append([]int(nil), index...), i)
		if isSection(f.Type) {
			all = append(all, collect(f.Type, prefix+name+".", at)...)
			continue
		}
		all = append(all, newVar(f, prefix+name, at))
	}
	return all
}

// isSection tells a struct that groups keys from one that is a value.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]()
}

func newVar(f reflect.StructField, path string, index []int) Var {
	v := Var{
		Path:     path,
		Env:      envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_")),
		Default:  f.Tag.Get("preset"),
		Doc:      f.Tag.Get("doc"),
		Secret:   f.Tag.Get("secret") == "true",
		Required: f.Tag.Get("required") == "true",
		index:    index,
	}
	switch {
	case f.Type == reflect.TypeFor[Duration]():
		v.Type = "duration"
		v.min, v.max = mustDuration(f.Tag.Get("min")), mustDuration(f.Tag.Get("max"))
		v.Limits = fmt.Sprintf("%s to %s", v.min, v.max)
	case f.Type.Kind() == reflect.Int:
		v.Type = "integer"
		v.Limits = fmt.Sprintf("%s to %s", f.Tag.Get("minimum"), f.Tag.Get("maximum"))
	case f.Type.Kind() == reflect.Bool:
		v.Type = "boolean"
	case f.Type.Kind() == reflect.Slice:
		v.Type, v.Default = "list", "[]"
		v.Limits = "at most " + f.Tag.Get("maxItems")
	default:
		v.Type = "string"
		v.Limits = strings.ReplaceAll(f.Tag.Get("enum"), ",", ", ")
	}
	return v
}

// mustDuration reads a tag; a wrong one is a mistake in this package.
func mustDuration(tag string) Duration {
	d, err := ParseDuration(tag)
	if err != nil {
		panic(fmt.Sprintf("config: duration tag %q", tag))
	}
	return d
}

// varAt returns the key of that path.
func varAt(path string) (Var, bool) {
	for _, v := range vars() {
		if v.Path == path {
			return v, true
		}
	}
	return Var{}, false
}

// parse turns the text of a variable, a file or a flag into the value that
// YAML would have given. What it cannot turn it leaves as text, so that the
// check against the schema says what was expected.
func (v Var) parse(text string) any {
	switch v.Type {
	case "integer":
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	case "boolean":
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	case "list":
		items := []any{}
		for item := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		return items
	}
	return text
}

// preset is the default as a value.
func (v Var) preset() any {
	if v.Type == "list" {
		return []any{}
	}
	return v.parse(v.Default)
}

// Markdown returns the table of all keys for the README.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| Key | Variable | Type | Default | Meaning |\n|---|---|---|---|---|\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ")
	for _, v := range vars() {
		preset := "`" + v.Default + "`"
		switch {
		case v.Required:
			preset = "required"
		case v.Default == "":
			preset = "empty"
		}
		kind := v.Type
		if v.Secret {
			kind = "secret " + kind
		}
		if v.Limits != "" {
			kind += ", " + v.Limits
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", v.Path, v.Env, cell.Replace(kind), preset, cell.Replace(v.Doc))
	}
	return b.String()
}
