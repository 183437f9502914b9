package handlers

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"github.com/tokenos/tokenos/apikey"
)

// shapes are the bodies that routes take, by type.
type shapes map[reflect.Type]shape

// shape is what a body must look like: its members and their types, as the
// OpenAPI document says. huma could check the limits in the same schema as
// well, but it stops before apikey has said its part, in poorer words, and
// repeats the whole body beside them; so limits are documented there and
// enforced in apikey alone.
type shape struct {
	schema   *huma.Schema
	registry huma.Registry
	needed   bool
	patch    bool // null means "remove" (RFC 7396): only where there is such a thing
}

// check tells everything that is wrong with the shape of a well-formed body:
// unknown members make it malformed, wrong types invalid.
func (s shape) check(raw []byte) error {
	var body any
	if err := json.Unmarshal(raw, &body); err != nil {
		return &malformed{detail: "the body has a number that is out of all bounds"}
	}
	w := walk{shape: s}
	w.value(s.schema, body, "#")
	if len(w.unknown) > 0 {
		return &malformed{detail: "the body has members that do not belong there", fields: w.unknown}
	}
	if len(w.wrong) > 0 {
		return &apikey.InvalidError{Fields: w.wrong}
	}
	return nil
}

type walk struct {
	shape
	unknown, wrong []apikey.FieldError
}

func (w *walk) value(s *huma.Schema, v any, at string) {
	for s != nil && s.Ref != "" {
		s = w.registry.SchemaFromRef(s.Ref)
	}
	if s == nil {
		return
	}
	switch s.Type {
	case huma.TypeObject:
		m, ok := v.(map[string]any)
		w.must(ok, at, "an object")
		w.object(s, m, at)
	case huma.TypeArray:
		list, ok := v.([]any)
		w.must(ok, at, "an array")
		for i, item := range list {
			w.value(s.Items, item, at+"/"+strconv.Itoa(i))
		}
	case huma.TypeString:
		w.text(s, v, at)
	case huma.TypeBoolean:
		_, ok := v.(bool)
		w.must(ok, at, "true or false")
	case huma.TypeInteger, huma.TypeNumber:
		_, ok := v.(float64)
		w.must(ok, at, "a number")
	}
}

func (w *walk) text(s *huma.Schema, v any, at string) {
	text, ok := v.(string)
	if s.Nullable && v == nil {
		return
	}
	if s.Format != "date-time" {
		w.must(ok, at, "a string")
		return
	}
	_, err := time.Parse(time.RFC3339, text)
	w.must(ok && err == nil && strictTime.MatchString(text), at, "a time such as 2027-01-31T12:00:00Z (RFC 3339)")
}

// strictTime are the parts of RFC 3339 section 5.6 that time.Parse takes more
// of: it reads a comma before the fraction, hours of one digit, and zones of 24
// hours and 60 minutes.
var strictTime = regexp.MustCompile(`T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$`)

func (w *walk) object(s *huma.Schema, m map[string]any, at string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v, here := m[name], at+"/"+escape(name)
		member, known := s.Properties[name]
		others, open := s.AdditionalProperties.(*huma.Schema)
		switch {
		case known && v == nil && !w.patch:
			// null and absent are the same outside of a merge patch; apikey
			// says what is missing
		case known:
			w.value(member, v, here)
		case open:
			w.value(others, v, here)
		default:
			w.unknown = append(w.unknown, unknownMember(s, name, here))
		}
	}
}

func (w *walk) must(ok bool, at, be string) {
	if !ok {
		w.wrong = append(w.wrong, apikey.FieldError{Pointer: at, Code: "wrong_type", Detail: "must be " + be})
	}
}

func unknownMember(s *huma.Schema, name, at string) apikey.FieldError {
	f := apikey.FieldError{Pointer: at, Code: "unknown_member", Detail: "there is no such member here"}
	for known := range s.Properties {
		if strings.EqualFold(known, name) {
			f.Fix = "write it " + known
		}
	}
	return f
}

// escape writes a name as a reference token (RFC 6901 section 3).
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
