package handlers_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// withPages serves pages that tell what they were given.
func withPages(seen *[]handlers.Visit) func(*handlers.Config) {
	return func(c *handlers.Config) {
		trusting(c)
		c.Pages = func(w http.ResponseWriter, r *http.Request, v *handlers.Visit) {
			v.Route, v.Principal = "/page", "user:ana"
			*seen = append(*seen, *v)
			if v.Refused != nil {
				w.WriteHeader(http.StatusForbidden)
			}
			_, _ = io.WriteString(w, "page "+r.URL.Path)
		}
	}
}

// What is not the API's goes to the pages, with what the API knows of the request;
// the API's own paths do not, whether they exist or not.
func TestPages(t *testing.T) {
	var seen []handlers.Visit
	b := newBench(t, withPages(&seen))
	for _, path := range []string{"/", "/keys", "/keys/%2e%2e", "/v1x", "/healthy", "/openapi.jsonx"} {
		res, body := b.do(request("POST", path, "{}"))
		if res.StatusCode != 200 || !strings.HasPrefix(body, "page /") {
			t.Errorf("%s: %d %s", path, res.StatusCode, body)
		}
	}
	v := seen[0]
	if v.RequestID == "" || v.Address == "" || !v.Secure || v.Refused != nil || v.Limit("user:ana") != nil {
		t.Errorf("got %+v", v)
	}
	if log := b.log.String(); !strings.Contains(log, `"route":"/page"`) || !strings.Contains(log, `"principal":"user:ana"`) {
		t.Errorf("logged %s", log)
	}
	seen = nil
	for _, path := range []string{"/v1", "/v1/nothing", "/v1/keys", "/health/nothing", "/openapi.json", "/status/nothing"} {
		b.do(request("GET", path, ""))
	}
	if len(seen) != 0 {
		t.Errorf("the pages saw %+v", seen)
	}
}

// In clear, and over its limit, a page is told to refuse.
func TestPagesRefused(t *testing.T) {
	var seen []handlers.Visit
	b := newBench(t, func(c *handlers.Config) {
		withPages(&seen)(c)
		c.Limits.Address = handlers.Limit{PerMinute: 1, Burst: 1}
	})
	r := request("GET", "/keys", "")
	r.TLS = nil
	res, _ := b.do(r)
	if !errors.Is(seen[0].Refused, apikey.ErrHTTPSRequired) || res.Header.Get("Connection") != "close" || res.Header.Get("Location") != "" {
		t.Errorf("in clear: %+v, headers %v", seen[0], res.Header)
	}
	b.do(request("GET", "/keys", ""))
	b.do(request("GET", "/keys", ""))
	if seen[1].Refused != nil || !errors.Is(seen[2].Refused, apikey.ErrRateLimited) {
		t.Errorf("over the limit: %v, %v", seen[1].Refused, seen[2].Refused)
	}
}

// Whoever is over the limit of a person is named in the log.
func TestPagesLimitOfAPerson(t *testing.T) {
	b := newBench(t, func(c *handlers.Config) {
		trusting(c)
		c.Limits.Caller = handlers.Limit{PerMinute: 1, Burst: 1}
		c.Pages = func(_ http.ResponseWriter, _ *http.Request, v *handlers.Visit) { v.Err = v.Limit("user:bo") }
	})
	for range 2 {
		b.do(request("GET", "/keys", ""))
	}
	if log := b.log.String(); !strings.Contains(log, `"limit":"caller"`) || strings.Count(log, `"principal":"user:bo"`) != 1 {
		t.Errorf("logged %s", log)
	}
}
