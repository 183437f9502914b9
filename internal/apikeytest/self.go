package apikeytest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

// Assertion signs a client assertion (RFC 7523 section 3) for Hydra's token
// endpoint that is good for a minute of the fixture's clock, changed by the claims.
func (f Fixture) Assertion(t testing.TB, id string, pair *Pair, changes map[string]any) apikey.Secret {
	t.Helper()
	public, bad := apikey.ParsePublicKey(pair.Public, "")
	if bad != nil {
		t.Fatal(bad.Detail)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(pair.Alg), Key: pair.Private},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", public.KID))
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"iss": id, "sub": id, "aud": f.TokenURL, "jti": rand.Text(), "exp": f.Clock.Now().Add(time.Minute).Unix()}
	for name, v := range changes {
		claims[name] = v
		if v == nil {
			delete(claims, name)
		}
	}
	signed, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return apikey.NewSecret(signed)
}

// By are the ways in which a holder may present the key's own credential; an
// assertion is a new one each time.
func (f Fixture) By(t testing.TB, k apikey.Key, secret apikey.Secret, pair *Pair) map[string]func() apikey.HolderCredential {
	if pair != nil {
		return map[string]func() apikey.HolderCredential{"assertion": func() apikey.HolderCredential {
			return apikey.HolderCredential{Own: apikey.Credential{Method: apikey.PrivateKeyJWT, Assertion: f.Assertion(t, k.ID, pair, nil)}}
		}}
	}
	by := map[string]func() apikey.HolderCredential{}
	for _, m := range []apikey.AuthMethod{apikey.ClientSecretBasic, apikey.ClientSecretPost} {
		by[string(m)] = func() apikey.HolderCredential {
			return apikey.HolderCredential{Own: apikey.Credential{Method: m, ID: k.ID, Secret: secret}}
		}
	}
	return by
}

// heldKey is a key with all that proves it.
type heldKey struct {
	key    apikey.Key
	secret apikey.Secret
	pair   *Pair
}

// held makes one key per method and token format.
func (f Fixture) held(t *testing.T, api apikey.API, ctx context.Context, owner string) map[string]heldKey { //nolint:revive // the API comes with its context
	t.Helper()
	out := map[string]heldKey{}
	for _, method := range []apikey.AuthMethod{apikey.ClientSecretBasic, apikey.ClientSecretPost, apikey.PrivateKeyJWT} {
		for _, format := range []apikey.TokenFormat{apikey.Opaque, apikey.JWT} {
			p := apikey.CreateParams{Name: "n4me-canary", Description: "n4me-canary", Owner: owner, Labels: map[string]string{"l4bel-canary": "l4bel-canary"},
				Scopes: []string{"a", "b"}, Audiences: []string{"https://api.example.com"}, AuthMethod: method, Token: &apikey.TokenParams{Format: format}}
			h := heldKey{}
			if method == apikey.PrivateKeyJWT {
				h.pair = NewPair(t, "ES256")
				p.PublicKeys = []apikey.PublicKeyInput{{JWK: h.pair.Public}}
			}
			issued, err := api.Create(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			h.key, h.secret = issued.Key, issued.Secret
			out[string(method)+" "+string(format)] = h
		}
	}
	return out
}

// holder is the same API as its callers' holders have it.
func holder(t *testing.T, api apikey.API) apikey.Holder {
	t.Helper()
	h, ok := api.(apikey.Holder)
	if !ok {
		t.Fatal("the API has no room for holders")
	}
	return h
}

// The holder of a key reads its state by a token or by its own credential, in
// each way, also while it is disabled or expired, and nothing of whose it is.
func testSelf(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	as := holder(t, api)
	for name, h := range f.held(t, api, ctx, "owner-canary") {
		token, err := f.Buy(t, h.key, h.secret, h.pair)
		if err != nil {
			t.Fatal(err)
		}
		k := h.key
		want := apikey.Self{ID: k.ID, RootID: k.RootID, Environment: k.Environment, AuthMethod: k.AuthMethod, Status: apikey.StatusActive, Flags: []apikey.Flag{},
			Scopes: k.Scopes, Audiences: k.Audiences, Token: k.Token, CreatedAt: k.CreatedAt}
		ways := f.By(t, k, h.secret, h.pair)
		ways["token"] = func() apikey.HolderCredential { return apikey.HolderCredential{Token: apikey.NewSecret(token)} }
		for way, present := range ways {
			got, err := as.Self(t.Context(), present())
			if err != nil {
				t.Errorf("%s by %s: %v", name, way, err)
				continue
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s by %s (-want +got):\n%s", name, way, d)
			}
			raw, _ := json.Marshal(got)
			for _, private := range []string{"canary", "created_by", "owner", "labels", "hint", "revision"} {
				if strings.Contains(string(raw), private) {
					t.Errorf("%s by %s shows %s: %s", name, way, private, raw)
				}
			}
		}
		delete(ways, "token")
		if _, err := api.Disable(ctx, k.ID, apikey.DisableParams{}); err != nil {
			t.Fatal(err)
		}
		for way, present := range ways {
			if got, err := as.Self(t.Context(), present()); err != nil || got.Status != apikey.StatusDisabled || got.DisabledAt == nil {
				t.Errorf("disabled %s by %s: %+v, %v", name, way, got, err)
			}
		}
	}
	testSelfExpired(t, f)
}

func testSelfExpired(t *testing.T, f Fixture) {
	t.Helper()
	api, ctx := f.As(t, All)
	end := f.Clock.Now().Add(time.Hour)
	issued, err := api.Create(ctx, apikey.CreateParams{Name: "x", Owner: "self", Scopes: []string{"a"}, ExpiresAt: apikey.SetTo(end)})
	if err != nil {
		t.Fatal(err)
	}
	f.Clock.Advance(time.Hour + time.Second)
	Eventually(t, "the key has expired", func() bool { return !f.Works(t, issued.Key, issued.Secret, nil) })
	for way, present := range f.By(t, issued.Key, issued.Secret, nil) {
		if got, err := holder(t, api).Self(t.Context(), present()); err != nil || got.Status != apikey.StatusExpired || got.ExpiresAt == nil {
			t.Errorf("expired by %s: %+v, %v", way, got, err)
		}
	}
}

// The holder of a key ends it by a token or by its own credential, whatever its
// state and kind, and no other key; the event says that it was the key itself.
// What proves nothing is refused in the same words, whichever way it is wrong.
func testRevokeSelf(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	as := holder(t, api)
	bystander := f.make(t, api, ctx, "self")
	for name, h := range f.held(t, api, ctx, "self") {
		ways := f.By(t, h.key, h.secret, h.pair)
		for _, present := range ways { // each key by one of its ways
			_ = as.RevokeSelf(t.Context(), present(), apikey.RevokeSelfParams{Reason: "bored"})
			if k, err := api.Get(ctx, h.key.ID); err != nil || k.Status != apikey.StatusActive {
				t.Errorf("%s, for no reason that there is: %s, %v", name, k.Status, err)
			}
			if err := as.RevokeSelf(t.Context(), present(), apikey.RevokeSelfParams{Reason: apikey.KeyCompromise}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			break
		}
		f.endedBySelf(t, api, ctx, h.key, apikey.KeyCompromise)
		for way, present := range ways {
			f.refuses(t, as, "ended "+name+" by "+way, present())
		}
	}
	byToken := f.make(t, api, ctx, "self")
	token, err := f.Buy(t, byToken.Key, byToken.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := as.RevokeSelf(t.Context(), apikey.HolderCredential{Token: apikey.NewSecret(token)}, apikey.RevokeSelfParams{}); err != nil {
		t.Fatal(err)
	}
	f.endedBySelf(t, api, ctx, byToken.Key, apikey.Unspecified)
	f.refuses(t, as, "a token of an ended key", apikey.HolderCredential{Token: apikey.NewSecret(token)})
	if !f.Works(t, bystander.Key, bystander.Secret, nil) {
		t.Error("another key was ended")
	}
	testRevokeSelfStates(t, f)
	testUnproved(t, f)
}

// endedBySelf proves that the key is revoked, and by itself.
func (f Fixture) endedBySelf(t *testing.T, api apikey.API, ctx context.Context, k apikey.Key, reason apikey.RevocationReason) { //nolint:revive // the API comes with its context
	t.Helper()
	is, err := api.Get(ctx, k.ID)
	if err != nil || is.Status != apikey.StatusRevoked || is.RevocationReason != reason {
		t.Errorf("%s: %s for %s, %v; want revoked for %s", k.AuthMethod, is.Status, is.RevocationReason, err, reason)
	}
	events, err := api.KeyEvents(ctx, k.ID, apikey.PageParams{Limit: 1})
	if err != nil || len(events.Data) != 1 || events.Data[0].Action != apikey.ActionRevoke || events.Data[0].Principal != "key:"+k.RootID {
		t.Errorf("%s: events %+v, %v", k.AuthMethod, events.Data, err)
	}
}

func testRevokeSelfStates(t *testing.T, f Fixture) {
	t.Helper()
	api, ctx := f.As(t, []apikey.Right{apikey.Admin})
	as := holder(t, api)
	disabled := f.make(t, api, ctx, "self")
	if _, err := api.Disable(ctx, disabled.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	management, err := api.Create(ctx, apikey.CreateParams{Name: "x", Owner: "self", Kind: apikey.KindManagement, Scopes: []string{"keys:read"}, Owners: []string{"elsewhere"}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := f.Buy(t, management.Key, management.Secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := as.Self(t.Context(), apikey.HolderCredential{Token: apikey.NewSecret(token)}); err != nil || got.ID != management.Key.ID {
		t.Errorf("management key: %+v, %v", got, err)
	}
	for name, issued := range map[string]apikey.Issued{"disabled": disabled, "management": management} {
		present := f.By(t, issued.Key, issued.Secret, nil)["client_secret_post"]
		if err := as.RevokeSelf(t.Context(), present(), apikey.RevokeSelfParams{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		f.endedBySelf(t, api, ctx, issued.Key, apikey.Unspecified)
	}
}

// refuses wants a credential to be refused by both, and returns the words.
func (f Fixture) refuses(t *testing.T, as apikey.Holder, what string, c apikey.HolderCredential) string {
	t.Helper()
	_, err := as.Self(t.Context(), c)
	wantErr(t, what+", read", err, apikey.ErrUnauthenticated)
	again := as.RevokeSelf(t.Context(), c, apikey.RevokeSelfParams{})
	wantErr(t, what+", revoke", again, apikey.ErrUnauthenticated)
	e, ok := errors.AsType[*apikey.Error](err)
	if !ok {
		return ""
	}
	return e.Detail
}

func testUnproved(t *testing.T, f Fixture) {
	t.Helper()
	api, ctx := f.As(t, All)
	as := holder(t, api)
	mine, theirs := f.make(t, api, ctx, "self"), f.make(t, api, ctx, "self")
	pair, stranger := NewPair(t, "ES256"), NewPair(t, "ES256")
	signing, err := api.Create(ctx, apikey.CreateParams{Name: "x", Owner: "self", Scopes: []string{"a"}, AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: pair.Public}}})
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]string{}
	secret := func(id string, s apikey.Secret) apikey.HolderCredential {
		return apikey.HolderCredential{Own: apikey.Credential{Method: apikey.ClientSecretBasic, ID: id, Secret: s}}
	}
	assertion := func(id string, p *Pair, changes map[string]any) apikey.HolderCredential {
		return apikey.HolderCredential{Own: apikey.Credential{Method: apikey.PrivateKeyJWT, Assertion: f.Assertion(t, id, p, changes)}}
	}
	broken := []byte(mine.Secret.Reveal())
	broken[len(broken)-1] ^= 1
	absent := apikey.NewID(apikey.Live, f.Clock.Now())
	for name, c := range map[string]apikey.HolderCredential{
		"another key's secret":     secret(mine.Key.ID, theirs.Secret),
		"unknown id":               secret(absent, mine.Secret),
		"a mistyped secret":        secret(mine.Key.ID, apikey.NewSecret(string(broken))),
		"a foreign secret":         secret(mine.Key.ID, apikey.NewSecret("correct horse")),
		"a secret of signing key":  secret(signing.Key.ID, mine.Secret),
		"an id that cannot be":     secret("..", mine.Secret),
		"nothing":                  {},
		"no secret":                secret(mine.Key.ID, apikey.Secret{}),
		"a stranger's assertion":   assertion(signing.Key.ID, stranger, nil),
		"an assertion, unknown id": assertion(absent, pair, nil),
		"assertion of secret key":  assertion(mine.Key.ID, pair, nil),
		"for another audience":     assertion(signing.Key.ID, pair, map[string]any{"aud": "https://x.example"}),
		"a token that is none":     {Token: apikey.NewSecret("ory_at_nothing.nothing")},
	} {
		words[name] = f.refuses(t, as, name, c)
	}
	for name, detail := range words {
		if detail != words["unknown id"] || detail == "" {
			t.Errorf("%s: %q, unlike an unknown id: %q", name, detail, words["unknown id"])
		}
	}
	for name, changes := range map[string]map[string]any{
		"expired": {"exp": f.Clock.Now().Add(-time.Second).Unix()}, "no exp": {"exp": nil}, "no jti": {"jti": nil}, "huge exp": {"exp": 1e30},
		"from the future": {"iat": f.Clock.Now().Add(time.Minute).Unix()}, "not yet": {"nbf": f.Clock.Now().Add(time.Minute).Unix()},
		"another issuer": {"iss": mine.Key.ID}, "text exp": {"exp": "2099"},
	} {
		if detail := f.refuses(t, as, name, assertion(signing.Key.ID, pair, changes)); !strings.HasPrefix(detail, "the assertion") {
			t.Errorf("%s: %q says nothing of the assertion", name, detail)
		}
	}
	once := assertion(signing.Key.ID, pair, nil)
	if _, err := as.Self(t.Context(), once); err != nil {
		t.Errorf("assertion: %v", err)
	}
	f.refuses(t, as, "a replayed assertion", once)
	for _, k := range []apikey.Issued{mine, theirs} {
		if !f.Works(t, k.Key, k.Secret, nil) {
			t.Error("a refused credential ended a key")
		}
	}
}

// A holder sees the rotation of its key from either side.
func testSelfRotation(t *testing.T, f Fixture) {
	api, ctx := f.As(t, All)
	old := f.make(t, api, ctx, "self rotation")
	r, err := api.Rotate(ctx, old.Key.ID, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	as := holder(t, api)
	was, err := as.Self(ctx, apikey.HolderCredential{Own: apikey.Credential{Method: apikey.ClientSecretBasic, ID: old.Key.ID, Secret: old.Secret}})
	if err != nil || was.ReplacedBy == nil || *was.ReplacedBy != r.Key.ID || was.EndsAt == nil || !was.EndsAt.Equal(*r.PreviousEndsAt) {
		t.Errorf("old: %+v, %v", was, err)
	}
	is, err := as.Self(ctx, apikey.HolderCredential{Own: apikey.Credential{Method: apikey.ClientSecretBasic, ID: r.Key.ID, Secret: r.Secret}})
	if err != nil || is.RootID != old.Key.ID || is.PreviousEndsAt == nil || !is.PreviousEndsAt.Equal(*r.PreviousEndsAt) || is.EndsAt != nil {
		t.Errorf("new: %+v, %v", is, err)
	}
}
