//go:build unix

package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/keyauth"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(m)) }

const (
	audience = "https://api.example.com"
	wantedID = "key_live_bench"
)

// place is a Hydra with a key, and a TokenOS that knows its opaque token.
type place struct {
	hydra       *hydradev.Server
	jwt, opaque string
	tokenos     *httptest.Server
}

// build starts a Hydra that signs with alg.
func build(tb testing.TB, alg string) *place {
	tb.Helper()
	p := &place{hydra: hydratest.New(tb, hydradev.Config{})}
	if alg == "RS256" { // the newest key signs
		makeKey(tb, p.hydra.AdminURL(), alg)
	}
	for _, strategy := range []string{"jwt", "opaque"} {
		id := wantedID + "_" + strategy
		hydratest.Register(tb, p.hydra.AdminURL(), map[string]any{"client_id": id, "client_secret": "secret-of-the-bench", "scope": "orders:read orders:write", "audience": []string{audience},
			"grant_types": []string{"client_credentials"}, "response_types": []string{}, "access_token_strategy": strategy})
		token := hydratest.MustBuy(tb, hydratest.Purchase{TokenURL: p.hydra.TokenURL(), ID: id, Secret: "secret-of-the-bench", Scopes: []string{"orders:read"}, Audiences: []string{audience}})
		if strategy == "jwt" {
			p.jwt = token
		} else {
			p.opaque = token
		}
	}
	if got := header(tb, p.jwt); got != alg {
		tb.Fatalf("Hydra signs with %s, want %s", got, alg)
	}
	p.tokenos = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		now := time.Now().Unix()
		_ = json.NewEncoder(w).Encode(map[string]any{"active": strings.HasPrefix(r.PostFormValue("token"), "ory_at_"), "client_id": wantedID, "sub": wantedID, "scope": "orders:read", "exp": now + 900, "iat": now, "nbf": now,
			"aud": []string{audience}, "iss": p.hydra.PublicURL(), "token_type": "Bearer", "root_id": wantedID, "owner": "acme", "env": "live"})
	}))
	tb.Cleanup(p.tokenos.Close)
	return p
}

func makeKey(tb testing.TB, adminURL, alg string) {
	tb.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"alg":%q,"use":"sig","kid":%q}`, alg, "bench-"+strings.ToLower(rand.Text())))
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, adminURL+"/admin/keys/hydra.jwt.access-token", body)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		tb.Fatalf("make a key: %s", resp.Status)
	}
}

func header(tb testing.TB, token string) string {
	tb.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		tb.Fatal(err)
	}
	return parsed.Method.Alg()
}

func (p *place) verifier(tb testing.TB, edit func(*keyauth.Config)) *keyauth.Verifier {
	tb.Helper()
	c := keyauth.Config{Audiences: []string{audience}, Issuer: p.hydra.PublicURL(), InsecureLoopback: true,
		Introspection: keyauth.Introspection{URL: p.tokenos.URL + "/v1/introspect", Token: func(context.Context) (string, error) { return "own", nil }}}
	if edit != nil {
		edit(&c)
	}
	v, err := keyauth.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = v.Close() })
	return v
}

// verify is one way to check a token.
type verify func(ctx context.Context, token string) error

func withKeyauth(v *keyauth.Verifier) verify {
	return func(ctx context.Context, token string) error {
		_, err := v.Verify(ctx, token)
		return err
	}
}

// withOIDC is go-oidc as its documentation shows it for access tokens, with claims
// read afterwards, because it knows no scopes.
func (p *place) withOIDC(ctx context.Context) verify {
	keys := oidc.NewRemoteKeySet(ctx, p.hydra.PublicURL()+"/.well-known/jwks.json")
	v := oidc.NewVerifier(p.hydra.PublicURL(), keys, &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{"ES256", "RS256"}})
	return func(ctx context.Context, token string) error {
		t, err := v.Verify(ctx, token)
		if err != nil {
			return err
		}
		var claims struct {
			ClientID string   `json:"client_id"`
			Scopes   []string `json:"scp"`
		}
		return t.Claims(&claims)
	}
}

// claims are what golang-jwt reads.
type claims struct {
	jwt.RegisteredClaims
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scp"`
}

// withJWT is golang-jwt with keys fetched once: it has no remote sets of its own.
func (p *place) withJWT(tb testing.TB) verify {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, p.hydra.PublicURL()+"/.well-known/jwks.json", nil)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(raw, &set); err != nil {
		tb.Fatal(err)
	}
	keys := map[string]any{}
	for _, k := range set.Keys {
		keys[k.KeyID] = k.Key
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256", "RS256"}), jwt.WithIssuer(p.hydra.PublicURL()), jwt.WithAudience(audience), jwt.WithExpirationRequired(), jwt.WithLeeway(30*time.Second))
	find := func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if k, ok := keys[kid]; ok {
			return k, nil
		}
		return nil, jwt.ErrTokenUnverifiable
	}
	return func(_ context.Context, token string) error {
		_, err := parser.ParseWithClaims(token, &claims{}, find)
		return err
	}
}

func measure(b *testing.B, name string, token func() string, f verify) {
	b.Run(name, func(b *testing.B) {
		if err := f(b.Context(), token()); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		before := cpu(b)
		for b.Loop() {
			if err := f(b.Context(), token()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
	})
	b.Run(name+"/parallel", func(b *testing.B) {
		b.ReportAllocs()
		before := cpu(b)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := f(b.Context(), token()); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
	})
}

// cpu is the time that this process has computed. On a busy machine it says more
// than the time that went by. It includes the server that answers introspections,
// but not Hydra.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func always(token string) func() string { return func() string { return token } }

// number makes each opaque token a new one, also when a benchmark runs again.
var number atomic.Int64

func distinct() string { return fmt.Sprintf("ory_at_%d.x", number.Add(1)) }

// BenchmarkVerify measures one check of a token. Cold means that the token was
// never seen, but the issuer's keys were.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"ES256", "RS256"} {
		p := build(b, alg)
		cold := p.verifier(b, func(c *keyauth.Config) { c.JWTFresh = -1 })
		measure(b, "jwt-cold/"+alg+"/keyauth", always(p.jwt), withKeyauth(cold))
		measure(b, "jwt-cold/"+alg+"/go-oidc", always(p.jwt), p.withOIDC(b.Context()))
		measure(b, "jwt-cold/"+alg+"/golang-jwt", always(p.jwt), p.withJWT(b))
		measure(b, "jwt-cached/"+alg+"/keyauth", always(p.jwt), withKeyauth(p.verifier(b, nil)))
		if alg == "RS256" {
			continue
		}
		measure(b, "opaque-cached/keyauth", always(p.opaque), withKeyauth(p.verifier(b, func(c *keyauth.Config) { c.Introspection.Fresh = 30 * time.Second })))
		measure(b, "opaque-introspected/keyauth", distinct, withKeyauth(p.verifier(b, nil)))
		hydra := p.verifier(b, func(c *keyauth.Config) {
			c.Introspection = keyauth.Introspection{Fresh: -1}
			c.InsecureHydraAdmin, c.StatusList.Off = p.hydra.AdminURL(), true
		})
		measure(b, "opaque-introspected-at-hydra/keyauth", always(p.opaque), withKeyauth(hydra))
	}
}

// All three accept the same tokens, or the comparison would mean nothing; and each
// refuses one with a spoilt signature.
func TestSameTokens(t *testing.T) {
	for _, alg := range []string{"ES256", "RS256"} {
		p := build(t, alg)
		for name, f := range map[string]verify{"keyauth": withKeyauth(p.verifier(t, nil)), "go-oidc": p.withOIDC(t.Context()), "golang-jwt": p.withJWT(t)} {
			if err := f(t.Context(), p.jwt); err != nil {
				t.Errorf("%s with %s: %v", name, alg, err)
			}
			spoilt := p.jwt[:len(p.jwt)-20] + "AAAAAAAAAAAAAAAAAAAA"
			if f(t.Context(), spoilt) == nil {
				t.Errorf("%s with %s accepts a spoilt signature", name, alg)
			}
		}
	}
}
