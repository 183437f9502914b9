package apikey_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// watched is a world whose canary the test lets fly.
func watched(t *testing.T, h *hydradev.Server, hook *apikeytest.Hook) *apikeytest.World {
	t.Helper()
	w := apikeytest.NewWorld(t, apikeytest.Options{Hydra: h, Idle: true, Config: func(c *apikey.Config) {
		c.Hook = true
		c.Issuer, _ = c.Clients.(*hydra.Hydra)
	}})
	if err := w.Service.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if hook != nil {
		hook.For(t, w)
	}
	return w
}

func wantTried(t *testing.T, what string, w *apikeytest.World, want apikey.HookAnswer) {
	t.Helper()
	got, err := w.Service.TryHook(t.Context())
	if got != want || (err == nil) != (want == apikey.HookRefuses) {
		t.Errorf("%s: %q, %v; want %q", what, got, err, want)
	}
	ready := w.Service.HookReady(t.Context())
	if s := w.Service.HookState(); s.Answer != want || s.Asked != (want == apikey.HookRefuses) || s.Asked && s.AskedAt != s.TriedAt || (ready == nil) != (want == apikey.HookRefuses) || s.FreshAt.IsZero() {
		t.Errorf("%s: state %+v, readiness %v", what, s, ready)
	}
}

// The canary tells a Hydra that asks us from one that does not, from one that
// cannot, and from one that asks somebody else or shows a wrong secret.
func TestCanary(t *testing.T) {
	hook := apikeytest.NewHook(t)
	asks := hydratest.New(t, hydradev.Config{TokenHook: hook.Setting()})
	w := watched(t, asks, hook)
	if w.Service.HookReady(t.Context()) == nil {
		t.Error("ready before it was tried")
	}
	for range 2 {
		wantTried(t, "asks us", w, apikey.HookRefuses)
	}
	other := watched(t, asks, nil) // another installation on the same Hydra, whose hook is ours
	wantTried(t, "asks another", other, apikey.HookRefusesAll)
	hook.For(t, w, apikey.NewSecret("another-secret-0123456789abcdefghij"))
	wantTried(t, "shows a wrong secret", w, apikey.HookRefusesAll)
	hook.For(t, w, apikey.NewSecret("another-secret-0123456789abcdefghij"), hook.Secret)
	wantTried(t, "shows the older of two secrets", w, apikey.HookRefuses)

	none := hydratest.Shared(t)
	wantTried(t, "lost the hook", watched(t, none, nil), apikey.HookNotAsked)

	silent := apikeytest.NewHook(t) // answers 400
	mute := hydratest.New(t, hydradev.Config{TokenHook: silent.Setting()})
	wantTried(t, "cannot reach us", watched(t, mute, nil), apikey.HookFails)
	if n := w.Service.Denials()[apikey.DeniedDisabled]; n != 0 {
		t.Errorf("counted as %d denials", n)
	}
}

// The canary is in Hydra and nowhere else: no list, no search and no operation on
// its owner knows it. A second process takes it as it is, and one with a new
// server secret writes it anew.
func TestCanaryHides(t *testing.T) {
	hook := apikeytest.NewHook(t)
	asks := hydratest.New(t, hydradev.Config{TokenHook: hook.Setting()})
	w := watched(t, asks, hook)
	wantTried(t, "first", w, apikey.HookRefuses)
	ids := hydratest.Clients(t, asks.AdminURL(), apikey.ManagementAudience)
	if len(ids) != 1 || !apikey.OwnID(ids[0]) {
		t.Fatalf("clients in Hydra: %v", ids)
	}
	admin := apikey.WithCaller(t.Context(), apikey.System("test"))
	if _, err := w.Service.Get(admin, ids[0]); err == nil {
		t.Error("the canary is a key")
	}
	for _, kind := range []apikey.Kind{apikey.KindAPI, apikey.KindManagement} {
		page, err := w.Service.List(admin, apikey.ListParams{Kind: kind, Count: true})
		if err != nil || *page.Count != 0 {
			t.Errorf("list of %s: %+v, %v", kind, page, err)
		}
	}
	if events, err := w.Service.Events(admin, apikey.FeedParams{}); err != nil || len(events.Data) != 0 {
		t.Errorf("events: %+v, %v", events.Data, err)
	}
	url := w.Ledger.Installation()
	w.Close()
	again := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: apikeytest.SQLiteURL(t), Hydra: asks, Idle: true})
	if again.Ledger.Installation() == url {
		t.Error("two installations share an id")
	}
	if !slices.Equal(ids, hydratest.Clients(t, asks.AdminURL(), apikey.ManagementAudience)) {
		t.Error("a service without a hook has a canary")
	}
}

// After a change of the server secret the canary goes on, with the old secret as
// long as it is known and else with a new one.
func TestCanarySecrets(t *testing.T) {
	hook := apikeytest.NewHook(t)
	asks := hydratest.New(t, hydradev.Config{TokenHook: hook.Setting()})
	url := apikeytest.SQLiteURL(t)
	next := apikey.NewSecret("the-next-server-secret-0123456789abcdef")
	for _, c := range []struct {
		name    string
		secrets []apikey.Secret
	}{
		{"made", []apikey.Secret{apikey.NewSecret(apikeytest.ServerSecret)}},
		{"both known", []apikey.Secret{next, apikey.NewSecret(apikeytest.ServerSecret)}},
		{"old one forgotten", []apikey.Secret{next}},
		{"again", []apikey.Secret{next}},
	} {
		w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Hydra: asks, Idle: true, Config: func(cfg *apikey.Config) {
			cfg.Hook, cfg.ServerSecrets = true, c.secrets
			cfg.Issuer, _ = cfg.Clients.(*hydra.Hydra)
		}})
		if err := w.Service.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		hook.For(t, w)
		wantTried(t, c.name, w, apikey.HookRefuses)
		w.Close()
	}
}

// Who only looks makes a canary where there is none, and leaves alone one that is
// under another server secret, with which the servers go on.
func TestCanaryVisited(t *testing.T) {
	hook := apikeytest.NewHook(t)
	asks := hydratest.New(t, hydradev.Config{TokenHook: hook.Setting()})
	w := watched(t, asks, hook)
	visit := func(name, secret string, want apikey.HookAnswer, fault error) {
		t.Helper()
		visitor, err := apikey.New(apikey.Config{Ledger: w.Ledger, Clients: w.Clients, Issuer: w.Clients, Hook: true, ServerSecrets: []apikey.Secret{apikey.NewSecret(secret)}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := visitor.VisitHook(t.Context())
		if got != want || !errors.Is(err, fault) {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, err, want, fault)
		}
	}
	visit("nobody was here", apikeytest.ServerSecret, apikey.HookRefuses, nil)
	visit("another secret", "another-server-secret-0123456789abcdef", apikey.HookUnknown, apikey.ErrClientExists)
	visit("the same secret", apikeytest.ServerSecret, apikey.HookRefuses, nil)
	wantTried(t, "the server", w, apikey.HookRefuses)
}

// While Hydra is away it is not known whether it asks us, which is neither a yes
// nor a lost hook: what was seen last holds for five minutes.
func TestCanaryInOutage(t *testing.T) {
	hook := apikeytest.NewHook(t)
	asks := hydratest.New(t, hydradev.Config{TokenHook: hook.Setting()})
	proxy := hydratest.NewProxy(t, asks.PublicURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Hydra: asks, Idle: true, Config: func(c *apikey.Config) {
		c.Hook = true
		c.Issuer, _ = c.Clients.(*hydra.Hydra)
	}, HydraWith: func(c *hydra.Config) { c.PublicURL = proxy.URL() }})
	if err := w.Service.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	hook.For(t, w)
	wantTried(t, "before", w, apikey.HookRefuses)
	seen := w.Service.HookState().AskedAt
	proxy.Refuse()
	for _, c := range []struct {
		later time.Duration
		ready bool
	}{{0, true}, {4 * time.Minute, true}, {2 * time.Minute, false}} {
		w.Clock.Advance(c.later)
		if got, err := w.Service.TryHook(t.Context()); got != apikey.HookUnknown || err == nil {
			t.Errorf("away: %q, %v", got, err)
		}
		if err := w.Service.HookReady(t.Context()); (err == nil) != c.ready {
			t.Errorf("away, %v later: readiness %v; want ready %v", c.later, err, c.ready)
		}
		if s := w.Service.HookState(); s.Asked != c.ready || s.AskedAt != seen {
			t.Errorf("away, %v later: %+v; want asked %v, last at %v", c.later, s, c.ready, seen)
		}
	}
	if err := proxy.Accept(); err != nil {
		t.Fatal(err)
	}
	wantTried(t, "back", w, apikey.HookRefuses)
}
