package hydra_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// Hydra is known at its token endpoint by its own words, and nothing else passes
// for it: not its other port, not a page, not silence.
func TestCheckTokenEndpoint(t *testing.T) {
	real := hydratest.Shared(t)
	proxy := hydratest.NewProxy(t, real.PublicURL())
	check := func(public string) error {
		h, err := hydra.New(hydra.Config{AdminURL: real.AdminURL(), PublicURL: public, CallTimeout: time.Second, Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		return h.CheckTokenEndpoint(t.Context())
	}
	if err := check(real.PublicURL()); err != nil {
		t.Errorf("Hydra: %v", err)
	}
	if err := check(real.AdminURL()); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("its admin port: %v", err)
	}
	page := proxy.Inject(hydratest.GarbageHTML().On(http.MethodPost, "/oauth2/token"))
	if err := check(proxy.URL()); !errors.Is(err, apikey.ErrUnavailable) || page.Struck() == 0 {
		t.Errorf("a page: %v", err)
	}
	proxy.Refuse()
	if err := check(proxy.URL()); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("nobody: %v", err)
	}
}

// Hydra's clock is that of its answers.
func TestClock(t *testing.T) {
	h, err := hydra.New(hydra.Config{AdminURL: hydratest.Shared(t).AdminURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	before := time.Now().Add(-time.Second)
	if got, err := h.Clock(t.Context()); err != nil || got.Before(before) || got.After(time.Now()) || got.Location() != time.UTC {
		t.Errorf("got %v, %v after %v", got, err, before)
	}
}

// probing is our Hydra on a real one.
func probing(t *testing.T, s *hydradev.Server, public string) *hydra.Hydra {
	t.Helper()
	h, err := hydra.New(hydra.Config{AdminURL: s.AdminURL(), PublicURL: public})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// What Hydra's settings do shows at its doors, and nothing is left of the asking.
func TestProbes(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings map[string]any
		exact    bool
		open     bool
		slow     bool
	}{
		{"as it should be", nil, true, false, false},
		{"Hydra's defaults", map[string]any{"strategies.scope": "wildcard", "oidc.dynamic_client_registration.enabled": true, "oauth2.hashers.pbkdf2.iterations": 300_000}, false, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := hydratest.New(t, hydradev.Config{Settings: c.settings})
			h := probing(t, s, s.PublicURL())
			if got, err := h.ScopesAreExact(t.Context()); got != c.exact || err != nil {
				t.Errorf("scopes are exact: %v, %v; want %v", got, err, c.exact)
			}
			if got, err := h.RegistrationIsOpen(t.Context()); got != c.open || err != nil {
				t.Errorf("registration: %v, %v; want %v", got, err, c.open)
			}
			if got, err := h.HashTime(t.Context(), 10*time.Millisecond); got >= 10*time.Millisecond != c.slow || err != nil {
				t.Errorf("a secret takes %v, %v; slow is %v", got, err, c.slow)
			}
			if got, err := h.AdminIsPublic(t.Context()); got || err != nil {
				t.Errorf("admin API is public: %v, %v", got, err)
			}
			want := hydra.Discovery{Issuer: s.PublicURL(), TokenEndpoint: s.TokenURL()}
			if got, err := h.Discover(t.Context()); got != want || err != nil {
				t.Errorf("discovery: %+v, %v; want %+v", got, err, want)
			}
			if left := hydratest.Clients(t, s.AdminURL(), apikey.ManagementAudience); len(left) != 0 {
				t.Errorf("left in Hydra: %v", left)
			}
		})
	}
}

// The admin API is found where the public one should be alone.
func TestAdminIsPublic(t *testing.T) {
	s := running(t)
	if got, err := probing(t, s, s.AdminURL()).AdminIsPublic(t.Context()); !got || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

// A probe ends with an error of the one kind when Hydra does not answer, and its
// client is gone also if whoever asked has left.
func TestProbeInterrupted(t *testing.T) {
	s := hydratest.New(t, hydradev.Config{})
	proxy := hydratest.NewProxy(t, s.PublicURL())
	h := probing(t, s, proxy.URL())
	ctx, cancel := context.WithCancel(t.Context())
	stuck := proxy.Inject(hydratest.Hang().On(http.MethodPost, "/oauth2/token"))
	go func() {
		for stuck.Struck() == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	_, err := h.ScopesAreExact(ctx)
	if cancel(); !errors.Is(err, apikey.ErrUnavailable) || stuck.Struck() == 0 {
		t.Errorf("interrupted: %v", err)
	}
	if left := hydratest.Clients(t, s.AdminURL(), apikey.ManagementAudience); len(left) != 0 {
		t.Errorf("left in Hydra: %v", left)
	}
	proxy.Refuse()
	if _, err := h.Discover(t.Context()); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("discovery: %v", err)
	}
	if _, err := h.AdminIsPublic(t.Context()); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("admin API: %v", err)
	}
	if _, err := h.RegistrationIsOpen(t.Context()); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("registration: %v", err)
	}
	if _, err := h.HashTime(t.Context(), 0); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("hashing: %v", err)
	}
}

// An issuer that cannot be shown as it is, is refused rather than shown otherwise.
func TestDiscoveryRefused(t *testing.T) {
	good := "https://login.example.com"
	for issuer, ok := range map[string]bool{good: true, good + "/" + strings.Repeat("a", 270): true, good + "/" + strings.Repeat("a", 300): false, good + "\x1b[2J": false, good + "\u202e": false} {
		public := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "token_endpoint": good + "/oauth2/token"})
		}))
		got, err := probing(t, running(t), public.URL).Discover(t.Context())
		if public.Close(); (err == nil) != ok || ok && got.Issuer != issuer || !ok && got != (hydra.Discovery{}) {
			t.Errorf("%q: %+v, %v", issuer, got, err)
		}
	}
}
