package hydra

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
)

func fullWrite() apikey.ClientWrite {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	later := at.Add(time.Hour)
	d := apikey.Definition{
		ID: "key_test_1", RootID: "key_test_0", Kind: apikey.KindManagement, Name: "billing worker", Description: "pays",
		Owner: "acme", Environment: apikey.Test, Labels: map[string]string{"team": "payments"},
		AuthMethod: apikey.PrivateKeyJWT, Scopes: []string{"keys:read", "keys:write"}, Audiences: []string{"tokenos"},
		Owners: []string{"acme"}, Token: apikey.TokenSettings{Format: apikey.JWT, Lifetime: apikey.Duration(90 * time.Minute)},
		PublicKeys: []apikey.PublicKey{
			{KID: "gone", Alg: "ES256", JWK: apikey.JWK{"kty": "EC"}, CreatedAt: at, ExpiresAt: &at},
			{KID: "k1", Alg: "ES256", CreatedAt: at, JWK: apikey.JWK{"kty": "EC", "crv": "P-256", "x": "X", "y": "Y", "d": "PRIVATE", "use": "enc", "ext": true}},
		},
		ExpiresAt: &later, CreatedAt: at, CreatedBy: "user:ana", UpdatedAt: later, Revision: 9_007_199_254_740_993,
		DisabledAt: &at, DisabledUntil: &later, EndsAt: &later, Replaces: ptr("key_test_0"), ReplacedBy: ptr("key_test_2"),
	}
	return apikey.ClientWrite{Definition: d, PublicKeys: d.PublicKeys[1:], Open: true, Op: "op1", Ledger: "ledger1"}
}

// asJSON is what goes over the wire, numbers as they are written.
func asJSON(t *testing.T, v any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestProject(t *testing.T) {
	// The whole client follows from the write, with public members only.
	got := asJSON(t, project(fullWrite()))
	want := map[string]any{
		"client_id": "key_test_1", "client_name": "billing worker", "owner": "acme",
		"grant_types": []any{"client_credentials"}, "response_types": []any{},
		"scope": "keys:read keys:write", "audience": []any{"tokenos"},
		"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256",
		"jwks": map[string]any{"keys": []any{map[string]any{
			"kid": "k1", "use": "sig", "alg": "ES256", "kty": "EC", "crv": "P-256", "x": "X", "y": "Y",
		}}},
		"access_token_strategy": "jwt", "client_credentials_grant_access_token_lifespan": "1h30m0s",
		"metadata": map[string]any{"tokenos": map[string]any{
			"v": json.Number("1"), "ledger": "ledger1", "rev": json.Number("9007199254740993"), "op": "op1",
			"root_id": "key_test_0", "kind": "management", "description": "pays", "environment": "test",
			"labels": map[string]any{"team": "payments"}, "owners": []any{"acme"},
			"public_keys": []any{
				map[string]any{"kid": "gone", "created_at": "2026-11-23T10:00:00Z", "expires_at": "2026-11-23T10:00:00Z"},
				map[string]any{"kid": "k1", "created_at": "2026-11-23T10:00:00Z"},
			},
			"expires_at": "2026-11-23T11:00:00Z", "disabled_at": "2026-11-23T10:00:00Z",
			"disabled_until": "2026-11-23T11:00:00Z", "ends_at": "2026-11-23T11:00:00Z",
			"replaces": "key_test_0", "replaced_by": "key_test_2",
			"created_at": "2026-11-23T10:00:00Z", "created_by": "user:ana", "updated_at": "2026-11-23T11:00:00Z",
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestProjectShutAndBare(t *testing.T) {
	// A shut key without anything optional still sends every list, because an
	// absent list means Hydra's default.
	w := apikey.ClientWrite{Definition: apikey.Definition{ID: "key_test_1", AuthMethod: apikey.ClientSecretBasic, Scopes: []string{"a"}}}
	got := asJSON(t, project(w))
	for name, want := range map[string]any{
		"grant_types": []any{"disabled"}, "response_types": []any{}, "audience": []any{}, "scope": "a", "owner": "",
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, name := range []string{"client_secret", "jwks", "jwks_uri", "token_endpoint_auth_signing_alg"} {
		if v, found := got[name]; found {
			t.Errorf("%s: got %v, want it left out", name, v)
		}
	}
}

func TestProjectSecret(t *testing.T) {
	// The secret goes out only if the write carries one.
	w := fullWrite()
	w.Secret = apikey.GenerateSecret()
	if got := asJSON(t, project(w))["client_secret"]; got != w.Secret.Reveal() {
		t.Fatal("the secret was not sent as it is")
	}
}

func TestProjectKeepsAlgorithm(t *testing.T) {
	// A key whose public keys have all ended keeps its algorithm: unset would be RS256.
	w := fullWrite()
	w.PublicKeys = nil
	got := asJSON(t, project(w))
	if diff := cmp.Diff(map[string]any{"keys": []any{}}, got["jwks"]); diff != "" {
		t.Error(diff)
	}
	if got["token_endpoint_auth_signing_alg"] != "ES256" {
		t.Errorf("alg: got %v", got["token_endpoint_auth_signing_alg"])
	}
}

func TestProjectIsPure(t *testing.T) {
	// Projecting changes nothing and shares no slice that a caller could write into.
	w := fullWrite()
	before := asJSON(t, w.Definition)
	project(w).Audience[0] = "changed"
	if diff := cmp.Diff(before, asJSON(t, w.Definition)); diff != "" {
		t.Fatal(diff)
	}
}

func TestStateFrom(t *testing.T) {
	// The marker is read exactly, and a client of somebody else has none.
	mine := apikey.ClientState{Ledger: "ledger1", Op: "op1", Revision: 9_007_199_254_740_993}
	raw, err := json.Marshal(project(fullWrite()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, body string
		want       apikey.ClientState
	}{
		{"ours", string(raw), mine},
		{"no metadata", `{"client_id":"a"}`, apikey.ClientState{}},
		{"null", `{"metadata":null}`, apikey.ClientState{}},
		{"text", `{"metadata":"tokenos"}`, apikey.ClientState{}},
		{"list", `{"metadata":[{"tokenos":{"ledger":"ledger1"}}]}`, apikey.ClientState{}},
		{"marker of another type", `{"metadata":{"tokenos":"ledger1"}}`, apikey.ClientState{}},
		{"revision as text", `{"metadata":{"tokenos":{"ledger":"ledger1","rev":"1"}}}`, apikey.ClientState{}},
		{"not json", `<html>`, apikey.ClientState{}},
	} {
		if diff := cmp.Diff(c.want, stateFrom([]byte(c.body))); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	// What Hydra would take and then do otherwise is refused before any call.
	for _, c := range []struct {
		name   string
		change func(*apikey.ClientWrite)
		ok     bool
	}{
		{"as it should be", func(*apikey.ClientWrite) {}, true},
		{"id with a slash", func(w *apikey.ClientWrite) { w.Definition.ID = "a/b" }, false},
		{"id of dots", func(w *apikey.ClientWrite) { w.Definition.ID = ".." }, false},
		{"no scope", func(w *apikey.ClientWrite) { w.Definition.Scopes = nil }, false},
		{"secret beyond bcrypt", func(w *apikey.ClientWrite) { w.Secret = apikey.NewSecret(strings.Repeat("a", 73)) }, false},
		{"no ledger", func(w *apikey.ClientWrite) { w.Ledger = "" }, false},
		{"no op", func(w *apikey.ClientWrite) { w.Op = "" }, false},
		{"two algorithms", func(w *apikey.ClientWrite) {
			w.PublicKeys = []apikey.PublicKey{{Alg: "ES256"}, {Alg: "RS256"}}
		}, false},
	} {
		w := fullWrite()
		c.change(&w)
		if err := check(w); (err == nil) != c.ok {
			t.Errorf("%s: got %v, want ok %v", c.name, err, c.ok)
		}
	}
}
