//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// A key is paused in the ledger while Hydra's admin API is away from everybody:
// the hook of a server that runs refuses it from then on, and that server tells
// Hydra when it can.
func TestBreakGlass(t *testing.T) {
	s, _ := hookedSite(t, hookSecret)
	admin := hydratest.NewProxy(t, s.hydra.AdminURL())
	s.env = append(s.env, "TOKENOS_LEDGER_URL="+pgtest.New(t, pgtest.Config{}).URL(t), "TOKENOS_HYDRA_ADMIN_URL="+admin.URL())
	s.done(t, "migrate")
	key := s.bootstrap(t)
	server := s.serve(t)
	eventually(t, func(ctx context.Context) error { return s.ready(ctx, http.StatusOK) })
	hydratest.MustBuy(t, key)

	admin.Refuse()
	if got := s.done(t, "keys", "disable", "--local", key.ID); !strings.Contains(got, "disabling") {
		t.Errorf("says %q", got)
	}
	eventually(t, func(ctx context.Context) error {
		_, err := hydratest.Buy(ctx, key)
		if r, ok := errors.AsType[*hydratest.Refused](err); ok && r.Code == "access_denied" {
			return nil
		}
		return fmt.Errorf("a paused key gets a token: %w", err)
	})
	if err := admin.Accept(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		if a := ask(ctx, http.DefaultClient, http.MethodGet, s.hydra.AdminURL()+"/admin/clients/"+key.ID, ""); !strings.Contains(a.body, `"grant_types":["disabled"]`) {
			return fmt.Errorf("Hydra has not heard of it: %d %s, %w", a.status, a.body, a.err)
		}
		return nil
	})
	s.stop(t, server)
}
