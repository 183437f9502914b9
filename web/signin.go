package web

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/web/oidc"
	"github.com/tokenos/tokenos/web/ui"
)

// signInPage offers the ways to sign in.
func (d *Dashboard) signInPage(w http.ResponseWriter, r *http.Request) error {
	to := localPath(r.URL.Query().Get("return"))
	if exchangeFrom(r.Context()).person != nil {
		return d.goTo(w, r, to)
	}
	v := signInView{out: r.URL.Query().Get("out") != "", sent: r.URL.Query().Get("sent") != "", newLink: d.NewLink != nil, links: d.Links != nil}
	if d.Provider != nil {
		v.start = startPath + "?" + url.Values{"return": {to}}.Encode()
	}
	return d.show(w, r, frame{title: "Sign in"}, signInContent(v))
}

// oncePage asks before it uses a link up: programs that look at links ahead of
// people only ever send GET.
func (d *Dashboard) oncePage(w http.ResponseWriter, r *http.Request) error {
	token := r.PathValue("token")
	if d.Links == nil || !d.Links.good(token) {
		return d.badLink(w, r)
	}
	return d.show(w, r, frame{title: "Sign in", bare: true}, onceContent(oncePath+token))
}

func (d *Dashboard) once(w http.ResponseWriter, r *http.Request) error {
	if d.Links == nil || !d.Links.spend(r.PathValue("token")) {
		return d.badLink(w, r)
	}
	if err := d.signIn(r, Person{Subject: "dev", Name: "Developer", Role: RoleAdmin, SignedInAt: d.Now().UTC()}); err != nil {
		return err
	}
	d.tell(r, ui.ToneOK, "You are signed in as "+exchangeFrom(r.Context()).person.Shown()+".")
	return d.goTo(w, r, homePath)
}

func (d *Dashboard) badLink(w http.ResponseWriter, r *http.Request) error {
	d.showAs(w, r, http.StatusGone, frame{title: "Link used up", bare: true}, badLinkContent(d.NewLink != nil))
	return nil
}

// newLink has the operator's terminal show a link; the browser learns nothing.
func (d *Dashboard) newLink(w http.ResponseWriter, r *http.Request) error {
	if d.NewLink == nil {
		return apikey.ErrNotFound
	}
	d.NewLink()
	return d.goTo(w, r, signInPath+"?sent=1")
}

// requestCookie holds a sign-in at the provider that is under way.
const requestCookie = "tokenos-sign-in"

// requestTime is how long a person may take at the provider, in seconds.
const requestTime = 600

// underWay is a sign-in under way. It stays in the browser that began it: what is
// in it is of use only with the provider's answer to that browser.
type underWay struct {
	oidc.Request
	Return string
}

func (d *Dashboard) requestCookie(value string, age int) *http.Cookie {
	name := requestCookie
	if d.secure() {
		name = "__Host-" + name
	}
	return &http.Cookie{Name: name, Value: value, Path: "/", Secure: d.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: age} //nolint:gosec // not Secure in development only, which has no HTTPS
}

// startProvider sends the browser to the provider. It is a link and no form,
// because the policy's form-action holds for where a form is redirected, too.
func (d *Dashboard) startProvider(w http.ResponseWriter, r *http.Request) error {
	if d.Provider == nil {
		return apikey.ErrNotFound
	}
	address, request, err := d.Provider.Begin(r.Context())
	if err != nil {
		return providerAway(err)
	}
	raw, err := json.Marshal(underWay{request, localPath(r.URL.Query().Get("return"))})
	if err != nil {
		return err
	}
	http.SetCookie(w, d.requestCookie(base64.RawURLEncoding.EncodeToString(raw), requestTime))
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}

// callback takes what the provider sent back.
func (d *Dashboard) callback(w http.ResponseWriter, r *http.Request) error {
	if d.Provider == nil {
		return apikey.ErrNotFound
	}
	var u underWay
	if c, err := r.Cookie(d.requestCookie("", 0).Name); err == nil {
		if raw, err := base64.RawURLEncoding.DecodeString(c.Value); err == nil && json.Unmarshal(raw, &u) != nil {
			u = underWay{}
		}
	}
	http.SetCookie(w, d.requestCookie("", -1))
	found, err := d.Provider.Finish(r.Context(), u.Request, r.URL.Query())
	if err != nil {
		return d.notSignedIn(w, r, err)
	}
	if err := d.signIn(r, Person{Subject: found.Subject, Name: found.Name, Role: Role(found.Role), Owners: found.Owners, SignedInAt: d.Now().UTC()}); err != nil {
		return err
	}
	d.tell(r, ui.ToneOK, "You are signed in as "+exchangeFrom(r.Context()).person.Shown()+".")
	return d.goTo(w, r, localPath(u.Return))
}

func providerAway(err error) error {
	return &apikey.Error{Kind: apikey.ErrUnavailable, Detail: "the provider that signs people in does not answer", Cause: err}
}

// refusals say why somebody is not signed in.
var refusals = map[error]string{
	oidc.ErrRefused:  "The provider did not sign you in. Try again, or ask whoever runs it.",
	oidc.ErrForged:   "This answer does not belong to a sign-in that this browser began, or it took too long. Begin again.",
	oidc.ErrNoRole:   "You are known to the provider, but have no role here. Ask an administrator of TokenOS keys to give you one there.",
	oidc.ErrNoOwners: "You are known to the provider, but it names no owner whose keys you may see. Ask an administrator of TokenOS keys to add one there.",
}

func (d *Dashboard) notSignedIn(w http.ResponseWriter, r *http.Request, err error) error {
	if errors.Is(err, oidc.ErrUnavailable) {
		return providerAway(err)
	}
	x := exchangeFrom(r.Context())
	for kind, words := range refusals {
		if errors.Is(err, kind) {
			d.Log.WarnContext(r.Context(), "not signed in", "error", err, "address", x.Address, "request_id", x.RequestID)
			d.showAs(w, r, http.StatusForbidden, frame{title: "Not signed in", bare: true}, refusedContent(words, d.Provider != nil))
			return nil
		}
	}
	return err
}

// signOut ends the session; without one there is nothing to do.
func (d *Dashboard) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := d.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	return d.leave(w, r)
}

// signOutEverywhere ends all sessions of the person.
func (d *Dashboard) signOutEverywhere(w http.ResponseWriter, r *http.Request) error {
	if _, err := d.Sessions.EndSessionsOf(r.Context(), exchangeFrom(r.Context()).person.Principal(), ""); err != nil {
		return err
	}
	return d.signOut(w, r)
}

// leave clears what the browser keeps of us, pages that it would show again on
// Back among it.
func (d *Dashboard) leave(w http.ResponseWriter, r *http.Request) error {
	exchangeFrom(r.Context()).person = nil
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	return d.goTo(w, r, signInPath+"?out=1")
}

// sessionEnded shows a form that came without a session once more. Signing in
// happens in another tab, and then the form is sent again: nothing that was typed
// is lost, and nothing is kept on the server for somebody who is not signed in.
func (d *Dashboard) sessionEnded(w http.ResponseWriter, r *http.Request) {
	var fields []field
	for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
		for _, v := range r.PostForm[name] {
			fields = append(fields, field{name, v})
		}
	}
	if byScript(r) {
		w.Header().Set("HX-Retarget", "#main")
		w.Header().Set("HX-Reswap", "innerHTML")
		d.write(w, r, http.StatusUnauthorized, endedContent(localPath(r.URL.RequestURI()), fields))
		return
	}
	d.showAs(w, r, http.StatusUnauthorized, frame{title: "Session ended", bare: true}, endedContent(localPath(r.URL.RequestURI()), fields))
}

// field is one value of a form.
type field struct{ name, value string }

// signInView is what the sign-in page shows.
type signInView struct {
	start          string // where the provider's sign-in begins; "" without a provider
	out, sent      bool   // just signed out; a link was just shown at the terminal
	links, newLink bool
}
