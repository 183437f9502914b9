package keyauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/keyauth"
)

const jwks = "/.well-known/jwks.json"

// Ten thousand tokens with made-up kids make at most one fetch per ten seconds,
// however many send them at once.
func TestUnknownKeysFetchRarely(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	payload := string(must(json.Marshal(w.claims())))
	signature := "." + b64(strings.Repeat("x", 64)) // without a key nobody looks at it
	flood := func(round int) {
		var all sync.WaitGroup
		for worker := range 50 {
			all.Go(func() {
				for i := range 200 {
					token := b64(fmt.Sprintf(`{"alg":"ES256","kid":"k-%d-%d-%d","typ":"JWT"}`, round, worker, i)) + "." + b64(payload) + signature
					if got := reasonOf(t, v, token); got != keyauth.UnknownKey {
						t.Errorf("got %q", got)
						return
					}
				}
			})
		}
		all.Wait()
	}
	flood(1)
	if n := w.count(jwks); n != 1 {
		t.Errorf("%d fetches for ten thousand kids", n)
	}
	w.advance(9900 * time.Millisecond)
	flood(2)
	w.advance(10 * time.Second)
	flood(3)
	if n := w.count(jwks); n > 3 {
		t.Errorf("%d fetches in twenty seconds", n)
	}
}

// A key that the issuer begins to use is accepted after one fetch.
func TestNewKey(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	if got := reasonOf(t, v, w.jwt(w.claims())); got != "" {
		t.Fatal(got)
	}
	w.setKeys(jose.JSONWebKey{Key: esOther.Public(), KeyID: "new", Algorithm: "ES256", Use: "sig"}, jose.JSONWebKey{Key: esKey.Public(), KeyID: "es", Algorithm: "ES256", Use: "sig"})
	w.advance(11 * time.Second)
	c := w.claims()
	if got := reasonOf(t, v, es256(`{"alg":"ES256","kid":"new","typ":"JWT"}`, string(must(json.Marshal(c))), esOther)); got != "" {
		t.Errorf("got %q", got)
	}
	if n := w.count(jwks); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

// While keys cannot be fetched the last good set counts. A token by a key that is
// not in it cannot be judged: 503. Before the first good set nothing can be.
func TestJWKSFails(t *testing.T) {
	w := newWorld(t)
	payload := func() string {
		c := w.claims()
		c["exp"] = w.now().Add(time.Hour).Unix()
		return string(must(json.Marshal(c)))
	}
	jwk := func(k jose.JSONWebKey) string { return string(must(json.Marshal(k))) }
	good := jwk(jose.JSONWebKey{Key: esKey.Public(), KeyID: "es", Algorithm: "ES256", Use: "sig"})
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	set := func(keys ...string) http.HandlerFunc {
		return says("application/json", `{"keys":[`+strings.Join(keys, ",")+`]}`)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"500": status(500), "404": status(404), "204": status(204), "a page": says("text/html", `{"keys":[`+good+`]}`), "nothing": says("application/json", ""), "half": says("application/json", `{"keys":[`), "no keys": set(), "null": says("application/json", `null`), "keys is null": says("application/json", `{"keys":null}`), "keys is an object": says("application/json", `{"keys":{}}`),
		"keys twice": says("application/json", `{"keys":[`+good+`],"keys":[`+good+`]}`), "KEYS": says("application/json", `{"KEYS":[`+good+`]}`), "deep": says("application/json", strings.Repeat(`{"keys":[`, 5000)), "101 keys": set(strings.Split(strings.Repeat(good+"\n", 101)[:101*(len(good)+1)-1], "\n")...),
		"a megabyte": says("application/json", `{"keys":[`+good+`],"x":"`+strings.Repeat("x", 1<<20)+`"}`), "redirect": func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/keys", http.StatusFound) },
		"use enc": set(strings.Replace(good, `"sig"`, `"enc"`, 1)), "no use": set(strings.Replace(good, `"use":"sig",`, ``, 1)), "no alg": set(strings.Replace(good, `"alg":"ES256",`, ``, 1)), "no kid": set(strings.Replace(good, `"kid":"es",`, ``, 1)), "wrong alg": set(strings.Replace(good, `ES256`, `ES384`, 1)), "HS256": set(`{"kty":"oct","use":"sig","kid":"es","alg":"HS256","k":"AAAA"}`), "oct as ES256": set(`{"kty":"oct","use":"sig","kid":"es","alg":"ES256","k":"AAAA"}`),
		"not on the curve": set(`{"kty":"EC","crv":"P-256","use":"sig","kid":"es","alg":"ES256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}`),
		"private":          set(jwk(jose.JSONWebKey{Key: esKey, KeyID: "es", Algorithm: "ES256", Use: "sig"})), "RSA of 1024 bits": set(jwk(jose.JSONWebKey{Key: small.Public(), KeyID: "es", Algorithm: "RS256", Use: "sig"})), "P-384 as ES256": set(jwk(jose.JSONWebKey{Key: p384.Public(), KeyID: "es", Algorithm: "ES256", Use: "sig"})),
	} {
		t.Run(name, func(t *testing.T) {
			w.breaks(jwks, answer)
			v := w.verifier(t)
			for range 20 {
				if got := reasonOf(t, v, es256(header, payload(), esKey)); got != keyauth.NoJWKS {
					t.Fatalf("before the first set: %q", got)
				}
			}
			if rec := ask(t, v, bearer(es256(header, payload(), esKey))); rec.Code != 503 || rec.Header().Get("Retry-After") == "" {
				t.Errorf("got %d", rec.Code)
			}
			w.breaks(jwks, nil)
			w.advance(time.Second)
			if got := reasonOf(t, v, es256(header, payload(), esKey)); got != "" {
				t.Fatalf("once they are there: %q", got)
			}
			w.breaks(jwks, answer)
			w.advance(20 * time.Minute)
			before := w.count(jwks)
			for range 20 {
				if got := reasonOf(t, v, es256(header, payload(), esKey)); got != "" {
					t.Fatalf("with the last good set: %q", got)
				}
				if got := reasonOf(t, v, es256(`{"alg":"ES256","kid":"new","typ":"JWT"}`, payload(), esOther)); got != keyauth.NoJWKS {
					t.Fatalf("unknown key in an outage: %q", got)
				}
			}
			if n := w.count(jwks) - before; n != 1 {
				t.Errorf("%d fetches in no time", n)
			}
		})
	}
	if n := w.count("/keys"); n != 0 {
		t.Error("a redirect was followed")
	}
}

// When the issuer or TokenOS hangs, requests that can go on without it wait for it
// once, not each time.
func TestNobodyWaitsInAnOutage(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, func(c *keyauth.Config) { c.CallTimeout = 200 * time.Millisecond })
	w.breaks("/status/0", says("application/statuslist+jwt", w.statusList(func(c map[string]any) { c["exp"] = w.now().Add(time.Hour).Unix() }, nil)))
	c := w.listed(w.claims(), 7)
	c["exp"] = w.now().Add(time.Hour).Unix()
	token := w.jwt(c)
	if got := reasonOf(t, v, token); got != "" {
		t.Fatal(got)
	}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	w.breaks(jwks, hang)
	w.breaks("/status/0", hang)
	w.advance(20 * time.Minute)
	began := time.Now()
	for range 30 {
		w.advance(11 * time.Second) // each time another fetch is due
		if got := reasonOf(t, v, token); got != "" {
			t.Fatalf("got %q", got)
		}
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("thirty requests took %s", d)
	}
}

// Two keys of one kid are tried both.
func TestSameKID(t *testing.T) {
	w := newWorld(t)
	w.setKeys(jose.JSONWebKey{Key: esOther.Public(), KeyID: "es", Algorithm: "ES256", Use: "sig"}, jose.JSONWebKey{Key: esKey.Public(), KeyID: "es", Algorithm: "ES256", Use: "sig"})
	if got := reasonOf(t, w.verifier(t), w.jwt(w.claims())); got != "" {
		t.Errorf("got %q", got)
	}
}

// A set that comes while Hydra is not ready is not believed.
func TestJWKSNeedsReadiness(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, func(c *keyauth.Config) { c.HydraReadyURL = w.URL + "/health/ready" })
	w.breaks("/health/ready", status(503))
	if got := reasonOf(t, v, w.jwt(w.claims())); got != keyauth.NoJWKS {
		t.Errorf("not ready: %q", got)
	}
	w.breaks("/health/ready", nil)
	w.advance(2 * time.Second)
	if got := reasonOf(t, v, w.jwt(w.claims())); got != "" {
		t.Errorf("ready: %q", got)
	}
}

// "Inactive" is believed only if Hydra says afterwards that it is ready, and the
// token is inactive once more.
func TestInactiveNeedsReadiness(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, func(c *keyauth.Config) { c.HydraReadyURL = w.URL + "/health/ready" })
	for name, answer := range map[string]http.HandlerFunc{"503": status(503), "404": status(404), "not ok": says("application/json", `{"status":"no"}`), "a page": says("text/html", "ok"), "garbage": says("application/json", "{"), "cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }} {
		w.breaks("/health/ready", answer)
		if got := reasonOf(t, v, "ory_at_gone"); got != keyauth.NotReady {
			t.Errorf("%s: %q", name, got)
		}
	}
	w.breaks("/health/ready", nil)
	if got := reasonOf(t, v, "ory_at_gone"); got != keyauth.Inactive {
		t.Errorf("ready: %q", got)
	}
	w.issue("ory_at_back", nil)
	first := true
	w.breaks("/v1/introspect", func(rw http.ResponseWriter, r *http.Request) {
		if first { // the database was away for just this moment
			first = false
			says("application/json", `{"active":false}`)(rw, r)
			return
		}
		w.introspect(rw, r)
	})
	if got := reasonOf(t, v, "ory_at_back"); got != "" {
		t.Errorf("away for a moment: %q", got)
	}
}

// Callers with one token share one introspection; one of them leaving does not
// disturb the others.
func TestOneIntrospectionInFlight(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	w.issue("shared", nil)
	release := make(chan struct{})
	w.breaks("/v1/introspect", func(rw http.ResponseWriter, r *http.Request) {
		<-release
		w.introspect(rw, r)
	})
	gone, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := v.Verify(gone, "shared"); reason(t, err) != keyauth.Canceled {
			t.Errorf("the one who left: %v", err)
		}
	})
	eventually(t, "the question is under way", func() bool { return w.count("/v1/introspect") == 1 })
	for range 100 {
		all.Go(func() {
			if got := reasonOf(t, v, "shared"); got != "" {
				t.Errorf("got %q", got)
			}
		})
	}
	leave()
	close(release)
	all.Wait()
	if n := w.count("/v1/introspect"); n != 1 {
		t.Errorf("%d introspections", n)
	}
}

// No more tokens are looked up at once than configured; whoever waits too long gets
// 503.
func TestIntrospectionsAreBounded(t *testing.T) {
	w := newWorld(t)
	calls := &hanging{}
	v := w.verifier(t, func(c *keyauth.Config) {
		c.Introspection.MaxConcurrent, c.CallTimeout = 2, 300*time.Millisecond
		c.HTTPClient = &http.Client{Transport: calls}
	})
	var all sync.WaitGroup
	var reasons sync.Map
	for i := range 30 {
		all.Go(func() { reasons.Store(reasonOf(t, v, fmt.Sprintf("token%d", i)), true) })
	}
	all.Wait()
	_, busy := reasons.Load(keyauth.Busy)
	calls.mu.Lock()
	defer calls.mu.Unlock()
	if !busy || calls.most != 2 {
		t.Errorf("busy %t, at most %d at once", busy, calls.most)
	}
}

// hanging answers nothing until the caller gives up.
type hanging struct {
	mu        sync.Mutex
	now, most int
}

func (h *hanging) count(by int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now += by
	h.most = max(h.most, h.now)
}

func (h *hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	h.count(1)
	defer h.count(-1)
	<-r.Context().Done()
	return nil, r.Context().Err()
}
