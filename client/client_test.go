package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/handlers"
)

const (
	token  = "ory_at_a.token"
	keyID  = "key_live_01k9x2m3n4p5q6r7s8t9v0w1xy"
	secret = "tos_theSecretOfTheNewKey"
)

var then = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// behind starts the real handlers over TLS around an API and returns a client
// of it.
func behind(t *testing.T, api apikey.API) *client.Client {
	t.Helper()
	h, err := handlers.New(handlers.Config{API: api, Authenticate: good})
	if err != nil {
		t.Fatal(err)
	}
	return of(t, h, nil)
}

func good(_ context.Context, got string) (apikey.Caller, error) {
	if got != token {
		return apikey.Caller{}, apikey.ErrUnauthenticated
	}
	return apikey.Caller{Principal: "key:root"}, nil
}

func of(t *testing.T, h http.Handler, change func(*client.Config)) *client.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.StartTLS()
	t.Cleanup(server.Close)
	c := client.Config{BaseURL: server.URL + "/", Token: client.StaticToken(token), HTTPClient: server.Client()}
	if change != nil {
		change(&c)
	}
	out, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fullKey has a value in every member, found by reflection, so that a member
// the wire loses shows.
func fullKey(t *testing.T) apikey.Key {
	t.Helper()
	k := apikey.Key{
		Definition: apikey.Definition{
			ID: keyID, RootID: "root", Kind: apikey.KindManagement, Name: "n", Description: "d", Owner: "o", Environment: apikey.Test,
			Labels: map[string]string{"a": "b"}, AuthMethod: apikey.PrivateKeyJWT, Scopes: []string{"s"}, Audiences: []string{"u"}, Owners: []string{"o"},
			Token: apikey.TokenSettings{Format: apikey.JWT, Lifetime: apikey.Duration(90 * time.Minute)}, Secret: &apikey.SecretInfo{Hint: "...x", CreatedAt: then},
			PublicKeys: []apikey.PublicKey{{KID: "k", Alg: "ES256", JWK: apikey.JWK{"kty": "EC"}, CreatedAt: then, ExpiresAt: &then, ReplacedAt: &then}},
		},
		Status: apikey.StatusRevoked, Flags: []apikey.Flag{apikey.FlagExpiring}, PreviousEndsAt: &then, LastUsedAt: &then,
	}
	v := reflect.ValueOf(&k.Definition).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.IsZero() {
			continue
		}
		switch f.Interface().(type) {
		case time.Time:
			f.Set(reflect.ValueOf(then))
		case *time.Time:
			f.Set(reflect.ValueOf(&then))
		case int64:
			f.SetInt(7)
		case bool:
			f.SetBool(true)
		default:
			if f.Kind() == reflect.Pointer {
				f.Set(reflect.New(f.Type().Elem()))
				f = f.Elem()
			}
			if f.Kind() != reflect.String {
				t.Fatalf("Definition.%s: a value for %s is missing here", v.Type().Field(i).Name, f.Type())
			}
			f.SetString("x")
		}
	}
	return k
}

// Every method arrives at the API as it was called, and what the API answers
// arrives back, whole.
func TestRoundTrip(t *testing.T) {
	ctx, s := t.Context(), &stub{key: fullKey(t), secret: secret}
	c := behind(t, s)
	const idem = "an-idempotency-key"
	create := apikey.CreateParams{Name: "n", Description: "d", Owner: "o", Environment: apikey.Test, Labels: map[string]string{"a": "b"},
		AuthMethod: apikey.PrivateKeyJWT, Scopes: []string{"s"}, Audiences: []string{"u"}, Token: &apikey.TokenParams{Format: apikey.JWT, Lifetime: new(apikey.Duration(time.Hour))},
		PublicKeys: []apikey.PublicKeyInput{{JWK: apikey.JWK{"kty": "EC"}, ExpiresAt: &then}}, ExpiresAt: apikey.SetTo(then), Kind: apikey.KindManagement, Owners: []string{"o"}, IdempotencyKey: idem}
	list := apikey.ListParams{Q: "a b&c", Owner: "o", Kind: "api", Status: "active", Environment: "live", AuthMethod: "private_key_jwt", Scope: "s:t", Label: "k:v", ExpiresBefore: &then, RootID: "r", Sort: "-name", Limit: 3, Cursor: "c", Count: true,
		LastUsedBefore: new(then.Add(time.Millisecond)), UnusedScopes: 90}
	update := apikey.UpdateParams{Name: new("n"), Description: new(""), Owner: new("o"), Labels: map[string]*string{"a": nil, "b": new("c")}, AuthMethod: new(apikey.ClientSecretPost),
		Scopes: &[]string{"s"}, Audiences: &[]string{}, Token: &apikey.TokenParams{Format: apikey.JWT}, ExpiresAt: apikey.SetTo(then), DryRun: true, IfMatch: 7}
	add := apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: apikey.JWK{"kty": "RSA"}, ExpiresAt: &then}, IdempotencyKey: idem}
	action := apikey.ActionParams{DryRun: true, IdempotencyKey: idem}
	rotate := apikey.RotateParams{GracePeriod: new(apikey.Duration(0)), Force: true, AuthMethod: apikey.PrivateKeyJWT,
		PublicKeys: []apikey.PublicKeyInput{{JWK: apikey.JWK{"kty": "EC"}}}, DryRun: true, IdempotencyKey: idem}
	ends := apikey.CreateParams{Name: "n", Scopes: []string{"s"}, ExpiresAt: apikey.Null[time.Time](), IdempotencyKey: idem}
	disableOwner, enableOwner := apikey.DisableOwnerParams{Until: &then, DryRun: true, IdempotencyKey: idem}, apikey.EnableOwnerParams{All: true, DryRun: true, IdempotencyKey: idem}
	revokeOwner := apikey.RevokeOwnerParams{Reason: apikey.Superseded, Description: "d", DryRun: true, IdempotencyKey: idem}
	ownerTokens := apikey.OwnerActionParams{DryRun: true, IdempotencyKey: idem}
	feed := apikey.FeedParams{Before: 9, Newest: true, Action: apikey.ActionDisable, KeyID: keyID, Principal: "user:ana & co", Since: &then}
	counted := apikey.UsageParams{By: apikey.ByHour, From: new(then.Add(time.Nanosecond)), To: new(then.Add(time.Hour))}
	tests := []struct {
		asked []any
		call  func() (any, error)
		want  any
	}{
		{[]any{"create", create}, func() (any, error) { return c.Create(ctx, create) }, apikey.Issued{Key: s.key, Secret: apikey.NewSecret(secret)}},
		{[]any{"disable owner", "a b/c\u00e9%.d+e", disableOwner}, func() (any, error) { return c.DisableOwner(ctx, "a b/c\u00e9%.d+e", disableOwner) }, s.operation()},
		{[]any{"enable owner", "o", enableOwner}, func() (any, error) { return c.EnableOwner(ctx, "o", enableOwner) }, s.operation()},
		{[]any{"revoke owner", "o", revokeOwner}, func() (any, error) { return c.RevokeOwner(ctx, "o", revokeOwner) }, s.operation()},
		{[]any{"revoke tokens of owner", "o", ownerTokens}, func() (any, error) { return c.RevokeOwnerTokens(ctx, "o", ownerTokens) }, s.operation()},
		{[]any{"operation", "op_1"}, func() (any, error) { return c.Operation(ctx, "op_1") }, s.operation()},
		{[]any{"get", keyID}, func() (any, error) { return c.Get(ctx, keyID) }, s.key},
		{[]any{"list", list}, func() (any, error) { return c.List(ctx, list) }, apikey.Page[apikey.Key]{Data: []apikey.Key{s.key}, NextCursor: "n", Count: new(9)}},
		{[]any{"update", keyID, update}, func() (any, error) { return c.Update(ctx, keyID, update) }, s.updated()},
		{[]any{"update", keyID, apikey.UpdateParams{ExpiresAt: apikey.Null[time.Time]()}}, func() (any, error) {
			return c.Update(ctx, keyID, apikey.UpdateParams{ExpiresAt: apikey.Null[time.Time]()})
		}, s.updated()},
		{[]any{"disable", keyID, apikey.DisableParams{Until: &then, DryRun: true, IdempotencyKey: idem}}, func() (any, error) {
			return c.Disable(ctx, keyID, apikey.DisableParams{Until: &then, DryRun: true, IdempotencyKey: idem})
		}, s.result()},
		{[]any{"enable", keyID, action}, func() (any, error) { return c.Enable(ctx, keyID, action) }, s.result()},
		{[]any{"revoke", keyID, apikey.RevokeParams{Reason: apikey.Superseded, Description: "d", IdempotencyKey: idem}}, func() (any, error) {
			return c.Revoke(ctx, keyID, apikey.RevokeParams{Reason: apikey.Superseded, Description: "d", IdempotencyKey: idem})
		}, s.result()},
		{[]any{"revoke tokens", keyID, action}, func() (any, error) { return c.RevokeTokens(ctx, keyID, action) }, s.result()},
		{[]any{"rotate", keyID, rotate}, func() (any, error) { return c.Rotate(ctx, keyID, rotate) }, s.rotation()},
		{[]any{"complete", keyID, action}, func() (any, error) { return c.CompleteRotation(ctx, keyID, action) }, s.result()},
		{[]any{"delete", keyID}, func() (any, error) { return nil, c.Delete(ctx, keyID) }, nil},
		{[]any{"public keys", keyID}, func() (any, error) { return c.PublicKeys(ctx, keyID) }, s.key.PublicKeys},
		{[]any{"add public key", keyID, add}, func() (any, error) { return c.AddPublicKey(ctx, keyID, add) }, s.key.PublicKeys[0]},
		{[]any{"remove public key", keyID, "kid_-1"}, func() (any, error) { return nil, c.RemovePublicKey(ctx, keyID, "kid_-1") }, nil},
		{[]any{"key events", keyID, apikey.PageParams{Limit: 2, Cursor: "9"}}, func() (any, error) {
			return c.KeyEvents(ctx, keyID, apikey.PageParams{Limit: 2, Cursor: "9"})
		}, apikey.Page[apikey.Event]{Data: []apikey.Event{event}, NextCursor: "3"}},
		{[]any{"events", apikey.FeedParams{After: 5, Limit: 2}}, func() (any, error) { return c.Events(ctx, apikey.FeedParams{After: 5, Limit: 2}) }, apikey.Page[apikey.Event]{Data: []apikey.Event{event}, NextCursor: "8"}},
		{[]any{"events", feed}, func() (any, error) { return c.Events(ctx, feed) }, apikey.Page[apikey.Event]{Data: []apikey.Event{event}, NextCursor: "8"}},
		{[]any{"usage", keyID, counted}, func() (any, error) { return c.Usage(ctx, keyID, counted) }, usage},
		{[]any{"usage", keyID, apikey.UsageParams{}}, func() (any, error) { return c.Usage(ctx, keyID, apikey.UsageParams{}) }, usage},
		{[]any{"capabilities"}, func() (any, error) { return c.Capabilities(ctx) }, capabilities},
		{[]any{"create", ends}, func() (any, error) { return c.Create(ctx, ends) }, apikey.Issued{Key: s.key, Secret: apikey.NewSecret(secret)}},
		{[]any{"verify events"}, func() (any, error) { return c.VerifyEvents(ctx) }, verification},
		{[]any{"verification"}, func() (any, error) { return c.Verification(ctx) }, verification},
		{[]any{"doctor"}, func() (any, error) { return c.Doctor(ctx) }, diagnosis},
		{[]any{"signing keys"}, func() (any, error) { return c.SigningKeys(ctx) }, signing},
		{[]any{"policies", "acme & co"}, func() (any, error) { return c.Policies(ctx, "acme & co") }, policies},
		{[]any{"policy violations", apikey.PolicyViolationsParams{Owner: "o", Limit: 2, Cursor: "c"}}, func() (any, error) {
			return c.PolicyViolations(ctx, apikey.PolicyViolationsParams{Owner: "o", Limit: 2, Cursor: "c"})
		}, apikey.Page[apikey.KeyViolations]{Data: []apikey.KeyViolations{violations}, NextCursor: "n"}},
	}
	for _, test := range tests {
		got, err := test.call()
		if err != nil {
			t.Errorf("%v: %v", test.asked[0], err)
			continue
		}
		if diff := cmp.Diff(test.asked, s.asked); diff != "" {
			t.Errorf("%v was asked otherwise (-want +got):\n%s", test.asked[0], diff)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%v answers otherwise (-want +got):\n%s", test.asked[0], diff)
		}
	}
}

// Every kind of error is the same kind after the wire, with its words.
func TestErrorsKeepTheirKind(t *testing.T) {
	s := &stub{}
	c := behind(t, s)
	for _, kind := range []apikey.ErrorKind{
		apikey.ErrMalformed, apikey.ErrUnauthenticated, apikey.ErrForbidden, apikey.ErrHTTPSRequired, apikey.ErrNotFound, apikey.ErrBusy,
		apikey.ErrExpired, apikey.ErrRevoked, apikey.ErrNotRevoked, apikey.ErrLastCredential, apikey.ErrPublicKeyInUse, apikey.ErrDrifted,
		apikey.ErrReplaced, apikey.ErrRotationPending,
		apikey.ErrIdempotencyRunning, apikey.ErrReplayExpired, apikey.ErrIdempotencyMismatch, apikey.ErrPrecondition, apikey.ErrPreconditionRequired,
		apikey.ErrUnavailable, apikey.ErrInternal, apikey.ErrMethodNotAllowed, apikey.ErrUnsupportedMediaType, apikey.ErrTooLarge, apikey.ErrTimeout,
		apikey.ErrRateLimited,
	} {
		s.err = &apikey.Error{Kind: kind, Detail: "the words", Pending: true, RetryAfter: time.Second}
		err := c.Delete(t.Context(), keyID) // not tried again
		if !errors.Is(err, kind) {
			t.Errorf("%s became %v", kind, err)
		}
		got, ok := errors.AsType[*apikey.Error](err)
		if !ok || got.RequestID == "" || kind != apikey.ErrInternal && (got.Detail != "the words" || !got.Pending || got.RetryAfter != time.Second) {
			t.Errorf("%s: got %+v", kind, got)
		}
	}
	fields := []apikey.FieldError{{Pointer: "#/name", Detail: "is too long", Fix: "shorten it", Code: "too_long"}, {Pointer: "?limit", Detail: "d"},
		{Pointer: "#/expires_at", Code: "policy", Rule: "max_lifetime", Limit: "90d", Detail: "d", Fix: "f"}}
	s.err = &apikey.InvalidError{Fields: fields}
	err := c.Delete(t.Context(), keyID)
	got, ok := errors.AsType[*apikey.InvalidError](err)
	if !ok || !errors.Is(err, apikey.ErrInvalid) || cmp.Diff(fields, got.Fields) != "" {
		t.Errorf("got %v", err)
	}
}

// Ids that no key can have are not found without a request.
func TestImpossibleIDs(t *testing.T) {
	c := of(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked", r.URL) }), nil)
	for _, id := range []string{"", ".", "..", "a/b", "../x", "a?b", "a#b", "%2e", strings.Repeat("a", 129), "é"} {
		if _, err := c.Get(t.Context(), id); !errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
		if err := c.RemovePublicKey(t.Context(), keyID, id); !errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("kid %q: %v", id, err)
		}
	}
}

// An address that would send the token in clear, or that is none, is refused.
func TestNewRefuses(t *testing.T) {
	for _, base := range []string{"", "keys.test", "http://keys.test", "http://127.0.0.1.evil.test", "http://localhost.evil.test", "ftp://keys.test", "https://u:p@keys.test", "https://keys.test?x=1", "https://keys.test#x", "https://"} {
		if c, err := client.New(client.Config{BaseURL: base, Token: client.StaticToken(token)}); err == nil || c != nil {
			t.Errorf("%q was taken", base)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("the error shows credentials: %v", err)
		}
	}
	for _, base := range []string{"https://keys.test", "https://keys.test/behind/a/path/", "http://localhost:4455", "http://127.0.0.1:4455", "http://[::1]:4455"} {
		if _, err := client.New(client.Config{BaseURL: base, Token: client.StaticToken(token)}); err != nil {
			t.Errorf("%q: %v", base, err)
		}
	}
	if _, err := client.New(client.Config{BaseURL: "https://keys.test"}); err == nil {
		t.Error("a client without a Token was made")
	}
}

// A path before the API is kept, and plain HTTP to a proxied server is told as
// what it is.
func TestBehindProxy(t *testing.T) {
	s := &stub{key: fullKey(t)}
	h, err := handlers.New(handlers.Config{API: s, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Authenticate: func(context.Context, string) (apikey.Caller, error) { return apikey.Caller{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	proto := "https"
	proxy := http.StripPrefix("/keys-api", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Forwarded-Proto", proto)
		h.ServeHTTP(w, r)
	}))
	c := of(t, proxy, func(c *client.Config) { c.BaseURL += "keys-api/" })
	if _, err := c.Get(t.Context(), keyID); err != nil {
		t.Error(err)
	}
	proto = "http"
	if _, err := c.Get(t.Context(), keyID); !errors.Is(err, apikey.ErrHTTPSRequired) {
		t.Errorf("got %v", err)
	}
}
