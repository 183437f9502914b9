package keyauth_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/keyauth"
)

// Each refusal has its status, its challenge (RFC 6750) and a problem document (RFC
// 9457) that says what to do and not why.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	good := w.jwt(w.claims())
	const realm = `Bearer realm="https://api.example.com"`
	invalid := realm + `, error="invalid_token"`
	for _, tt := range []struct {
		name          string
		authorization []string
		scopes        []string
		status        int
		challenge     string
		code          string
	}{
		{"no header", nil, nil, 401, realm, "no_token"},
		{"Basic", []string{"Basic a2V5OnNlY3JldA=="}, nil, 401, realm, "no_token"},
		{"DPoP", []string{"DPoP " + good}, nil, 401, realm, "no_token"},
		{"token without scheme", []string{good}, nil, 401, realm, "no_token"},
		{"empty header", []string{""}, nil, 401, realm, "no_token"},
		{"scheme alone", []string{"Bearer"}, nil, 401, invalid, "invalid_token"},
		{"no token behind the scheme", []string{"Bearer "}, nil, 401, invalid, "invalid_token"},
		{"two headers", []string{"Bearer " + good, "Bearer " + good}, nil, 401, invalid, "invalid_token"},
		{"two headers, the second of another kind", []string{"Bearer " + good, "Basic a2V5"}, nil, 401, invalid, "invalid_token"},
		{"two tokens in one header", []string{"Bearer " + good + ", Bearer " + good}, nil, 401, invalid, "invalid_token"},
		{"tab", []string{"Bearer\t" + good}, nil, 401, realm, "no_token"},
		{"garbage", []string{"Bearer a.b.c"}, nil, 401, invalid, "invalid_token"},
		{"a scope is missing", []string{"Bearer " + good}, []string{"orders:read", "orders:delete"}, 403, realm + `, error="insufficient_scope", scope="orders:read orders:delete"`, "insufficient_scope"},
		{"the beginning of a scope", []string{"Bearer " + good}, []string{"orders"}, 403, realm + `, error="insufficient_scope", scope="orders"`, "insufficient_scope"},
		{"a scope in capitals", []string{"Bearer " + good}, []string{"ORDERS:READ"}, 403, realm + `, error="insufficient_scope", scope="ORDERS:READ"`, "insufficient_scope"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/orders", nil)
			for _, a := range tt.authorization {
				r.Header.Add("Authorization", a)
			}
			rec := serve(v, r, tt.scopes...)
			var p struct {
				Type, Title, Detail, Code, Scope string
				Status                           int
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			if rec.Code != tt.status || p.Status != tt.status || p.Code != tt.code || p.Type != "about:blank" || p.Title != http.StatusText(tt.status) || p.Detail == "" {
				t.Errorf("got %d %s", rec.Code, rec.Body)
			}
			h := rec.Header()
			if diff := cmp.Diff([]string{tt.challenge, "application/problem+json", "no-store"}, []string{h.Get("WWW-Authenticate"), h.Get("Content-Type"), h.Get("Cache-Control")}); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "bEaReR ", "Bearer   "} {
		if rec := ask(t, v, scheme+good, "orders:read", "orders:write"); rec.Code != http.StatusOK {
			t.Errorf("scheme %q: %d", scheme, rec.Code)
		}
	}
}

// A token in the query, in the body, in a cookie or in another header is not read.
func TestTokensElsewhereAreNotRead(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	good := w.jwt(w.claims())
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://api.example.com/?access_token="+good, strings.NewReader("access_token="+good))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", "access_token="+good)
	r.Header.Set("X-Access-Token", good)
	r.Header.Set("Proxy-Authorization", "Bearer "+good)
	rec := serve(v, r)
	if rec.Code != http.StatusUnauthorized {
		t.Errorf("got %d", rec.Code)
	}
	if body, err := io.ReadAll(r.Body); err != nil || !strings.HasPrefix(string(body), "access_token=") {
		t.Errorf("the body was read: %q, %v", body, err)
	}
}

// Who sends a token in clear gets 403 without a redirect, and the token is not even
// looked at. TLS ends here, or at a trusted proxy that says so.
func TestHTTPSIsRequired(t *testing.T) {
	w := newWorld(t)
	proxies := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}
	strict := w.verifier(t, func(c *keyauth.Config) { c.TrustedProxies = proxies })
	good := w.jwt(w.claims())
	for _, tt := range []struct {
		name, remote, host string
		tls                bool
		proto              []string
		want               int
	}{
		{"TLS", "192.0.2.1:1", "api.example.com", true, nil, 200},
		{"in clear", "192.0.2.1:1", "api.example.com", false, nil, 403},
		{"in clear, and says otherwise", "192.0.2.1:1", "api.example.com", false, []string{"https"}, 403},
		{"proxy says https", "10.1.2.3:1", "api.example.com", false, []string{"https"}, 200},
		{"proxy in IPv6 notation", "[::ffff:10.1.2.3]:1", "api.example.com", false, []string{"https"}, 200},
		{"IPv6 proxy with a zone", "[fd00::1%eth0]:1", "api.example.com", false, []string{"https"}, 200},
		{"proxy says http", "10.1.2.3:1", "api.example.com", false, []string{"http"}, 403},
		{"proxy by TLS says http", "10.1.2.3:1", "api.example.com", true, []string{"http"}, 403},
		{"proxy says both", "10.1.2.3:1", "api.example.com", false, []string{"https", "http"}, 403},
		{"proxy says a list", "10.1.2.3:1", "api.example.com", false, []string{"https, http"}, 403},
		{"proxy says HTTPS", "10.1.2.3:1", "api.example.com", false, []string{"HTTPS"}, 403},
		{"proxy says nothing", "10.1.2.3:1", "api.example.com", false, nil, 403},
		{"not quite a proxy", "10.2.0.1:1", "api.example.com", false, []string{"https"}, 403},
		{"no address", "", "api.example.com", false, []string{"https"}, 403},
		{"Unix socket", "@", "localhost", false, []string{"https"}, 403},
		{"loopback", "127.0.0.1:1", "localhost:8080", false, nil, 200},
		{"loopback, IPv6", "[::1]:1", "[::1]:8080", false, nil, 200},
		{"loopback by another name", "127.0.0.1:1", "rebound.example", false, nil, 403},
		{"loopback's name from elsewhere", "192.0.2.1:1", "localhost", false, nil, 403},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example.com/", nil)
		r.RemoteAddr, r.Host = tt.remote, tt.host
		r.Header.Set("Authorization", "Bearer "+good)
		for _, p := range tt.proto {
			r.Header.Add("X-Forwarded-Proto", p)
		}
		if tt.tls {
			r.TLS = &tls.ConnectionState{}
		}
		rec := serve(strict, r)
		if rec.Code != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, rec.Code, tt.want)
		}
		if tt.want == 403 && (!strings.Contains(rec.Body.String(), "https_required") || rec.Header().Get("Location") != "" || rec.Header().Get("Connection") != "close") {
			t.Errorf("%s: got %s, %v", tt.name, rec.Body, rec.Header())
		}
	}
	// Without InsecureLoopback, loopback is no exception.
	v, err := keyauth.New(keyauth.Config{Audiences: []string{api}, Issuer: "https://auth.example.com", StatusList: keyauth.StatusList{Off: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close() //nolint:errcheck // always nil
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil)
	r.RemoteAddr = "127.0.0.1:1"
	if rec := serve(v, r); rec.Code != http.StatusForbidden {
		t.Errorf("loopback in production: %d", rec.Code)
	}
}

// The reason goes to the log and to Observe, and never a token.
func TestReasonsAreLogged(t *testing.T) {
	w := newWorld(t)
	var log bytes.Buffer
	var mu sync.Mutex
	var seen []string
	v := w.verifier(t, func(c *keyauth.Config) {
		c.Log = slog.New(slog.NewJSONHandler(&log, nil))
		c.Observe = func(o keyauth.Observation) {
			mu.Lock()
			defer mu.Unlock()
			if o.Duration < 0 {
				t.Errorf("%+v", o)
			}
			cached := map[bool]string{true: " cached"}[o.Cached]
			seen = append(seen, string(o.Operation)+" "+string(o.Format)+" "+string(o.Reason)+cached)
		}
	})
	c := w.claims()
	c["aud"] = "https://other.example"
	wrong, good := w.jwt(c), w.jwt(w.claims())
	_ = ask(t, v, bearer(wrong))
	_ = ask(t, v, bearer(good))
	_ = ask(t, v, bearer(good), "admin")
	_ = ask(t, v, "Bearer ory_at_gone")
	w.breaks("/v1/introspect", status(500))
	_ = ask(t, v, "Bearer ory_at_gone")
	want := []string{
		"verify jwt audience", "request  audience", "jwks  ", "verify jwt ", "request  ", "verify jwt  cached", "request  scope",
		"introspect  ", "verify opaque inactive", "request  inactive", "introspect  introspection", "verify opaque introspection", "request  introspection",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	for _, word := range []string{`"reason":"audience"`, `"reason":"scope"`, `"key_id":"` + keyID + `"`, `"reason":"inactive"`, `"level":"WARN"`, `"reason":"introspection"`} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("the log lacks %s:\n%s", word, log.String())
		}
	}
	for _, secret := range []string{good, wrong, "ory_at_gone", ownToken, strings.Split(good, ".")[2]} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds a token:\n%s", log.String())
		}
	}
}

// What a handler does is its own: a panic passes through, and a caller that leaves
// disturbs nobody.
func TestHandlersOwnTroubles(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	good := w.jwt(w.claims())
	mux := http.NewServeMux()
	mux.Handle("/panic", v.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
	mux.Handle("/read", v.Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })))
	mux.Handle("/ok", v.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	s := httptest.NewServer(mux)
	defer s.Close()
	send := func(ctx context.Context, path string, body io.Reader) (int, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+good)
		resp, err := s.Client().Do(r)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 10 {
				if _, err := send(t.Context(), "/panic", nil); err == nil {
					t.Error("a panic was answered")
				}
				ctx, leave := context.WithCancel(t.Context())
				body, end := io.Pipe()
				go func() { _, _ = end.Write([]byte("x")); leave(); _ = end.Close() }()
				_, _ = send(ctx, "/read", body)
			}
		})
	}
	all.Wait()
	if code, err := send(t.Context(), "/ok", nil); code != http.StatusOK || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
}

// A word that cannot be a scope is a mistake in the program, told when it starts.
func TestRequirePanics(t *testing.T) {
	v := newWorld(t).verifier(t)
	for _, scope := range []string{"", "a b", `a"b`, `a\b`, "a\nb", "ä", strings.Repeat("x", 257)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q was taken for a scope", scope)
				}
			}()
			v.Require("orders:read", scope)
		}()
	}
}

// Without Require there is no identity.
func TestNoIdentity(t *testing.T) {
	if who, ok := keyauth.FromContext(t.Context()); ok {
		t.Errorf("got %+v", who)
	}
}
