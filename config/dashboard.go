package config

import (
	"net/url"
	"strings"
)

// Dashboard is the pages for people.
type Dashboard struct {
	Enabled  bool     `json:"enabled" preset:"true" doc:"Serve the dashboard beside the REST API, if a way to sign in is configured (dashboard.oidc)."`
	Docs     bool     `json:"docs" preset:"true" doc:"Show the reference of the REST API at /docs of the dashboard, without sign-in. The document itself is at /openapi.json in any case."`
	Idle     Duration `json:"idle" preset:"30m" min:"1m" max:"24h" doc:"How long a person stays signed in without a request. Not above dashboard.lifetime."`
	Lifetime Duration `json:"lifetime" preset:"12h" min:"5m" max:"7d" doc:"How long a person stays signed in at most. Roles are read again at the next sign-in."`
	OIDC     OIDC     `json:"oidc" doc:"The OpenID Connect provider that signs people in (docs/dashboard.md)."`
}

// Served reports whether there is a dashboard.
func (d Dashboard) Served() bool { return d.Enabled && d.OIDC.Issuer != "" }

// OIDC is an OpenID Connect provider, and what its claims mean.
type OIDC struct {
	Issuer       string   `json:"issuer" preset:"" maxLength:"2048" doc:"Issuer of the provider, exactly as it names itself; its discovery document lies below. Empty: nobody can sign in, and there is no dashboard."`
	ClientID     string   `json:"client_id" preset:"" maxLength:"255" doc:"Our client id at the provider. Register server.public_url + /sign-in/callback as its redirect URI. Required with dashboard.oidc.issuer."`
	ClientSecret Secret   `json:"client_secret" secret:"true" maxLength:"1024" doc:"Our client secret at the provider. Empty: a public client, which PKCE alone protects."`
	Scopes       []string `json:"scopes" maxItems:"20" uniqueItems:"true" doc:"Scopes to ask for beside openid. Empty: profile and email."`
	RoleClaim    string   `json:"role_claim" preset:"roles" minLength:"1" maxLength:"255" doc:"Claim of the ID token that gives the role: its name, or a path with dots (realm_access.roles). One text or a list."`
	Roles        Roles    `json:"roles" doc:"Which values of the claim give which role. A person without one is not let in."`
	OwnersClaim  string   `json:"owners_claim" preset:"" maxLength:"255" doc:"Claim that names the owners whose keys the person sees, like role_claim. Empty: everybody sees all owners' keys. If set, a person without it is not let in."`
	AllOwners    string   `json:"all_owners" preset:"" maxLength:"100" doc:"Value of owners_claim that stands for all owners. Empty: there is none."`
}

// Roles are the values of the role claim, by role. An empty list means the role's
// own name.
type Roles struct {
	Viewer []string `json:"viewer" maxItems:"50" uniqueItems:"true" doc:"Values that give the role viewer: look at keys and the audit. Empty: viewer."`
	Editor []string `json:"editor" maxItems:"50" uniqueItems:"true" doc:"Values that give the role editor: viewer, and make and change keys. Empty: editor."`
	Admin  []string `json:"admin" maxItems:"50" uniqueItems:"true" doc:"Values that give the role admin: everything. Empty: admin."`
}

func (l *loader) dashboard(c *Config) {
	d := &c.Dashboard
	if l.fine("dashboard.idle", "dashboard.lifetime") && d.Idle > d.Lifetime {
		l.bad("dashboard.idle", "expected not more than dashboard.lifetime ("+l.sourceOf("dashboard.lifetime")+")")
	}
	if !d.Enabled || d.OIDC.Issuer == "" || !l.fine("dashboard.oidc.issuer") {
		return
	}
	u, wrong := checkURL(d.OIDC.Issuer)
	if wrong == "" && u.Scheme != "https" && !isLoopback(u.Hostname()) {
		wrong = "expected an https URL: people sign in there; plain HTTP is only for a loopback address"
	}
	if wrong != "" {
		l.bad("dashboard.oidc.issuer", strings.ReplaceAll(wrong, "hydra.example.com", "login.example.com"))
	}
	if l.fine("dashboard.oidc.client_id") && d.OIDC.ClientID == "" {
		l.bad("dashboard.oidc.client_id", "required because dashboard.oidc.issuer is set")
	}
	// The session's cookie belongs to a host, not to a path.
	if p, err := url.Parse(c.Server.PublicURL); err == nil && l.fine("server.public_url") && strings.Trim(p.Path, "/") != "" {
		l.bad("server.public_url", "expected a URL without a path, because the dashboard is served at / (dashboard.enabled: false takes it away)")
	}
}
