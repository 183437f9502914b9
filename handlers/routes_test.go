package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// Each route makes its call, with what the request says, and answers in its
// form.
func TestRoutes(t *testing.T) {
	const idem = "0123456789abcdef"
	at, owners := "/v1/keys/"+keyID, "/v1/owners/"
	until, scopes, name := then.Add(time.Hour), []string{"a", "b"}, "n"
	tests := []struct {
		method, target, body string
		status               int
		call                 string
		params               any
		holds                string
	}{
		{"GET", "/v1/keys", "", 200, "list", apikey.ListParams{}, `"next_cursor":"next","count":1`},
		{"GET", "/v1/keys?q=x&owner=o&status=active&environment=live&auth_method=private_key_jwt&scope=s&label=k:v&expires_before=2026-11-23T12:00:00Z&root_id=r&kind=api&sort=-name&limit=7&cursor=c&count=true", "", 200, "list",
			apikey.ListParams{Q: "x", Owner: "o", Status: "active", Environment: "live", AuthMethod: "private_key_jwt", Scope: "s", Label: "k:v", ExpiresBefore: &then, RootID: "r", Kind: "api", Sort: "-name", Limit: 7, Cursor: "c", Count: true}, `"data":[{"id"`},
		{"POST", "/v1/keys", `{"name":"n","scopes":["a","b"],"token":{"lifetime":"1h30m"},"labels":{"team":"x"},"expires_at":"2026-11-23T13:00:00Z"}`, 201, "create",
			apikey.CreateParams{Name: "n", Scopes: scopes, Token: &apikey.TokenParams{Lifetime: new(apikey.Duration(90 * time.Minute))}, Labels: map[string]string{"team": "x"}, ExpiresAt: apikey.SetTo(until), IdempotencyKey: idem}, `"client_secret":"` + secretNow},
		{"GET", at, "", 200, "get " + keyID, nil, `"last_used_at":null`},
		{"PATCH", at, `{"name":"n","expires_at":null,"labels":{"a":null}}`, 200, "update " + keyID,
			apikey.UpdateParams{Name: &name, ExpiresAt: apikey.Null[time.Time](), Labels: map[string]*string{"a": nil}}, `"revision":7`},
		{"DELETE", at, "", 204, "delete " + keyID, nil, ""},
		{"POST", at + "/disable", `{"until":"2026-11-23T13:00:00Z"}`, 200, "disable " + keyID, apikey.DisableParams{Until: &until, IdempotencyKey: idem}, `"access_ends_at":{"introspected":"2026-11-23T12:00:00Z","offline":null}`},
		{"POST", at + "/disable", "", 200, "disable " + keyID, apikey.DisableParams{IdempotencyKey: idem}, `"key":{`},
		{"POST", at + "/enable", "", 200, "enable " + keyID, apikey.ActionParams{IdempotencyKey: idem}, `"key":{`},
		{"POST", at + "/enable", "{}", 200, "enable " + keyID, apikey.ActionParams{IdempotencyKey: idem}, `"key":{`},
		{"POST", at + "/revoke", `{"reason":"key_compromise"}`, 202, "revoke " + keyID, apikey.RevokeParams{Reason: apikey.KeyCompromise, IdempotencyKey: idem}, `"pending":true`},
		{"POST", at + "/tokens/revoke", "", 200, "revoke tokens " + keyID, apikey.ActionParams{IdempotencyKey: idem}, `"key":{`},
		{"POST", at + "/disable", `{"dry_run":true}`, 200, "disable " + keyID, apikey.DisableParams{DryRun: true, IdempotencyKey: idem}, `"others":[]`},
		{"POST", at + "/rotations", `{"grace_period":"0s","force":true}`, 201, "rotate " + keyID, apikey.RotateParams{GracePeriod: new(apikey.Duration(0)), Force: true, IdempotencyKey: idem}, `"client_secret":"` + secretNow},
		{"POST", at + "/rotations", "", 201, "rotate " + keyID, apikey.RotateParams{IdempotencyKey: idem}, `"mode":"successor","previous_ends_at":"2026-11-23T12:00:00Z","verified_at":"2026-11-23T12:00:00Z"`},
		{"POST", at + "/rotations", `{"dry_run":true}`, 200, "rotate " + keyID, apikey.RotateParams{DryRun: true, IdempotencyKey: idem}, `"dry_run":true`},
		{"POST", at + "/rotations/complete", "", 200, "complete " + keyID, apikey.ActionParams{IdempotencyKey: idem}, `"key":{`},
		{"GET", at + "/public-keys", "", 200, "public keys " + keyID, nil, `{"data":[],"next_cursor":null}`},
		{"POST", at + "/public-keys", `{"jwk":{"kty":"EC"}}`, 201, "add public key " + keyID, apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: apikey.JWK{"kty": "EC"}}, IdempotencyKey: idem}, `"kid":"abc"`},
		{"DELETE", at + "/public-keys/a_b-c", "", 204, "remove public key " + keyID + " a_b-c", nil, ""},
		{"POST", owners + "acme/disable", `{"until":"2026-11-23T13:00:00Z"}`, 202, "disable owner acme", apikey.DisableOwnerParams{Until: &until, IdempotencyKey: idem}, `"state":"running"`},
		{"POST", owners + "acme/disable", `{"dry_run":true}`, 200, "disable owner acme", apikey.DisableOwnerParams{DryRun: true, IdempotencyKey: idem}, `"state":"preview","dry_run":true`},
		{"POST", owners + "acme/enable", `{"all":true}`, 202, "enable owner acme", apikey.EnableOwnerParams{All: true, IdempotencyKey: idem}, `"failures":[]`},
		{"POST", owners + "acme/revoke", `{"reason":"superseded","description":"d"}`, 202, "revoke owner acme", apikey.RevokeOwnerParams{Reason: apikey.Superseded, Description: "d", IdempotencyKey: idem}, `"id":"` + operationID},
		{"POST", owners + "acme/tokens/revoke", "", 202, "revoke tokens of owner acme", apikey.OwnerActionParams{IdempotencyKey: idem}, `"finished_at":null`},
		{"POST", owners + "a%20b%2Fc%C3%A9%25.d+e/enable", "", 202, "enable owner a b/cé%.d+e", apikey.EnableOwnerParams{IdempotencyKey: idem}, `"id":"`},
		{"POST", owners + "tokens%2Frevoke/disable", "", 202, "disable owner tokens/revoke", apikey.DisableOwnerParams{IdempotencyKey: idem}, `"id":"`},
		{"GET", "/v1/operations/" + operationID, "", 200, "operation " + operationID, nil, `"state":"running"`},
		{"GET", at + "/events?limit=2&cursor=5", "", 200, "key events " + keyID, apikey.PageParams{Limit: 2, Cursor: "5"}, `"id":3`},
		{"GET", at + "/usage", "", 200, "usage " + keyID, apikey.UsageParams{}, `"data":[{"from":"2026-11-23T12:00:00Z","issued":2,"denied":1,"denied_by":{"expired":1}}],"totals":{"issued":2`},
		{"GET", at + "/usage?by=hour&from=2026-11-23T12:00:00Z&to=2026-11-23T13:00:00Z", "", 200, "usage " + keyID, apikey.UsageParams{By: apikey.ByHour, From: &then, To: &until}, `"last_denial":{"reason":"expired","at":"2026-11-23T12:00:00Z"},"scopes":[{"scope":"orders:read","last_asked_at":null}]`},
		{"GET", "/v1/keys?last_used_before=2026-11-23T12:00:00Z&unused_scopes=90&sort=last_used_at", "", 200, "list", apikey.ListParams{LastUsedBefore: &then, UnusedScopes: 90, Sort: "last_used_at"}, `"data":[{"id"`},
		{"GET", "/v1/events?after=9&limit=1", "", 200, "events", apikey.FeedParams{After: 9, Limit: 1}, `{"data":[],"next_cursor":"9"}`},
		{"GET", "/v1/events?order=newest&before=9&action=key.disabled&key_id=k&principal=user:ana&since=2026-11-23T12:00:00Z", "", 200, "events",
			apikey.FeedParams{Before: 9, Newest: true, Action: apikey.ActionDisable, KeyID: "k", Principal: "user:ana", Since: &then}, `{"data":[]`},
		{"POST", "/v1/events/verification", "", 202, "verify events", nil, `{"state":"running","checked":0,"total":7,"begun_at":"2026-11-23T12:00:00Z","ended_at":null}`},
		{"GET", "/v1/events/verification", "", 200, "verification", nil, `"state":"broken","checked":2,"total":7,"begun_at":"2026-11-23T12:00:00Z","ended_at":"2026-11-23T12:00:00Z","first_wrong":3,"reason":"it is missing"}`},
		{"GET", "/v1/capabilities", "", 200, "capabilities", nil, `"name_length":100`},
		{"POST", "/v1/keys", `{"name":"n","scopes":["a","b"],"expires_at":null}`, 201, "create", apikey.CreateParams{Name: "n", Scopes: scopes, ExpiresAt: apikey.Null[time.Time](), IdempotencyKey: idem}, `"key":{`},
		{"GET", "/v1/doctor", "", 200, "doctor", nil, `{"result":"fail","version":"v1","checked_at":"2026-11-23T12:00:00Z","checks":[{"name":"ledger","result":"pass","seen":"s","why":"w"},{"name":"token_hook","result":"fail","seen":"s","why":"w","fix":"f"}]}`},
		{"GET", "/v1/signing-keys", "", 200, "signing keys", nil, `{"data":[{"kid":"new","alg":"ES256","bits":256,"signs":true,"created_at":"2026-11-23T12:00:00Z","replaced_at":null,"retirable_at":null},` +
			`{"kid":"old","alg":"RS256","bits":4096,"signs":false,"created_at":null,"replaced_at":"2026-11-23T12:00:00Z","retirable_at":"2026-11-23T12:00:00Z"}],"next_cursor":null}`},
		{"GET", "/v1/policies", "", 200, "policies ", nil, `"never_expires":true,"auth_methods":["client_secret_basic",`},
		{"GET", "/v1/policies?owner=acme", "", 200, "policies acme", nil, `"owner":"acme","live":{`},
		{"GET", "/v1/policies/violations?owner=acme&limit=3&cursor=c", "", 200, "policy violations", apikey.PolicyViolationsParams{Owner: "acme", Limit: 3, Cursor: "c"}, `"code":"policy","rule":"max_lifetime","limit":"90d"}]}],"next_cursor":"next"`},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.target, func(t *testing.T) {
			b := newBench(t, nil)
			r := request(test.method, test.target, test.body)
			r.Header.Set("Idempotency-Key", idem)
			res, body := b.do(r)
			if res.StatusCode != test.status || !strings.Contains(body, test.holds) {
				t.Fatalf("got %d %s, want %d with %s", res.StatusCode, body, test.status, test.holds)
			}
			if diff := cmp.Diff([]string{test.call}, b.called()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.params, b.last); diff != "" {
				t.Errorf("params (-want +got):\n%s", diff)
			}
			if res.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", res.Header.Get("Cache-Control"))
			}
			if test.status == 204 != (body == "") {
				t.Errorf("status %d with body %q", test.status, body)
			}
			if test.status != 201 && strings.Contains(body, secretNow) {
				t.Error("the secret left")
			}
		})
	}
}

// A verification under way is 202 and says where to ask; a result that serves is
// 200.
func TestVerifyEvents(t *testing.T) {
	b := newBench(t, nil)
	res, _ := b.do(request("POST", "/v1/events/verification", ""))
	if res.StatusCode != 202 || res.Header.Get("Location") != "/v1/events/verification" {
		t.Errorf("under way: %d, Location %q", res.StatusCode, res.Header.Get("Location"))
	}
	b.verified = apikey.VerificationIntact
	if res, body := b.do(request("POST", "/v1/events/verification", "")); res.StatusCode != 200 || res.Header.Get("Location") != "" || !strings.Contains(body, `"state":"intact"`) {
		t.Errorf("found already: %d, Location %q, %s", res.StatusCode, res.Header.Get("Location"), body)
	}
}

// A create says where the key is and at which revision; a private_key_jwt key
// has no client_secret, not even an empty one.
func TestCreated(t *testing.T) {
	b := newBench(t, nil)
	res, _ := b.do(request("POST", "/v1/keys", `{"name":"n","scopes":["a"]}`))
	if res.Header.Get("Location") != "/v1/keys/"+keyID || res.Header.Get("ETag") != `"1"` {
		t.Errorf("Location %q, ETag %q", res.Header.Get("Location"), res.Header.Get("ETag"))
	}
	_, body := b.do(request("POST", "/v1/keys", `{"name":"n","scopes":["a"],"auth_method":"private_key_jwt","public_keys":[{"jwk":{}}]}`))
	if strings.Contains(body, "client_secret\":") {
		t.Errorf("got %s", body)
	}
	if strings.Contains(b.log.String(), secretNow) {
		t.Error("the secret is in the log")
	}
}

// If-Match becomes the revision that the change must find; If-None-Match is not
// heeded.
func TestETags(t *testing.T) {
	for header, want := range map[string]int64{
		`"7"`: 7, `"3", "7"`: 7, `"7" , "3"`: 7, `*`: 0, `W/"7"`: -1, `"x"`: -1, `7`: -1, `"07"`: -1, `"7`: -1, `"7" "3"`: -1, `garbage`: -1, `"0"`: -1, `"99999999999999999999"`: -1,
	} {
		b := newBench(t, nil)
		r := request("PATCH", "/v1/keys/"+keyID, `{"name":"n"}`)
		r.Header.Set("If-Match", header)
		res, body := b.do(r)
		if got := b.last.(apikey.UpdateParams).IfMatch; got != want {
			t.Errorf("If-Match %s: revision %d, want %d", header, got, want)
		}
		if want == -1 {
			wantProblem(t, res, body, 412, apikey.ErrPrecondition)
		} else if res.StatusCode != 200 || res.Header.Get("ETag") != `"7"` {
			t.Errorf("If-Match %s: got %d, ETag %s", header, res.StatusCode, res.Header.Get("ETag"))
		}
	}
	b := newBench(t, nil)
	r := request("GET", "/v1/keys/"+keyID, "")
	r.Header.Set("If-None-Match", `"7"`)
	if res, body := b.do(r); res.StatusCode != 200 || body == "" {
		t.Errorf("If-None-Match: got %d %q; the status may have changed under the ETag", res.StatusCode, body)
	}
}

// An empty If-Match is a guard that matches nothing, not none, and all of its
// lines count.
func TestIfMatchLines(t *testing.T) {
	for name, lines := range map[string][]string{"empty": {""}, "empty twice": {"", ""}, "empty first": {"", `"8"`}, "empty last": {`"8"`, ""}, "star twice": {"*", "*"}} {
		b := newBench(t, nil)
		r := request("PATCH", "/v1/keys/"+keyID, `{"name":"n"}`)
		r.Header["If-Match"] = lines
		res, body := b.do(r)
		if wantProblem(t, res, body, 412, apikey.ErrPrecondition); t.Failed() {
			t.Fatal(name)
		}
	}
	b := newBench(t, nil)
	r := request("PATCH", "/v1/keys/"+keyID, `{"name":"n"}`)
	r.Header["If-Match"] = []string{`"3"`, `"7"`}
	if res, body := b.do(r); res.StatusCode != 200 || b.last.(apikey.UpdateParams).IfMatch != 7 {
		t.Errorf("two lines: got %d %s, asked %v", res.StatusCode, body, b.last)
	}
}

// The caller of a call is who the token belongs to, where it came from, and
// under which request id.
func TestCallerTravels(t *testing.T) {
	var got apikey.Caller
	b := newBench(t, nil)
	r := request("GET", "/v1/keys/"+keyID, "")
	r.RemoteAddr = "203.0.113.9:1234"
	r.Header.Set("User-Agent", "curl/8\x1b[31m"+strings.Repeat("é", 10)+strings.Repeat("a", 300))
	b.fake.hold = nil
	b.h = mustNew(t, handlers.Config{API: seeing{b.fake, &got}, Authenticate: authenticate})
	res, _ := b.do(r)
	want := apikey.Caller{Principal: "key:root1", Rights: []apikey.Right{apikey.Admin}, Address: "203.0.113.9",
		UserAgent: ("curl/8[31m" + strings.Repeat("a", 300))[:200], RequestID: res.Header.Get("X-Request-Id")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("caller (-want +got):\n%s", diff)
	}
}

func mustNew(t *testing.T, c handlers.Config) http.Handler {
	t.Helper()
	h, err := handlers.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// HEAD answers as GET.
func TestHead(t *testing.T) {
	b := newBench(t, nil)
	res, _ := b.do(request("HEAD", "/v1/keys/"+keyID, ""))
	if res.StatusCode != 200 || res.Header.Get("ETag") != `"7"` {
		t.Errorf("got %d, ETag %q", res.StatusCode, res.Header.Get("ETag"))
	}
}

// seeing notes the caller of a Get.
type seeing struct {
	*fake
	caller *apikey.Caller
}

func (s seeing) Get(ctx context.Context, id string) (apikey.Key, error) {
	*s.caller, _ = apikey.CallerFrom(ctx)
	return s.fake.Get(ctx, id)
}
