package client_test

import (
	"context"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// stub answers each method with what is set, and keeps what it was asked.
type stub struct {
	err    error
	key    apikey.Key
	secret string
	asked  []any
}

func (s *stub) ask(args ...any) error { s.asked = args; return s.err }

func (s *stub) Create(_ context.Context, p apikey.CreateParams) (apikey.Issued, error) {
	return apikey.Issued{Key: s.key, Secret: apikey.NewSecret(s.secret)}, s.ask("create", p)
}
func (s *stub) Get(_ context.Context, id string) (apikey.Key, error) { return s.key, s.ask("get", id) }
func (s *stub) List(_ context.Context, p apikey.ListParams) (apikey.Page[apikey.Key], error) {
	return apikey.Page[apikey.Key]{Data: []apikey.Key{s.key}, NextCursor: "n", Count: new(9)}, s.ask("list", p)
}
func (s *stub) Update(_ context.Context, id string, p apikey.UpdateParams) (apikey.Updated, error) {
	return s.updated(), s.ask("update", id, p)
}
func (s *stub) impact() apikey.Impact {
	return apikey.Impact{AccessEndsAt: &apikey.AccessEnds{Introspected: &then}, DryRun: true,
		Others: []apikey.Other{{ID: "o", Name: "n", Status: apikey.StatusActive, EndsAt: &then, LastUsedAt: &then}}}
}
func (s *stub) updated() apikey.Updated {
	impact := s.impact()
	return apikey.Updated{Key: s.key, Impact: &impact}
}
func (s *stub) rotation() apikey.Rotation {
	return apikey.Rotation{Key: s.key, Mode: apikey.RotationInPlace, PreviousEndsAt: &then, Proof: apikey.Proof{VerifiedAt: &then, Unverified: "u"},
		Impact: s.impact(), Secret: apikey.NewSecret(s.secret)}
}
func (s *stub) Rotate(_ context.Context, id string, p apikey.RotateParams) (apikey.Rotation, error) {
	return s.rotation(), s.ask("rotate", id, p)
}
func (s *stub) CompleteRotation(_ context.Context, id string, p apikey.ActionParams) (apikey.Result, error) {
	return s.result(), s.ask("complete", id, p)
}
func (s *stub) result() apikey.Result {
	return apikey.Result{Key: s.key, Impact: s.impact(), Pending: true}
}
func (s *stub) Disable(_ context.Context, id string, p apikey.DisableParams) (apikey.Result, error) {
	return s.result(), s.ask("disable", id, p)
}
func (s *stub) Enable(_ context.Context, id string, p apikey.ActionParams) (apikey.Result, error) {
	return s.result(), s.ask("enable", id, p)
}
func (s *stub) Revoke(_ context.Context, id string, p apikey.RevokeParams) (apikey.Result, error) {
	return s.result(), s.ask("revoke", id, p)
}
func (s *stub) RevokeTokens(_ context.Context, id string, p apikey.ActionParams) (apikey.Result, error) {
	return s.result(), s.ask("revoke tokens", id, p)
}
func (s *stub) Delete(_ context.Context, id string) error { return s.ask("delete", id) }
func (s *stub) PublicKeys(_ context.Context, id string) ([]apikey.PublicKey, error) {
	return s.key.PublicKeys, s.ask("public keys", id)
}
func (s *stub) AddPublicKey(_ context.Context, id string, p apikey.PublicKeyParams) (apikey.PublicKey, error) {
	return s.key.PublicKeys[0], s.ask("add public key", id, p)
}
func (s *stub) RemovePublicKey(_ context.Context, id, kid string) error {
	return s.ask("remove public key", id, kid)
}
func (s *stub) KeyEvents(_ context.Context, id string, p apikey.PageParams) (apikey.Page[apikey.Event], error) {
	return apikey.Page[apikey.Event]{Data: []apikey.Event{event}, NextCursor: "3"}, s.ask("key events", id, p)
}
func (s *stub) Events(_ context.Context, p apikey.FeedParams) (apikey.Page[apikey.Event], error) {
	return apikey.Page[apikey.Event]{Data: []apikey.Event{event}, NextCursor: "8"}, s.ask("events", p)
}
func (s *stub) Capabilities(context.Context) (apikey.Capabilities, error) {
	return capabilities, s.ask("capabilities")
}
func (s *stub) operation() apikey.Operation {
	return apikey.Operation{ID: "op_1", Owner: "a/b", Action: apikey.ActionDisable, State: apikey.OperationRunning, Total: 2, Done: 1, Failed: 1,
		Failures: []apikey.KeyFailure{{KeyID: keyID, Code: apikey.ErrExpired}}, AccessEndsAt: &apikey.AccessEnds{Offline: &then}, CreatedAt: then, CreatedBy: "p"}
}
func (s *stub) DisableOwner(_ context.Context, owner string, p apikey.DisableOwnerParams) (apikey.Operation, error) {
	return s.operation(), s.ask("disable owner", owner, p)
}
func (s *stub) EnableOwner(_ context.Context, owner string, p apikey.EnableOwnerParams) (apikey.Operation, error) {
	return s.operation(), s.ask("enable owner", owner, p)
}
func (s *stub) RevokeOwner(_ context.Context, owner string, p apikey.RevokeOwnerParams) (apikey.Operation, error) {
	return s.operation(), s.ask("revoke owner", owner, p)
}
func (s *stub) RevokeOwnerTokens(_ context.Context, owner string, p apikey.OwnerActionParams) (apikey.Operation, error) {
	return s.operation(), s.ask("revoke tokens of owner", owner, p)
}
func (s *stub) Operation(_ context.Context, id string) (apikey.Operation, error) {
	return s.operation(), s.ask("operation", id)
}

func (s *stub) Usage(_ context.Context, id string, p apikey.UsageParams) (apikey.Usage, error) {
	return usage, s.ask("usage", id, p)
}

func (s *stub) Doctor(context.Context) (apikey.Diagnosis, error) { return diagnosis, s.ask("doctor") }

func (s *stub) SigningKeys(context.Context) ([]apikey.SigningKey, error) {
	return signing, s.ask("signing keys")
}

var signing = []apikey.SigningKey{{KID: "new", Alg: "ES256", Bits: 256, Signs: true, CreatedAt: &then}, {KID: "old", ReplacedAt: &then, RetirableAt: &then}}

func (s *stub) VerifyEvents(context.Context) (apikey.Verification, error) {
	return verification, s.ask("verify events")
}

func (s *stub) Verification(context.Context) (apikey.Verification, error) {
	return verification, s.ask("verification")
}

var verification = apikey.Verification{State: apikey.VerificationBroken, Checked: 2, Total: 7, BegunAt: &then, EndedAt: &then, Head: "2:00", FirstWrong: 3, Reason: "it is missing"}

var diagnosis = apikey.Diagnosis{Result: "warn", Version: "v", CheckedAt: time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC),
	Checks: []apikey.Check{{Name: "ledger", Result: "pass", Seen: "s", Why: "w"}, {Name: "policies", Result: "warn", Seen: "s", Why: "w", Fix: "f"}}}

func (s *stub) Policies(_ context.Context, owner string) (apikey.EffectivePolicies, error) {
	return policies, s.ask("policies", owner)
}
func (s *stub) PolicyViolations(_ context.Context, p apikey.PolicyViolationsParams) (apikey.Page[apikey.KeyViolations], error) {
	return apikey.Page[apikey.KeyViolations]{Data: []apikey.KeyViolations{violations}, NextCursor: "n"}, s.ask("policy violations", p)
}

var (
	policies = apikey.EffectivePolicies{Owner: "acme", Live: rules, Test: apikey.Policies{}.For("", apikey.Test),
		Scopes: []apikey.ScopeInfo{{Name: "orders:read", Title: "t", Description: "d"}}}
	rules = apikey.Policy{MaxLifetime: new(apikey.Duration(90 * 24 * time.Hour)), NeverExpires: new(false), DefaultLifetime: new(apikey.Duration(time.Hour)), AuthMethods: []apikey.AuthMethod{"private_key_jwt"},
		Scopes: []string{"s"}, Audiences: []string{}, MaxGracePeriod: new(apikey.Duration(0)), Token: apikey.TokenPolicy{MaxLifetime: new(apikey.Duration(time.Minute)), Formats: []apikey.TokenFormat{"jwt"}}, MaxKeys: new(0)}
	violations = apikey.KeyViolations{KeyID: keyID, Name: "n", Owner: "o", Environment: "live", Status: "active",
		Violations: []apikey.FieldError{{Pointer: "#/scopes/0", Code: "policy", Rule: "scopes", Limit: "a, b", Detail: "d", Fix: "f"}}}

	counts = apikey.TokenCounts{Issued: 5, Denied: 3, DeniedBy: map[apikey.Denial]int64{apikey.DeniedExpired: 2, apikey.DeniedDisabled: 1}}
	usage  = apikey.Usage{By: apikey.ByHour, From: then, To: then.Add(time.Hour), Data: []apikey.PeriodCounts{{From: then, TokenCounts: counts}}, Totals: counts,
		LastUsedAt: &then, LastDenial: &apikey.LastDenial{Reason: apikey.DeniedExpired, At: then}, Scopes: []apikey.ScopeUsage{{Scope: "a", LastAskedAt: &then}, {Scope: "b"}}}

	event = apikey.Event{ID: 8, At: then, Action: apikey.ActionUpdate, KeyID: keyID, RootID: keyID, Owner: "acme", Kind: apikey.KindAPI, Revision: 2,
		ChangeID: "c", Principal: "p", Address: "a", UserAgent: "u", RequestID: "r", Before: map[string]any{"name": "a"}, After: map[string]any{"name": "b"}, KeyName: "n"}
	capabilities = apikey.Capabilities{Hydra: &apikey.HydraCapabilities{Version: "master", Issuer: "https://auth.test/", NativeRotation: true}, AuthMethods: []apikey.AuthMethod{apikey.PrivateKeyJWT}, Algorithms: []string{"ES256"}, Limits: apikey.DefaultLimits()}
)
