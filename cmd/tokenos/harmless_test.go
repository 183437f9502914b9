//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tokenos/tokenos/apikey"
)

// evil does things to a terminal that prints it.
const evil = "\x1b]0;owned\a\x1b[2J\u202edet\u200b\u0085\u2028\ttab\nline\r\x7f\U000e0041"

// checkHarmless wants a text that does nothing to a terminal.
func checkHarmless(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, unsafeRune); i >= 0 {
		t.Errorf("%s: %q", what, text[i:min(len(text), i+40)])
	}
}

// What was made harmless reads as what it is.
func TestHarmlessForms(t *testing.T) {
	want := map[string]string{evil: evil + "\ufeff"}
	for form, f := range map[string]struct {
		write func(io.Writer, any) error
		read  func([]byte, any) error
	}{"json": {writeJSON, json.Unmarshal}, "yaml": {writeYAML, yaml.Unmarshal}} {
		var b bytes.Buffer
		var got map[string]string
		if err := errors.Join(f.write(&b, want), f.read(b.Bytes(), &got)); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %q, %v", form, got, err)
		}
		checkHarmless(t, form, b.String())
	}
}

// evilKey is a key of which every text is hostile.
func evilKey() apikey.Key {
	at := time.Unix(0, 0).UTC()
	return apikey.Key{Definition: apikey.Definition{ID: evil, RootID: evil + "2", Name: evil, Description: evil, Owner: evil, Kind: apikey.KindManagement, Owners: []string{evil},
		AuthMethod: evil, Scopes: []string{evil, evil, evil}, Audiences: []string{evil}, Labels: map[string]string{evil: evil}, Secret: &apikey.SecretInfo{Hint: evil},
		Token: apikey.TokenSettings{Format: evil}, PublicKeys: []apikey.PublicKey{{KID: evil, Alg: evil, JWK: apikey.JWK{evil: evil}}}, Replaces: new(evil), ReplacedBy: new(evil),
		CreatedBy: evil, RevokedAt: &at, RevocationReason: evil, RevocationDescription: evil}, Status: evil, Flags: []apikey.Flag{evil}}
}

// evilAnswer is what a hostile server answers to everything.
func evilAnswer(r *http.Request) any {
	at := time.Unix(0, 0).UTC()
	impact := apikey.Impact{Others: []apikey.Other{{ID: evil, Name: evil, Status: evil}}, AccessEndsAt: &apikey.AccessEnds{}}
	list := func(data ...any) any { return map[string]any{"data": data, "next_cursor": nil} }
	end := func(s string) bool { return strings.HasSuffix(r.URL.Path, s) }
	switch {
	case r.Method == http.MethodDelete:
		return nil
	case r.Method == http.MethodPatch:
		return apikey.Updated{Key: evilKey(), Impact: &impact}
	case end("/keys") && r.Method == http.MethodPost:
		return map[string]any{"key": evilKey(), "client_secret": evil}
	case end("/rotations"):
		return struct {
			apikey.Rotation
			ClientSecret string `json:"client_secret"`
		}{apikey.Rotation{Key: evilKey(), Mode: apikey.RotationSuccessor, Proof: apikey.Proof{Unverified: evil}, Impact: impact}, evil}
	case strings.Contains(r.URL.Path, "/owners/"), strings.Contains(r.URL.Path, "/operations/"):
		return apikey.Operation{ID: evil, Owner: evil, Action: evil, State: evil, CreatedBy: evil, Failures: []apikey.KeyFailure{{KeyID: evil, Code: evil}}}
	case end("/public-keys") && r.Method == http.MethodPost:
		return evilKey().PublicKeys[0]
	case r.Method == http.MethodPost:
		return apikey.Result{Key: evilKey(), Impact: impact, Pending: true}
	case end("/keys"):
		return list(evilKey())
	case end("/events"):
		return list(apikey.Event{ID: 1, Action: evil, KeyID: evil, Owner: evil, Principal: evil, Address: evil, UserAgent: evil, After: map[string]any{evil: evil}})
	case end("/usage"):
		return apikey.Usage{Data: []apikey.PeriodCounts{{TokenCounts: apikey.TokenCounts{DeniedBy: map[apikey.Denial]int64{evil: 1}}}}, LastDenial: &apikey.LastDenial{Reason: evil, At: at},
			Scopes: []apikey.ScopeUsage{{Scope: evil}}}
	case end("/violations"):
		return list(apikey.KeyViolations{KeyID: evil, Name: evil, Owner: evil, Status: evil, Violations: []apikey.FieldError{{Pointer: evil, Detail: evil, Rule: evil, Limit: evil}}})
	case end("/policies"):
		return apikey.EffectivePolicies{Owner: evil, Live: apikey.Policy{Scopes: []string{evil}}, Scopes: []apikey.ScopeInfo{{Name: evil, Title: evil, Description: evil}}}
	case end("/capabilities"):
		return apikey.Capabilities{Hydra: &apikey.HydraCapabilities{Version: evil, Issuer: evil}, TokenURL: evil, Algorithms: []string{evil}}
	case end("/public-keys"):
		return list(evilKey().PublicKeys[0])
	}
	return evilKey()
}

// evilCommands are the commands that show what a server answers.
func evilCommands() [][]string {
	var out [][]string
	for _, line := range []string{"keys list --all", "keys get ID", "keys create worker --scope a", "keys create worker --scope a --quiet", "keys create worker --scope a --env-file FILE",
		"keys update ID --add-scope b", "keys rotate ID", "keys rotate ID --env-file FILE", "keys rotate ID --dry-run", "keys rotate ID --complete --yes", "keys disable ID", "keys enable ID",
		"keys revoke ID --yes", "keys delete ID --yes", "keys revoke-tokens ID", "keys usage ID", "keys events ID", "keys snippet ID",
		"owners disable acme --yes", "owners revoke acme --dry-run", "owners operation op_1", "policies", "policies violations", "capabilities", "audit list"} {
		out = append(out, strings.Fields(strings.ReplaceAll(line, " ID", " "+someID)))
	}
	return out
}

// No text of a server does anything to a terminal, in any command and any form,
// also when it refuses.
func TestNothingReachesTheTerminal(t *testing.T) {
	good := newFake(t, func(w http.ResponseWriter, r *http.Request) { answers(w, http.StatusOK, evilAnswer(r)) })
	refusing := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		answers(w, http.StatusConflict, map[string]any{"code": "busy", "detail": evil, "request_id": evil})
	})
	wrong := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
		answers(w, http.StatusUnprocessableEntity, map[string]any{"code": "invalid", "errors": []any{map[string]any{"pointer": "#/" + evil, "detail": evil, "fix": evil, "code": evil}}})
	})
	for _, url := range []string{good.URL, refusing.URL, wrong.URL} {
		for _, format := range formats {
			for _, args := range evilCommands() {
				if i := slices.Index(args, "FILE"); i > 0 {
					args[i] = filepath.Join(t.TempDir(), "key.env")
				}
				var out, words strings.Builder
				p := program{env: callTo(t, url), stdout: &out, stderr: &words}
				code := p.run(t.Context(), append(args, "-o", format))
				what := fmt.Sprintf("%s -o %s (exit %d)", strings.Join(args, " "), format, code)
				checkHarmless(t, what, out.String())
				checkHarmless(t, what, words.String())
				if out.String()+words.String() == "" && !slices.Contains(args, "--quiet") {
					t.Errorf("%s: says nothing", what)
				}
			}
		}
	}
}
