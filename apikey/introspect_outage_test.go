//go:build unix

package apikey_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// While Hydra's database, or ours, is away, no token is called inactive, though
// Hydra itself does; the ends of keys that we know of are told all the same
// when it is back.
func TestIntrospectWithoutDatabase(t *testing.T) {
	theirs, ours := pgtest.New(t, pgtest.Config{}), pgtest.New(t, pgtest.Config{})
	tick := &apikeytest.Clock{}
	w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: ours.URL(t), Hydra: hydratest.New(t, hydradev.Config{DSN: theirs.URL(t)}),
		HydraWith: func(c *hydra.Config) { c.Now = tick.Now }})
	ctx := as(t)
	k, ended := create(ctx, t, w.Service, apikey.CreateParams{}), create(ctx, t, w.Service, apikey.CreateParams{})
	buy := func(k apikey.Issued) string {
		return hydratest.MustBuy(t, hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: k.Key.ID, Secret: k.Secret.Reveal()})
	}
	seen, unseen, dead := buy(k), buy(k), buy(ended)
	if !introspect(t, w.Service, seen).Active || !introspect(t, w.Service, dead).Active {
		t.Fatal("not active")
	}
	away := func(what string, pg *pgtest.Server) {
		t.Helper()
		if err := pg.Kill(); err != nil {
			t.Fatal(err)
		}
		tick.Advance(6 * time.Second)
		for name, token := range map[string]string{"seen": seen, "unseen": unseen, "dead": dead, "made up": "ory_at_x.y"} {
			if got, err := w.Service.Introspect(asAPI(t), apikey.NewSecret(token)); got.Active || !errors.Is(err, apikey.ErrUnavailable) && (name != "made up" || pg == theirs) {
				t.Errorf("%s away, %s: got %+v, %v", what, name, got, err)
			}
		}
		if pg == theirs && hydratest.Introspect(t, w.Hydra.AdminURL(), seen) {
			t.Error("Hydra knows a token without its database")
		}
	}
	away("Hydra's database", theirs)
	if r, err := w.Service.Disable(ctx, ended.Key.ID, apikey.DisableParams{}); err != nil || !r.Pending {
		t.Fatalf("disable in the outage: %+v, %v", r, err)
	}
	if err := theirs.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "Hydra is back", func() bool {
		got, err := w.Service.Introspect(asAPI(t), apikey.NewSecret(seen))
		return err == nil && got.Active
	})
	if introspect(t, w.Service, dead).Active {
		t.Error("a key that was disabled in the outage has a token")
	}
	away("the ledger", ours)
	if err := ours.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "the ledger is back", func() bool {
		got, err := w.Service.Introspect(asAPI(t), apikey.NewSecret(unseen))
		return err == nil && got.Active
	})
}
