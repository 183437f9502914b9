package apikeytest

import (
	"context"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// Each operation needs its right, and nothing else will do.
func testRights(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	id := f.make(t, api, ctx, "rights").Key.ID
	name := "x"
	calls := map[string]struct {
		needs apikey.Right
		call  func(apikey.API, context.Context) error
	}{
		"get":   {apikey.KeysRead, func(a apikey.API, ctx context.Context) error { _, err := a.Get(ctx, id); return err }},
		"list":  {apikey.KeysRead, func(a apikey.API, ctx context.Context) error { _, err := a.List(ctx, apikey.ListParams{}); return err }},
		"can":   {apikey.KeysRead, func(a apikey.API, ctx context.Context) error { _, err := a.Capabilities(ctx); return err }},
		"keys":  {apikey.KeysRead, func(a apikey.API, ctx context.Context) error { _, err := a.PublicKeys(ctx, id); return err }},
		"rules": {apikey.KeysRead, func(a apikey.API, ctx context.Context) error { _, err := a.Policies(ctx, ""); return err }},
		"usage": {apikey.KeysRead, func(a apikey.API, ctx context.Context) error {
			_, err := a.Usage(ctx, id, apikey.UsageParams{})
			return err
		}},
		"violations": {apikey.KeysRead, func(a apikey.API, ctx context.Context) error {
			_, err := a.PolicyViolations(ctx, apikey.PolicyViolationsParams{})
			return err
		}},
		"doctor":       {apikey.Admin, func(a apikey.API, ctx context.Context) error { _, err := a.Doctor(ctx); return err }},
		"verify":       {apikey.Admin, func(a apikey.API, ctx context.Context) error { _, err := a.VerifyEvents(ctx); return err }},
		"verified":     {apikey.Admin, func(a apikey.API, ctx context.Context) error { _, err := a.Verification(ctx); return err }},
		"signing keys": {apikey.Admin, func(a apikey.API, ctx context.Context) error { _, err := a.SigningKeys(ctx); return err }},
		"update": {apikey.KeysWrite, func(a apikey.API, ctx context.Context) error {
			_, err := a.Update(ctx, id, apikey.UpdateParams{Name: &name})
			return err
		}},
		"create": {apikey.KeysWrite, func(a apikey.API, ctx context.Context) error {
			_, err := a.Create(ctx, apikey.CreateParams{Name: "x", Owner: "rights", Scopes: []string{"a"}})
			return err
		}},
		"disable": {apikey.KeysWrite, func(a apikey.API, ctx context.Context) error {
			_, err := a.Disable(ctx, id, apikey.DisableParams{})
			return err
		}},
		"enable": {apikey.KeysWrite, func(a apikey.API, ctx context.Context) error {
			_, err := a.Enable(ctx, id, apikey.ActionParams{})
			return err
		}},
		"tokens": {apikey.KeysWrite, func(a apikey.API, ctx context.Context) error {
			_, err := a.RevokeTokens(ctx, id, apikey.ActionParams{})
			return err
		}},
		"feed": {apikey.AuditRead, func(a apikey.API, ctx context.Context) error {
			_, err := a.Events(ctx, apikey.FeedParams{})
			return err
		}},
		"events": {apikey.AuditRead, func(a apikey.API, ctx context.Context) error {
			_, err := a.KeyEvents(ctx, id, apikey.PageParams{})
			return err
		}},
	}
	for _, right := range []apikey.Right{apikey.KeysRead, apikey.KeysWrite, apikey.AuditRead, apikey.TokensIntrospect, apikey.Admin} {
		api, ctx := f.As(t, []apikey.Right{right})
		for name, c := range calls {
			err := c.call(api, ctx)
			if right == c.needs || right == apikey.Admin {
				if err != nil {
					t.Errorf("%s with %s: %v", name, right, err)
				}
				continue
			}
			wantErr(t, name+" with "+string(right), err, apikey.ErrForbidden)
		}
	}
}

// A caller bound to owners sees their keys and no others: another owner's key
// is as absent as one that never was, and no key can be made for, or given to,
// another owner.
func testOwners(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	theirs := f.make(t, api, ctx, "owners-b").Key
	mine, mctx := f.As(t, All, "owners-a")
	issued, err := mine.Create(mctx, apikey.CreateParams{Name: "defaults to my owner", Scopes: []string{"a"}})
	if err != nil || issued.Key.Owner != "owners-a" {
		t.Fatalf("owner %q, %v", issued.Key.Owner, err)
	}
	_, err = mine.Create(mctx, apikey.CreateParams{Name: "x", Owner: "owners-b", Scopes: []string{"a"}})
	wantErr(t, "create for another owner", err, apikey.ErrForbidden)
	name, owner := "x", "owners-b"
	_, err = mine.Update(mctx, issued.Key.ID, apikey.UpdateParams{Owner: &owner})
	wantErr(t, "give away", err, apikey.ErrForbidden)
	absent := apikey.NewID(apikey.Live, f.Clock.Now())
	for _, id := range []string{theirs.ID, absent} {
		_, err = mine.Get(mctx, id)
		wantErr(t, "get", err, apikey.ErrNotFound)
		_, err = mine.Update(mctx, id, apikey.UpdateParams{Name: &name})
		wantErr(t, "update", err, apikey.ErrNotFound)
		_, err = mine.Disable(mctx, id, apikey.DisableParams{})
		wantErr(t, "disable", err, apikey.ErrNotFound)
		_, err = mine.Enable(mctx, id, apikey.ActionParams{})
		wantErr(t, "enable", err, apikey.ErrNotFound)
		_, err = mine.Revoke(mctx, id, apikey.RevokeParams{})
		wantErr(t, "revoke", err, apikey.ErrNotFound)
		_, err = mine.RevokeTokens(mctx, id, apikey.ActionParams{})
		wantErr(t, "tokens", err, apikey.ErrNotFound)
		wantErr(t, "delete", mine.Delete(mctx, id), apikey.ErrNotFound)
		_, err = mine.KeyEvents(mctx, id, apikey.PageParams{})
		wantErr(t, "events", err, apikey.ErrNotFound)
		_, err = mine.PublicKeys(mctx, id)
		wantErr(t, "public keys", err, apikey.ErrNotFound)
		wantErr(t, "remove public key", mine.RemovePublicKey(mctx, id, "k"), apikey.ErrNotFound)
	}
	page, err := mine.List(mctx, apikey.ListParams{Limit: 200})
	if err != nil || len(page.Data) != 1 || page.Data[0].ID != issued.Key.ID {
		t.Errorf("list: %+v, %v", page.Data, err)
	}
	if page, err := mine.List(mctx, apikey.ListParams{Owner: "owners-b"}); err != nil || len(page.Data) != 0 {
		t.Errorf("list of another owner: %+v, %v", page.Data, err)
	}
	events, err := mine.Events(mctx, apikey.FeedParams{Limit: 200})
	if err != nil || len(events.Data) == 0 {
		t.Fatalf("events: %v, %v", events.Data, err)
	}
	for _, e := range events.Data {
		if e.Owner != "owners-a" {
			t.Errorf("sees an event of %s", e.Owner)
		}
	}
}

// Management keys are made by admins alone, never reach further than their
// maker, and no ordinary key comes near their audience.
func testManagement(t *testing.T, f Fixture) {
	writer, wctx := f.As(t, All)
	make := func(api apikey.API, ctx context.Context, scopes []string, owners ...string) (apikey.Issued, error) {
		return api.Create(ctx, apikey.CreateParams{Name: "mgmt", Owner: "mgmt", Kind: apikey.KindManagement, Scopes: scopes, Owners: owners})
	}
	_, err := make(writer, wctx, []string{"keys:read"})
	wantErr(t, "made by a writer", err, apikey.ErrForbidden)
	for _, aud := range []string{"tokenos", "tokenos/x", "tokenos:x"} {
		_, err = writer.Create(wctx, apikey.CreateParams{Name: "x", Owner: "mgmt", Scopes: []string{"admin"}, Audiences: []string{aud}})
		wantErr(t, "audience "+aud, err, apikey.ErrInvalid)
		plain := f.make(t, writer, wctx, "mgmt").Key
		_, err = writer.Update(wctx, plain.ID, apikey.UpdateParams{Audiences: &[]string{aud}})
		wantErr(t, "patched audience "+aud, err, apikey.ErrInvalid)
	}
	admin, actx := f.As(t, []apikey.Right{apikey.Admin})
	issued, err := make(admin, actx, []string{"keys:read"}, "mgmt")
	if err != nil || len(issued.Key.Audiences) != 1 || issued.Key.Audiences[0] != "tokenos" {
		t.Fatalf("management key: %+v, %v", issued.Key, err)
	}
	_, err = make(admin, actx, []string{"orders:read"})
	wantErr(t, "a scope that is no right", err, apikey.ErrInvalid)
	_, err = writer.Get(wctx, issued.Key.ID)
	wantErr(t, "a writer looks at it", err, apikey.ErrNotFound)
	scopes := []string{"admin"}
	_, err = writer.Update(wctx, issued.Key.ID, apikey.UpdateParams{Scopes: &scopes})
	wantErr(t, "a writer widens it", err, apikey.ErrNotFound)
	_, err = writer.List(wctx, apikey.ListParams{Kind: apikey.KindManagement})
	wantErr(t, "a writer lists them", err, apikey.ErrForbidden)
	bound, bctx := f.As(t, []apikey.Right{apikey.Admin}, "mgmt")
	_, err = make(bound, bctx, []string{"keys:read"})
	wantErr(t, "a bound admin makes an unbound one", err, apikey.ErrForbidden)
	_, err = make(bound, bctx, []string{"keys:read"}, "mgmt", "other")
	wantErr(t, "a bound admin makes a wider one", err, apikey.ErrForbidden)
	if _, err = make(bound, bctx, []string{"keys:read"}, "mgmt"); err != nil {
		t.Errorf("a bound admin makes one within its bounds: %v", err)
	}
}

// Everything wrong with the input is said at once, each at its place.
func testInvalid(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	past, short := time.Unix(0, 0), apikey.Duration(time.Second)
	_, err := api.Create(ctx, apikey.CreateParams{Name: "a\u202eb", Owner: "invalid", Scopes: []string{"ok", "a b", "*"}, Audiences: []string{"nowhere"},
		Token: &apikey.TokenParams{Lifetime: &short}, ExpiresAt: apikey.SetTo(past), Labels: map[string]string{"-": "x"}})
	got := map[string]bool{}
	for _, p := range pointers(err) {
		got[p] = true
	}
	for _, want := range []string{"#/name", "#/scopes/1", "#/scopes/2", "#/audiences/0", "#/token/lifetime", "#/expires_at", "#/labels"} {
		if !got[want] {
			t.Errorf("nothing said of %s: %v", want, err)
		}
	}
	pair := NewPair(t, "ES256")
	pair.Public["d"] = "c2VjcmV0LWNhbmFyeQ"
	_, err = api.Create(ctx, apikey.CreateParams{Name: "x", Owner: "invalid", Scopes: []string{"a"}, AuthMethod: apikey.PrivateKeyJWT,
		PublicKeys: []apikey.PublicKeyInput{{JWK: pair.Public}}})
	if p := pointers(err); len(p) != 1 || p[0] != "#/public_keys/0/jwk/d" {
		t.Errorf("private key: %v", err)
	}
	_, err = api.Create(ctx, apikey.CreateParams{Name: "x", Owner: "invalid", Scopes: []string{"a"}, IdempotencyKey: "short"})
	if err == nil {
		t.Error("a short Idempotency-Key was accepted")
	}
}
