package apikey_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// replicas are two processes on one Postgres ledger and one Hydra, each with its
// own memory of what Hydra said.
func replicas(t *testing.T) (here, there *apikeytest.World) {
	t.Helper()
	url := pgtest.URL(t)
	here = apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url})
	return here, apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Hydra: here.Hydra, Clock: here.Clock, Idle: true})
}

// endings end all tokens of a key that goes on, and tell its secret.
var endings = map[string]func(context.Context, *apikeytest.World, apikey.Issued) (apikey.Secret, error){
	"tokens/revoke": func(ctx context.Context, w *apikeytest.World, k apikey.Issued) (apikey.Secret, error) {
		_, err := w.Service.RevokeTokens(ctx, k.Key.ID, apikey.ActionParams{})
		return k.Secret, err
	},
	"a rotation in place": func(ctx context.Context, w *apikeytest.World, k apikey.Issued) (apikey.Secret, error) {
		none := apikey.Duration(0)
		r, err := w.Service.Rotate(ctx, k.Key.ID, apikey.RotateParams{GracePeriod: &none})
		return r.Secret, err
	},
	"a pause that is over": func(ctx context.Context, w *apikeytest.World, k apikey.Issued) (apikey.Secret, error) {
		_, err1 := w.Service.Disable(ctx, k.Key.ID, apikey.DisableParams{})
		_, err2 := w.Service.Enable(ctx, k.Key.ID, apikey.ActionParams{})
		return k.Secret, errors.Join(err1, err2)
	},
}

// Tokens that are ended while their key goes on are not active from the answer
// on, in every process, though each has just seen them; one that is bought in
// the same second is.
func TestTokensEnded(t *testing.T) {
	here, there := replicas(t)
	ctx := as(t)
	for name, end := range endings {
		for range 3 {
			k := create(ctx, t, here.Service, apikey.CreateParams{})
			old := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: here.Hydra.TokenURL(), ID: k.Key.ID, Secret: k.Secret.Reveal()})
			for _, w := range []*apikeytest.World{here, there} {
				if !introspect(t, w.Service, old).Active {
					t.Fatalf("%s: not active before", name)
				}
			}
			secret, err := end(ctx, here, k)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if introspect(t, there.Service, old).Active || introspect(t, here.Service, old).Active {
				t.Errorf("%s: still active", name)
			}
			fresh := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: here.Hydra.TokenURL(), ID: k.Key.ID, Secret: secret.Reveal()})
			for _, w := range []*apikeytest.World{here, there} {
				if !introspect(t, w.Service, fresh).Active {
					t.Errorf("%s: a token that was bought afterwards is not active", name)
				}
			}
		}
	}
}

// The tokens of a management key are refused at once as well.
func TestTokensEndedOfManagement(t *testing.T) {
	here, there := replicas(t)
	ctx := apikey.WithCaller(t.Context(), apikey.System("test"))
	issued, err := here.Service.EnsureManagementKey(ctx, "ended", []apikey.Right{apikey.KeysRead})
	if err != nil {
		t.Fatal(err)
	}
	buy := func() string {
		return hydratest.MustBuy(t, hydratest.Purchase{TokenURL: here.Hydra.TokenURL(), ID: issued.Key.ID, Secret: issued.Secret.Reveal(),
			Scopes: issued.Key.Scopes, Audiences: issued.Key.Audiences})
	}
	old := buy()
	if _, err := there.Service.Authenticate(ctx, old); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Service.RevokeTokens(ctx, issued.Key.ID, apikey.ActionParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Service.Authenticate(ctx, old); !errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("got %v, want unauthenticated", err)
	}
	if _, err := there.Service.Authenticate(ctx, buy()); err != nil {
		t.Errorf("a token that was bought afterwards: %v", err)
	}
}

// aged is a Hydra that said yes a while ago and says now what a test wants.
type aged struct {
	info  apikey.TokenInfo
	now   error
	asked int
}

func (a *aged) Introspect(context.Context, string) (apikey.TokenInfo, error) { return a.info, nil }

func (a *aged) IntrospectNow(context.Context, string) (apikey.TokenInfo, error) {
	a.asked++
	info := a.info
	info.Age = 0
	if errors.Is(a.now, errRemembered) {
		info.Age, info.Remembered = a.info.Age, true
		return info, nil
	}
	return info, a.now
}

var errRemembered = errors.New("remembered")

// Only an answer that may be older than the end of the tokens is asked for
// again; while Hydra does not answer, nobody gets the old one.
func TestTokensEndedAskedAgain(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
	ctx := apikey.WithCaller(t.Context(), apikey.System("test"))
	issued, err := w.Service.EnsureManagementKey(ctx, "aged", []apikey.Right{apikey.KeysRead})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.RevokeTokens(ctx, issued.Key.ID, apikey.ActionParams{}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Minute)
	outage := &apikey.Error{Kind: apikey.ErrUnavailable}
	for _, c := range []struct {
		name  string
		age   time.Duration
		now   error
		asked int
		want  error
	}{
		{"from long after", time.Second, nil, 0, nil},
		{"by clocks that differ", 55 * time.Second, nil, 1, nil},
		{"from before", 2 * time.Minute, nil, 1, nil},
		{"from before, and now it says no", 2 * time.Minute, apikey.ErrUnauthenticated, 1, apikey.ErrUnauthenticated},
		{"from before, in an outage", 2 * time.Minute, outage, 1, apikey.ErrUnavailable},
		{"from before, remembered in an outage", 2 * time.Minute, errRemembered, 1, apikey.ErrUnavailable},
	} {
		hydra := &aged{now: c.now, info: apikey.TokenInfo{ClientID: issued.Key.ID, Subject: issued.Key.ID, Audiences: []string{apikey.ManagementAudience},
			ExpiresAt: w.Clock.Now().Add(time.Hour), Age: c.age}}
		s := second(t, w, func(cfg *apikey.Config) { cfg.Tokens = hydra })
		if _, err := s.Authenticate(ctx, "token"); !errors.Is(err, c.want) || hydra.asked != c.asked {
			t.Errorf("%s: got %v after %d questions, want %v after %d", c.name, err, hydra.asked, c.want, c.asked)
		}
	}
}

// stalling is a ledger that does something before it gives a standing back.
type stalling struct {
	apikey.Ledger
	stall func()
}

func (s *stalling) Standing(ctx context.Context, id string, v apikey.View, now time.Time) (apikey.Standing, error) {
	r, err := s.Ledger.Standing(ctx, id, v, now)
	if s.stall != nil {
		s.stall()
	}
	return r, err
}

// However long the ledger takes, what Hydra said before the tokens were ended
// does not come to look newer by it.
func TestTokensEndedSlowLedger(t *testing.T) {
	ledger := &stalling{}
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		ledger.Ledger = c.Ledger
		c.Ledger = ledger
	}})
	k := create(as(t), t, w.Service, apikey.CreateParams{})
	token := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: k.Key.ID, Secret: k.Secret.Reveal()})
	if !introspect(t, w.Service, token).Active {
		t.Fatal("not active")
	}
	if _, err := w.Service.RevokeTokens(as(t), k.Key.ID, apikey.ActionParams{}); err != nil {
		t.Fatal(err)
	}
	ledger.stall = func() {
		ledger.stall = nil
		w.Clock.Advance(15 * time.Second)
	}
	if introspect(t, w.Service, token).Active {
		t.Error("a token is active that was ended before the question")
	}
}
