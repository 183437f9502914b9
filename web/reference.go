package web

import (
	"net/http"

	"github.com/tokenos/tokenos/apikey"
)

// openAPIPath is the API's own description.
const openAPIPath = "/openapi.json"

// reference shows the API's reference, to whoever may reach the API: it tells
// nothing that the document does not.
func (d *Dashboard) reference(w http.ResponseWriter, r *http.Request) error {
	if d.NoReference {
		return apikey.ErrNotFound
	}
	return d.show(w, r, frame{title: "API reference", script: "docs.js", reference: true}, referenceContent())
}
