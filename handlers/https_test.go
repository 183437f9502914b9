package handlers_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

func trusting(c *handlers.Config) {
	c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
}

// Plain HTTP gets a refusal and nothing else, on every route and also where
// there is none: never data, never a redirect (catalogue B 21, 22).
func TestPlainHTTPIsRefused(t *testing.T) {
	b := newBench(t, trusting)
	for _, target := range []string{"/v1/keys", "/v1/keys/" + keyID, "/health/alive", "/health/ready", "/openapi.json", "/nothing", "/", "/v1/keys/%2e%2e"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS"} {
			for name, values := range map[string][]string{
				"": nil, "X-Forwarded-Proto": {"https"}, "Forwarded": {"proto=https"}, "X-Forwarded-Ssl": {"on"}, "Front-End-Https": {"on"},
			} {
				r := request(method, target, "")
				r.TLS, r.RemoteAddr = nil, "192.0.2.7:999"
				if name != "" {
					r.Header[name] = values
				}
				res, body := b.do(r)
				wantProblem(t, res, body, 403, apikey.ErrHTTPSRequired)
				if res.Header.Get("Location") != "" || b.count() != 0 || res.Header.Get("Strict-Transport-Security") != "" || res.Header.Get("Allow") != "" {
					t.Errorf("%s %s with %s: it reached the API, or the headers %v tell too much", method, target, name, res.Header)
				}
			}
		}
	}
}

// A trusted proxy's word counts, in its one form; also against TLS of its own.
func TestTrustedProxies(t *testing.T) {
	tests := []struct {
		name, peer string
		tls        bool
		proto      []string
		status     int
	}{
		{"says https", "10.1.2.3:5", false, []string{"https"}, 200},
		{"over IPv6", "[fd00::1]:5", false, []string{"https"}, 200},
		{"IPv4 inside IPv6", "[::ffff:10.1.2.3]:5", false, []string{"https"}, 200},
		{"says http", "10.1.2.3:5", false, []string{"http"}, 403},
		{"says http over TLS", "10.1.2.3:5", true, []string{"http"}, 403},
		{"says nothing", "10.1.2.3:5", false, nil, 403},
		{"says nothing over TLS", "10.1.2.3:5", true, nil, 200},
		{"says both", "10.1.2.3:5", false, []string{"https", "http"}, 403},
		{"says a list", "10.1.2.3:5", false, []string{"https, https"}, 403},
		{"others over TLS are not asked", "192.0.2.1:5", true, []string{"http"}, 200},
		{"no address", "@", false, []string{"https"}, 403},
	}
	for _, test := range tests {
		b := newBench(t, trusting)
		r := request("GET", "/v1/keys/"+keyID, "")
		r.RemoteAddr = test.peer
		if !test.tls {
			r.TLS = nil
		}
		if test.proto != nil {
			r.Header["X-Forwarded-Proto"] = test.proto
		}
		if res, body := b.do(r); res.StatusCode != test.status {
			t.Errorf("%s: got %d %s, want %d", test.name, res.StatusCode, body, test.status)
		}
	}
}

// The caller's address is the last one that no trusted proxy stands behind;
// what an outsider writes into the header counts for nothing.
func TestClientAddress(t *testing.T) {
	tests := []struct {
		peer string
		xff  []string
		want string
	}{
		{"192.0.2.7:1", []string{"1.1.1.1"}, "192.0.2.7"},
		{"10.0.0.1:1", nil, "10.0.0.1"},
		{"10.0.0.1:1", []string{"203.0.113.5"}, "203.0.113.5"},
		{"10.0.0.1:1", []string{"1.1.1.1, 203.0.113.5"}, "203.0.113.5"},
		{"10.0.0.1:1", []string{"1.1.1.1", "203.0.113.5, 10.0.0.2"}, "203.0.113.5"},
		{"10.0.0.1:1", []string{"203.0.113.5:4711"}, "203.0.113.5"},
		{"10.0.0.1:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"10.0.0.1:1", []string{"1.1.1.1, " + canary}, "10.0.0.1"},
		{"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"10.0.0.1:1", []string{""}, "10.0.0.1"},
	}
	for _, test := range tests {
		b := newBench(t, trusting)
		var got apikey.Caller
		c := handlers.Config{API: seeing{b.fake, &got}, Authenticate: authenticate}
		trusting(&c)
		b.h = mustNew(t, c)
		r := request("GET", "/v1/keys/"+keyID, "")
		r.RemoteAddr = test.peer
		r.Header["X-Forwarded-For"] = test.xff
		b.do(r)
		if got.Address != test.want {
			t.Errorf("peer %s, X-Forwarded-For %q: got %q, want %q", test.peer, test.xff, got.Address, test.want)
		}
	}
}

// A trusted proxy's request id is taken over, one from anybody else is not.
func TestRequestID(t *testing.T) {
	b := newBench(t, trusting)
	for peer, want := range map[string]bool{"10.0.0.1:1": true, "192.0.2.1:1": false} {
		r := request("GET", "/v1/keys", "")
		r.RemoteAddr = peer
		r.Header.Set("X-Request-Id", "edge-1.A_b")
		res, _ := b.do(r)
		if got := res.Header.Get("X-Request-Id") == "edge-1.A_b"; got != want {
			t.Errorf("peer %s: X-Request-Id %q", peer, res.Header.Get("X-Request-Id"))
		}
	}
}

// In dev, plain HTTP works from this machine to this machine, and nowhere else.
func TestInsecureLoopback(t *testing.T) {
	for _, test := range []struct {
		peer, host string
		status     int
	}{
		{"127.0.0.1:5", "127.0.0.1:4455", 200},
		{"127.0.0.1:5", "localhost:4455", 200},
		{"[::1]:5", "[::1]:4455", 200},
		{"[::1]:5", "[::1]", 200},
		{"127.0.0.1:5", "evil.test:4455", 403},
		{"127.0.0.1:5", "localhost.evil.test", 403},
		{"127.0.0.1:5", "", 403},
		{"192.0.2.1:5", "localhost:4455", 403},
	} {
		b := newBench(t, func(c *handlers.Config) { c.InsecureLoopback = true })
		r := request("GET", "/v1/keys", "")
		r.TLS, r.RemoteAddr, r.Host = nil, test.peer, test.host
		if res, body := b.do(r); res.StatusCode != test.status {
			t.Errorf("%s to %s: got %d %s", test.peer, test.host, res.StatusCode, body)
		}
	}
}

// Health tells whether each part works, but never why not; it needs no token.
// The ops handler serves it in clear, and nothing else.
func TestHealth(t *testing.T) {
	var broken error
	checks := func(c *handlers.Config) {
		c.Ready = map[string]func(context.Context) error{
			"ledger": func(context.Context) error { return nil },
			"hydra":  func(context.Context) error { return broken },
		}
	}
	get := func(h http.Handler, target string, secure bool) (reply, string) {
		r := request("GET", target, "")
		r.Header.Del("Authorization")
		if !secure {
			r.TLS = nil
		}
		return serveOnce(h, r)
	}
	b := newBench(t, checks)
	res, body := get(b.h, "/health/ready", true)
	if res.StatusCode != 200 || !strings.Contains(body, `"hydra":"ok"`) || !strings.Contains(body, `"ledger":"ok"`) {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	if res, body := get(b.h, "/health/alive", true); res.StatusCode != 200 || !strings.Contains(body, `"status":"ok"`) {
		t.Errorf("got %d %s", res.StatusCode, body)
	}

	broken = errors.New("dial tcp " + canary)
	b = newBench(t, checks)
	res, body = get(b.h, "/health/ready", true)
	wantProblem(t, res, body, 503, apikey.ErrUnavailable)
	if !strings.Contains(body, `"hydra":"unavailable"`) || !strings.Contains(body, `"ledger":"ok"`) || strings.Contains(body, canary) {
		t.Errorf("got %s", body)
	}

	c := handlers.Config{}
	checks(&c)
	ops := handlers.NewOps(c)
	if res, body := get(ops, "/health/ready", false); res.StatusCode != 503 {
		t.Errorf("ops: got %d %s", res.StatusCode, body)
	}
	if res, body := get(ops, "/health/alive", false); res.StatusCode != 200 {
		t.Errorf("ops: got %d %s", res.StatusCode, body)
	}
	for _, target := range []string{"/v1/keys", "/openapi.json", "/"} {
		res, body := get(ops, target, false)
		wantProblem(t, res, body, 404, apikey.ErrNotFound)
	}
}

// A check that does not return is not waited for beyond its second, and many
// callers cause one round of checks.
func TestReadyIsBounded(t *testing.T) {
	rounds := make(chan struct{}, 100)
	b := newBench(t, func(c *handlers.Config) {
		c.Ready = map[string]func(context.Context) error{"stuck": func(context.Context) error {
			rounds <- struct{}{}
			select {}
		}}
	})
	for range 3 {
		res, body := b.do(request("GET", "/health/ready", ""))
		wantProblem(t, res, body, 503, apikey.ErrUnavailable)
	}
	if len(rounds) != 1 {
		t.Errorf("%d rounds for 3 callers", len(rounds))
	}
}
