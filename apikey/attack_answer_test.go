package apikey_test

import (
	"context"
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
