package apikeytest

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
)

// Hook is the place where a Hydra asks before it issues a token. It listens
// before there is anybody to answer, as it must, and answers for the world that
// [Hook.For] named last; for none with 400.
type Hook struct {
	URL     string
	Secret  apikey.Secret
	Calls   atomic.Int64
	handler atomic.Pointer[http.Handler]
}

// NewHook listens for as long as the test.
func NewHook(t testing.TB) *Hook {
	t.Helper()
	h := &Hook{Secret: apikey.NewSecret(rand.Text() + rand.Text())}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Calls.Add(1)
		if next := h.handler.Load(); next != nil {
			(*next).ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(s.Close)
	h.URL = s.URL + handlers.HookPath
	return h
}

// Setting is what Hydra must know.
func (h *Hook) Setting() *hydradev.TokenHook {
	return &hydradev.TokenHook{URL: h.URL, Header: handlers.HookHeader, Value: h.Secret.Reveal()}
}

// For has a world answer, which takes these secrets; none: the hook's own.
func (h *Hook) For(t testing.TB, w *World, secrets ...apikey.Secret) {
	t.Helper()
	if len(secrets) == 0 {
		secrets = []apikey.Secret{h.Secret}
	}
	next, err := handlers.NewHook(handlers.HookConfig{Answer: hydra.Hook{Decide: w.Service.Decide}.Answer, Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	h.handler.Store(&next)
}

// Hooked has the service keep its keys in memory.
func Hooked(c *apikey.Config) { c.Hook = true }
