//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

const (
	hookSecret = "T5kW9bQz2NfR7yXc4LmJ8vHd6GsP3aUe"
	nextSecret = "Jc8Rv3Ym6Zt1Xp9Lk4Wq7Bn2Hd5Gf0Sa"
)

// hookedSite is an installation with a hook, on a Hydra whose hook is url; "":
// one that has none.
func hookedSite(t *testing.T, shown string) (*site, string) {
	t.Helper()
	port, err := hydradev.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("127.0.0.1:%d", port)
	h := hydratest.Shared(t)
	if shown != "" {
		h = hydratest.New(t, hydradev.Config{TokenHook: &hydradev.TokenHook{URL: "http://" + at + handlers.HookPath, Header: handlers.HookHeader, Value: shown}})
	}
	s := newSite(t, h.AdminURL(), fmt.Sprintf("trusted_proxies: [127.0.0.1]\nhook: {listen: '%s', secret: %s, previous_secret: %s}", at, hookSecret, nextSecret))
	config := filepath.Join(s.dir, "tokenos.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	put(t, config, []byte(strings.ReplaceAll(string(text), s.hydra.PublicURL(), h.PublicURL())))
	s.hydra = h
	return s, at
}

// serve answers Hydra's hook on a side of its own: whichever of the two secrets
// Hydra shows, it becomes ready once it has seen that Hydra asks it, a disabled
// key gets no token, and at the end it stops without a fault.
func TestServeHook(t *testing.T) {
	for name, shown := range map[string]string{"secret": hookSecret, "previous": nextSecret} {
		t.Run(name, func(t *testing.T) {
			s, at := hookedSite(t, shown)
			c := s.serve(t)
			if !strings.Contains(c.stdout.String(), "; token hook on "+at) {
				t.Errorf("says %q", c.stdout.String())
			}
			eventually(t, func(ctx context.Context) error { return s.ready(ctx, http.StatusOK) })
			c.says(&c.stderr, `"msg":"hydra asks us before it issues a token"`)
			if got := statusOf(t.Context(), "http://"+at+"/health/ready"); got != http.StatusForbidden {
				t.Errorf("a stranger gets %d", got)
			}
			if got := statusOf(t.Context(), "http://"+s.ops+handlers.HookPath); got != http.StatusNotFound {
				t.Errorf("the side for operators has the hook: %d", got)
			}
			if strings.Contains(c.stderr.String(), hookSecret) || strings.Contains(c.stderr.String(), nextSecret) {
				t.Error("the log holds a secret of the hook")
			}
			s.stop(t, c)
		})
	}
}

// A Hydra that has lost its hook keeps serve from being ready, and the log says
// what to do; a Hydra that shows a wrong secret as well.
func TestServeWithoutAsking(t *testing.T) {
	for shown, says := range map[string]string{"": "hydra asks no hook, or not ours", "a-wrong-secret-0123456789abcdefghij": "hydra shows it a wrong secret"} {
		s, _ := hookedSite(t, shown)
		c := s.serve(t)
		c.says(&c.stderr, says)
		if err := s.ready(t.Context(), http.StatusServiceUnavailable); err != nil {
			t.Error(err)
		}
		if a := ask(t.Context(), http.DefaultClient, http.MethodGet, "http://"+s.ops+"/health/ready", ""); !strings.Contains(a.body, `"hook":"unavailable"`) {
			t.Errorf("readiness says %s", a.body)
		}
		c.signal(syscall.SIGTERM)
		if code := c.exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// dev's Hydra asks before it issues a token: a disabled key is refused by us, not
// by what Hydra has heard.
func TestDevAsksHook(t *testing.T) {
	c, info := dev(t, nil, append(freePorts, "--memory")...)
	k := info.create(t, "hooked")
	if _, err := info.buy(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if _, err := info.api(t).Disable(t.Context(), k.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	_, err := info.buy(t.Context(), k)
	if r, ok := errors.AsType[*hydratest.Refused](err); !ok || r.Status != http.StatusForbidden || r.Code != "access_denied" {
		t.Errorf("disabled: %v, want 403 access_denied", err)
	}
	interrupt(t, c, info)
}
