package keyauth_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/keyauth"
)

const (
	api      = "https://api.example.com"
	keyID    = "key_live_01k9x2mc4q8r7s5t3v1w0y9z8a"
	ownToken = "token-of-the-api-itself"
)

// Keys are made once: a key of RSA takes a while.
var (
	esKey, esOther, listKey = ecKey(), ecKey(), ecKey()
	rsKey                   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
)

func ecKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// world is what a verifier talks to, as the contracts say: an issuer's keys,
// /v1/introspect, status lists and their keys, Hydra's readiness. It answers by
// the real clock unless the test sets one.
type world struct {
	*httptest.Server
	offset atomic.Int64 // of the clock, in nanoseconds

	mu     sync.Mutex
	counts map[string]int
	fail   map[string]http.HandlerFunc // by path: in place of the answer
	keys   []jose.JSONWebKey
	active map[string]map[string]any // opaque tokens and their claims
	status map[int]int               // of the list 0, by index
	length int                       // of the list, in indexes
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{counts: map[string]int{}, fail: map[string]http.HandlerFunc{}, active: map[string]map[string]any{}, status: map[int]int{}, length: 1000}
	w.keys = []jose.JSONWebKey{
		{Key: esKey.Public(), KeyID: "es", Algorithm: "ES256", Use: "sig"},
		{Key: rsKey().Public(), KeyID: "rs", Algorithm: "RS256", Use: "sig"},
	}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Server.Close)
	return w
}

func (w *world) now() time.Time          { return time.Now().Add(time.Duration(w.offset.Load())) }
func (w *world) advance(d time.Duration) { w.offset.Add(int64(d)) }

// config is that of an API that accepts all that the world issues.
func (w *world) config() keyauth.Config {
	return keyauth.Config{
		Audiences: []string{api}, Issuer: w.URL, Now: w.now, InsecureLoopback: true,
		Introspection: keyauth.Introspection{URL: w.URL + "/v1/introspect", Token: func(context.Context) (string, error) { return ownToken, nil }},
	}
}

// verifier makes a verifier that is closed when the test ends.
func (w *world) verifier(t testing.TB, edits ...func(*keyauth.Config)) *keyauth.Verifier {
	t.Helper()
	c := w.config()
	for _, edit := range edits {
		edit(&c)
	}
	v, err := keyauth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// breaks answers a path by f until f is nil.
func (w *world) breaks(path string, f http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail[path] = f
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func says(mediaType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		_, _ = w.Write([]byte(body))
	}
}

// count is how many requests for a path came.
func (w *world) count(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[path]
}

func (w *world) setStatus(index, value int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status[index] = value
}

func (w *world) setKeys(keys ...jose.JSONWebKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys = keys
}

// issue makes an opaque token; edit, which may be nil, changes its claims.
func (w *world) issue(raw string, edit func(map[string]any)) string {
	now := w.now().Unix()
	c := map[string]any{"active": true, "client_id": keyID, "sub": keyID, "scope": "orders:read orders:write", "exp": now + 900, "iat": now, "nbf": now,
		"aud": []string{api}, "iss": w.URL, "token_type": "Bearer", "root_id": "key_live_root", "owner": "acme", "env": "live"}
	if edit != nil {
		edit(c)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active[raw] = c
	return raw
}

func (w *world) revoke(raw string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.active, raw)
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // only then does net/http notice a caller that leaves
	w.mu.Lock()
	w.counts[r.URL.Path]++
	fail := w.fail[r.URL.Path]
	w.mu.Unlock()
	if fail != nil {
		fail(rw, r)
		return
	}
	switch r.URL.Path {
	case "/.well-known/jwks.json":
		w.mu.Lock()
		set := must(json.Marshal(jose.JSONWebKeySet{Keys: w.keys}))
		w.mu.Unlock()
		says("application/json", string(set))(rw, r)
	case "/v1/introspect":
		w.introspect(rw, r)
	case "/status/0":
		// Before the list: a tag that is too new would keep an old list for ever.
		etag := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(fmt.Sprint(w.statuses()))))
		rw.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		says("application/statuslist+jwt", w.statusList(nil, nil))(rw, r)
	case "/status/jwks.json":
		says("application/json", string(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: listKey.Public(), KeyID: "list", Algorithm: "ES256", Use: "sig"}}}))))(rw, r)
	case "/health/ready":
		says("application/json; charset=utf-8", `{"status":"ok"}`)(rw, r)
	default:
		rw.WriteHeader(http.StatusNotFound)
	}
}

// introspect answers as POST /v1/introspect does.
func (w *world) introspect(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+ownToken || r.Method != http.MethodPost {
		rw.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.mu.Lock()
	c, found := w.active[r.PostFormValue("token")]
	c = maps.Clone(c)
	w.mu.Unlock()
	if !found {
		c = map[string]any{"active": false}
	}
	says("application/json", string(must(json.Marshal(c))))(rw, r)
}

func (w *world) statuses() map[int]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.status)
}

// statusList makes the list 0 as TokenOS does; the edits, which may be nil, spoil it.
func (w *world) statusList(editClaims func(map[string]any), editHeader func(*jose.SignerOptions)) string {
	w.mu.Lock()
	packed := make([]byte, (w.length+3)/4)
	for i, s := range w.status {
		packed[i/4] |= byte(s << (i % 4 * 2))
	}
	w.mu.Unlock()
	now := w.now().Unix()
	claims := map[string]any{"sub": w.URL + "/status/0", "iat": now, "exp": now + 60, "ttl": 5,
		"status_list": map[string]any{"bits": 2, "lst": base64.RawURLEncoding.EncodeToString(deflated(packed))}}
	if editClaims != nil {
		editClaims(claims)
	}
	options := (&jose.SignerOptions{}).WithType("statuslist+jwt").WithHeader("kid", "list")
	if editHeader != nil {
		editHeader(options)
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: listKey}, options))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// header is the header of a good token.
const header = `{"alg":"ES256","kid":"es","typ":"JWT"}`

// claims are those of a good token, in Hydra's order and types.
func (w *world) claims() map[string]any {
	now := w.now().Unix()
	return map[string]any{"aud": []string{api}, "client_id": keyID, "exp": now + 900, "iat": now, "nbf": now, "iss": w.URL, "jti": rand.Text(),
		"scp": []string{"orders:read", "orders:write"}, "sub": keyID, "root_id": "key_live_root", "owner": "acme", "env": "live"}
}

// listed adds a place in the list 0.
func (w *world) listed(c map[string]any, index int) map[string]any {
	c["status"] = map[string]any{"status_list": map[string]any{"idx": index, "uri": w.URL + "/status/0"}}
	return c
}

// jwt signs claims by the key "es".
func (w *world) jwt(claims map[string]any) string {
	return es256(header, string(must(json.Marshal(claims))), esKey)
}

func decoded(s string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return string(b), err
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// es256 signs any header and payload, good or not, as RFC 7518 section 3.4 says.
func es256(header, payload string, key *ecdsa.PrivateKey) string {
	input := b64(header) + "." + b64(payload)
	return input + "." + b64(string(es256Signature(input, key)))
}

func es256Signature(input string, key *ecdsa.PrivateKey) []byte {
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		panic(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func rs256(header, payload string, key *rsa.PrivateKey) string {
	input := b64(header) + "." + b64(payload)
	sum := sha256.Sum256([]byte(input))
	return input + "." + b64(string(must(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]))))
}

// ask sends a request with an Authorization header, or none if that is empty,
// to a handler that Require protects.
func ask(t testing.TB, v *keyauth.Verifier, authorization string, scopes ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/orders", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return serve(v, r, scopes...)
}

func serve(v *keyauth.Verifier, r *http.Request, scopes ...string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	v.Require(scopes...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok := keyauth.FromContext(r.Context())
		if !ok {
			panic("let in without an identity")
		}
		_ = json.NewEncoder(w).Encode(who)
	})).ServeHTTP(rec, r)
	return rec
}

// eventually polls a condition for at most ten seconds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not within ten seconds: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// reasonOf is the reason of a failed Verify, "" of a good one.
func reasonOf(t testing.TB, v *keyauth.Verifier, token string) keyauth.Reason {
	t.Helper()
	_, err := v.Verify(t.Context(), token)
	if err == nil {
		return ""
	}
	return reason(t, err)
}

func bearer(token string) string { return "Bearer " + strings.TrimSpace(token) }
