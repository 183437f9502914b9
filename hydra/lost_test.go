package hydra_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// through is our Hydra behind a proxy with teeth before the real one.
func through(t *testing.T) (*hydra.Hydra, *hydratest.Proxy) {
	t.Helper()
	p := hydratest.NewProxy(t, running(t).AdminURL())
	return newHydra(t, func(c *hydra.Config) { c.AdminURL, c.CallTimeout = p.URL(), time.Second }), p
}

func TestLostAnswers(t *testing.T) {
	// When Hydra did the work and its answer is lost, a create says so and is
	// not repeated, everything else is repeated and succeeds.
	for name, fault := range map[string]hydratest.Fault{
		"dropped":     hydratest.DropAnswer(),
		"late":        hydratest.DelayAnswer(1300 * time.Millisecond),
		"bad gateway": hydratest.StatusAfter(502),
	} {
		t.Run(name, func(t *testing.T) {
			h, p := through(t)
			w, ctx := newWrite(), deadline(t)
			id := w.Definition.ID
			lose := func(method string) { p.Inject(fault.On(method, "/admin").Times(1)) }
			lose(http.MethodPost)
			wantFailure(t, h.Create(ctx, w), apikey.ErrUnavailable, apikey.ErrOutcomeUnknown)
			if n := p.Received(http.MethodPost, "/admin"); n != 1 {
				t.Errorf("%d creates, want 1", n)
			}
			lose(http.MethodGet)
			if got, err := h.State(ctx, id); err != nil || got.Op != w.Op {
				t.Errorf("the create landed: got %+v, %v", got, err)
			}
			for method, run := range map[string]func() error{
				http.MethodPut:    func() error { return h.Put(ctx, next(w)) },
				http.MethodDelete: func() error { return h.RevokeTokens(ctx, id) },
			} {
				lose(method)
				if err := run(); err != nil {
					t.Errorf("%s: %v", method, err)
				}
			}
			lose(http.MethodDelete)
			if err := h.Delete(ctx, id); err != nil {
				t.Errorf("delete: %v", err)
			}
			if _, err := h.State(ctx, id); !errors.Is(err, apikey.ErrNotFound) {
				t.Errorf("after delete: got %v, want not found", err)
			}
		})
	}
}

func TestHydraGoneAndBack(t *testing.T) {
	// While Hydra is gone nothing is sent and a token seen before is honoured;
	// when it is back, so are the calls.
	server := hydratest.New(t, hydradev.Config{})
	h, w, ctx := newHydra(t, func(c *hydra.Config) {
		c.AdminURL, c.TokenFresh = server.AdminURL(), -1
	}), newWrite(), deadline(t)
	create(t, h, w)
	token := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: server.TokenURL(), ID: w.Definition.ID, Secret: w.Secret.Reveal()})
	if _, err := h.Introspect(ctx, token); err != nil {
		t.Fatal(err)
	}
	if err := server.Halt(ctx); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, h.Create(ctx, newWrite()), apikey.ErrUnavailable, apikey.ErrNotSent)
	if err := h.Ready(ctx); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("ready: got %v, want unavailable", err)
	}
	if got, err := h.Introspect(ctx, token); err != nil || got.ClientID != w.Definition.ID {
		t.Errorf("seen before: got %+v, %v", got, err)
	}
	if _, err := h.Introspect(ctx, token+"x"); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("unseen: got %v, want unavailable", err)
	}
	if err := server.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "hydra is ready again", func() bool { return h.Ready(ctx) == nil })
	if err := h.Delete(ctx, w.Definition.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Introspect(ctx, token); !errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("after delete: got %v, want unauthenticated", err)
	}
}
