package hydra_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
)

// sent is what Hydra v2.3.0 sends (fact 5.3), for the client id and a form.
func sent(id, payload string) string {
	return `{"session":{"id_token":{"id_token_claims":{"jti":"","iss":"http://127.0.0.1:4444","sub":"","aud":null,"nonce":"","exp":"0001-01-01T00:00:00Z","iat":"2026-11-23T15:24:12.5Z","rat":"0001-01-01T00:00:00Z","auth_time":"0001-01-01T00:00:00Z","at_hash":"","acr":"","amr":null,"c_hash":"","ext":null},` +
		`"headers":{"extra":null},"expires_at":{"access_token":"2026-11-23T15:39:12Z"},"username":"","subject":"` + id + `"},"extra":{},"kid":"","client_id":"` + id + `","consent_challenge":"","exclude_not_before_claim":false,"allowed_top_level_claims":[],"mirror_top_level_claims":true},` +
		`"request":{"client_id":"` + id + `","requested_scopes":["read"],"granted_scopes":["read"],"granted_audience":["https://api"],"grant_types":["client_credentials"],"payload":` + payload + `}}`
}

// decideInto keeps what it is asked.
func decideInto(q *apikey.TokenRequest) func(context.Context, apikey.TokenRequest) apikey.Decision {
	return func(_ context.Context, asked apikey.TokenRequest) apikey.Decision {
		*q = asked
		return apikey.Decision{Verdict: apikey.Foreign}
	}
}

// The hook takes the client from request.client_id alone, whatever the caller
// put into its form, and hands on the scopes.
func TestHookReadsClient(t *testing.T) {
	var got apikey.TokenRequest
	h := hydra.Hook{Decide: decideInto(&got)}
	for _, payload := range []string{`{"grant_type":["client_credentials"],"scope":["read"]}`, `{"client_id":["another"],"assertion":["x","y"]}`, `{"request":{"client_id":"another"}}`} {
		status, _ := h.Answer(t.Context(), []byte(sent("mine", payload)))
		if d := cmp.Diff(apikey.TokenRequest{ClientID: "mine", Requested: []string{"read"}, Granted: []string{"read"}}, got); d != "" || status != http.StatusNoContent {
			t.Errorf("%s: %d (-want +got):\n%s", payload, status, d)
		}
	}
}

// Each verdict has its status; only claims have a body, and it holds nothing else.
func TestHookAnswers(t *testing.T) {
	for _, c := range []struct {
		decision apikey.Decision
		status   int
		body     string
	}{
		{apikey.Decision{}, 400, ""},
		{apikey.Decision{Verdict: apikey.Foreign}, 204, ""},
		{apikey.Decision{Verdict: apikey.Refused, Denied: apikey.DeniedRevoked}, 403, ""},
		{apikey.Decision{Verdict: apikey.Allowed, Claims: apikey.Claims{RootID: "r", Owner: `o"<`, Environment: apikey.Test}}, 200, `{"session":{"access_token":{"root_id":"r","owner":"o\"<","env":"test"}}}`},
		{apikey.Decision{Verdict: apikey.Allowed, Claims: apikey.Claims{RootID: "r", Owner: "o", Environment: apikey.Live, KeyExpiresAt: "2027-02-21T00:00:00Z"}}, 200,
			`{"session":{"access_token":{"root_id":"r","owner":"o","env":"live","key_expires_at":"2027-02-21T00:00:00Z"}}}`},
		{apikey.Decision{Verdict: 99}, 400, ""},
	} {
		h := hydra.Hook{Decide: func(context.Context, apikey.TokenRequest) apikey.Decision { return c.decision }}
		if status, body := h.Answer(t.Context(), []byte(sent("mine", "{}"))); status != c.status || string(body) != c.body {
			t.Errorf("%+v: %d %s, want %d %s", c.decision, status, body, c.status, c.body)
		}
	}
}

// hostileBodies are no requests of Hydra's.
func hostileBodies() map[string]string {
	good := sent("mine", "{}")
	return map[string]string{
		"empty": "", "null": "null", "text": `"mine"`, "list": "[" + good + "]", "half": good[:len(good)/2], "two": good + good, "tail": good + "x", "no request": `{"session":{}}`,
		"request null": `{"request":null}`, "no client": `{"request":{}}`, "empty client": `{"request":{"client_id":""}}`, "client number": `{"request":{"client_id":1}}`,
		"client list": `{"request":{"client_id":["mine"]}}`, "client null": `{"request":{"client_id":null}}`, "other case": `{"request":{"Client_ID":"mine"}}`, "other case outside": `{"Request":{"client_id":"mine"}}`,
		"client twice": `{"request":{"client_id":"mine","client_id":"other"}}`, "request twice": `{"request":{"client_id":"mine"},"request":{"client_id":"other"}}`,
		"twice elsewhere": `{"request":{"client_id":"mine","payload":{"a":1,"a":2}}}`, "bad scopes": `{"request":{"client_id":"mine","requested_scopes":"read"}}`,
		"bad utf-8": "{\"request\":{\"client_id\":\"m\xff\"}}", "lone surrogate": `{"request":{"client_id":"m\ud800"}}`, "deep": `{"request":{"client_id":"mine","payload":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}}`,
		"payload only": `{"payload":{"client_id":"mine"}}`, "form": "request.client_id=mine", "comment": `{"request":/**/{"client_id":"mine"}}`, "bom": "\ufeff" + good,
	}
}

// A body that is not Hydra's is 400, and nobody is asked about it.
func TestHookHostileBodies(t *testing.T) {
	h := hydra.Hook{Decide: func(context.Context, apikey.TokenRequest) apikey.Decision {
		t.Error("asked")
		return apikey.Decision{Verdict: apikey.Allowed}
	}}
	for name, body := range hostileBodies() {
		if status, answer := h.Answer(t.Context(), []byte(body)); status != http.StatusBadRequest || len(answer) != 0 {
			t.Errorf("%s: %d %s, want 400", name, status, answer)
		}
	}
}

// Whatever comes, the answer is one of four, and who is asked about is what an
// exact reading of request.client_id says.
func FuzzHook(f *testing.F) {
	f.Add([]byte(sent("mine", "{}")))
	for _, body := range hostileBodies() {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		asked := ""
		h := hydra.Hook{Decide: func(_ context.Context, q apikey.TokenRequest) apikey.Decision {
			asked = q.ClientID
			return apikey.Decision{Verdict: apikey.Foreign}
		}}
		status, _ := h.Answer(t.Context(), body)
		if asked == "" {
			if status != http.StatusBadRequest {
				t.Fatalf("nobody was asked: %d", status)
			}
			return
		}
		var m map[string]json.RawMessage
		var r map[string]json.RawMessage
		var id string
		if json.Unmarshal(body, &m) != nil || json.Unmarshal(m["request"], &r) != nil || json.Unmarshal(r["client_id"], &id) != nil || id != asked || status != http.StatusNoContent {
			t.Fatalf("asked about %q, status %d", asked, status)
		}
	})
}
