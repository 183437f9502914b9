package web

import (
	"encoding/json"
	"net/http"

	"github.com/tokenos/tokenos/web/ui"
)

// flash is told once, on the next page that is shown whole.
type flash struct {
	Tone ui.Tone `json:"tone"`
	Text string  `json:"text"`
}

// tell leaves words for the next page. They must hold no secret.
func (d *Dashboard) tell(r *http.Request, tone ui.Tone, text string) {
	raw, err := json.Marshal(flash{tone, text})
	if err == nil {
		d.sessions.Put(r.Context(), flashKey, string(raw))
	}
}

// told takes the words that were left, nil if there are none.
func (d *Dashboard) told(r *http.Request) *flash {
	if exchangeFrom(r.Context()).person == nil {
		return nil
	}
	var f flash
	if json.Unmarshal([]byte(d.sessions.PopString(r.Context(), flashKey)), &f) != nil {
		return nil
	}
	return &f
}

// goTo ends a form: the browser shows another page by GET, so that a reload does
// not send the form again. path is one of ours.
func (d *Dashboard) goTo(w http.ResponseWriter, r *http.Request, path string) error {
	if byScript(r) {
		w.Header().Set("HX-Redirect", path)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(w, r, path, http.StatusSeeOther) //nolint:gosec // local only: see localPath
	return nil
}
