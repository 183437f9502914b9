package hydra_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
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
