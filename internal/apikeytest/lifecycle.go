package apikeytest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// make creates a plain key.
func (f Fixture) make(t *testing.T, api apikey.API, ctx context.Context, owner string) apikey.Issued { //nolint:revive // the API comes with its context
	t.Helper()
	issued, err := api.Create(ctx, apikey.CreateParams{Name: "plain", Owner: owner, Scopes: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func wantErr(t *testing.T, what string, err error, kind apikey.ErrorKind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: error %v, want %v", what, err, kind)
	}
}

// A patch changes what it names and nothing else, counts revisions, keeps to
// If-Match, and reaches Hydra.
func testUpdate(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	issued, err := api.Create(ctx, apikey.CreateParams{Name: "before", Owner: "update", Scopes: []string{"a"}, Labels: map[string]string{"keep": "1", "drop": "2"}})
	if err != nil {
		t.Fatal(err)
	}
	id := issued.Key.ID
	name, one, scopes := "after", "3", []string{"a", "b"}
	post := apikey.ClientSecretPost
	k, err := api.Update(ctx, id, apikey.UpdateParams{Name: &name, Labels: map[string]*string{"drop": nil, "new": &one}, Scopes: &scopes,
		AuthMethod: &post, IfMatch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if k.Name != "after" || k.Revision != 2 || len(k.Labels) != 2 || k.Labels["new"] != "3" || k.AuthMethod != post || k.Description != "" {
		t.Errorf("patched key: %+v", k)
	}
	if !f.Works(t, k.Key, issued.Secret, nil) {
		t.Error("the secret does not work by the other method")
	}
	_, err = api.Update(ctx, id, apikey.UpdateParams{Name: &name, IfMatch: 1})
	wantErr(t, "stale If-Match", err, apikey.ErrPrecondition)
	_, err = api.Update(ctx, id, apikey.UpdateParams{Name: &name, IfMatch: -1})
	wantErr(t, "If-Match that matches nothing", err, apikey.ErrPrecondition)
	if same, err := api.Update(ctx, id, apikey.UpdateParams{Name: &name, IfMatch: 2}); err != nil || same.Revision != 2 {
		t.Errorf("a patch that changes nothing: revision %d, %v", same.Revision, err)
	}
	jwt := apikey.PrivateKeyJWT
	_, err = api.Update(ctx, id, apikey.UpdateParams{AuthMethod: &jwt})
	wantErr(t, "to private_key_jwt", err, apikey.ErrInvalid)
	end := f.Clock.Now().Add(time.Hour).UTC().Truncate(time.Second)
	k, err = api.Update(ctx, id, apikey.UpdateParams{ExpiresAt: apikey.SetTo(end)})
	if err != nil || k.ExpiresAt == nil || !k.ExpiresAt.Equal(end) {
		t.Errorf("expires_at %v, %v; want %v", k.ExpiresAt, err, end)
	}
	k, err = api.Update(ctx, id, apikey.UpdateParams{ExpiresAt: apikey.Null[time.Time]()})
	if err != nil || k.ExpiresAt != nil {
		t.Errorf("expires_at after null: %v, %v", k.ExpiresAt, err)
	}
}

// A disabled key buys nothing and its tokens are dead; enabled again the same
// secret works; repeating either is no new revision. With an end, it wakes by itself.
func testPause(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	issued := f.make(t, api, ctx, "pause")
	id := issued.Key.ID
	token, err := f.Buy(t, issued.Key, issued.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := api.Disable(ctx, id, apikey.DisableParams{})
	if err != nil || res.Key.Status != apikey.StatusDisabled || res.Pending || res.AccessEndsAt == nil || res.AccessEndsAt.Introspected == nil {
		t.Fatalf("disable: %+v, %v", res, err)
	}
	if f.Works(t, issued.Key, issued.Secret, nil) {
		t.Error("a disabled key buys a token")
	}
	if f.Active(t, token) {
		t.Error("a token of a disabled key is still active")
	}
	if again, err := api.Disable(ctx, id, apikey.DisableParams{}); err != nil || again.Key.Revision != res.Key.Revision {
		t.Errorf("disable again: revision %d, %v", again.Key.Revision, err)
	}
	res, err = api.Enable(ctx, id, apikey.ActionParams{})
	if err != nil || res.Key.Status != apikey.StatusActive || !f.Works(t, issued.Key, issued.Secret, nil) {
		t.Errorf("enabled key does not work: %+v, %v", res, err)
	}
	if again, err := api.Enable(ctx, id, apikey.ActionParams{}); err != nil || again.Key.Revision != res.Key.Revision {
		t.Errorf("enable again: revision %d, %v", again.Key.Revision, err)
	}
	until := f.Clock.Now().Add(time.Hour)
	if res, err = api.Disable(ctx, id, apikey.DisableParams{Until: &until}); err != nil || res.Key.DisabledUntil == nil {
		t.Fatalf("disable until: %+v, %v", res, err)
	}
	f.Clock.Advance(time.Hour + time.Second)
	Eventually(t, "the key wakes by itself", func() bool { return f.Works(t, issued.Key, issued.Secret, nil) })
	Eventually(t, "its record says so", func() bool {
		k, err := api.Get(ctx, id)
		return err == nil && k.Status == apikey.StatusActive && k.DisabledAt == nil
	})
}

// An expired key buys nothing, its tokens are dead, it cannot be enabled, and a
// later expires_at brings it back with the same secret.
func testExpiry(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	end := f.Clock.Now().Add(time.Hour)
	issued, err := api.Create(ctx, apikey.CreateParams{Name: "ends", Owner: "expiry", Scopes: []string{"a"}, ExpiresAt: apikey.SetTo(end)})
	if err != nil {
		t.Fatal(err)
	}
	if len(issued.Key.Flags) != 1 || issued.Key.Flags[0] != apikey.FlagExpiring {
		t.Errorf("flags %v, want expiring", issued.Key.Flags)
	}
	token, err := f.Buy(t, issued.Key, issued.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Clock.Advance(time.Hour + time.Second)
	Eventually(t, "no new token", func() bool { return !f.Works(t, issued.Key, issued.Secret, nil) })
	Eventually(t, "old token dead", func() bool { return !f.Active(t, token) })
	if k, err := api.Get(ctx, issued.Key.ID); err != nil || k.Status != apikey.StatusExpired {
		t.Errorf("status %s, %v", k.Status, err)
	}
	_, err = api.Enable(ctx, issued.Key.ID, apikey.ActionParams{})
	wantErr(t, "enable of an expired key", err, apikey.ErrExpired)
	later := f.Clock.Now().Add(time.Hour)
	if _, err := api.Update(ctx, issued.Key.ID, apikey.UpdateParams{ExpiresAt: apikey.SetTo(later)}); err != nil {
		t.Fatal(err)
	}
	if !f.Works(t, issued.Key, issued.Secret, nil) {
		t.Error("the key does not come back with a later expires_at")
	}
	past := f.Clock.Now().Add(-time.Hour)
	_, err = api.Update(ctx, issued.Key.ID, apikey.UpdateParams{ExpiresAt: apikey.SetTo(past)})
	wantErr(t, "expires_at in the past", err, apikey.ErrInvalid)
}

// A revoked key is dead for good with its tokens; its record stays until it is
// deleted, its events beyond that.
func testRevoke(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	issued := f.make(t, api, ctx, "revoke")
	id := issued.Key.ID
	token, err := f.Buy(t, issued.Key, issued.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "delete before revoke", api.Delete(ctx, id), apikey.ErrNotRevoked)
	res, err := api.Revoke(ctx, id, apikey.RevokeParams{Reason: apikey.KeyCompromise, Description: " found in a log "})
	if err != nil || res.Key.Status != apikey.StatusRevoked || res.Key.RevocationReason != apikey.KeyCompromise || res.Key.RevocationDescription != "found in a log" {
		t.Fatalf("revoke: %+v, %v", res, err)
	}
	if f.Works(t, issued.Key, issued.Secret, nil) || f.Active(t, token) {
		t.Error("a revoked key, or its token, still works")
	}
	if again, err := api.Revoke(ctx, id, apikey.RevokeParams{}); err != nil || again.Key.Revision != res.Key.Revision {
		t.Errorf("revoke again: revision %d, %v", again.Key.Revision, err)
	}
	name := "x"
	_, err = api.Update(ctx, id, apikey.UpdateParams{Name: &name})
	wantErr(t, "patch", err, apikey.ErrRevoked)
	_, err = api.Enable(ctx, id, apikey.ActionParams{})
	wantErr(t, "enable", err, apikey.ErrRevoked)
	_, err = api.Disable(ctx, id, apikey.DisableParams{})
	wantErr(t, "disable", err, apikey.ErrRevoked)
	_, err = api.RevokeTokens(ctx, id, apikey.ActionParams{})
	wantErr(t, "tokens/revoke", err, apikey.ErrRevoked)
	if err := api.Delete(ctx, id); err != nil {
		t.Fatal(err)
	}
	_, err = api.Get(ctx, id)
	wantErr(t, "get after delete", err, apikey.ErrNotFound)
	events, err := api.KeyEvents(ctx, id, apikey.PageParams{})
	if err != nil || len(events.Data) != 3 || events.Data[0].Action != apikey.ActionDelete {
		t.Errorf("events after delete: %+v, %v", events.Data, err)
	}
}

// Ending outstanding tokens leaves the key working.
func testRevokeTokens(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	issued := f.make(t, api, ctx, "tokens")
	token, err := f.Buy(t, issued.Key, issued.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := api.RevokeTokens(ctx, issued.Key.ID, apikey.ActionParams{})
	if err != nil || res.Key.Status != apikey.StatusActive || res.Key.Revision != 1 {
		t.Errorf("tokens/revoke: %+v, %v", res, err)
	}
	if f.Active(t, token) {
		t.Error("the token is still active")
	}
	if !f.Works(t, issued.Key, issued.Secret, nil) {
		t.Error("the key does not work any more")
	}
}

// Public keys can be added and removed without an outage, all of one algorithm,
// each on one key only, never the last one, and each until its own end.
func testPublicKeys(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	first, second, third := NewPair(t, "ES256"), NewPair(t, "ES256"), NewPair(t, "ES256")
	params := apikey.CreateParams{Name: "pk", Owner: "pk", Scopes: []string{"a"}, AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: first.Public}}}
	issued, err := api.Create(ctx, params)
	if err != nil {
		t.Fatal(err)
	}
	id := issued.Key.ID
	kid := issued.Key.PublicKeys[0].KID
	wantErr(t, "removing the last", api.RemovePublicKey(ctx, id, kid), apikey.ErrLastCredential)
	_, err = api.Create(ctx, params)
	wantErr(t, "the same public key on a second key", err, apikey.ErrPublicKeyInUse)
	_, err = api.AddPublicKey(ctx, id, apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: NewPair(t, "ES384").Public}})
	wantErr(t, "another algorithm", err, apikey.ErrInvalid)
	added, err := api.AddPublicKey(ctx, id, apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: second.Public}})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Works(t, issued.Key, apikey.Secret{}, first) || !f.Works(t, issued.Key, apikey.Secret{}, second) {
		t.Error("not both public keys work")
	}
	if err := api.RemovePublicKey(ctx, id, kid); err != nil {
		t.Fatal(err)
	}
	if f.Works(t, issued.Key, apikey.Secret{}, first) || !f.Works(t, issued.Key, apikey.Secret{}, second) {
		t.Error("after removing the first, just the second should work")
	}
	wantErr(t, "removing it again", api.RemovePublicKey(ctx, id, kid), apikey.ErrNotFound)
	end := f.Clock.Now().Add(time.Hour)
	if _, err := api.AddPublicKey(ctx, id, apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: third.Public, ExpiresAt: &end}}); err != nil {
		t.Fatal(err)
	}
	if !f.Works(t, issued.Key, apikey.Secret{}, third) {
		t.Error("the third public key does not work before its end")
	}
	f.Clock.Advance(time.Hour + time.Second)
	Eventually(t, "the third public key has ended", func() bool { return !f.Works(t, issued.Key, apikey.Secret{}, third) })
	if !f.Works(t, issued.Key, apikey.Secret{}, second) {
		t.Error("the second public key ended with the third")
	}
	list, err := api.PublicKeys(ctx, id)
	if err != nil || len(list) != 2 || list[0].KID != added.KID || list[1].ExpiresAt == nil {
		t.Errorf("public keys: %+v, %v", list, err)
	}
	secretKey := f.make(t, api, ctx, "pk")
	_, err = api.AddPublicKey(ctx, secretKey.Key.ID, apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: NewPair(t, "ES256").Public}})
	wantErr(t, "public key on a key with a secret", err, apikey.ErrInvalid)
}
