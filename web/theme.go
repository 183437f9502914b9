package web

import (
	"net/http"
)

const themeCookie = "tokenos-theme"

// themeOf reads the choice from its cookie, so that the first byte of a page is
// already in it. Whatever else is in the cookie counts as none.
func themeOf(r *http.Request) string {
	c, err := r.Cookie(themeCookie)
	if err != nil || (c.Value != "light" && c.Value != "dark") {
		return ""
	}
	return c.Value
}

// theme keeps a choice and goes back to the page it was made on.
func (d *Dashboard) theme(w http.ResponseWriter, r *http.Request) error {
	choice := r.PostForm.Get("theme")
	c := &http.Cookie{Name: themeCookie, Value: choice, Path: "/", Secure: d.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 365 * 24 * 3600} //nolint:gosec // not Secure in development only, which has no HTTPS
	if choice != "light" && choice != "dark" {
		c.Value, c.MaxAge = "", -1
	}
	http.SetCookie(w, c)
	if byScript(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return d.goTo(w, r, localPath(r.PostForm.Get("return")))
}
