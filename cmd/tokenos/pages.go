package main

import (
	"fmt"
	"net"
	"net/http"

	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/web"
	"github.com/tokenos/tokenos/web/oidc"
)

// pages is the dashboard as the handlers take it; nil if there is none.
func (a *app) pages(cfg *config.Config) (func(http.ResponseWriter, *http.Request, *handlers.Visit), error) {
	if !cfg.Dashboard.Served() {
		return nil, nil
	}
	provider, err := oidc.New(providerConfig(cfg))
	if err != nil {
		return nil, err
	}
	c := a.webConfig()
	c.Provider, c.Idle, c.Lifetime = provider, cfg.Dashboard.Idle.Std(), cfg.Dashboard.Lifetime.Std()
	c.NoReference = !cfg.Dashboard.Docs
	return asPages(c)
}

// webConfig is what every dashboard of ours has.
func (a *app) webConfig() web.Config {
	return web.Config{API: a.service, Introspector: a.service, Sessions: a.ledger, Parts: a.parts(), Log: a.log}
}

// asPages lets the handlers call the dashboard: its Visit has the same members.
func asPages(c web.Config) (func(http.ResponseWriter, *http.Request, *handlers.Visit), error) {
	d, err := web.New(c)
	if err != nil {
		return nil, err
	}
	return func(w http.ResponseWriter, r *http.Request, v *handlers.Visit) { d.Serve(w, r, (*web.Visit)(v)) }, nil
}

// providerConfig is the provider as it is configured. An empty list has its
// meaning here.
func providerConfig(cfg *config.Config) oidc.Config {
	o := cfg.Dashboard.OIDC
	or := func(list []string, own ...string) []string {
		if len(list) == 0 {
			return own
		}
		return list
	}
	return oidc.Config{Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), RedirectURL: cfg.Server.PublicURL + web.CallbackPath,
		Scopes: append([]string{"openid"}, or(o.Scopes, "profile", "email")...),
		Claims: oidc.Claims{Role: o.RoleClaim, Owners: o.OwnersClaim, AllOwners: o.AllOwners, Roles: []oidc.Role{
			{Name: string(web.RoleAdmin), Values: or(o.Roles.Admin, string(web.RoleAdmin))},
			{Name: string(web.RoleEditor), Values: or(o.Roles.Editor, string(web.RoleEditor))},
			{Name: string(web.RoleViewer), Values: or(o.Roles.Viewer, string(web.RoleViewer))},
		}}}
}

// pages is dev's dashboard: whoever sees this terminal may sign in. link makes a
// new link.
func (d *devStack) pages() (pages func(http.ResponseWriter, *http.Request, *handlers.Visit), link func() string, err error) {
	links := &web.Links{}
	address := "http://" + d.listener.Addr().String()
	link = func() string { return address + links.New() }
	c := d.app.webConfig()
	// Browsers tell cookies apart by host and not by port: two of us may run.
	_, port, err := net.SplitHostPort(d.listener.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	c.Links, c.CookieName, c.Environment = links, "tokenos-dev-"+port, "dev"
	c.NewLink = func() {
		fmt.Fprintf(d.stderr, "\n  Dashboard         %s  (signs you in once, within 15 minutes)\n", link())
	}
	pages, err = asPages(c)
	return pages, link, err
}
