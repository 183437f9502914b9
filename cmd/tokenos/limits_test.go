//go:build unix

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/internal/hydratest"
)

// A flood of bad tokens from one address reaches Hydra for the first few only;
// who has a good token goes on from there, and the limits that nobody configured
// are in force.
func TestServeLimitsFailures(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	s := newSite(t, proxy.URL(), "trusted_proxies: [127.0.0.1]")
	token := s.managementToken(t)
	s.env = append(s.env, "TOKENOS_LIMITS_FAILURES_PER_MINUTE=1", "TOKENOS_LIMITS_FAILURES_BURST=7") // no refill while this runs
	c := s.serve(t)
	list := func(token, address string) answer {
		return ask(t.Context(), http.DefaultClient, http.MethodGet, "http://"+s.api+"/v1/keys", "",
			"X-Forwarded-Proto", "https", "X-Forwarded-For", address, "Authorization", "Bearer "+token)
	}
	const flooder = "203.0.113.66"
	if a := list(token, flooder); a.status != http.StatusOK || a.header.Get("RateLimit-Policy") != `"caller";q=100;w=2` {
		t.Fatalf("%d %s, RateLimit-Policy %q (%v)", a.status, a.body, a.header.Get("RateLimit-Policy"), a.err)
	}
	const introspection = "/admin/oauth2/introspect"
	statuses := map[int]int{}
	for i := range 40 {
		a := list(fmt.Sprintf("ory_at_bad%d.token", i), flooder)
		statuses[a.status]++
		if i == 6 {
			proxy.ResetCounts()
		}
	}
	if statuses[http.StatusUnauthorized] != 7 || statuses[http.StatusTooManyRequests] != 33 {
		t.Errorf("answered %v, want 7 times 401 and 33 times 429", statuses)
	}
	if got := proxy.Received(http.MethodPost, introspection); got != 0 {
		t.Errorf("Hydra was asked %d times after the burst", got)
	}
	if a := list(token, flooder); a.status != http.StatusOK {
		t.Errorf("the good token from the same address: %d %s", a.status, a.body)
	}
	if a := list("ory_at_bad.elsewhere", "203.0.113.67"); a.status != http.StatusUnauthorized {
		t.Errorf("a bad token from elsewhere: %d %s", a.status, a.body)
	}
	s.stop(t, c)
	if got := strings.Count(c.stderr.String(), `"msg":"rate limited"`); got != 1 {
		t.Errorf("%d lines of refusals, want 1", got)
	}
}

// tokenos dev has the limits of an installation that configures none.
func TestDevIsLimited(t *testing.T) {
	c, info := dev(t, nil, append(freePorts, "--memory")...)
	a := ask(t.Context(), http.DefaultClient, http.MethodGet, info.APIURL+"/v1/keys", "", "Authorization", "Bearer "+info.ManagementToken)
	if a.status != http.StatusOK || a.header.Get("RateLimit-Policy") != `"caller";q=100;w=2` {
		t.Errorf("%d %s, RateLimit-Policy %q (%v)", a.status, a.body, a.header.Get("RateLimit-Policy"), a.err)
	}
	interrupt(t, c, info)
}
