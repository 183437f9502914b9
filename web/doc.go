// Package web is the dashboard: pages for people, beside the REST API and on the
// same listener. It may import apikey and snippets.
//
// A page is a row in routes.go, a handler and a templ component:
//
//	{at: "GET /keys", right: apikey.KeysRead, do: d.keys}
//
//	func (d *Dashboard) keys(w http.ResponseWriter, r *http.Request) error {
//		page, err := d.API.List(r.Context(), ...)
//		if err != nil {
//			return err // becomes the page of that error
//		}
//		return d.show(w, r, frame{title: "Keys", section: "keys"}, keysPage(page))
//	}
//
// Handlers call the same [apikey.API] as the REST handlers, with the signed-in
// person as the caller in the context, so rules, limits, errors and audit are one.
//
// Everything works without JavaScript: a link is a GET, a change is a form that is
// posted and answered with a redirect (303) and a flash. htmx asks for the same
// addresses; [partial] tells that only the swapped part is wanted.
//
// Text goes into pages through templ alone, which escapes it. There is no inline
// script or style anywhere: the policy of serve.go forbids both, so behaviour goes
// into assets/static/app.js as a custom element and looks into app.css as a class.
//
// web/ui has the components, web/assets what browsers load, web/oidc the sign-in.
// *_templ.go is generated: make generate.
package web
