package web

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/ui"
)

// What the API does not take is told at its field and in the summary, and the form
// keeps its key for the next try.
func TestForm(t *testing.T) {
	f := posted(&http.Request{PostForm: url.Values{"name": {"n"}}})
	if got := f.input("name", "Name", "For people", true, 100); got.Value != "n" || got.Error != "" || got.MaxLength != 100 {
		t.Errorf("got %+v", got)
	}
	again := newForm(f.Values)
	if f.once() == "" || again.once() != f.once() || newForm(nil).once() == f.once() {
		t.Errorf("keys %q and %q", f.once(), again.once())
	}
	if f.take(apikey.ErrNotFound, nil) {
		t.Error("an error that is of no field was taken")
	}
	taken := f.take(&apikey.InvalidError{Fields: []apikey.FieldError{
		{Pointer: "#/name", Detail: "is too long", Fix: "shorten it"}, {Pointer: "#/scopes/0", Detail: "is no scope"}, {Pointer: "#/token/lifetime", Detail: "is too short"}, {Pointer: "#", Detail: "too many keys"},
	}}, map[string]string{"#/token/lifetime": "lifetime"})
	if !taken {
		t.Error("the error was not taken")
	}
	if got := f.field("scopes", "Scopes", "", true); got.Error != "Is no scope." || !got.Required {
		t.Errorf("got %+v", got)
	}
	want := []ui.FormError{{ID: "name", Text: "Name: Is too long. Shorten it."}, {ID: "scopes", Text: "Scopes: Is no scope."}, {ID: "lifetime", Text: "Lifetime: Is too short."}, {Text: "Too many keys."}}
	if diff := cmp.Diff(want, f.summary(map[string]string{"name": "Name", "scopes": "Scopes", "lifetime": "Lifetime"})); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}
