package apikeytest

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const rotationDay = 24 * time.Hour

func has(k apikey.Key, f apikey.Flag) bool { return slices.Contains(k.Flags, f) }

func grace(d time.Duration) *apikey.Duration { return new(apikey.Duration(d)) }

// works checks which of several credentials of keys buy a token.
func (f Fixture) works(t *testing.T, when string, k apikey.Key, secret apikey.Secret, pair *Pair, want bool) {
	t.Helper()
	if got := f.Works(t, k, secret, pair); got != want {
		t.Errorf("%s: credential of %s works: %v, want %v", when, k.ID, got, want)
	}
}

// A rotation makes a successor with the same definition; both secrets work until
// the deadline, and after it the old one and its tokens are dead.
func testSuccessor(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	ends := f.Clock.Now().Add(90 * rotationDay).UTC().Truncate(time.Second)
	old, err := api.Create(ctx, apikey.CreateParams{Name: "old", Owner: "rotate", Scopes: []string{"a", "b"}, Audiences: []string{"https://api.example.com"},
		Labels: map[string]string{"team": "x"}, ExpiresAt: apikey.SetTo(ends)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := api.Rotate(ctx, old.Key.ID, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	k := r.Key
	if r.Mode != apikey.RotationSuccessor || r.VerifiedAt == nil || r.Unverified != "" || r.PreviousEndsAt == nil || r.AccessEndsAt == nil {
		t.Errorf("rotation: %+v", r)
	}
	if k.ID == old.Key.ID || k.RootID != old.Key.ID || *k.Replaces != old.Key.ID || k.Name != "old" || k.Labels["team"] != "x" || k.Revision != 1 ||
		!k.ExpiresAt.Equal(ends) || !has(k, apikey.FlagRotating) || k.PreviousEndsAt == nil || !k.PreviousEndsAt.Equal(*r.PreviousEndsAt) {
		t.Errorf("successor: %+v", k)
	}
	if len(r.Others) != 1 || r.Others[0].ID != old.Key.ID || !r.Others[0].EndsAt.Equal(*r.PreviousEndsAt) {
		t.Errorf("others: %+v", r.Others)
	}
	was, err := api.Get(ctx, old.Key.ID)
	if err != nil || *was.ReplacedBy != k.ID || !was.EndsAt.Equal(*r.PreviousEndsAt) || !has(was, apikey.FlagRotating) || was.PreviousEndsAt != nil || was.Revision < 2 {
		t.Errorf("old key: %+v, %v", was, err)
	}
	if d := r.PreviousEndsAt.Sub(f.Clock.Now()); d > rotationDay || d < rotationDay-time.Minute {
		t.Errorf("the default grace period is %v", d)
	}
	f.works(t, "in the grace period, old", old.Key, old.Secret, nil, true)
	f.works(t, "in the grace period, new", k, r.Secret, nil, true)
	token, err := f.Buy(t, old.Key, old.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Clock.Advance(rotationDay + time.Second)
	Eventually(t, "the old secret is refused", func() bool { return !f.Works(t, old.Key, old.Secret, nil) })
	Eventually(t, "its token is dead", func() bool { return !f.Active(t, token) })
	f.works(t, "after it, new", k, r.Secret, nil, true)
	if was, err = api.Get(ctx, old.Key.ID); err != nil || was.Status != apikey.StatusExpired || has(was, apikey.FlagRotating) {
		t.Errorf("old key after the deadline: %+v, %v", was, err)
	}
	if k, err = api.Get(ctx, k.ID); err != nil || has(k, apikey.FlagRotating) || k.PreviousEndsAt != nil {
		t.Errorf("successor after the deadline: %+v, %v", k, err)
	}
	later := f.Clock.Now().Add(200 * rotationDay)
	_, err = api.Update(ctx, old.Key.ID, apikey.UpdateParams{ExpiresAt: apikey.SetTo(later)})
	wantErr(t, "a later expires_at for a replaced key", err, apikey.ErrReplaced)
	_, err = api.Enable(ctx, old.Key.ID, apikey.ActionParams{})
	wantErr(t, "enable after the deadline", err, apikey.ErrReplaced)
	_, err = api.Rotate(ctx, old.Key.ID, apikey.RotateParams{})
	wantErr(t, "rotate a replaced key", err, apikey.ErrReplaced)
}

// With no grace period the key keeps its id: the old secret and all tokens are
// dead at once, the new secret works.
func testInPlace(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	old := f.make(t, api, ctx, "in place")
	token, err := f.Buy(t, old.Key, old.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := api.Rotate(ctx, old.Key.ID, apikey.RotateParams{GracePeriod: grace(0)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.Rotate(ctx, old.Key.ID, apikey.RotateParams{GracePeriod: grace(0)})
	wantErr(t, "another in place at once", err, apikey.ErrRotationPending)
	if r.Mode != apikey.RotationInPlace || r.Key.ID != old.Key.ID || r.VerifiedAt == nil || r.PreviousEndsAt == nil || r.PreviousEndsAt.After(f.Clock.Now()) ||
		r.Key.Secret.Hint == old.Key.Secret.Hint || has(r.Key, apikey.FlagRotating) || r.Key.Revision != 2 || r.AccessEndsAt == nil || len(r.Others) != 0 {
		t.Errorf("rotation: %+v", r)
	}
	f.works(t, "old", old.Key, old.Secret, nil, false)
	f.works(t, "new", r.Key, r.Secret, nil, true)
	if f.Active(t, token) {
		t.Error("a token of the old secret is still active")
	}
	token, err = f.Buy(t, r.Key, r.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Clock.Advance(16 * time.Second)
	Eventually(t, "the second sweep takes tokens of requests that were in flight", func() bool { return !f.Active(t, token) })
	f.works(t, "new after the second sweep", r.Key, r.Secret, nil, true)
}

// A private_key_jwt key gets a new public key beside the old one, under the same
// id, until the deadline; the rotation can be completed before it.
func testOverlap(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	first, second, third := NewPair(t, "ES256"), NewPair(t, "ES256"), NewPair(t, "ES256")
	old, err := api.Create(ctx, apikey.CreateParams{Name: "jwt", Owner: "overlap", Scopes: []string{"a"}, AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: first.Public}}})
	if err != nil {
		t.Fatal(err)
	}
	id, none := old.Key.ID, apikey.Secret{}
	_, err = api.Rotate(ctx, id, apikey.RotateParams{})
	wantErr(t, "no new public key", err, apikey.ErrInvalid)
	_, err = api.Rotate(ctx, id, apikey.RotateParams{PublicKeys: []apikey.PublicKeyInput{{JWK: first.Public}}})
	wantErr(t, "the same public key", err, apikey.ErrInvalid)
	r, err := api.Rotate(ctx, id, apikey.RotateParams{GracePeriod: grace(time.Hour), PublicKeys: []apikey.PublicKeyInput{{JWK: second.Public}}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Mode != apikey.RotationOverlap || r.Key.ID != id || !r.Secret.IsZero() || r.VerifiedAt != nil || r.Unverified == "" || r.PreviousEndsAt == nil ||
		len(r.Key.PublicKeys) != 2 || r.Key.PublicKeys[0].ReplacedAt == nil || !has(r.Key, apikey.FlagRotating) {
		t.Errorf("rotation: %+v", r)
	}
	f.works(t, "in the grace period, first", r.Key, none, first, true)
	f.works(t, "in the grace period, second", r.Key, none, second, true)
	_, err = api.Rotate(ctx, id, apikey.RotateParams{PublicKeys: []apikey.PublicKeyInput{{JWK: third.Public}}})
	wantErr(t, "a rotation in a rotation", err, apikey.ErrRotationPending)
	if r, err = api.Rotate(ctx, id, apikey.RotateParams{Force: true, GracePeriod: grace(time.Hour), PublicKeys: []apikey.PublicKeyInput{{JWK: third.Public}}}); err != nil {
		t.Fatal(err)
	}
	f.works(t, "forced, first", r.Key, none, first, false)
	f.works(t, "forced, second", r.Key, none, second, true)
	f.works(t, "forced, third", r.Key, none, third, true)
	f.Clock.Advance(time.Hour + time.Second)
	Eventually(t, "the second public key has ended", func() bool { return !f.Works(t, r.Key, none, second) })
	f.works(t, "after the deadline, third", r.Key, none, third, true)

	if r, err = api.Rotate(ctx, id, apikey.RotateParams{PublicKeys: []apikey.PublicKeyInput{{JWK: NewPair(t, "ES256").Public}}}); err != nil {
		t.Fatal(err)
	}
	if res, err := api.CompleteRotation(ctx, id, apikey.ActionParams{}); err != nil || len(res.Key.PublicKeys) != 1 || has(res.Key, apikey.FlagRotating) {
		t.Errorf("complete: %+v, %v", res, err)
	}
	f.works(t, "completed, third", r.Key, none, third, false)
	fourth := NewPair(t, "ES256")
	if r, err = api.Rotate(ctx, id, apikey.RotateParams{GracePeriod: grace(0), PublicKeys: []apikey.PublicKeyInput{{JWK: fourth.Public}}}); err != nil || r.Mode != apikey.RotationInPlace || len(r.Key.PublicKeys) != 1 {
		t.Fatalf("in place: %+v, %v", r, err)
	}
	f.works(t, "in place, fourth", r.Key, none, fourth, true)
}

// A rotation can change between a secret and a public key, and the algorithm,
// with or without a grace period.
func testRotateMethod(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	old := f.make(t, api, ctx, "methods")
	pair := NewPair(t, "ES256")
	jwk := []apikey.PublicKeyInput{{JWK: pair.Public}}
	r, err := api.Rotate(ctx, old.Key.ID, apikey.RotateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: jwk})
	if err != nil {
		t.Fatal(err)
	}
	if r.Mode != apikey.RotationSuccessor || r.Key.AuthMethod != apikey.PrivateKeyJWT || r.Key.Secret != nil || !r.Secret.IsZero() {
		t.Errorf("to a public key: %+v", r)
	}
	f.works(t, "to a public key, old", old.Key, old.Secret, nil, true)
	f.works(t, "to a public key, new", r.Key, apikey.Secret{}, pair, true)
	_, err = api.Rotate(ctx, f.make(t, api, ctx, "methods").Key.ID, apikey.RotateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: jwk})
	wantErr(t, "a public key of another key", err, apikey.ErrPublicKeyInUse)
	if _, err := api.CompleteRotation(ctx, r.Key.ID, apikey.ActionParams{}); err != nil {
		t.Fatal(err)
	}
	other := NewPair(t, "RS256")
	next, err := api.Rotate(ctx, r.Key.ID, apikey.RotateParams{PublicKeys: []apikey.PublicKeyInput{{JWK: other.Public}}})
	if err != nil || next.Mode != apikey.RotationSuccessor {
		t.Fatalf("another algorithm: %+v, %v", next, err)
	}
	f.works(t, "another algorithm, old", r.Key, apikey.Secret{}, pair, true)
	f.works(t, "another algorithm, new", next.Key, apikey.Secret{}, other, true)
	back, err := api.Rotate(ctx, next.Key.ID, apikey.RotateParams{Force: true, GracePeriod: grace(0), AuthMethod: apikey.ClientSecretPost})
	if err != nil || back.Mode != apikey.RotationInPlace || len(back.Key.PublicKeys) != 0 {
		t.Fatalf("back to a secret: %+v, %v", back, err)
	}
	f.works(t, "back to a secret, by post", back.Key, back.Secret, nil, true)
	f.works(t, "force ended the older", r.Key, apikey.Secret{}, pair, false)
	last := NewPair(t, "ES256")
	in, err := api.Rotate(ctx, back.Key.ID, apikey.RotateParams{Force: true, GracePeriod: grace(0), AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: last.Public}}})
	if err != nil || in.Key.ID != back.Key.ID || in.Key.Secret != nil {
		t.Fatalf("to a public key in place: %+v, %v", in, err)
	}
	f.works(t, "to a public key in place", in.Key, apikey.Secret{}, last, true)
	f.works(t, "the secret before it", back.Key, back.Secret, nil, false)
}

// A rotation is one at a time, never widens, and can be ended from either side.
func testRotationRules(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	old := f.make(t, api, ctx, "rules")
	for name, p := range map[string]apikey.RotateParams{
		"too long": {GracePeriod: grace(30*rotationDay + time.Second)}, "negative": {GracePeriod: grace(-time.Second)}, "method": {AuthMethod: "none"},
		"public keys for a secret": {PublicKeys: []apikey.PublicKeyInput{{JWK: NewPair(t, "ES256").Public}}},
	} {
		_, err := api.Rotate(ctx, old.Key.ID, p)
		wantErr(t, name, err, apikey.ErrInvalid)
	}
	first, err := api.Rotate(ctx, old.Key.ID, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = api.Rotate(ctx, old.Key.ID, apikey.RotateParams{Force: true})
	wantErr(t, "the replaced key", err, apikey.ErrReplaced)
	_, err = api.Rotate(ctx, first.Key.ID, apikey.RotateParams{})
	wantErr(t, "its successor in the grace period", err, apikey.ErrRotationPending)

	name, scopes, more, post := "renamed", []string{"a"}, []string{"a", "z"}, apikey.ClientSecretPost
	if k, err := api.Update(ctx, old.Key.ID, apikey.UpdateParams{Name: &name, Scopes: &scopes}); err != nil || k.Name != name {
		t.Errorf("renaming a replaced key: %+v, %v", k, err)
	}
	for what, p := range map[string]apikey.UpdateParams{"a scope": {Scopes: &more}, "the method": {AuthMethod: &post}, "token settings": {Token: &apikey.TokenParams{Format: apikey.JWT}}} {
		_, err = api.Update(ctx, old.Key.ID, p)
		wantErr(t, "adding "+what+" to a replaced key", err, apikey.ErrReplaced)
	}

	res, err := api.CompleteRotation(ctx, first.Key.ID, apikey.ActionParams{IdempotencyKey: "complete-by-successor-1"})
	if err != nil || res.Key.ID != old.Key.ID || res.Key.Status != apikey.StatusExpired || res.AccessEndsAt == nil || res.Pending {
		t.Errorf("complete: %+v, %v", res, err)
	}
	f.works(t, "completed, old", old.Key, old.Secret, nil, false)
	f.works(t, "completed, new", first.Key, first.Secret, nil, true)
	if again, err := api.CompleteRotation(ctx, first.Key.ID, apikey.ActionParams{IdempotencyKey: "complete-by-successor-1"}); err != nil || again.Key.Revision != res.Key.Revision {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	if again, err := api.CompleteRotation(ctx, old.Key.ID, apikey.ActionParams{}); err != nil || again.Key.Revision != res.Key.Revision {
		t.Errorf("complete by the other id: %+v, %v", again, err)
	}

	second, err := api.Rotate(ctx, first.Key.ID, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	if second.Key.RootID != old.Key.ID {
		t.Errorf("root %s, want %s", second.Key.RootID, old.Key.ID)
	}
	// A forced rotation that is refused, or a dry run, does not end the older one.
	_, err = api.Rotate(ctx, second.Key.ID, apikey.RotateParams{Force: true, GracePeriod: grace(31 * rotationDay)})
	wantErr(t, "forced, with a grace period that is too long", err, apikey.ErrInvalid)
	_, err = api.Rotate(ctx, second.Key.ID, apikey.RotateParams{Force: true, AuthMethod: apikey.PrivateKeyJWT})
	wantErr(t, "forced, without the new credential", err, apikey.ErrInvalid)
	for _, period := range []time.Duration{0, time.Hour} {
		if dry, err := api.Rotate(ctx, second.Key.ID, apikey.RotateParams{Force: true, DryRun: true, GracePeriod: grace(period)}); err != nil || !dry.DryRun || dry.Key.ID != second.Key.ID {
			t.Errorf("forced, dry, grace period %v: %+v, %v", period, dry, err)
		}
	}
	f.works(t, "not forced yet, the older", first.Key, first.Secret, nil, true)
	third, err := api.Rotate(ctx, second.Key.ID, apikey.RotateParams{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	f.works(t, "forced, the older", first.Key, first.Secret, nil, false)
	f.works(t, "forced, the one before", second.Key, second.Secret, nil, true)
	f.works(t, "forced, the new one", third.Key, third.Secret, nil, true)

	// Revoking the successor leaves the old key its deadline and lets it be rotated again.
	if res, err = api.Revoke(ctx, third.Key.ID, apikey.RevokeParams{}); err != nil || len(res.Others) != 1 || res.Others[0].ID != second.Key.ID {
		t.Errorf("revoke the successor: %+v, %v", res, err)
	}
	f.works(t, "successor revoked, the one before", second.Key, second.Secret, nil, true)
	fourth, err := api.Rotate(ctx, second.Key.ID, apikey.RotateParams{GracePeriod: grace(20 * rotationDay)})
	if err != nil {
		t.Fatal(err)
	}
	if before, err := api.Get(ctx, second.Key.ID); err != nil || *before.ReplacedBy != fourth.Key.ID || before.EndsAt.After(*third.PreviousEndsAt) {
		t.Errorf("rotated again: %+v, %v", before, err)
	}
	// Revoking the old key ends the rotation.
	if _, err = api.Revoke(ctx, second.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	if k, err := api.Get(ctx, fourth.Key.ID); err != nil || has(k, apikey.FlagRotating) {
		t.Errorf("old key revoked: %+v, %v", k, err)
	}
	f.works(t, "old key revoked, the new one", fourth.Key, fourth.Secret, nil, true)
	_, err = api.Rotate(ctx, second.Key.ID, apikey.RotateParams{})
	wantErr(t, "rotate a revoked key", err, apikey.ErrRevoked)
}

// A disabled key can be rotated and stays disabled; an expired one cannot.
func testRotateClosed(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	old := f.make(t, api, ctx, "closed")
	if _, err := api.Disable(ctx, old.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	in, err := api.Rotate(ctx, old.Key.ID, apikey.RotateParams{GracePeriod: grace(0)})
	if err != nil || in.VerifiedAt == nil || in.Key.Status != apikey.StatusDisabled {
		t.Fatalf("in place: %+v, %v", in, err)
	}
	next, err := api.Rotate(ctx, old.Key.ID, apikey.RotateParams{})
	if err != nil || next.VerifiedAt == nil || next.Key.Status != apikey.StatusDisabled {
		t.Fatalf("successor: %+v, %v", next, err)
	}
	f.works(t, "a disabled successor", next.Key, next.Secret, nil, false)
	if _, err := api.Enable(ctx, next.Key.ID, apikey.ActionParams{}); err != nil {
		t.Fatal(err)
	}
	f.works(t, "enabled", next.Key, next.Secret, nil, true)
	f.works(t, "the one before stays disabled", old.Key, in.Secret, nil, false)

	ends := f.Clock.Now().Add(time.Hour)
	short, err := api.Create(ctx, apikey.CreateParams{Name: "short", Owner: "closed", Scopes: []string{"a"}, ExpiresAt: apikey.SetTo(ends)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := api.Rotate(ctx, short.Key.ID, apikey.RotateParams{})
	if err != nil || r.PreviousEndsAt.After(ends) || r.Key.ExpiresAt.After(ends) {
		t.Errorf("a grace period beyond expires_at: %+v, %v", r, err)
	}
	f.Clock.Advance(time.Hour + time.Second)
	_, err = api.Rotate(ctx, r.Key.ID, apikey.RotateParams{})
	wantErr(t, "rotate an expired key", err, apikey.ErrExpired)
}

// A repeated rotation answers the same secret and makes one key; after another
// rotation it cannot.
func testRotationReplay(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	for _, period := range []time.Duration{0, rotationDay} {
		old := f.make(t, api, ctx, "rotation replay")
		p := apikey.RotateParams{GracePeriod: grace(period), IdempotencyKey: "rotation-replay-" + period.String() + "-0001"}
		one, err := api.Rotate(ctx, old.Key.ID, p)
		if err != nil {
			t.Fatal(err)
		}
		two, err := api.Rotate(ctx, old.Key.ID, p)
		if err != nil || two.Key.ID != one.Key.ID || !two.Secret.Equal(one.Secret) || two.Secret.IsZero() || !two.PreviousEndsAt.Equal(*one.PreviousEndsAt) || !two.VerifiedAt.Equal(*one.VerifiedAt) {
			t.Errorf("repeated: %+v, %v; first %+v", two, err, one)
		}
		f.works(t, "repeated", two.Key, two.Secret, nil, true)
		_, err = api.Rotate(ctx, old.Key.ID, apikey.RotateParams{GracePeriod: grace(time.Hour), IdempotencyKey: p.IdempotencyKey})
		wantErr(t, "another body", err, apikey.ErrIdempotencyMismatch)
		if _, err := api.Rotate(ctx, one.Key.ID, apikey.RotateParams{GracePeriod: grace(0), Force: true}); err != nil {
			t.Fatal(err)
		}
		_, err = api.Rotate(ctx, old.Key.ID, p)
		wantErr(t, "after another rotation", err, apikey.ErrReplayExpired)
	}
}

// Rotations are in the audit of both keys, without a secret.
func testRotationEvents(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	old := f.make(t, api, ctx, "rotation events")
	r, err := api.Rotate(ctx, old.Key.ID, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	actions := func(id string) (out []apikey.Action) {
		events, err := api.KeyEvents(ctx, id, apikey.PageParams{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Data {
			out = append(out, e.Action)
			if e.RootID != old.Key.ID {
				t.Errorf("event %d has the root %s", e.ID, e.RootID)
			}
		}
		return out
	}
	if got := actions(old.Key.ID); !slices.Equal(got, []apikey.Action{apikey.ActionRotate, apikey.ActionCreate}) {
		t.Errorf("events of the old key: %v", got)
	}
	if got := actions(r.Key.ID); !slices.Equal(got, []apikey.Action{apikey.ActionCreate}) {
		t.Errorf("events of the successor: %v", got)
	}
	page, err := api.List(ctx, apikey.ListParams{RootID: old.Key.ID, Sort: "created_at"})
	if err != nil || len(page.Data) != 2 {
		t.Errorf("the chain: %+v, %v", page, err)
	}
	for _, k := range page.Data {
		if !has(k, apikey.FlagRotating) || (k.PreviousEndsAt != nil) != (k.ID == r.Key.ID) {
			t.Errorf("in a list: %+v", k)
		}
	}
}
