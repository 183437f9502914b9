package apikey_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// A disable in line whose turn finds the key disabled keeps an answer as whole
// as any.
func TestKeptAnswerOfChangeWithNothingToDo(t *testing.T) {
	w, m := mortalWorld(t, apikeytest.Options{})
	ctx := as(t)
	id := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
	if answered, err := m.die(afterT1, func() error {
		_, err := w.Service.Disable(ctx, id, apikey.DisableParams{})
		return err
	}); answered {
		t.Fatal(err)
	}
	waiting, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	p := apikey.DisableParams{IdempotencyKey: "nothing-to-do-0001"}
	if res, err := w.Service.Disable(waiting, id, p); err != nil || !res.Pending {
		t.Fatalf("%+v, %v; want pending", res, err)
	}
	turns(ctx, t, w, id)
	res, err := w.Service.Disable(ctx, id, p)
	if err != nil || res.Pending || res.Others == nil {
		t.Errorf("repeated: %+v, %v; want a list of others", res, err)
	}
}

// An Idempotency-Key that is too short is refused wherever it goes, before
// anything is changed.
func TestShortIdempotencyKey(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx := as(t)
	input := func() []apikey.PublicKeyInput {
		return []apikey.PublicKeyInput{{JWK: apikeytest.NewPair(t, "ES256").Public}}
	}
	id := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: input()}).Key.ID
	if _, err := w.Service.Rotate(ctx, id, apikey.RotateParams{PublicKeys: input()}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.CompleteRotation(ctx, id, apikey.ActionParams{IdempotencyKey: "x"}); !errors.Is(err, apikey.ErrInvalid) {
		t.Errorf("complete: %v", err)
	}
}

// sweepless is the way to Hydra of a process that cannot end tokens for a while.
type sweepless struct {
	apikey.Clients
	err error
}

func (c *sweepless) RevokeTokens(ctx context.Context, id string) error {
	if c.err != nil {
		return c.err
	}
	return c.Clients.RevokeTokens(ctx, id)
}

// A rotation in place that Hydra took, and whose tokens it then cannot end, is
// not said to have changed nothing: it is brought to its end.
func TestRotationWhoseSweepFails(t *testing.T) {
	for name, err := range map[string]error{
		"down":    &apikey.Error{Kind: apikey.ErrUnavailable, Cause: apikey.ErrNotSent},
		"refused": &apikey.Error{Kind: apikey.ErrInternal, Cause: apikey.ErrNotSent},
		"lost":    &apikey.Error{Kind: apikey.ErrUnavailable, Cause: apikey.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			c := &sweepless{}
			w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(cfg *apikey.Config) { c.Clients, cfg.Clients = cfg.Clients, c }})
			ctx := as(t)
			issued := create(ctx, t, w.Service, apikey.CreateParams{})
			c.err = err
			p := apikey.RotateParams{GracePeriod: period(0), IdempotencyKey: "sweep-fails-" + rand.Text()}
			_, err := w.Service.Rotate(ctx, issued.Key.ID, p)
			wantUnavailable(t, err)
			c.err = nil
			apikeytest.Eventually(t, "it is brought to its end", func() bool {
				_ = w.Service.Turn(ctx)
				return quiet(ctx, t, w.Service, issued.Key.ID)
			})
			if !unknown(t, w, issued.Key.ID) {
				t.Errorf("answered %v; the secret before is dead and the key gives no sign", err)
			}
			r, err := w.Service.Rotate(ctx, issued.Key.ID, p)
			if err != nil || !w.Fixture().Works(t, r.Key, r.Secret, nil) {
				t.Errorf("repeated: %v", err)
			}
		})
	}
}

// forgetful is a ledger whose next commit of a T2 is not answered.
type forgetful struct {
	apikey.Ledger
	forget bool
}

func (l *forgetful) Finish(ctx context.Context, f apikey.Finish) error {
	err := l.Ledger.Finish(ctx, f)
	if l.forget && err == nil {
		l.forget = false
		err = &apikey.Error{Kind: apikey.ErrUnavailable, Cause: apikey.ErrOutcomeUnknown}
	}
	return err
}

// A rotation whose commit was not answered, and that is recorded all the same,
// is answered: nobody else will ever know its secret.
func TestRotationWhoseCommitIsNotAnswered(t *testing.T) {
	for name, grace := range map[string]time.Duration{"in place": 0, "successor": time.Hour} {
		t.Run(name, func(t *testing.T) {
			l := &forgetful{}
			w := apikeytest.NewWorld(t, apikeytest.Options{Config: func(cfg *apikey.Config) { l.Ledger, cfg.Ledger = cfg.Ledger, l }})
			ctx := as(t)
			id := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
			l.forget = true
			r, err := w.Service.Rotate(ctx, id, apikey.RotateParams{GracePeriod: period(grace)})
			if err != nil || !w.Fixture().Works(t, r.Key, r.Secret, nil) {
				t.Errorf("%+v, %v", r, err)
			}
			apikeytest.Eventually(t, "nothing is changing", func() bool { return quiet(ctx, t, w.Service, id) })
		})
	}
}
