package handlers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

const (
	goodToken   = "ory_at_good-token.of_a~management+key/000="
	secretNow   = "tos_thisIsTheOneSecretThatMayLeave"
	keyID       = "key_live_01k9x2m3n4p5q6r7s8t9v0w1xy"
	operationID = "op_k3vq5n2wz7c4m6x8y1b9d0f2gh"
	canary      = "C4nary-7f3a9e55d1"
)

var then = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fake answers as an apikey.API with one key, and remembers what it was asked.
type fake struct {
	mu    sync.Mutex
	calls []string
	last  any
	err   error
	hold  func(ctx context.Context) error // runs in each call
	key   apikey.Key

	verified apikey.VerificationState // what VerifyEvents answers
}

func newFake() *fake {
	return &fake{verified: apikey.VerificationRunning, key: apikey.Key{
		Definition: apikey.Definition{
			ID: keyID, RootID: keyID, Kind: apikey.KindAPI, Name: "billing worker", Owner: "acme", Environment: apikey.Live,
			Labels: map[string]string{}, AuthMethod: apikey.ClientSecretBasic, Scopes: []string{"orders:read"}, Audiences: []string{},
			Token:  apikey.TokenSettings{Format: apikey.Opaque, Lifetime: apikey.Duration(15 * time.Minute)},
			Secret: &apikey.SecretInfo{Hint: "...x7Qf", CreatedAt: then}, PublicKeys: []apikey.PublicKey{},
			CreatedAt: then, CreatedBy: "user:ana", UpdatedAt: then, Revision: 7,
		},
		Status: apikey.StatusActive, Flags: []apikey.Flag{},
	}}
}

// did notes a call and gives the failure that is set.
func (f *fake) did(ctx context.Context, call string, p any) error {
	f.mu.Lock()
	f.calls, f.last = append(f.calls, call), p
	err, hold := f.err, f.hold
	f.mu.Unlock()
	if _, none := apikey.CallerFrom(ctx); none != nil {
		return none
	}
	if hold != nil {
		return hold(ctx)
	}
	return err
}

func (f *fake) count() int { return len(f.called()) }

// called returns the calls since it was asked last.
func (f *fake) called() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *fake) Create(ctx context.Context, p apikey.CreateParams) (apikey.Issued, error) {
	k := f.key
	k.Name, k.Revision = p.Name, 1
	out := apikey.Issued{Key: k, Secret: apikey.NewSecret(secretNow)}
	if p.AuthMethod == apikey.PrivateKeyJWT {
		out.Secret = apikey.Secret{}
	}
	return out, f.did(ctx, "create", p)
}

func (f *fake) Get(ctx context.Context, id string) (apikey.Key, error) {
	return f.key, f.did(ctx, "get "+id, nil)
}

func (f *fake) List(ctx context.Context, p apikey.ListParams) (apikey.Page[apikey.Key], error) {
	n := 1
	return apikey.Page[apikey.Key]{Data: []apikey.Key{f.key}, NextCursor: "next", Count: &n}, f.did(ctx, "list", p)
}

func (f *fake) Update(ctx context.Context, id string, p apikey.UpdateParams) (apikey.Updated, error) {
	if err := f.did(ctx, "update "+id, p); err != nil {
		return apikey.Updated{}, err
	}
	if p.IfMatch != 0 && p.IfMatch != f.key.Revision {
		return apikey.Updated{}, &apikey.Error{Kind: apikey.ErrPrecondition}
	}
	return apikey.Updated{Key: f.key}, nil
}

func (f *fake) result(ctx context.Context, call string, p any) (apikey.Result, error) {
	return apikey.Result{Key: f.key, Impact: apikey.Impact{AccessEndsAt: &apikey.AccessEnds{Introspected: &then}, Others: []apikey.Other{}}}, f.did(ctx, call, p)
}

func (f *fake) Rotate(ctx context.Context, id string, p apikey.RotateParams) (apikey.Rotation, error) {
	out := apikey.Rotation{Key: f.key, Mode: apikey.RotationSuccessor, PreviousEndsAt: &then, Proof: apikey.Proof{VerifiedAt: &then},
		Impact: apikey.Impact{Others: []apikey.Other{}, DryRun: p.DryRun}}
	if !p.DryRun {
		out.Secret = apikey.NewSecret(secretNow)
	}
	return out, f.did(ctx, "rotate "+id, p)
}

func (f *fake) CompleteRotation(ctx context.Context, id string, p apikey.ActionParams) (apikey.Result, error) {
	return f.result(ctx, "complete "+id, p)
}

func (f *fake) Disable(ctx context.Context, id string, p apikey.DisableParams) (apikey.Result, error) {
	return f.result(ctx, "disable "+id, p)
}

func (f *fake) Enable(ctx context.Context, id string, p apikey.ActionParams) (apikey.Result, error) {
	return f.result(ctx, "enable "+id, p)
}

func (f *fake) Revoke(ctx context.Context, id string, p apikey.RevokeParams) (apikey.Result, error) {
	r, err := f.result(ctx, "revoke "+id, p)
	r.Pending, r.AccessEndsAt = true, &apikey.AccessEnds{}
	return r, err
}

func (f *fake) RevokeTokens(ctx context.Context, id string, p apikey.ActionParams) (apikey.Result, error) {
	return f.result(ctx, "revoke tokens "+id, p)
}

func (f *fake) Delete(ctx context.Context, id string) error { return f.did(ctx, "delete "+id, nil) }

func (f *fake) PublicKeys(ctx context.Context, id string) ([]apikey.PublicKey, error) {
	return nil, f.did(ctx, "public keys "+id, nil)
}

func (f *fake) AddPublicKey(ctx context.Context, id string, p apikey.PublicKeyParams) (apikey.PublicKey, error) {
	return apikey.PublicKey{KID: "abc", Alg: "ES256", JWK: p.JWK, CreatedAt: then}, f.did(ctx, "add public key "+id, p)
}

func (f *fake) RemovePublicKey(ctx context.Context, id, kid string) error {
	return f.did(ctx, "remove public key "+id+" "+kid, nil)
}

func (f *fake) KeyEvents(ctx context.Context, id string, p apikey.PageParams) (apikey.Page[apikey.Event], error) {
	return apikey.Page[apikey.Event]{Data: []apikey.Event{{ID: 3, At: then, KeyID: id}}}, f.did(ctx, "key events "+id, p)
}

func (f *fake) Events(ctx context.Context, p apikey.FeedParams) (apikey.Page[apikey.Event], error) {
	return apikey.Page[apikey.Event]{Data: []apikey.Event{}, NextCursor: fmt.Sprint(p.After)}, f.did(ctx, "events", p)
}

func (f *fake) Capabilities(ctx context.Context) (apikey.Capabilities, error) {
	return apikey.Capabilities{Limits: apikey.DefaultLimits()}, f.did(ctx, "capabilities", nil)
}

func (f *fake) Doctor(ctx context.Context) (apikey.Diagnosis, error) {
	checks := []apikey.Check{{Name: "ledger", Result: apikey.CheckPassed, Seen: "s", Why: "w"}, {Name: "token_hook", Result: apikey.CheckFailed, Seen: "s", Why: "w", Fix: "f"}}
	return apikey.Diagnosis{Result: apikey.CheckFailed, Version: "v1", CheckedAt: then, Checks: checks}, f.did(ctx, "doctor", nil)
}

func (f *fake) SigningKeys(ctx context.Context) ([]apikey.SigningKey, error) {
	return []apikey.SigningKey{{KID: "new", Alg: "ES256", Bits: 256, Signs: true, CreatedAt: &then}, {KID: "old", Alg: "RS256", Bits: 4096, ReplacedAt: &then, RetirableAt: &then}}, f.did(ctx, "signing keys", nil)
}

func (f *fake) VerifyEvents(ctx context.Context) (apikey.Verification, error) {
	return apikey.Verification{State: f.verified, Total: 7, BegunAt: &then}, f.did(ctx, "verify events", nil)
}

func (f *fake) Verification(ctx context.Context) (apikey.Verification, error) {
	return apikey.Verification{State: apikey.VerificationBroken, Checked: 2, Total: 7, BegunAt: &then, EndedAt: &then, FirstWrong: 3, Reason: "it is missing"}, f.did(ctx, "verification", nil)
}

func (f *fake) Policies(ctx context.Context, owner string) (apikey.EffectivePolicies, error) {
	return apikey.EffectivePolicies{Owner: owner, Live: apikey.Policies{}.For(owner, apikey.Live)}, f.did(ctx, "policies "+owner, nil)
}

func (f *fake) Usage(ctx context.Context, id string, p apikey.UsageParams) (apikey.Usage, error) {
	counts := apikey.TokenCounts{Issued: 2, Denied: 1, DeniedBy: map[apikey.Denial]int64{apikey.DeniedExpired: 1}}
	return apikey.Usage{By: apikey.ByDay, From: then, To: then, Data: []apikey.PeriodCounts{{From: then, TokenCounts: counts}}, Totals: counts, LastUsedAt: &then,
		LastDenial: &apikey.LastDenial{Reason: apikey.DeniedExpired, At: then}, Scopes: []apikey.ScopeUsage{{Scope: "orders:read"}}}, f.did(ctx, "usage "+id, p)
}

func (f *fake) PolicyViolations(ctx context.Context, p apikey.PolicyViolationsParams) (apikey.Page[apikey.KeyViolations], error) {
	wrong := apikey.FieldError{Pointer: "#/expires_at", Code: "policy", Rule: "max_lifetime", Limit: "90d"}
	return apikey.Page[apikey.KeyViolations]{Data: []apikey.KeyViolations{{KeyID: keyID, Violations: []apikey.FieldError{wrong}}}, NextCursor: "next"}, f.did(ctx, "policy violations", p)
}

func (f *fake) operation(ctx context.Context, call string, p any, dryRun bool) (apikey.Operation, error) {
	o := apikey.Operation{ID: operationID, Owner: "acme", Action: apikey.ActionDisable, State: apikey.OperationRunning, Failures: []apikey.KeyFailure{}, CreatedAt: then}
	if dryRun {
		o.ID, o.State, o.DryRun = "", apikey.OperationPreview, true
	}
	return o, f.did(ctx, call, p)
}

func (f *fake) DisableOwner(ctx context.Context, owner string, p apikey.DisableOwnerParams) (apikey.Operation, error) {
	return f.operation(ctx, "disable owner "+owner, p, p.DryRun)
}

func (f *fake) EnableOwner(ctx context.Context, owner string, p apikey.EnableOwnerParams) (apikey.Operation, error) {
	return f.operation(ctx, "enable owner "+owner, p, p.DryRun)
}

func (f *fake) RevokeOwner(ctx context.Context, owner string, p apikey.RevokeOwnerParams) (apikey.Operation, error) {
	return f.operation(ctx, "revoke owner "+owner, p, p.DryRun)
}

func (f *fake) RevokeOwnerTokens(ctx context.Context, owner string, p apikey.OwnerActionParams) (apikey.Operation, error) {
	return f.operation(ctx, "revoke tokens of owner "+owner, p, p.DryRun)
}

func (f *fake) Operation(ctx context.Context, id string) (apikey.Operation, error) {
	return f.operation(ctx, "operation "+id, nil, false)
}

// lockedBuffer is a log that many may write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// bench is the handler over a fake, with its log.
type bench struct {
	*fake
	h   http.Handler
	log *lockedBuffer
}

func authenticate(_ context.Context, token string) (apikey.Caller, error) {
	if token != goodToken {
		return apikey.Caller{}, &apikey.Error{Kind: apikey.ErrUnauthenticated, Detail: "the access token is not valid"}
	}
	return apikey.Caller{Principal: "key:root1", Rights: []apikey.Right{apikey.Admin}}, nil
}

func newBench(t testing.TB, change func(*handlers.Config)) *bench {
	t.Helper()
	b := &bench{fake: newFake(), log: &lockedBuffer{}}
	c := handlers.Config{API: b.fake, Authenticate: authenticate, Log: slog.New(slog.NewJSONHandler(b.log, nil))}
	if change != nil {
		change(&c)
	}
	h, err := handlers.New(c)
	if err != nil {
		t.Fatal(err)
	}
	b.h = h
	return b
}

// request makes one that is in order: over TLS and with a token.
func request(method, target, body string) *http.Request {
	var r *http.Request
	if body == "" {
		r = httptest.NewRequestWithContext(context.Background(), method, "https://keys.test"+target, nil)
	} else {
		r = httptest.NewRequestWithContext(context.Background(), method, "https://keys.test"+target, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+goodToken)
	return r
}

// reply is an answer without its body.
type reply struct {
	StatusCode int
	Header     http.Header
}

// do serves one request and returns the whole answer.
func (b *bench) do(r *http.Request) (reply, string) { return serveOnce(b.h, r) }

func serveOnce(h http.Handler, r *http.Request) (reply, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return reply{w.Code, w.Header()}, w.Body.String()
}

func jsonOf(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
