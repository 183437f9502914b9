package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/assets"
)

// policy lets a page load what is ours and nothing else. There is no inline script
// or style and no evaluation of text; nobody may frame us.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// maxForm bounds a form, in bytes.
const maxForm = 64 << 10

// Serve answers one request for a page.
func (d *Dashboard) Serve(w http.ResponseWriter, r *http.Request, v *Visit) {
	x := &exchange{Visit: v, userAgent: ascii(r.UserAgent(), maxUserAgent)}
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	setHeaders(w.Header(), x)
	defer d.recoverPanic(w, r)
	if v.Refused != nil {
		d.fail(w, r, v.Refused)
		return
	}
	if strings.HasPrefix(r.URL.Path, assets.Prefix) {
		v.Route = assets.Prefix
		if !assets.Serve(w, r) {
			d.fail(w, r, apikey.ErrNotFound)
		}
		return
	}
	if err := d.crossOrigin.Check(r); err != nil {
		d.fail(w, r, errCrossOrigin)
		return
	}
	if r.ContentLength > maxForm {
		w.Header().Set("Connection", "close") // rather than read what is not wanted
		d.fail(w, r, apikey.ErrTooLarge)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	d.sessions.LoadAndSave(http.HandlerFunc(d.dispatch)).ServeHTTP(w, r)
}

// setHeaders are for every answer. Pages are kept nowhere: they show what only the
// person may see, and a page that comes back after sign-out would still show it.
func setHeaders(h http.Header, x *exchange) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()")
	if x.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// dispatch finds out who is there and what is wanted.
func (d *Dashboard) dispatch(w http.ResponseWriter, r *http.Request) {
	x := exchangeFrom(r.Context())
	d.who(r.Context(), x)
	if _, pattern := d.mux.Handler(r); pattern == "" {
		if len(d.allowed(r)) > 0 {
			w.Header().Set("Allow", strings.Join(d.allowed(r), ", "))
			d.fail(w, r, apikey.ErrMethodNotAllowed)
			return
		}
		d.fail(w, r, apikey.ErrNotFound)
		return
	}
	d.mux.ServeHTTP(w, r)
}

// allowed are the methods that the path has.
func (d *Dashboard) allowed(r *http.Request) (methods []string) {
	for _, m := range []string{http.MethodGet, http.MethodPost} {
		other := *r
		other.Method = m
		if _, pattern := d.mux.Handler(&other); pattern != "" {
			methods = append(methods, m)
		}
	}
	return methods
}

// page wraps a handler: who may see it, and what becomes of its error.
func (d *Dashboard) page(p route) http.Handler {
	_, path, _ := strings.Cut(p.at, " ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchangeFrom(r.Context())
		x.Route, x.open = strings.TrimSuffix(path, "{$}"), p.open
		if err := d.admit(w, r, x, p); err != nil {
			d.fail(w, r, err)
			return
		}
		if x.person == nil && !p.open {
			return // admit has answered
		}
		if x.person != nil {
			r = r.WithContext(apikey.WithGlance(apikey.WithCaller(r.Context(), x.caller(r))))
		}
		if err := p.do(w, r); err != nil {
			d.fail(w, r, err)
		}
	})
}

// admit reads the form, counts the request and sends people to the sign-in.
func (d *Dashboard) admit(w http.ResponseWriter, r *http.Request, x *exchange, p route) error {
	if err := r.ParseForm(); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return apikey.ErrTooLarge
		}
		return apikey.ErrMalformed
	}
	if x.person == nil {
		if !p.open {
			d.askToSignIn(w, r)
		}
		return nil
	}
	if x.Limit != nil {
		if err := x.Limit(x.person.Principal()); err != nil {
			return err
		}
	}
	if p.right != "" && !x.person.May(p.right) {
		return &missingRight{p.right}
	}
	return nil
}

// askToSignIn answers whoever is not signed in, or no longer. Of a form nothing is
// lost: it is shown again to be sent once more.
func (d *Dashboard) askToSignIn(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		d.sessionEnded(w, r)
		return
	}
	to := signInPath
	if at := r.URL.RequestURI(); at != homePath {
		to += "?" + url.Values{"return": {at}}.Encode()
	}
	_ = d.goTo(w, r, to) // never fails
}

// recoverPanic answers a panic with a bare page. Of the panic's value only the
// type is logged, unless the runtime raised it: it may hold what a person sent.
func (d *Dashboard) recoverPanic(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	said := fmt.Sprintf("%T", v)
	if err, ok := v.(runtime.Error); ok {
		said = err.Error()
	}
	x := exchangeFrom(r.Context())
	d.Log.ErrorContext(r.Context(), "panic", "request_id", x.RequestID, "panic", said, "stack", string(debug.Stack()))
	x.person = nil // the page is shown without what may be broken
	d.fail(w, r, errPanicked)
}

var errPanicked = errors.New("panicked")
