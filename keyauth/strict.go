package keyauth

import (
	"encoding/base64"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

// object is a JSON object read strictly: UTF-8, exact member names, none twice at
// any depth, nothing behind it. Its members are string, float64, bool, nil, []any
// and map[string]any.
type object map[string]any

const maxDepth = 16

// readObject reads one object. Parsers differ in what they make of a member that
// is there twice, or in another case; go-jose's refuses the first and tells the
// second apart.
func readObject(data []byte) (object, bool) {
	if !utf8.Valid(data) || deeper(data, maxDepth) {
		return nil, false
	}
	var o map[string]any
	if json.Unmarshal(data, &o) != nil || o == nil {
		return nil, false
	}
	return o, true
}

// deeper reports whether objects and lists lie within each other more than limit
// deep.
func deeper(data []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// decode reads base64url in its one form: no padding, no line breaks, no bits
// behind the last byte (RFC 7515 section 2). One token must not have two forms.
func decode(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil
}

const maxText = 1024 // bytes

// text reads a member that must be there: a string of 1 to 1,024 bytes without
// control characters.
func (o object) text(name string) (string, bool) {
	s, ok := o[name].(string)
	return s, ok && plain(s)
}

func plain(s string) bool {
	return s != "" && len(s) <= maxText && !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) })
}

// optional is text for a member that may be absent. Null is not absent.
func (o object) optional(name string) (string, bool) {
	if _, found := o[name]; !found {
		return "", true
	}
	return o.text(name)
}

// lastSecond is the end of the year 9999.
const lastSecond = 253402300799

// date reads a NumericDate (RFC 7519 section 2) that must be there, to the second.
func (o object) date(name string) (time.Time, bool) {
	f, ok := o[name].(float64)
	if !ok || !(f >= 1) || f > lastSecond {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0).UTC(), true
}

// optionalDate is date for a member that may be absent.
func (o object) optionalDate(name string) (time.Time, bool) {
	if _, found := o[name]; !found {
		return time.Time{}, true
	}
	return o.date(name)
}

// whole reads a number without fraction from 0 up to limit.
func (o object) whole(name string, limit int) (int, bool) {
	f, ok := o[name].(float64)
	if !ok || !(f >= 0) || f > float64(limit) || f != math.Trunc(f) {
		return 0, false
	}
	return int(f), true
}

const maxItems = 256

// texts makes a list of strings of a JSON list.
func texts(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok || len(list) > maxItems {
		return nil, false
	}
	out := make([]string, len(list))
	for i, item := range list {
		s, ok := item.(string)
		if !ok || !plain(s) {
			return nil, false
		}
		out[i] = s
	}
	return out, true
}

// audience reads aud: a string or a list of them (RFC 7519 section 4.1.3).
func (o object) audience() ([]string, bool) {
	if s, ok := o.text("aud"); ok {
		return []string{s}, true
	}
	return texts(o["aud"])
}

// validScope reports whether s is one scope (RFC 6749 section 3.3).
func validScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= 256
}

// words reads scopes with a space between them; the empty string has none.
func words(v any) ([]string, bool) {
	s, ok := v.(string)
	if !ok {
		return nil, false
	}
	if s == "" {
		return []string{}, true
	}
	return scopes(strings.Split(s, " "))
}

func scopes(list []string) ([]string, bool) {
	if len(list) > maxItems {
		return nil, false
	}
	for _, s := range list {
		if !validScope(s) {
			return nil, false
		}
	}
	return list, true
}
