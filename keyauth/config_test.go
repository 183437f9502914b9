package keyauth_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/keyauth"
)

func own(context.Context) (string, error) { return ownToken, nil }

// Configurations that would accept too much, or cannot work, are refused, and the
// error names the setting.
func TestConfigurationRefused(t *testing.T) {
	good := keyauth.Config{Audiences: []string{api}, Issuer: "https://auth.example.com",
		Introspection: keyauth.Introspection{URL: "https://keys.example.com/v1/introspect", Token: own}}
	for _, tt := range []struct {
		name string
		edit func(*keyauth.Config)
		want string
	}{
		{"no audience", func(c *keyauth.Config) { c.Audiences = nil }, "Audiences"},
		{"empty audience", func(c *keyauth.Config) { c.Audiences = []string{api, ""} }, "Audiences"},
		{"audience with a quote", func(c *keyauth.Config) { c.Audiences = []string{`a"b`} }, "Audiences"},
		{"too many audiences", func(c *keyauth.Config) { c.Audiences = strings.Fields(strings.Repeat("a ", 21)) }, "Audiences"},
		{"nothing to accept", func(c *keyauth.Config) { *c = keyauth.Config{Audiences: []string{api}} }, "Issuer"},
		{"issuer in clear", func(c *keyauth.Config) { c.Issuer = "http://auth.example.com" }, "Issuer"},
		{"issuer in clear on loopback", func(c *keyauth.Config) { c.Issuer = "http://127.0.0.1" }, "Issuer"},
		{"issuer in clear elsewhere", func(c *keyauth.Config) { c.InsecureLoopback, c.Issuer = true, "http://auth.example.com" }, "Issuer"},
		{"issuer with a query", func(c *keyauth.Config) { c.Issuer = "https://auth.example.com/?a=b" }, "Issuer"},
		{"issuer with a fragment", func(c *keyauth.Config) { c.Issuer = "https://auth.example.com/#" }, "Issuer"},
		{"issuer with a user", func(c *keyauth.Config) { c.Issuer = "https://a:b@auth.example.com" }, "Issuer"},
		{"issuer without scheme", func(c *keyauth.Config) { c.Issuer = "auth.example.com" }, "Issuer"},
		{"keys in clear", func(c *keyauth.Config) { c.JWKSURL = "http://auth.example.com/jwks" }, "JWKSURL"},
		{"keys in a file", func(c *keyauth.Config) { c.JWKSURL = "file:///etc/jwks" }, "JWKSURL"},
		{"keys without issuer", func(c *keyauth.Config) { c.Issuer, c.JWKSURL = "", "https://auth.example.com/jwks" }, "JWKSURL"},
		{"alg none", func(c *keyauth.Config) { c.Algorithms = []string{"none"} }, "Algorithms"},
		{"HS256", func(c *keyauth.Config) { c.Algorithms = []string{"ES256", "HS256"} }, "Algorithms"},
		{"no algorithm", func(c *keyauth.Config) { c.Algorithms = []string{} }, "Algorithms"},
		{"introspection in clear", func(c *keyauth.Config) { c.Introspection.URL = "http://keys.example.com/v1/introspect" }, "Introspection.URL"},
		{"introspection without token", func(c *keyauth.Config) { c.Introspection.Token = nil }, "Introspection"},
		{"token without introspection", func(c *keyauth.Config) { c.Introspection.URL = "" }, "Introspection"},
		{"two introspections", func(c *keyauth.Config) { c.InsecureHydraAdmin = "http://hydra:4445" }, "exclude"},
		{"believed for a minute", func(c *keyauth.Config) { c.Introspection.Fresh = time.Minute }, "Fresh"},
		{"too many at once", func(c *keyauth.Config) { c.Introspection.MaxConcurrent = 1001 }, "MaxConcurrent"},
		{"admin is no URL", func(c *keyauth.Config) {
			c.Introspection = keyauth.Introspection{}
			c.StatusList.Off = true
			c.InsecureHydraAdmin = "hydra:4445"
		}, "InsecureHydraAdmin"},
		{"readiness in clear", func(c *keyauth.Config) { c.HydraReadyURL = "http://auth.example.com/health/ready" }, "HydraReadyURL"},
		{"no status lists", func(c *keyauth.Config) { c.Introspection = keyauth.Introspection{} }, "StatusList.URL is required"},
		{"status lists off and on", func(c *keyauth.Config) {
			c.StatusList = keyauth.StatusList{Off: true, URL: "https://keys.example.com/status/"}
		}, "StatusList.Off"},
		{"status lists in clear", func(c *keyauth.Config) { c.StatusList.URL = "http://keys.example.com/status/" }, "StatusList.URL"},
		{"status lists without slash", func(c *keyauth.Config) { c.StatusList.URL = "https://keys.example.com/status" }, "slash"},
		{"status keys in clear", func(c *keyauth.Config) { c.StatusList.JWKSURL = "http://keys.example.com/status/jwks.json" }, "StatusList.JWKSURL"},
		{"polled all the time", func(c *keyauth.Config) { c.StatusList.Interval = time.Millisecond }, "Interval"},
		{"polled hourly", func(c *keyauth.Config) { c.StatusList.Interval = time.Hour }, "Interval"},
		{"proxy without address", func(c *keyauth.Config) { c.TrustedProxies = []netip.Prefix{{}} }, "TrustedProxies"},
		{"too many proxies", func(c *keyauth.Config) { c.TrustedProxies = make([]netip.Prefix, 65) }, "TrustedProxies"},
		{"leeway of an hour", func(c *keyauth.Config) { c.Leeway = time.Hour }, "Leeway"},
		{"calls of a minute", func(c *keyauth.Config) { c.CallTimeout = time.Minute }, "CallTimeout"},
		{"calls of no time", func(c *keyauth.Config) { c.CallTimeout = -1 }, "CallTimeout"},
		{"JWTs remembered for ever", func(c *keyauth.Config) { c.JWTFresh = time.Hour }, "JWTFresh"},
		{"no cache", func(c *keyauth.Config) { c.CacheBytes = 1 }, "CacheBytes"},
	} {
		c := good
		tt.edit(&c)
		if v, err := keyauth.New(c); err == nil || v != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error about %s", tt.name, err, tt.want)
		}
	}
	v, err := keyauth.New(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}

// Hydra's admin API may be plain HTTP on a private network, as its name says, and so
// may its readiness; without JWTs nothing need be said about status lists.
func TestInsecureHydraAdmin(t *testing.T) {
	for _, edit := range []func(*keyauth.Config){
		func(*keyauth.Config) {},
		func(c *keyauth.Config) { c.InsecureHydraAdmin += "/" },
		func(c *keyauth.Config) { c.HydraReadyURL = "https://auth.example.com/health/ready" },
	} {
		c := keyauth.Config{Audiences: []string{api}, InsecureHydraAdmin: "http://hydra:4445"}
		edit(&c)
		v, err := keyauth.New(c)
		if err != nil {
			t.Error(err)
			continue
		}
		_ = v.Close()
	}
}

// Everything that is wrong is told at once.
func TestConfigurationErrorsTogether(t *testing.T) {
	_, err := keyauth.New(keyauth.Config{Algorithms: []string{"none"}, Leeway: time.Hour})
	for _, word := range []string{"Audiences", "Issuer", "Algorithms", "Leeway"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s is missing: %v", word, err)
		}
	}
}

// Below zero switches off what zero sets to a default.
func TestBelowZero(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, func(c *keyauth.Config) { c.Leeway, c.JWTFresh, c.Introspection.Fresh = -1, -1, -1 })
	c := w.claims()
	c["iat"], c["nbf"], c["exp"] = w.now().Unix()-900, w.now().Unix()-900, w.now().Unix()-2
	if got := reasonOf(t, v, w.jwt(c)); got != keyauth.Expired {
		t.Errorf("without leeway: %q", got)
	}
	w.issue("opaque", nil)
	for range 3 {
		if got := reasonOf(t, v, "opaque"); got != "" {
			t.Error(got)
		}
	}
	if n := w.count("/v1/introspect"); n != 3 {
		t.Errorf("%d introspections, want 3", n)
	}
}
