package apikeytest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// introspecting asks about tokens for a caller that may, bound to these owners.
func (f Fixture) introspecting(t *testing.T, owners ...string) func(token string) apikey.Introspection {
	t.Helper()
	api, ctx := f.As(t, []apikey.Right{apikey.TokensIntrospect}, owners...)
	as := introspector(t, api)
	return func(token string) apikey.Introspection {
		t.Helper()
		got, err := as.Introspect(ctx, apikey.NewSecret(token))
		if err != nil {
			t.Fatal(err)
		}
		if !got.Active {
			if diff := cmp.Diff(apikey.Introspection{}, got); diff != "" {
				t.Errorf("a token that is not active says more (-want +got):\n%s", diff)
			}
		}
		return got
	}
}

// introspector is the same API as those have it who are shown tokens.
func introspector(t *testing.T, api apikey.API) apikey.Introspector {
	t.Helper()
	i, ok := api.(apikey.Introspector)
	if !ok {
		t.Fatal("the API looks up no tokens")
	}
	return i
}

// bought buys a token of the key.
func (f Fixture) bought(t *testing.T, h heldKey) string {
	t.Helper()
	token, err := f.Buy(t, h.key, h.secret, h.pair)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// An API that is shown a token learns whose it is, what it is for and what it
// may do; of any other token nothing but that it is not active.
func testIntrospect(t *testing.T, f Fixture) {
	api, ctx := f.As(t, append(All, apikey.Admin))
	ask, elsewhere := f.introspecting(t), f.introspecting(t, "introspect-b")
	same := f.introspecting(t, "introspect-b", "introspect-a")
	for name, h := range f.held(t, api, ctx, "introspect-a") {
		token := f.bought(t, h)
		got := ask(token)
		want := apikey.Introspection{Active: true, ClientID: h.key.ID, Subject: h.key.ID, Scope: "a", Audiences: []string{"https://api.example.com"},
			Issuer: got.Issuer, TokenType: "Bearer", ExpiresAt: got.IssuedAt + int64(time.Duration(h.key.Token.Lifetime).Seconds()), IssuedAt: got.IssuedAt, NotBefore: got.IssuedAt,
			RootID: h.key.RootID, Owner: "introspect-a", Env: apikey.Live}
		if diff := cmp.Diff(want, got); diff != "" || !strings.HasPrefix(got.Issuer, "http") || got.IssuedAt == 0 {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if elsewhere(token).Active || !same(token).Active {
			t.Errorf("%s: active for the wrong owners", name)
		}
	}
	for _, bad := range []string{"x", "ory_at_nobody.knows", strings.Repeat("a", 5000), "a b", "a\x00b", "é", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."} {
		if ask(bad).Active {
			t.Errorf("%.20q is active", bad)
		}
	}
	management, err := api.Create(ctx, apikey.CreateParams{Name: "management", Kind: apikey.KindManagement, Scopes: []string{"keys:read"}})
	if err != nil {
		t.Fatal(err)
	}
	if token := f.bought(t, heldKey{key: management.Key, secret: management.Secret}); ask(token).Active || !f.Active(t, token) {
		t.Error("a management key's token is active for an API")
	}
	others, octx := f.As(t, All)
	_, err = introspector(t, others).Introspect(octx, apikey.NewSecret("x"))
	wantErr(t, "introspect without the right", err, apikey.ErrForbidden)
}

// What is taken away from a key is taken away from its tokens at once, whatever
// Hydra says of them.
func testIntrospectNarrowed(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	ask := f.introspecting(t)
	h := func() heldKey {
		issued, err := api.Create(ctx, apikey.CreateParams{Name: "narrowed", Owner: "introspect", Scopes: []string{"a", "b"}, Audiences: []string{"https://api.example.com"}})
		if err != nil {
			t.Fatal(err)
		}
		return heldKey{key: issued.Key, secret: issued.Secret}
	}
	for name, narrow := range map[string]func(ctx context.Context, k apikey.Key) error{
		"disabled": func(ctx context.Context, k apikey.Key) error {
			_, err := api.Disable(ctx, k.ID, apikey.DisableParams{})
			return err
		},
		"revoked": func(ctx context.Context, k apikey.Key) error {
			_, err := api.Revoke(ctx, k.ID, apikey.RevokeParams{})
			return err
		},
		"deleted": func(ctx context.Context, k apikey.Key) error {
			if _, err := api.Revoke(ctx, k.ID, apikey.RevokeParams{}); err != nil {
				return err
			}
			return api.Delete(ctx, k.ID)
		},
		"replaced": func(ctx context.Context, k apikey.Key) error {
			if _, err := api.Rotate(ctx, k.ID, apikey.RotateParams{}); err != nil {
				return err
			}
			_, err := api.CompleteRotation(ctx, k.ID, apikey.ActionParams{})
			return err
		},
		"expired": func(ctx context.Context, k apikey.Key) error {
			end := f.Clock.Now().Add(3 * time.Second)
			_, err := api.Update(ctx, k.ID, apikey.UpdateParams{ExpiresAt: apikey.SetTo(end)})
			f.Clock.Advance(4 * time.Second)
			return err
		},
	} {
		k := h()
		token := f.bought(t, k)
		if !ask(token).Active {
			t.Fatalf("%s: not active before", name)
		}
		if err := narrow(ctx, k.key); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if ask(token).Active {
			t.Errorf("%s: still active", name)
		}
	}

	k := h()
	token, end := f.bought(t, k), f.Clock.Now().Add(5*time.Minute).UTC().Truncate(time.Second)
	if _, err := api.Update(ctx, k.key.ID, apikey.UpdateParams{Scopes: &[]string{"b"}, Audiences: &[]string{"https://other.example"}, ExpiresAt: apikey.SetTo(end)}); err != nil {
		t.Fatal(err)
	}
	got := ask(token)
	if !got.Active || got.Scope != "" || len(got.Audiences) != 0 || got.Audiences == nil {
		t.Errorf("scope and audience were taken away: got %+v", got)
	}
	if got.ExpiresAt > end.Unix() {
		t.Errorf("the token ends at %d, its key at %d", got.ExpiresAt, end.Unix())
	}
}
