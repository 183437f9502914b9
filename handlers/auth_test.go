package handlers_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// Everything under /v1 needs exactly one bearer token in the one header, also
// what does not exist; the challenge tells a refused token from none
// (catalogue B 25, RFC 6750 section 3.1).
func TestAuthentication(t *testing.T) {
	const none, refused = `Bearer realm="tokenos"`, `Bearer realm="tokenos", error="invalid_token"`
	tests := []struct {
		name, method, target string
		header               []string
		challenge            string
	}{
		{"none", "GET", "/v1/keys", nil, none},
		{"none on an unknown route", "GET", "/v1/nothing", nil, none},
		{"none on the prefix", "GET", "/v1", nil, none},
		{"none on a bad path", "GET", "/v1/keys/%2e%2e", nil, none},
		{"none on a wrong method", "PUT", "/v1/keys", nil, none},
		{"none with a body too large", "POST", "/v1/keys", nil, none},
		{"in the query", "GET", "/v1/keys?access_token=" + goodToken, nil, none},
		{"basic", "GET", "/v1/keys", []string{"Basic " + canary}, none},
		{"wrong", "GET", "/v1/keys", []string{"Bearer " + canary}, refused},
		{"empty", "GET", "/v1/keys", []string{"Bearer "}, refused},
		{"blank header", "GET", "/v1/keys", []string{""}, none},
		{"two headers", "GET", "/v1/keys", []string{"Bearer " + goodToken, "Bearer " + goodToken}, refused},
		{"two tokens", "GET", "/v1/keys", []string{"Bearer " + goodToken + ", Bearer x"}, refused},
		{"too long", "GET", "/v1/keys", []string{"Bearer " + strings.Repeat("a", 9000)}, refused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, nil)
			r := request(test.method, test.target, "")
			r.Header["Authorization"] = test.header
			if test.header == nil {
				r.Header.Del("Authorization")
			}
			res, body := b.do(r)
			wantProblem(t, res, body, 401, apikey.ErrUnauthenticated)
			if got := res.Header.Get("WWW-Authenticate"); got != test.challenge {
				t.Errorf("WWW-Authenticate %q, want %q", got, test.challenge)
			}
			if b.count() != 0 || res.Header.Get("Allow") != "" {
				t.Errorf("it reached the API, or Allow %q is told", res.Header.Get("Allow"))
			}
			noEcho(t, b, res, body)
		})
	}
	b := newBench(t, nil)
	r := request("GET", "/v1/keys", "")
	r.Header.Set("Authorization", "bEARER "+goodToken)
	if res, body := b.do(r); res.StatusCode != 200 {
		t.Errorf("the scheme's case matters: %d %s", res.StatusCode, body)
	}
}

// While it cannot be known whose a token is, the answer is 503 and never 401.
func TestAuthenticationUnavailable(t *testing.T) {
	b := newBench(t, func(c *handlers.Config) {
		c.Authenticate = func(context.Context, string) (apikey.Caller, error) {
			return apikey.Caller{}, &apikey.Error{Kind: apikey.ErrUnavailable, Detail: "Hydra is not ready"}
		}
	})
	res, body := b.do(request("GET", "/v1/keys", ""))
	wantProblem(t, res, body, 503, apikey.ErrUnavailable)
	if res.Header.Get("WWW-Authenticate") != "" || res.Header.Get("Retry-After") == "" {
		t.Errorf("headers %v", res.Header)
	}
}

// Every answer, also a failure and one without a route, forbids a browser to
// keep, frame, sniff or run it, and lets no other origin read it (B 31, 37).
func TestHeadersEverywhere(t *testing.T) {
	b := newBench(t, nil)
	for _, target := range []string{"/v1/keys", "/v1/nothing", "/nothing", "/health/alive", "/openapi.json", "/v1/keys/.."} {
		r := request("GET", target, "")
		r.Header.Set("Origin", "https://evil.test")
		res, _ := b.do(r)
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Opener-Policy": "same-origin", "Strict-Transport-Security": "max-age=31536000",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", target, name, got, want)
			}
		}
		if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: CSP %q", target, csp)
		}
		if res.Header.Get("Access-Control-Allow-Origin") != "" || res.Header.Get("Server") != "" || len(res.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: headers %v", target, res.Header)
		}
	}
}

// A Config without its needs is refused at once.
func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]handlers.Config{
		"no API":           {Authenticate: authenticate},
		"no Authenticate":  {API: newFake()},
		"negative body":    {API: newFake(), Authenticate: authenticate, MaxBodyBytes: -1},
		"negative timeout": {API: newFake(), Authenticate: authenticate, RequestTimeout: -1},
	} {
		if h, err := handlers.New(c); err == nil || h != nil {
			t.Errorf("%s: got %v, %v", name, h, err)
		}
	}
}
