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

// A forced rotation to a successor has ended the public keys of an older
// rotation at Hydra before it answers: nothing is left for the background work
// to do, which Hydra could hold up.
func TestForceEndsReplacedPublicKeysFirst(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx, f := as(t), w.Fixture()
	old, fresh := apikeytest.NewPair(t, "ES256"), apikeytest.NewPair(t, "ES256")
	input := func(p *apikeytest.Pair) []apikey.PublicKeyInput { return []apikey.PublicKeyInput{{JWK: p.Public}} }
	k := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: input(old)}).Key
	if _, err := w.Service.Rotate(ctx, k.ID, apikey.RotateParams{PublicKeys: input(fresh)}); err != nil {
		t.Fatal(err)
	}
	if !f.Works(t, k, apikey.Secret{}, old) || !f.Works(t, k, apikey.Secret{}, fresh) {
		t.Fatal("before force both public keys should work")
	}
	dry, err := w.Service.Rotate(ctx, k.ID, apikey.RotateParams{AuthMethod: apikey.ClientSecretBasic, Force: true, DryRun: true})
	if err != nil || dry.Mode != apikey.RotationSuccessor || !f.Works(t, k, apikey.Secret{}, old) {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
	r, err := w.Service.Rotate(ctx, k.ID, apikey.RotateParams{AuthMethod: apikey.ClientSecretBasic, Force: true})
	if err != nil || r.Mode != apikey.RotationSuccessor {
		t.Fatalf("%+v, %v", r, err)
	}
	if f.Works(t, k, apikey.Secret{}, old) {
		t.Error("the public key of the older rotation still works")
	}
	if !f.Works(t, k, apikey.Secret{}, fresh) || !f.Works(t, r.Key, r.Secret, nil) {
		t.Error("the credential before this rotation, or the new one, does not work")
	}
	if n := happened(ctx, t, w.Service, k.ID, apikey.ActionRetirePublicKeys); n != 1 {
		t.Errorf("retired %d times", n)
	}
}

// A forced rotation to a successor does not take the last public key from the
// key that is to live on beside it: that would end what its callers use now. In
// place it is what was asked for.
func TestForceLeavesLastPublicKey(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx, f := as(t), w.Fixture()
	input := func(p *apikeytest.Pair) []apikey.PublicKeyInput { return []apikey.PublicKeyInput{{JWK: p.Public}} }
	old := apikeytest.NewPair(t, "ES256")
	k := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: input(old)}).Key
	r, err := w.Service.Rotate(ctx, k.ID, apikey.RotateParams{PublicKeys: input(apikeytest.NewPair(t, "ES256"))})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Service.RemovePublicKey(ctx, k.ID, r.Key.PublicKeys[1].KID); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		p := apikey.RotateParams{PublicKeys: input(apikeytest.NewPair(t, "ES384")), Force: true, DryRun: dry}
		if _, err := w.Service.Rotate(ctx, k.ID, p); !errors.Is(err, apikey.ErrLastCredential) {
			t.Errorf("dry run %v: %v", dry, err)
		}
	}
	if !f.Works(t, k, apikey.Secret{}, old) {
		t.Error("a rotation that was refused ended the last public key")
	}
	last := apikeytest.NewPair(t, "ES384")
	r, err = w.Service.Rotate(ctx, k.ID, apikey.RotateParams{PublicKeys: input(last), Force: true, GracePeriod: period(0)})
	if err != nil || r.Mode != apikey.RotationInPlace || f.Works(t, k, apikey.Secret{}, old) || !f.Works(t, k, apikey.Secret{}, last) {
		t.Errorf("in place: %+v, %v", r, err)
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
