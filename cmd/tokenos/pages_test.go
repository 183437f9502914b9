//go:build unix

package main

import (
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/internal/hydratest"
)

// The link that dev prints signs in, in clear on this machine, and no log has what
// it holds.
func TestDevDashboard(t *testing.T) {
	c, info := dev(t, nil, append(freePorts, "--memory", "--log-level", "debug")...)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	if a := ask(t.Context(), browser, http.MethodGet, info.DashboardURL, ""); a.status != http.StatusOK || !strings.Contains(a.body, "Sign in as developer") {
		t.Fatalf("the link answers %d (%v)", a.status, a.err)
	}
	if a := ask(t.Context(), browser, http.MethodPost, info.DashboardURL, ""); a.status != http.StatusOK || !strings.Contains(a.body, "<h1>Overview</h1>") || !strings.Contains(a.body, ">dev<") {
		t.Errorf("signing in leads to %d (%v)", a.status, a.err)
	}
	if a := ask(t.Context(), browser, http.MethodPost, info.DashboardURL, ""); a.status != http.StatusGone {
		t.Errorf("the link signs in twice: %d (%v)", a.status, a.err)
	}
	interrupt(t, c, info)
	_, token, _ := strings.Cut(info.DashboardURL, "/once/")
	if strings.Contains(c.stderr.String(), token) || !strings.Contains(c.stderr.String(), "/sign-in/once/{token}") {
		t.Errorf("the log: %s", c.stderr.String())
	}
}

// serve has a dashboard once a provider is configured, over HTTPS alone; without
// one there is nothing.
func TestServeDashboard(t *testing.T) {
	h := hydratest.Shared(t)
	s := newSite(t, h.AdminURL(), "trusted_proxies: [127.0.0.1]")
	plain := s.serve(t)
	if a := ask(t.Context(), http.DefaultClient, http.MethodGet, "http://"+s.api+"/keys", "", "X-Forwarded-Proto", "https"); a.status != http.StatusNotFound || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("without a provider /keys answers %d %s (%v)", a.status, a.header.Get("Content-Type"), a.err)
	}
	s.stop(t, plain)
	s.env = append(s.env, "TOKENOS_DASHBOARD_OIDC_ISSUER="+h.PublicURL(), "TOKENOS_DASHBOARD_OIDC_CLIENT_ID=tokenos")
	c := s.serve(t)
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if a := ask(t.Context(), stay, http.MethodGet, "http://"+s.api+"/keys", "", "X-Forwarded-Proto", "https"); a.status != http.StatusSeeOther || a.header.Get("Location") != "/sign-in?return=%2Fkeys" || a.header.Get("Strict-Transport-Security") == "" {
		t.Errorf("/keys answers %d %v (%v)", a.status, a.header, a.err)
	}
	if a := ask(t.Context(), stay, http.MethodGet, "http://"+s.api+"/keys", ""); a.status != http.StatusForbidden || !strings.Contains(a.body, "HTTPS required") || a.header.Get("Location") != "" {
		t.Errorf("in clear /keys answers %d %v (%v)", a.status, a.header, a.err)
	}
	refused(t, "the API in clear", ask(t.Context(), stay, http.MethodGet, "http://"+s.api+"/v1/keys", ""))
	s.stop(t, c)
}
