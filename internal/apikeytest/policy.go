package apikeytest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// ruledOwner is the one owner with rules in a world that says nothing of
// policies; the suite needs it.
const ruledOwner = "policy-ruled"

// suitePolicies rule no other owner.
func suitePolicies() apikey.Policies {
	day := 24 * time.Hour
	return apikey.Policies{Owners: map[string]apikey.OwnerPolicy{ruledOwner: {
		Live: apikey.Policy{MaxLifetime: new(apikey.Duration(90 * day)), DefaultLifetime: new(apikey.Duration(30 * day)), Scopes: []string{"a", "b"},
			Audiences: []string{"https://api.example.com"}, AuthMethods: []apikey.AuthMethod{apikey.ClientSecretPost, apikey.PrivateKeyJWT},
			Token: apikey.TokenPolicy{MaxLifetime: new(apikey.Duration(5 * time.Minute)), Formats: []apikey.TokenFormat{apikey.Opaque}}, MaxKeys: new(2)},
	}}}
}

// rulesOf are the rules that an error names, each with its limit.
func rulesOf(err error) map[string]string {
	invalid, ok := errors.AsType[*apikey.InvalidError](err)
	if !ok {
		return nil
	}
	out := map[string]string{}
	for _, f := range invalid.Fields {
		if f.Code == "policy" && f.Detail != "" && f.Fix != "" {
			out[f.Pointer+" "+f.Rule] = f.Limit
		}
	}
	return out
}

// The rules of an owner fill in what a create leaves out, refuse what they do
// not allow, each by its name, with its limit and the fix, and can be read by
// whoever sees the owner.
func testPolicy(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	p := apikey.CreateParams{Name: "ruled", Owner: ruledOwner, Scopes: []string{"a"}}
	made, err := api.Create(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	k := made.Key
	if k.AuthMethod != apikey.ClientSecretPost || k.Token.Lifetime.String() != "5m" || k.ExpiresAt == nil || !k.ExpiresAt.Equal(k.CreatedAt.Add(30*24*time.Hour)) {
		t.Errorf("defaults: %s, %s, ends %v", k.AuthMethod, k.Token.Lifetime, k.ExpiresAt)
	}
	if !f.Works(t, k, made.Secret, nil) {
		t.Error("the key buys no token")
	}
	bad := p
	bad.ExpiresAt, bad.AuthMethod, bad.Scopes, bad.Audiences = apikey.Null[time.Time](), apikey.ClientSecretBasic, []string{"a", "c"}, []string{"https://x.example"}
	bad.Token = &apikey.TokenParams{Format: apikey.JWT, Lifetime: new(apikey.Duration(6 * time.Minute))}
	_, err = api.Create(ctx, bad)
	want := map[string]string{"#/expires_at never_expires": "false", "#/auth_method auth_methods": "client_secret_post, private_key_jwt", "#/scopes/1 scopes": "a, b",
		"#/audiences/0 audiences": "https://api.example.com", "#/token/format token.formats": "opaque", "#/token/lifetime token.max_lifetime": "5m"}
	if diff := cmp.Diff(want, rulesOf(err)); diff != "" || !errors.Is(err, apikey.ErrInvalid) {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	_, err = api.Update(ctx, k.ID, apikey.UpdateParams{ExpiresAt: apikey.SetTo(k.CreatedAt.Add(90*24*time.Hour + time.Second)), Scopes: &[]string{"c", "a"}})
	if diff := cmp.Diff(map[string]string{"#/expires_at max_lifetime": "90d", "#/scopes/0 scopes": "a, b"}, rulesOf(err)); diff != "" {
		t.Errorf("patch: %v (-want +got):\n%s", err, diff)
	}
	if _, err = api.Update(ctx, k.ID, apikey.UpdateParams{ExpiresAt: apikey.SetTo(k.CreatedAt.Add(90 * 24 * time.Hour)), Scopes: &[]string{"b"}}); err != nil {
		t.Errorf("patch to the edge: %v", err)
	}
	if _, err := api.Create(ctx, p); err != nil {
		t.Fatal(err)
	}
	_, err = api.Create(ctx, p)
	if diff := cmp.Diff(map[string]string{"#/owner max_keys": "2"}, rulesOf(err)); diff != "" {
		t.Errorf("a third key: %v (-want +got):\n%s", err, diff)
	}
}

// Who sees an owner reads its rules, and which of its keys break them; nobody
// else does.
func testPolicies(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	got, err := api.Policies(ctx, ruledOwner)
	if err != nil {
		t.Fatal(err)
	}
	want := apikey.EffectivePolicies{Owner: ruledOwner, Live: suitePolicies().For(ruledOwner, apikey.Live), Test: suitePolicies().For(ruledOwner, apikey.Test), Scopes: []apikey.ScopeInfo{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	anybody, err := api.Policies(ctx, "")
	want = apikey.EffectivePolicies{Live: apikey.Policies{}.For("", apikey.Live), Test: apikey.Policies{}.For("", apikey.Test), Scopes: []apikey.ScopeInfo{}}
	if diff := cmp.Diff(want, anybody); diff != "" || err != nil {
		t.Errorf("rules of the environment: %v (-want +got):\n%s", err, diff)
	}
	mine, mctx := f.As(t, All, ruledOwner)
	if got, err := mine.Policies(mctx, ""); err != nil || got.Owner != ruledOwner {
		t.Errorf("the only owner's: %q, %v", got.Owner, err)
	}
	both, bctx := f.As(t, All, ruledOwner, "policy-other")
	if got, err := both.Policies(bctx, ""); err != nil || got.Owner != "" || got.Live.MaxKeys != nil {
		t.Errorf("of one with two owners: %q, %v", got.Owner, err)
	}
	other, octx := f.As(t, All, "policy-other")
	_, err = other.Policies(octx, ruledOwner)
	wantErr(t, "another owner's rules", err, apikey.ErrForbidden)
	_, err = other.PolicyViolations(octx, apikey.PolicyViolationsParams{Owner: ruledOwner})
	wantErr(t, "another owner's violations", err, apikey.ErrForbidden)
	_, err = api.Policies(ctx, "a\u202eb")
	wantErr(t, "no owner", err, apikey.ErrInvalid)
	for name, p := range map[string]apikey.PolicyViolationsParams{"limit": {Limit: 201}, "cursor": {Cursor: "x"}} {
		_, err = api.PolicyViolations(ctx, p)
		wantErr(t, name, err, apikey.ErrInvalid)
	}

	// A key comes under rules that it breaks when it is given to their owner.
	admin, actx := f.As(t, []apikey.Right{apikey.Admin})
	issued, err := api.Create(ctx, apikey.CreateParams{Name: "given", Owner: "policy-giver", Environment: apikey.Live, Scopes: []string{"a", "z"}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := api.List(ctx, apikey.ListParams{Owner: ruledOwner})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys.Data { // make room
		if _, err := api.Revoke(ctx, k.ID, apikey.RevokeParams{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := admin.Update(actx, issued.Key.ID, apikey.UpdateParams{Owner: new(ruledOwner)}); err != nil {
		t.Fatal(err)
	}
	page, err := mine.PolicyViolations(mctx, apikey.PolicyViolationsParams{})
	if err != nil || len(page.Data) != 1 || page.NextCursor != "" {
		t.Fatalf("violations: %+v, %v", page, err)
	}
	listed := page.Data[0]
	if listed.KeyID != issued.Key.ID || listed.Name != "given" || listed.Owner != ruledOwner || listed.Environment != apikey.Live || listed.Status != apikey.StatusActive {
		t.Errorf("listed as %+v", listed)
	}
	broken := map[string]string{"#/expires_at never_expires": "false", "#/auth_method auth_methods": "client_secret_post, private_key_jwt", "#/scopes/1 scopes": "a, b", "#/token/lifetime token.max_lifetime": "5m"}
	if diff := cmp.Diff(broken, rulesOf(&apikey.InvalidError{Fields: listed.Violations})); diff != "" {
		t.Errorf("its violations (-want +got):\n%s", diff)
	}
	if page, err := other.PolicyViolations(octx, apikey.PolicyViolationsParams{}); err != nil || len(page.Data) != 0 || page.Data == nil {
		t.Errorf("another owner sees %+v, %v", page.Data, err)
	}
	if _, err := admin.Revoke(actx, issued.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	if page, err := mine.PolicyViolations(mctx, apikey.PolicyViolationsParams{}); err != nil || len(page.Data) != 0 {
		t.Errorf("once revoked: %+v, %v", page.Data, err)
	}
}
