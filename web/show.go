package web

import (
	"bytes"
	"net/http"
	"time"

	"github.com/a-h/templ"
)

// frame is what stands around a page.
type frame struct {
	title     string
	section   string // the entry of the navigation that is current; "" for none
	script    string // of this page alone, by its name in assets; "" for none
	reference bool   // with what the API's reference loads
	bare      bool   // without the navigation, for people who are not signed in

	person      *Person
	environment string
	theme       string // "light", "dark", "" for the system's
	path        string // of this page, for forms that come back to it
	flash       *flash
	hydraAway   time.Time // since when Hydra does not answer; zero: it does
	noReference bool
	plainKeys   bool // single keys are no shortcuts
}

// show answers with a page. A script that asked for a part gets part if it is
// given, else the content without its frame.
func (d *Dashboard) show(w http.ResponseWriter, r *http.Request, f frame, content templ.Component, part ...templ.Component) error {
	exchangeFrom(r.Context()).section = f.section
	if partial(r) {
		if len(part) > 0 {
			content = part[0]
		}
		d.write(w, r, http.StatusOK, content)
		return nil
	}
	d.write(w, r, http.StatusOK, d.whole(r, f, content))
	return nil
}

// showAs is show with a status other than 200, always whole: for a form that is
// shown again with what is wrong in it (422).
func (d *Dashboard) showAs(w http.ResponseWriter, r *http.Request, status int, f frame, content templ.Component) {
	d.write(w, r, status, d.whole(r, f, content))
}

// whole puts the frame around content.
func (d *Dashboard) whole(r *http.Request, f frame, content templ.Component) templ.Component {
	x := exchangeFrom(r.Context())
	f.person, f.environment, f.theme, f.path = x.person, d.Environment, themeOf(r), "/"
	if x.person == nil {
		f.bare = true
	}
	if !f.bare {
		f.hydraAway = d.awaySince(r.Context(), "hydra")
	}
	if r.Method == http.MethodGet {
		f.path = localPath(r.URL.RequestURI())
	}
	f.noReference = d.NoReference
	f.plainKeys = !shortcutsOf(r)
	f.flash = d.told(r)
	return layout(f, content)
}

// write renders all of a page before it sends any, so that a page that fails half
// way is not sent.
func (d *Dashboard) write(w http.ResponseWriter, r *http.Request, status int, page templ.Component) {
	var b bytes.Buffer
	if err := page.Render(r.Context(), &b); err != nil {
		x := exchangeFrom(r.Context())
		x.Err = err
		if r.Context().Err() != nil {
			return // whoever asked has left
		}
		d.Log.ErrorContext(r.Context(), "page not rendered", "request_id", x.RequestID, "error", err)
		http.Error(w, "This page could not be made. Request "+x.RequestID, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	body := b.Bytes()
	if exchangeFrom(r.Context()).mayCompress(r) {
		w.Header().Set("Content-Encoding", "gzip")
		body = compressed(body)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever left does not miss it
}
