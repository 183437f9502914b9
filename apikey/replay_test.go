package apikey_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// post is an operation of the API that takes an Idempotency-Key.
type post struct {
	action apikey.Action
	do     func(ctx context.Context, s apikey.API, id, header string) (any, error)
	// other is do with another body; nil where there is none.
	other func(ctx context.Context, s apikey.API, id, header string) error
	// wrong is do with a body that is refused; nil where there is none.
	wrong func(ctx context.Context, s apikey.API, id, header string) error
}

func posts(t *testing.T, c *apikeytest.Clock) map[string]post {
	one, two := apikeytest.NewPair(t, "ES256").Public, apikeytest.NewPair(t, "ES256").Public
	later, past := c.Now().Add(time.Hour), c.Now().Add(-time.Hour)
	disable := func(until *time.Time) func(context.Context, apikey.API, string, string) (any, error) {
		return func(ctx context.Context, s apikey.API, id, header string) (any, error) {
			return s.Disable(ctx, id, apikey.DisableParams{Until: until, IdempotencyKey: header})
		}
	}
	revoke := func(reason apikey.RevocationReason) func(context.Context, apikey.API, string, string) (any, error) {
		return func(ctx context.Context, s apikey.API, id, header string) (any, error) {
			return s.Revoke(ctx, id, apikey.RevokeParams{Reason: reason, IdempotencyKey: header})
		}
	}
	add := func(jwk apikey.JWK) func(context.Context, apikey.API, string, string) (any, error) {
		return func(ctx context.Context, s apikey.API, id, header string) (any, error) {
			return s.AddPublicKey(ctx, id, apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: jwk}, IdempotencyKey: header})
		}
	}
	mute := func(do func(context.Context, apikey.API, string, string) (any, error)) func(context.Context, apikey.API, string, string) error {
		return func(ctx context.Context, s apikey.API, id, header string) error {
			_, err := do(ctx, s, id, header)
			return err
		}
	}
	return map[string]post{
		"disable": {apikey.ActionDisable, disable(nil), mute(disable(&later)), mute(disable(&past))},
		"enable": {action: apikey.ActionEnable, do: func(ctx context.Context, s apikey.API, id, header string) (any, error) {
			return s.Enable(ctx, id, apikey.ActionParams{IdempotencyKey: header})
		}},
		"tokens/revoke": {action: apikey.ActionRevokeTokens, do: func(ctx context.Context, s apikey.API, id, header string) (any, error) {
			return s.RevokeTokens(ctx, id, apikey.ActionParams{IdempotencyKey: header})
		}},
		"revoke":      {apikey.ActionRevoke, revoke(apikey.Superseded), mute(revoke(apikey.KeyCompromise)), mute(revoke("because"))},
		"public-keys": {apikey.ActionAddPublicKey, add(one), mute(add(two)), mute(add(apikey.JWK{"kty": "oct"}))},
	}
}

// Each POST with an Idempotency-Key is done once and answered the same again,
// whatever happened since; with another body, of another key, or as another
// operation it is refused; a body that was refused has used nothing up.
func TestEveryPostIsRepeatable(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx, s := as(t), w.Service
	fresh := func() string {
		return create(ctx, t, s, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: apikeytest.NewPair(t, "ES256").Public}}}).Key.ID
	}
	for name, p := range posts(t, w.Clock) {
		t.Run(name, func(t *testing.T) {
			id, header := fresh(), "repeatable-"+name+"-0001"
			if p.action == apikey.ActionEnable {
				if _, err := s.Disable(ctx, id, apikey.DisableParams{}); err != nil {
					t.Fatal(err)
				}
			}
			if p.wrong != nil {
				if err := p.wrong(ctx, s, id, header); !errors.Is(err, apikey.ErrInvalid) {
					t.Errorf("a bad body: %v", err)
				}
			}
			first, err := p.do(ctx, s, id, header)
			if err != nil {
				t.Fatalf("after a bad body with the same header: %v", err)
			}
			if name := "changed since"; p.action != apikey.ActionRevoke {
				if _, err := s.Update(ctx, id, apikey.UpdateParams{Name: &name}); err != nil {
					t.Fatal(err)
				}
			}
			again, err := p.do(ctx, s, id, header)
			if d := cmp.Diff(first, again); err != nil || d != "" {
				t.Errorf("again: %v (-first +again):\n%s", err, d)
			}
			if n := happened(ctx, t, s, id, p.action); n != 1 {
				t.Errorf("done %d times", n)
			}
			mismatch := func(what string, err error) {
				if !errors.Is(err, apikey.ErrIdempotencyMismatch) {
					t.Errorf("%s: %v, want a mismatch", what, err)
				}
			}
			if p.other != nil {
				mismatch("another body", p.other(ctx, s, id, header))
			}
			_, err = p.do(ctx, s, fresh(), header)
			mismatch("another key", err)
			_, err = s.Create(ctx, apikey.CreateParams{Name: "x", Owner: "test", Scopes: []string{"a"}, IdempotencyKey: header})
			mismatch("another operation", err)
		})
	}
}

// A create that was refused for its body, or while Hydra could not take it, has
// used nothing up: mended, the same header works.
func TestRefusedCreateIsNotStored(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx := as(t)
	p := apikey.CreateParams{Name: "x", Owner: "refused", Scopes: []string{"a b"}, IdempotencyKey: "refused-create-0001"}
	if _, err := w.Service.Create(ctx, p); !errors.Is(err, apikey.ErrInvalid) {
		t.Fatal(err)
	}
	p.Scopes = []string{"a"}
	issued := create(ctx, t, w.Service, p)
	if !w.Fixture().Works(t, issued.Key, issued.Secret, nil) {
		t.Error("the mended request's key does not work")
	}
	p.Scopes = []string{"a b"}
	if _, err := w.Service.Create(ctx, p); !errors.Is(err, apikey.ErrIdempotencyMismatch) && !errors.Is(err, apikey.ErrInvalid) {
		t.Errorf("the bad body after the good one: %v", err)
	}
}

// An action that was refused for the key's state has used nothing up either.
func TestRefusedActionIsNotStored(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx, hour := as(t), time.Now().Add(time.Hour)
	id := create(ctx, t, w.Service, apikey.CreateParams{ExpiresAt: apikey.SetTo(hour)}).Key.ID
	if _, err := w.Service.Disable(ctx, id, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Hour)
	enable := func() (apikey.Result, error) {
		return w.Service.Enable(ctx, id, apikey.ActionParams{IdempotencyKey: "refused-enable-0001"})
	}
	if _, err := enable(); !errors.Is(err, apikey.ErrExpired) {
		t.Fatalf("enable of an expired key: %v", err)
	}
	if _, err := w.Service.Update(ctx, id, apikey.UpdateParams{ExpiresAt: apikey.Null[time.Time]()}); err != nil {
		t.Fatal(err)
	}
	if res, err := enable(); err != nil || res.Key.Status != apikey.StatusActive {
		t.Errorf("once it does not expire any more: %+v, %v", res, err)
	}
}

// When the server secret changes, a repetition gets the same answer as long as
// the old one is still accepted, and after that makes a new key with a secret
// of its own: never an old key with a wrong secret.
func TestServerSecretChanges(t *testing.T) {
	const newer = "newer-server-secret-0123456789abcdefghijkl"
	url, clock := apikeytest.SQLiteURL(t), &apikeytest.Clock{}
	ctx := as(t)
	p := apikey.CreateParams{Name: "x", Owner: "server secret", Scopes: []string{"a"}, IdempotencyKey: "server-secret-0001"}
	run := func(secrets ...string) (first, again apikey.Issued) {
		w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Clock: clock, Config: func(c *apikey.Config) {
			c.ServerSecrets = nil
			for _, v := range secrets {
				c.ServerSecrets = append(c.ServerSecrets, apikey.NewSecret(v))
			}
		}})
		defer w.Close()
		first, again = create(ctx, t, w.Service, p), create(ctx, t, w.Service, p)
		if first.Key.ID != again.Key.ID || !first.Secret.Equal(again.Secret) {
			t.Error("two answers differ")
		}
		if !w.Fixture().Works(t, first.Key, first.Secret, nil) {
			t.Error("the answered secret does not work")
		}
		return first, again
	}
	old, _ := run(apikeytest.ServerSecret)
	both, _ := run(newer, apikeytest.ServerSecret)
	if both.Key.ID != old.Key.ID || !both.Secret.Equal(old.Secret) {
		t.Error("while the old server secret is accepted the answer is another")
	}
	alone, _ := run(newer)
	if alone.Key.ID == old.Key.ID || alone.Secret.Equal(old.Secret) {
		t.Error("without the old server secret the request is not a new one")
	}
	back, _ := run(apikeytest.ServerSecret, newer)
	if back.Key.ID != old.Key.ID || !back.Secret.Equal(old.Secret) {
		t.Error("with the old server secret first again, the answer is not the first one")
	}
}

// confidant is Clients that remember what was sent to Hydra.
type confidant struct {
	apikey.Clients
	sent []apikey.ClientWrite
}

func (c *confidant) Create(ctx context.Context, w apikey.ClientWrite) error {
	c.sent = append(c.sent, w)
	return c.Clients.Create(ctx, w)
}

// A create whose process died, before or after Hydra was called, is undone by
// the next process; the caller who asks again with the same Idempotency-Key
// gets the same id and the same secret, and they work.
func TestAbandonedCreateIsMadeAnew(t *testing.T) {
	for _, step := range []string{afterT1, beforeT2} {
		t.Run(step, func(t *testing.T) {
			url, ctx, hears := apikeytest.SQLiteURL(t), as(t), &confidant{}
			listen := func(c *apikey.Config) {
				hears.Clients = c.Clients
				c.Clients = hears
			}
			first, m := mortalWorld(t, apikeytest.Options{LedgerURL: url, Config: listen})
			p := apikey.CreateParams{Name: "x", Owner: "anew " + rand.Text(), Scopes: []string{"a"}, IdempotencyKey: "abandoned-create-0001"}
			if answered, err := m.die(step, func() error { _, err := first.Service.Create(ctx, p); return err }); answered {
				t.Fatalf("answered %v", err)
			}
			before := hydratest.Clients(t, first.Hydra.AdminURL(), p.Owner)
			first.Close()
			next := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Config: listen})
			issued := create(ctx, t, next.Service, p) // waits for the undoing
			if step == beforeT2 && (len(before) != 1 || before[0] != issued.Key.ID) {
				t.Errorf("first %v, then %s", before, issued.Key.ID)
			}
			again := create(ctx, t, next.Service, p)
			if again.Key.ID != issued.Key.ID || !again.Secret.Equal(issued.Secret) {
				t.Error("asked a third time, the answer is another")
			}
			for _, w := range hears.sent {
				if w.Definition.ID != issued.Key.ID || !w.Secret.Equal(issued.Secret) {
					t.Errorf("%s was sent to Hydra, not %s with the answered secret", w.Definition.ID, issued.Key.ID)
				}
			}
			if want := 1 + len(before); len(hears.sent) != want {
				t.Errorf("%d clients were made, want %d", len(hears.sent), want)
			}
			if !next.Fixture().Works(t, issued.Key, issued.Secret, nil) {
				t.Error("the key does not work")
			}
			if now := hydratest.Clients(t, next.Hydra.AdminURL(), p.Owner); len(now) != 1 {
				t.Errorf("clients in Hydra: %v", now)
			}
		})
	}
}
