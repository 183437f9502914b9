package web

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// form is what a person typed, with what is wrong in it. A new form has a new
// Idempotency-Key, and keeps it however often it is shown again: sent twice, it
// acts once.
type form struct {
	url.Values
	wrong []wrongField
}

type wrongField struct{ id, text string }

// onceField is the hidden field with the Idempotency-Key.
const onceField = "once"

// newForm is an empty one with these values.
func newForm(values url.Values) *form {
	if values == nil {
		values = url.Values{}
	}
	if values.Get(onceField) == "" {
		values.Set(onceField, rand.Text())
	}
	return &form{Values: values}
}

// posted is the form that came with the request.
func posted(r *http.Request) *form { return newForm(r.PostForm) }

// once is the Idempotency-Key for the call to the API.
func (f *form) once() string { return f.Get(onceField) }

// take keeps what err says of the fields, and reports whether that was all of it.
// ids are the fields by pointer ("#/name"), where they are not named by its first
// word; a pointer into a field ("#/scopes/0") is of that field.
func (f *form) take(err error, ids map[string]string) bool {
	invalid, ok := errors.AsType[*apikey.InvalidError](err)
	if !ok {
		return false
	}
	for _, e := range invalid.Fields {
		text := sentence(e.Detail)
		if e.Fix != "" {
			text += " " + sentence(e.Fix)
		}
		f.wrong = append(f.wrong, wrongField{fieldOf(e.Pointer, ids), text})
	}
	return true
}

func fieldOf(pointer string, ids map[string]string) string {
	for p := pointer; strings.Contains(p, "/"); p = p[:strings.LastIndex(p, "/")] {
		if id, ok := ids[p]; ok {
			return id
		}
	}
	name, _, _ := strings.Cut(strings.TrimLeft(pointer, "#/?"), "/")
	return name
}

// field is a field of the form with its error.
func (f *form) field(id, label, hint string, required bool) ui.FieldProps {
	p := ui.FieldProps{ID: id, Label: label, Hint: hint, Required: required}
	for _, w := range f.wrong {
		if w.id == id {
			p.Error = strings.TrimSpace(p.Error + " " + w.text)
		}
	}
	return p
}

// input is field for one line of text.
func (f *form) input(id, label, hint string, required bool, most int) ui.InputProps {
	return ui.InputProps{FieldProps: f.field(id, label, hint, required), Value: f.Get(id), MaxLength: most}
}

// summary is what ui.Errors shows above the form; labels are the fields' by id.
func (f *form) summary(labels map[string]string) (out []ui.FormError) {
	for _, w := range f.wrong {
		label, known := labels[w.id]
		if !known {
			out = append(out, ui.FormError{Text: w.text})
			continue
		}
		out = append(out, ui.FormError{ID: w.id, Text: label + ": " + w.text})
	}
	return out
}
