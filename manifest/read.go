package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tokenos/tokenos/apikey"
)

// reader reads one member of a mapping.
type reader func(at string, n *yaml.Node)

// read reads one document.
func (f *file) read(n *yaml.Node) Document {
	d := Document{File: f.Name, Line: n.Line}
	f.members("", n, map[string]reader{
		"id": func(at string, n *yaml.Node) {
			if d.ID = f.text(at, n); d.ID != "" && !apikey.ValidID(d.ID) {
				f.at(at, "is not the id of a key", "write it as tokenos keys list shows it, or leave it out")
			}
		},
		"name":        func(at string, n *yaml.Node) { d.Name = f.text(at, n) },
		"owner":       func(at string, n *yaml.Node) { d.Owner = f.text(at, n) },
		"environment": func(at string, n *yaml.Node) { d.Environment = apikey.Environment(f.text(at, n)) },
		"description": func(at string, n *yaml.Node) { d.Description = new(f.text(at, n)) },
		"labels":      func(at string, n *yaml.Node) { d.Labels = f.labels(at, n) },
		"auth_method": func(at string, n *yaml.Node) { d.AuthMethod = apikey.AuthMethod(f.text(at, n)) },
		"scopes":      func(at string, n *yaml.Node) { d.Scopes = f.texts(at, n) },
		"audiences":   func(at string, n *yaml.Node) { d.Audiences = f.texts(at, n) },
		"token":       func(at string, n *yaml.Node) { d.Token = f.token(at, n) },
		"expires_at":  func(at string, n *yaml.Node) { d.ExpiresAt = f.expiry(at, n) },
		"status":      func(at string, n *yaml.Node) { d.Status = f.status(at, n) },
		"public_keys": func(at string, n *yaml.Node) { d.PublicKeys = f.publicKeys(at, n) },
	})
	return d
}

// misplaced are members of keys that a document has not, and why.
var misplaced = map[string]string{
	"secret":        "a secret never stands in a document",
	"client_secret": "a secret never stands in a document",
	"kind":          "management keys are not kept as code: tokenos keys create --kind management makes one",
	"apiVersion":    "documents have no version",
	"expires":       "expires_at is a moment or never; a duration would mean another one at each apply",
}

// shownName matches what a member may be called. Other names are not repeated:
// one may be a secret in the wrong place.
var shownName = regexp.MustCompile(`^[A-Za-z][A-Za-z_]{0,30}$`)

// members hands each member of a mapping to its reader.
func (f *file) members(at string, n *yaml.Node, readers map[string]reader) {
	f.each(at, n, func(here string, name, value *yaml.Node) {
		read := readers[name.Value]
		switch {
		case read != nil && value.ShortTag() == "!!null":
			f.at(here, "has no value", "leave it out, or give it one")
		case read != nil:
			read(here, value)
		default:
			f.unknown(at, name, slices.Collect(maps.Keys(readers)))
		}
	})
}

// each shows the members of a mapping, and notes their lines.
func (f *file) each(at string, n *yaml.Node, show func(at string, name, value *yaml.Node)) {
	if _, named := f.lines[at]; !named { // a member's line is that of its name
		f.lines[at] = n.Line
	}
	if n.Kind != yaml.MappingNode {
		f.at(at, "must be a mapping of members", "")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		switch {
		case name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str":
			f.problem(name.Line, "", "has a member whose name is not text", "put it in quotes")
			continue
		case seen[name.Value]:
			f.problem(name.Line, shown(name.Value), "is given twice", "")
			continue
		}
		seen[name.Value] = true
		here := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name.Value)
		f.lines[here] = name.Line
		show(here, name, value)
	}
}

func shown(name string) string {
	if shownName.MatchString(name) {
		return name
	}
	return "a member"
}

func (f *file) unknown(at string, name *yaml.Node, known []string) {
	f.strange = true
	member := strings.ReplaceAll(strings.TrimPrefix(at+"/", "/"), "/", ".") + shown(name.Value)
	why, told := misplaced[name.Value]
	near := nearest(name.Value, known)
	switch {
	case told:
		f.problem(name.Line, member, "is not a member here: "+why, "")
	case near != "" && shownName.MatchString(name.Value):
		f.problem(name.Line, member, "is not known", fmt.Sprintf("did you mean %s?", near))
	default:
		f.problem(name.Line, member, "is not known", "there are "+quoted(known))
	}
}

// text reads text. A number or truth value is not guessed to be one.
func (f *file) text(at string, n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		f.lines[at] = n.Line
		f.at(at, "must be text", "put it in quotes")
		return ""
	}
	return n.Value
}

// list shows the items of a list.
func (f *file) list(at string, n *yaml.Node, item func(at string, n *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		f.at(at, "must be a list", "")
		return
	}
	for i, c := range n.Content {
		here := at + "/" + strconv.Itoa(i)
		f.lines[here] = c.Line
		item(here, c)
	}
}

func (f *file) texts(at string, n *yaml.Node) []string {
	out := []string{}
	f.list(at, n, func(at string, n *yaml.Node) { out = append(out, f.text(at, n)) })
	return out
}

func (f *file) labels(at string, n *yaml.Node) map[string]string {
	out := map[string]string{}
	f.each(at, n, func(here string, name, value *yaml.Node) {
		if value.Kind != yaml.ScalarNode || value.ShortTag() != "!!str" {
			f.faulty["labels"] = true
			f.problem(value.Line, "labels", "a label's value must be text", "put it in quotes")
			return
		}
		out[name.Value] = value.Value
	})
	return out
}

func (f *file) token(at string, n *yaml.Node) (out apikey.TokenParams) {
	f.members(at, n, map[string]reader{
		"format": func(at string, n *yaml.Node) { out.Format = apikey.TokenFormat(f.text(at, n)) },
		"lifetime": func(at string, n *yaml.Node) {
			length, err := apikey.ParseDuration(f.text(at, n))
			if err != nil {
				f.at(at, "must be a duration with its unit", "write it like 15m or 1h")
				return
			}
			out.Lifetime = &length
		},
	})
	return out
}

// expiry reads a moment or "never".
func (f *file) expiry(at string, n *yaml.Node) apikey.Nullable[time.Time] {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && n.Value == "never" {
		return apikey.Null[time.Time]()
	}
	if t := f.moment(at, n, " or never"); t != nil {
		return apikey.SetTo(*t)
	}
	return apikey.Nullable[time.Time]{}
}

// moment reads an RFC 3339 time. A duration would mean another moment at each
// apply.
func (f *file) moment(at string, n *yaml.Node, also string) *time.Time {
	t, err := time.Parse(time.RFC3339, n.Value)
	text := n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!str" || n.ShortTag() == "!!timestamp")
	if !text || err != nil {
		f.at(at, "must be a moment such as 2027-01-31T00:00:00Z"+also, "")
		return nil
	}
	return new(t.UTC().Truncate(time.Second))
}

func (f *file) status(at string, n *yaml.Node) apikey.Status {
	s := apikey.Status(f.text(at, n))
	if s != apikey.StatusActive && s != apikey.StatusDisabled {
		f.at(at, "must be active or disabled", "leave the document out, and apply with --prune, to revoke its key")
	}
	return s
}
