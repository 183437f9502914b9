package web

import (
	"net/http"

	"github.com/tokenos/tokenos/apikey"
)

// route is one page, or one form's end.
type route struct {
	at    string       // as http.ServeMux takes it
	right apikey.Right // that the person must have; "" for none
	open  bool         // for people who are not signed in, too
	do    func(w http.ResponseWriter, r *http.Request) error
}

const (
	homePath     = "/"
	keysPath     = "/keys"
	activityPath = "/activity"
	toolsPath    = "/tools"
	settingsPath = "/settings"
	signInPath   = "/sign-in"
	oncePath     = "/sign-in/once/"
	startPath    = "/sign-in/start"
	// CallbackPath is where the provider sends people back to.
	CallbackPath = "/sign-in/callback"
	newLinkPath  = "/sign-in/link"
	signOutPath  = "/sign-out"
	everyPath    = "/sign-out/everywhere"
	themePath    = "/theme"

	newKeyPath     = keysPath + "/new"
	newKeyCodePath = newKeyPath + "/code"

	checksPath    = "/settings/checks"
	signingPath   = "/settings/signing-keys"
	sessionsPath  = "/settings/sessions/"
	shortcutsPath = "/settings/shortcuts"
	lookUpPath    = "/tools/look-up"
	docsPath      = "/docs"

	verificationPath = activityPath + "/verification"
)

// firstTokenPath and so on are pages of one key. revealedPath is what a page with a
// secret becomes once it is left.
func firstTokenPath(id string) string { return keyPath(id) + "/first-token" }
func revealedPath(id string) string   { return firstTokenPath(id) }
func rotatePath(id string) string     { return keyPath(id) + "/rotate" }
func completePath(id string) string   { return rotatePath(id) + "/complete" }

// routes is all of the dashboard.
func (d *Dashboard) routes() *http.ServeMux {
	m := http.NewServeMux()
	for _, p := range append(d.keyRoutes(), []route{
		{at: "GET /{$}", right: apikey.KeysRead, do: d.overview},
		{at: "GET /keys", right: apikey.KeysRead, do: d.keys},

		{at: "GET /keys/new", right: apikey.KeysWrite, do: d.newKey},
		{at: "POST /keys/new", right: apikey.KeysWrite, do: d.createKey},
		{at: "POST /keys/new/code", right: apikey.KeysWrite, do: d.newKeyCode},
		{at: "GET /keys/{id}/first-token", right: apikey.KeysRead, do: d.firstToken},
		{at: "GET /keys/{id}/rotate", right: apikey.KeysWrite, do: d.rotatePage},
		{at: "POST /keys/{id}/rotate", right: apikey.KeysWrite, do: d.rotate},
		{at: "POST /keys/{id}/rotate/complete", right: apikey.KeysWrite, do: d.completeRotation},

		{at: "GET /sign-in", open: true, do: d.signInPage},
		{at: "GET /sign-in/once/{token}", open: true, do: d.oncePage},
		{at: "POST /sign-in/once/{token}", open: true, do: d.once},
		{at: "POST /sign-in/link", open: true, do: d.newLink},
		{at: "GET /sign-in/start", open: true, do: d.startProvider},
		{at: "GET /sign-in/callback", open: true, do: d.callback},
		{at: "POST /sign-out", open: true, do: d.signOut},
		{at: "POST /sign-out/everywhere", do: d.signOutEverywhere},
		{at: "POST /theme", open: true, do: d.theme},

		{at: "GET /settings", right: apikey.KeysRead, do: d.settings},
		{at: "GET /settings/checks", right: apikey.Admin, do: d.diagnose},
		{at: "GET /settings/signing-keys", right: apikey.Admin, do: d.signingKeys},
		{at: "POST /settings/sessions/{id}/end", do: d.endSession},
		{at: "POST /settings/shortcuts", do: d.shortcuts},
		{at: "GET /activity", right: apikey.AuditRead, do: d.activity},
		{at: "GET /activity/verification", right: apikey.Admin, do: d.verification},
		{at: "POST /activity/verification", right: apikey.Admin, do: d.verify},
		{at: "GET /docs", open: true, do: d.reference},
		{at: "GET /tools", do: d.tools},
		{at: "POST /tools/look-up", right: apikey.TokensIntrospect, do: d.lookUp},
	}...) {
		m.Handle(p.at, d.page(p))
	}
	return m
}
