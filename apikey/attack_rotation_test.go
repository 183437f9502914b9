package apikey_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// A forced rotation that is refused has not ended the credential before it, and
// its dry run answers what it would do.
func TestRefusedForceEndsNothing(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx, f := as(t), w.Fixture()
	first := create(ctx, t, w.Service, apikey.CreateParams{})
	second, err := w.Service.Rotate(ctx, first.Key.ID, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Rotate(ctx, second.Key.ID, apikey.RotateParams{Force: true, GracePeriod: period(-time.Second)}); !errors.Is(err, apikey.ErrInvalid) {
		t.Errorf("a negative grace period: %v", err)
	}
	if !f.Works(t, first.Key, first.Secret, nil) {
		t.Error("a rotation that was refused ended the first secret")
	}
	r, err := w.Service.Rotate(ctx, second.Key.ID, apikey.RotateParams{Force: true, DryRun: true})
	if err != nil || r.Mode != apikey.RotationSuccessor {
		t.Errorf("dry run: %+v, %v", r, err)
	}
	if !f.Works(t, first.Key, first.Secret, nil) {
		t.Error("a dry run ended the first secret")
	}
}

// Public keys of which a forced rotation leaves none to the key before it do not
// keep that key from being rotated again.
func TestRotateAgainWithoutPublicKeys(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx := as(t)
	input := func(alg string) []apikey.PublicKeyInput {
		return []apikey.PublicKeyInput{{JWK: apikeytest.NewPair(t, alg).Public}}
	}
	id := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: input("ES256")}).Key.ID
	r, err := w.Service.Rotate(ctx, id, apikey.RotateParams{PublicKeys: input("ES256")})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Service.RemovePublicKey(ctx, id, r.Key.PublicKeys[1].KID); err != nil {
		t.Fatal(err)
	}
	if r, err = w.Service.Rotate(ctx, id, apikey.RotateParams{PublicKeys: input("ES384"), Force: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Revoke(ctx, r.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	if r, err = w.Service.Rotate(ctx, id, apikey.RotateParams{PublicKeys: input("ES256")}); err != nil || r.Mode != apikey.RotationSuccessor {
		t.Errorf("%+v, %v", r, err)
	}
}

// Public keys that a rotation replaced end with their key, if that is earlier
// than the grace period: so say the rotation and the key.
func TestReplacedPublicKeysEndWithKey(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx := as(t)
	input := func() []apikey.PublicKeyInput {
		return []apikey.PublicKeyInput{{JWK: apikeytest.NewPair(t, "ES256").Public}}
	}
	end := w.Clock.Now().Add(time.Hour).UTC().Truncate(time.Second)
	id := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: input(), ExpiresAt: apikey.SetTo(end)}).Key.ID
	r, err := w.Service.Rotate(ctx, id, apikey.RotateParams{PublicKeys: input()})
	if err != nil || r.Mode != apikey.RotationOverlap || !r.PreviousEndsAt.Equal(end) || !r.Key.PreviousEndsAt.Equal(end) {
		t.Errorf("%s, %v, %v; want the end of the key, %v (%v)", r.Mode, r.PreviousEndsAt, r.Key.PreviousEndsAt, end, err)
	}
	w.Clock.Advance(2 * time.Hour)
	k, err := w.Service.Get(ctx, id)
	if err != nil || k.PreviousEndsAt != nil || slices.Contains(k.Flags, apikey.FlagRotating) {
		t.Errorf("expired: %v, %v, %v", k.PreviousEndsAt, k.Flags, err)
	}
}
