package handlers

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tokenos/tokenos/apikey"
)

// maxDepth is how deep a body may nest. The deepest honest one, a public key
// inside a create, has four levels.
const maxDepth = 16

// decode reads one body strictly: one JSON object (RFC 8259) without duplicate
// names, unknown or differently cased members, lone surrogates, bad UTF-8 or
// anything after it. What cannot be read is a malformed error, what is of the
// wrong type an *apikey.InvalidError. Values are apikey's to judge. An empty
// body is the zero T, unless the body is needed.
func decode[T any](s *server, raw []byte) (T, error) {
	var v T
	how := s.bodies[reflect.TypeFor[T]()]
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 {
		if how.needed {
			return v, errNoBody
		}
		return v, nil
	}
	if err := wellFormed(raw); err != nil {
		return v, err
	}
	if err := how.check(raw); err != nil {
		return v, err
	}
	if err := json.Unmarshal(raw, &v, json.RejectUnknownMembers(true)); err != nil {
		return v, mistyped(err)
	}
	return v, nil
}

var errNoBody = &malformed{detail: "the request needs a body: a JSON object"}

// wellFormed walks over the tokens before anything is built from them, so that
// a deep or broken body costs no memory.
func wellFormed(raw []byte) error {
	if raw[0] != '{' {
		return &malformed{detail: "the body must be a JSON object"}
	}
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	for {
		_, err := dec.ReadToken()
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			return &malformed{detail: "the body has the same member twice"}
		case err != nil:
			return &malformed{detail: "the body is not valid JSON in UTF-8, at byte " + strconv.FormatInt(dec.InputOffset(), 10)}
		case dec.StackDepth() > maxDepth:
			return &malformed{detail: "the body nests deeper than " + strconv.Itoa(maxDepth) + " levels"}
		case dec.StackDepth() == 0:
			if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
				return &malformed{detail: "something follows the JSON object"}
			}
			return nil
		}
	}
}

// mistyped is for what only the types themselves can tell, such as a duration.
func mistyped(err error) error {
	f := apikey.FieldError{Pointer: "#", Code: "invalid", Detail: "cannot be read"}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		f.Pointer = "#" + string(e.JSONPointer)
		if e.GoType != nil && strings.HasSuffix(e.GoType.String(), "apikey.Duration") {
			f.Detail, f.Fix = "must be a duration", "write it like 15m, 1h30m or 90d"
		}
	}
	return &apikey.InvalidError{Fields: []apikey.FieldError{f}}
}
