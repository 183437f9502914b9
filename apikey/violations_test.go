package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/ledgertest"
)

// tight has every rule.
func tight(t *testing.T) apikey.Policies {
	t.Helper()
	p, err := apikey.ParsePolicies([]byte(`{
		"scopes": [{"name": "orders:read"}, {"name": "orders:write"}],
		"live": {"max_lifetime": "90d", "auth_methods": ["client_secret_post", "private_key_jwt"], "scopes": ["orders:read"],
			"audiences": ["https://api.example.com"], "max_grace_period": "1h", "token": {"max_lifetime": "5m", "formats": ["opaque"]}, "max_keys": 1}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// violations reads all pages of the list, as "rule rule" by key.
func violations(ctx context.Context, t *testing.T, api apikey.API, p apikey.PolicyViolationsParams) map[string]string {
	t.Helper()
	out := map[string]string{}
	for range 100 {
		page, err := api.PolicyViolations(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range page.Data {
			if _, twice := out[k.KeyID]; twice {
				t.Errorf("%s is listed twice", k.KeyID)
			}
			rules := ""
			for _, f := range k.Violations {
				rules += f.Pointer + " " + f.Rule + " "
				if f.Code != "policy" || f.Limit == "" || f.Detail == "" || f.Fix == "" {
					t.Errorf("%+v", f)
				}
			}
			out[k.KeyID] = rules
		}
		if p.Cursor = page.NextCursor; p.Cursor == "" {
			return out
		}
	}
	t.Fatal("the list does not end")
	return nil
}

// A new policy breaks no key: all that were made before go on buying tokens and
// can be renamed, narrowed, paused and ended, though nothing wider is allowed.
// The list of violations names exactly those that the rules would refuse, until
// each is mended.
func TestNewPolicyBreaksNoKey(t *testing.T) {
	url := apikeytest.SQLiteURL(t)
	before := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url})
	ctx := as(t)
	pair := apikeytest.NewPair(t, "ES256")
	soon := before.Clock.Now().Add(24 * time.Hour)
	plain := apikey.CreateParams{Owner: "new", AuthMethod: apikey.ClientSecretPost, Scopes: []string{"orders:read"}, ExpiresAt: apikey.SetTo(soon),
		Token: &apikey.TokenParams{Lifetime: new(apikey.Duration(5 * time.Minute))}}
	type old struct {
		issued apikey.Issued
		pair   *apikeytest.Pair
	}
	keys, want := map[string]old{}, map[string]string{}
	make := func(rules string, edit func(*apikey.CreateParams)) apikey.Key {
		p := plain
		edit(&p)
		o := old{issued: create(ctx, t, before.Service, p)}
		if p.AuthMethod == apikey.PrivateKeyJWT {
			o.pair = pair
		}
		keys[o.issued.Key.ID] = o
		if rules != "" {
			want[o.issued.Key.ID] = rules
		}
		return o.issued.Key
	}
	make("", func(*apikey.CreateParams) {})
	make("", func(p *apikey.CreateParams) {
		p.AuthMethod, p.PublicKeys = apikey.PrivateKeyJWT, []apikey.PublicKeyInput{{JWK: pair.Public}}
	})
	make("#/expires_at never_expires ", func(p *apikey.CreateParams) { p.ExpiresAt = apikey.Null[time.Time]() })
	make("#/expires_at max_lifetime ", func(p *apikey.CreateParams) { p.ExpiresAt = apikey.SetTo(soon.Add(90 * 24 * time.Hour)) })
	make("#/auth_method auth_methods ", func(p *apikey.CreateParams) { p.AuthMethod = apikey.ClientSecretBasic })
	wide := make("#/scopes/1 scopes ", func(p *apikey.CreateParams) { p.Scopes = []string{"orders:read", "orders:write"} })
	make("#/audiences/0 audiences ", func(p *apikey.CreateParams) { p.Audiences = []string{"https://x.example"} })
	make("#/token/lifetime token.max_lifetime ", func(p *apikey.CreateParams) { p.Token = nil })
	make("#/token/format token.formats ", func(p *apikey.CreateParams) {
		p.Token = &apikey.TokenParams{Format: apikey.JWT, Lifetime: new(apikey.Duration(time.Minute))}
	})
	make("#/scopes/0 scopes ", func(p *apikey.CreateParams) { // in test the catalogue rules alone
		p.Environment, p.AuthMethod, p.Scopes = apikey.Test, apikey.ClientSecretBasic, []string{"a"}
	})
	gone := create(ctx, t, before.Service, apikey.CreateParams{Owner: "new"}).Key.ID
	if _, err := before.Service.Revoke(ctx, gone, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	management := create(apikey.WithCaller(t.Context(), apikey.System("test")), t, before.Service,
		apikey.CreateParams{Kind: apikey.KindManagement, Owner: "new", Scopes: []string{"keys:read"}}).Key.ID
	before.Close()

	w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Clock: before.Clock, Config: func(c *apikey.Config) { c.Policies = tight(t) }})
	f := w.Fixture()
	if diff := cmp.Diff(want, violations(ctx, t, w.Service, apikey.PolicyViolationsParams{Limit: 3})); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	for id, o := range keys {
		does := func(what string, err error) {
			t.Helper()
			if err != nil {
				t.Errorf("%q: %s: %v", want[id], what, err)
			}
		}
		if !f.Works(t, o.issued.Key, o.issued.Secret, o.pair) {
			t.Errorf("%q: the key buys no token", want[id])
		}
		_, err := w.Service.Update(ctx, id, apikey.UpdateParams{Name: new("renamed"), Labels: map[string]*string{"a": new("b")}, Scopes: &o.issued.Key.Scopes, Audiences: &o.issued.Key.Audiences})
		does("rename", err)
		_, err = w.Service.Disable(ctx, id, apikey.DisableParams{})
		does("disable", err)
		_, err = w.Service.Enable(ctx, id, apikey.ActionParams{})
		does("enable", err)
		_, err = w.Service.RevokeTokens(ctx, id, apikey.ActionParams{})
		does("end tokens", err)
		if o.pair != nil {
			_, err = w.Service.AddPublicKey(ctx, id, apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: apikeytest.NewPair(t, "ES256").Public}})
			does("add a public key", err)
		}
		if !f.Works(t, o.issued.Key, o.issued.Secret, o.pair) {
			t.Errorf("%q: after that the key buys no token", want[id])
		}
		scopes := append(slices.Clone(o.issued.Key.Scopes), "users:read")
		_, err = w.Service.Update(ctx, id, apikey.UpdateParams{Scopes: &scopes})
		if !errors.Is(err, apikey.ErrInvalid) {
			t.Errorf("%q: widened: %v", want[id], err)
		}
	}
	if _, err := w.Service.Update(apikey.WithCaller(t.Context(), apikey.System("test")), management, apikey.UpdateParams{Scopes: &[]string{"admin"}}); err != nil {
		t.Errorf("a management key is ruled: %v", err)
	}
	if diff := cmp.Diff(want, violations(ctx, t, w.Service, apikey.PolicyViolationsParams{Owner: "new"})); diff != "" {
		t.Errorf("violations afterwards (-want +got):\n%s", diff)
	}
	fix := apikey.UpdateParams{Scopes: &[]string{"orders:read"}, Audiences: &[]string{}, Token: &apikey.TokenParams{Format: apikey.Opaque, Lifetime: new(apikey.Duration(time.Minute))},
		AuthMethod: new(apikey.ClientSecretPost), ExpiresAt: apikey.SetTo(soon)}
	for id := range want {
		if id == wide.ID {
			continue
		}
		if _, err := w.Service.Update(ctx, id, fix); err != nil {
			t.Errorf("%q: the fix: %v", want[id], err)
		}
	}
	if diff := cmp.Diff(map[string]string{wide.ID: want[wide.ID]}, violations(ctx, t, w.Service, apikey.PolicyViolationsParams{})); diff != "" {
		t.Errorf("violations once mended (-want +got):\n%s", diff)
	}
	if _, err := w.Service.Revoke(ctx, wide.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	if got := violations(ctx, t, w.Service, apikey.PolicyViolationsParams{}); len(got) != 0 {
		t.Errorf("violations in the end: %v", got)
	}
}

// One call looks at two thousand keys and no more: a page may be empty and still
// have a next one, and the pages together name every violation once.
func TestViolationsOfManyKeys(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		c.Policies = apikey.Policies{Owners: map[string]apikey.OwnerPolicy{ledgertest.Owner(4201): {Live: apikey.Policy{AuthMethods: []apikey.AuthMethod{apikey.PrivateKeyJWT}}}}}
	}})
	if err := ledgertest.Seed(t.Context(), w.Ledger, 4205); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i := range 4205 {
		if k := ledgertest.Key(i); k.Owner == ledgertest.Owner(4201) && k.RevokedAt == nil {
			want[k.ID] = "#/auth_method auth_methods "
		}
	}
	ctx := as(t)
	if diff := cmp.Diff(want, violations(ctx, t, w.Service, apikey.PolicyViolationsParams{})); diff != "" || len(want) < 2 {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	var sizes []string
	p := apikey.PolicyViolationsParams{Limit: 200}
	for {
		page, err := w.Service.PolicyViolations(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, fmt.Sprint(len(page.Data), page.NextCursor != ""))
		if p.Cursor = page.NextCursor; p.Cursor == "" {
			break
		}
	}
	if len(sizes) != 3 || sizes[2][len(sizes[2])-5:] != "false" {
		t.Errorf("pages: %v, want three", sizes)
	}
	p.Limit = 1
	page, err := w.Service.PolicyViolations(ctx, p)
	if err != nil || page.NextCursor == "" {
		t.Fatalf("%+v, %v", page, err)
	}
	other := apikey.WithCaller(t.Context(), apikeytest.Caller(apikeytest.All, "acme"))
	for name, call := range map[string]func() error{
		"another owner": func() error {
			_, err := w.Service.PolicyViolations(ctx, apikey.PolicyViolationsParams{Owner: "acme", Cursor: page.NextCursor})
			return err
		},
		"another caller": func() error {
			_, err := w.Service.PolicyViolations(other, apikey.PolicyViolationsParams{Cursor: page.NextCursor})
			return err
		},
		"a list of keys": func() error {
			_, err := w.Service.List(ctx, apikey.ListParams{Sort: "created_at", Cursor: page.NextCursor})
			return err
		},
	} {
		if err := call(); !errors.Is(err, apikey.ErrInvalid) {
			t.Errorf("the cursor is taken by %s: %v", name, err)
		}
	}
}
