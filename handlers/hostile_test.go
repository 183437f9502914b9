package handlers_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

const ok = `"name":"n","scopes":["a"]`

// hostileBodies are sent to create a key.
var hostileBodies = []struct {
	name, body string
	status     int
	kind       apikey.ErrorKind
	says       string
}{
	{"broken", `{`, 400, apikey.ErrMalformed, "not valid JSON"},
	{"array", `[]`, 400, apikey.ErrMalformed, "JSON object"},
	{"null", `null`, 400, apikey.ErrMalformed, "JSON object"},
	{"string", `"` + canary + `"`, 400, apikey.ErrMalformed, "JSON object"},
	{"empty", ``, 400, apikey.ErrMalformed, "needs a body"},
	{"blank", "  \n", 400, apikey.ErrMalformed, "needs a body"},
	{"two objects", `{` + ok + `}{}`, 400, apikey.ErrMalformed, "follows"},
	{"trailing text", `{` + ok + `} ` + canary, 400, apikey.ErrMalformed, "follows"},
	{"same member twice", `{` + ok + `,"name":"` + canary + `"}`, 400, apikey.ErrMalformed, "twice"},
	{"same member twice inside", `{` + ok + `,"labels":{"a":"1","a":"2"}}`, 400, apikey.ErrMalformed, "twice"},
	{"escaped twin", `{` + ok + `,"n\u0061me":"x"}`, 400, apikey.ErrMalformed, "twice"},
	{"case variant", `{` + ok + `,"Name":"` + canary + `"}`, 400, apikey.ErrMalformed, `"pointer":"#/Name","detail":"there is no such member here","fix":"write it name"`},
	{"long s", `{` + ok + `,"ſcopes":["` + canary + `"]}`, 400, apikey.ErrMalformed, "unknown_member"},
	{"client_id", `{` + ok + `,"client_id":"` + canary + `"}`, 400, apikey.ErrMalformed, "#/client_id"},
	{"grant_types", `{` + ok + `,"grant_types":["` + canary + `"]}`, 400, apikey.ErrMalformed, "#/grant_types"},
	{"jwks_uri", `{` + ok + `,"jwks_uri":"` + canary + `"}`, 400, apikey.ErrMalformed, "#/jwks_uri"},
	{"skip_consent", `{` + ok + `,"skip_consent":true}`, 400, apikey.ErrMalformed, "#/skip_consent"},
	{"proto", `{` + ok + `,"metadata":{"__proto__":"` + canary + `"}}`, 400, apikey.ErrMalformed, "#/metadata"},
	{"idempotency key inside", `{` + ok + `,"IdempotencyKey":"` + canary + `"}`, 400, apikey.ErrMalformed, "#/IdempotencyKey"},
	{"secret as a name", `{` + ok + `,"` + canary + `":1}`, 400, apikey.ErrMalformed, `"pointer":"#"`},
	{"unknown inside", `{` + ok + `,"token":{"ttl":"5m"}}`, 400, apikey.ErrMalformed, "#/token/ttl"},
	{"deep", strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000), 400, apikey.ErrMalformed, "deeper"},
	{"deep in a jwk", `{` + ok + `,"public_keys":[{"jwk":{"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}}]}`, 400, apikey.ErrMalformed, "deeper"},
	{"lone surrogate", `{` + ok + `,"description":"\ud800"}`, 400, apikey.ErrMalformed, "not valid JSON"},
	{"bad UTF-8", "{" + ok + ",\"description\":\"\xff\xfe\"}", 400, apikey.ErrMalformed, "not valid JSON"},
	{"BOM", "\ufeff{" + ok + "}", 400, apikey.ErrMalformed, "JSON object"},
	{"NaN", `{` + ok + `,"token":NaN}`, 400, apikey.ErrMalformed, "not valid JSON"},
	{"comment", `{` + ok + `/*` + canary + `*/}`, 400, apikey.ErrMalformed, "not valid JSON"},
	{"huge number", `{` + ok + `,"public_keys":[{"jwk":{"n":1e999}}]}`, 400, apikey.ErrMalformed, "out of all bounds"},
	{"number for a string", `{"name":5,"scopes":["a"]}`, 422, apikey.ErrInvalid, `"pointer":"#/name","detail":"must be a string"`},
	{"null in a list", `{"name":"n","scopes":[null]}`, 422, apikey.ErrInvalid, "#/scopes/0"},
	{"null for a label", `{` + ok + `,"labels":{"a":null}}`, 422, apikey.ErrInvalid, "#/labels/a"},
	{"string for a list", `{"name":"n","scopes":"` + canary + `"}`, 422, apikey.ErrInvalid, `"pointer":"#/scopes","detail":"must be an array"`},
	{"number in a list", `{"name":"n","scopes":["a",7]}`, 422, apikey.ErrInvalid, "#/scopes/1"},
	{"string for an object", `{` + ok + `,"labels":"` + canary + `"}`, 422, apikey.ErrInvalid, "#/labels"},
	{"nested label", `{` + ok + `,"labels":{"` + canary + `":{"a":"b"}}}`, 422, apikey.ErrInvalid, `"pointer":"#/labels"`},
	{"number for a time", `{` + ok + `,"expires_at":1893456000}`, 422, apikey.ErrInvalid, "#/expires_at"},
	{"no such day", `{` + ok + `,"expires_at":"2026-02-30T00:00:00Z"}`, 422, apikey.ErrInvalid, "RFC 3339"},
	{"time without zone", `{` + ok + `,"expires_at":"2027-01-01T00:00:00"}`, 422, apikey.ErrInvalid, "RFC 3339"},
	{"leap second", `{` + ok + `,"expires_at":"2027-06-30T23:59:60Z"}`, 422, apikey.ErrInvalid, "RFC 3339"},
	{"comma in a time", `{` + ok + `,"expires_at":"2027-01-01T00:00:00,5Z"}`, 422, apikey.ErrInvalid, "RFC 3339"},
	{"zone of a whole day", `{` + ok + `,"expires_at":"2027-01-01T00:00:00+24:00"}`, 422, apikey.ErrInvalid, "RFC 3339"},
	{"one digit for an hour", `{` + ok + `,"expires_at":"2027-01-01T0:00:00Z"}`, 422, apikey.ErrInvalid, "RFC 3339"},
	{"number for a duration", `{` + ok + `,"token":{"lifetime":300}}`, 422, apikey.ErrInvalid, "#/token/lifetime"},
	{"no duration", `{` + ok + `,"token":{"lifetime":"` + canary + `"}}`, 422, apikey.ErrInvalid, `"pointer":"#/token/lifetime","detail":"must be a duration"`},
	{"all at once", `{"name":1,"scopes":2,"labels":3}`, 422, apikey.ErrInvalid, "#/labels"},
}

// noEcho fails if anything of the canary came back or was logged.
func noEcho(t testing.TB, b *bench, res reply, body string) {
	t.Helper()
	if strings.Contains(body, canary) || strings.Contains(fmt.Sprint(res.Header), canary) {
		t.Errorf("the answer repeats what was sent: %v %s", res.Header, body)
	}
	if strings.Contains(b.log.String(), canary) {
		t.Errorf("the log repeats what was sent: %s", b.log)
	}
	b.log.Reset()
}

// Bodies that are not one JSON object of the right shape are refused before any
// call, and nothing of them is repeated (catalogue A 1 to 7, 13, 14).
func TestHostileBodies(t *testing.T) {
	for _, test := range hostileBodies {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, nil)
			r := request("POST", "/v1/keys", test.body)
			res, body := b.do(r)
			wantProblem(t, res, body, test.status, test.kind)
			if !strings.Contains(body, test.says) {
				t.Errorf("got %s, want it to say %s", body, test.says)
			}
			if b.count() != 0 {
				t.Error("it reached the API")
			}
			noEcho(t, b, res, body)
		})
	}
}

// In a merge patch null removes: it is refused where there is nothing to
// remove, rather than passed over.
func TestPatchNulls(t *testing.T) {
	for body, status := range map[string]int{
		`{"name":null}`: 422, `{"scopes":null}`: 422, `{"description":null}`: 422, `{"labels":null}`: 422, `{"token":null}`: 422,
		`{"expires_at":null}`: 200, `{"labels":{"a":null}}`: 200, `{}`: 200,
	} {
		b := newBench(t, nil)
		if res, got := b.do(request("PATCH", "/v1/keys/"+keyID, body)); res.StatusCode != status {
			t.Errorf("%s: got %d %s, want %d", body, res.StatusCode, got, status)
		}
	}
}

// Times in a merge patch are as strict as elsewhere: what reads them there is
// laxer.
func TestPatchTimes(t *testing.T) {
	for at, status := range map[string]int{
		"2027-01-01T00:00:00,5Z": 422, "2027-01-01T00:00:00+24:00": 422, "2027-01-01T00:00:00+01:60": 422, "2027-01-01T0:00:00Z": 422,
		"2027-01-01T00:00:00.5Z": 200, "2027-01-01T00:00:00+23:59": 200,
	} {
		b := newBench(t, nil)
		if res, got := b.do(request("PATCH", "/v1/keys/"+keyID, `{"expires_at":"`+at+`"}`)); res.StatusCode != status {
			t.Errorf("%s: got %d %s, want %d", at, res.StatusCode, got, status)
		}
	}
}

// A body over the limit is refused however it is sent, and not read to its end
// (A 4).
func TestBodySize(t *testing.T) {
	b := newBench(t, func(c *handlers.Config) { c.MaxBodyBytes = 1000 })
	fits := `{"name":"n","scopes":["a"],"description":"` + strings.Repeat("x", 1000-45) + `"}`
	fits += strings.Repeat(" ", 1000-len(fits))
	if res, body := b.do(request("POST", "/v1/keys", fits)); res.StatusCode != 201 {
		t.Errorf("1000 bytes: got %d %s", res.StatusCode, body)
	}
	res, body := b.do(request("POST", "/v1/keys", fits+" "))
	wantProblem(t, res, body, 413, apikey.ErrTooLarge)

	endless := &countingReader{}
	r := request("POST", "/v1/keys", "{}")
	r.Body, r.ContentLength = io.NopCloser(endless), -1
	res, body = b.do(r)
	wantProblem(t, res, body, 413, apikey.ErrTooLarge)
	if endless.read > 128<<10 {
		t.Errorf("%d bytes were read", endless.read)
	}
}

type countingReader struct{ read int }

func (c *countingReader) Read(p []byte) (int, error) {
	c.read += len(p)
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// Only JSON in UTF-8, uncompressed, is taken (A 6).
func TestMediaTypes(t *testing.T) {
	tests := []struct {
		method, contentType, encoding string
		status                        int
	}{
		{"POST", "application/json", "", 201},
		{"POST", "application/json; charset=UTF-8", "", 201},
		{"POST", "APPLICATION/JSON", "", 201},
		{"POST", "application/json; charset=utf-16", "", 415},
		{"POST", "application/json; v=" + canary, "", 415},
		{"POST", "application/merge-patch+json", "", 415},
		{"POST", "application/problem+json", "", 415},
		{"POST", "text/plain", "", 415},
		{"POST", "", "", 415},
		{"POST", "application/x-www-form-urlencoded", "", 415},
		{"POST", "multipart/form-data; boundary=" + canary, "", 415},
		{"POST", "application/json", "gzip", 415},
		{"POST", "application/json", "identity", 415},
		{"PATCH", "application/merge-patch+json", "", 200},
		{"PATCH", "application/json", "", 200},
		{"PATCH", "application/json-patch+json", "", 415},
	}
	for _, test := range tests {
		b := newBench(t, nil)
		target, body := "/v1/keys", `{"name":"n","scopes":["a"]}`
		if test.method == "PATCH" {
			target, body = "/v1/keys/"+keyID, `{"name":"n"}`
		}
		r := request(test.method, target, body)
		r.Header.Del("Content-Type")
		if test.contentType != "" {
			r.Header.Set("Content-Type", test.contentType)
		}
		if test.encoding != "" {
			r.Header.Set("Content-Encoding", test.encoding)
		}
		res, got := b.do(r)
		if res.StatusCode != test.status {
			t.Errorf("%s %q %q: got %d %s, want %d", test.method, test.contentType, test.encoding, res.StatusCode, got, test.status)
		}
		if test.status == 415 {
			wantProblem(t, res, got, 415, apikey.ErrUnsupportedMediaType)
		}
		noEcho(t, b, res, got)
	}
}

// Paths that cannot name a key reach nothing, however they are written (A 11).
func TestHostilePaths(t *testing.T) {
	for _, path := range []string{
		"/v1/keys/..", "/v1/keys/.", "/v1/keys/%2e%2e", "/v1/keys/..%2f..%2fadmin%2fclients", "/v1/keys/%00",
		"/v1/keys/" + strings.Repeat("a", 5000), "/v1/keys/a%2Fb", "/v1/keys/;x=" + canary, "/v1/keys/k%C3%A9y",
		"/v1/keys/%6bey", "/v1/keys/" + keyID + "/", "/v1/keys/", "/v1//keys", "//v1/keys/" + keyID,
		"/v1/keys/../keys/" + keyID, "/v1/keys/a+b", "/v1/keys/a@b", "/v1/keys/" + keyID + "/../" + keyID,
		"/v1/keys/" + keyID + "/public-keys/%2e%2e", "/v1/keys/" + keyID + "%2fdisable", "/v1/keys/" + canary + "/nothing",
		"/V1/keys", "/v1/nothing", "/v1", "/v1/", "/", "/health", "/health/ready/x", "/openapi.yaml", "/docs", "/schemas/Key", "/" + canary,
	} {
		b := newBench(t, nil)
		res, body := b.do(request("GET", path, ""))
		wantProblem(t, res, body, 404, apikey.ErrNotFound)
		if res.Header.Get("Location") != "" {
			t.Errorf("%s: redirected to %s", path, res.Header.Get("Location"))
		}
		if b.count() != 0 {
			t.Errorf("%s reached the API", path)
		}
		noEcho(t, b, res, body)
	}
}

// Queries are read strictly: misspelt, repeated and unreadable parameters are
// 400, values out of bounds 422.
func TestHostileQueries(t *testing.T) {
	tests := []struct {
		target string
		status int
		kind   apikey.ErrorKind
		says   string
	}{
		{"/v1/keys?onwer=" + canary, 400, apikey.ErrMalformed, `"?onwer"`},
		{"/v1/keys?" + canary + "=1", 400, apikey.ErrMalformed, `"pointer":"?"`},
		{"/v1/keys?access_token=" + goodToken, 400, apikey.ErrMalformed, "access_token"},
		{"/v1/keys?limit=1&limit=2", 400, apikey.ErrMalformed, "more than once"},
		{"/v1/keys?Limit=1", 400, apikey.ErrMalformed, "?Limit"},
		{"/v1/keys?q=%zz" + canary, 400, apikey.ErrMalformed, "query"},
		{"/v1/keys?q=a;limit=1", 400, apikey.ErrMalformed, "query"},
		{"/v1/keys?q=%00", 400, apikey.ErrMalformed, "?q"},
		{"/v1/keys?q=%ff", 400, apikey.ErrMalformed, "?q"},
		{"/v1/keys?q=a%0d%0aSet-Cookie:x", 400, apikey.ErrMalformed, "?q"},
		{"/v1/keys?limit=0", 422, apikey.ErrInvalid, "?limit"},
		{"/v1/keys?limit=201", 422, apikey.ErrInvalid, "?limit"},
		{"/v1/keys?limit=-1", 422, apikey.ErrInvalid, "?limit"},
		{"/v1/keys?limit=" + canary, 422, apikey.ErrInvalid, "whole number"},
		{"/v1/keys?limit=99999999999999999999", 422, apikey.ErrInvalid, "?limit"},
		{"/v1/keys?count=" + canary, 422, apikey.ErrInvalid, "?count"},
		{"/v1/keys?expires_before=" + canary, 422, apikey.ErrInvalid, "RFC 3339"},
		{"/v1/events?after=-1", 422, apikey.ErrInvalid, "?after"},
		{"/v1/events?cursor=1", 400, apikey.ErrMalformed, "?cursor"},
		{"/v1/keys/" + keyID + "?x=1", 400, apikey.ErrMalformed, "?x"},
		{"/health/ready?verbose=1", 400, apikey.ErrMalformed, "?verbose"},
		{"/openapi.json?format=" + canary, 400, apikey.ErrMalformed, "?format"},
	}
	for _, test := range tests {
		b := newBench(t, nil)
		res, body := b.do(request("GET", test.target, ""))
		wantProblem(t, res, body, test.status, test.kind)
		if !strings.Contains(body, test.says) {
			t.Errorf("%s: got %s, want it to say %s", test.target, body, test.says)
		}
		if b.count() != 0 {
			t.Errorf("%s reached the API", test.target)
		}
		noEcho(t, b, res, body)
	}
}

// Headers that change what a request means are taken in their one form or not
// at all (A 17).
func TestHostileHeaders(t *testing.T) {
	for name, values := range map[string][]string{
		"empty": {""}, "short": {strings.Repeat("a", 15)}, "long": {strings.Repeat("a", 256)}, "control": {"0123456789abcdef\t"},
		"space": {"0123456789 abcdef"}, "not ASCII": {"0123456789abcdeé"}, "two": {"0123456789abcdef", "0123456789abcdef"},
	} {
		b := newBench(t, nil)
		r := request("POST", "/v1/keys", `{"name":"n","scopes":["a"]}`)
		r.Header["Idempotency-Key"] = values
		res, body := b.do(r)
		if res.StatusCode != 400 || b.count() != 0 {
			t.Errorf("Idempotency-Key %s: got %d %s", name, res.StatusCode, body)
		}
	}
	for _, id := range []string{"a\r\nb", strings.Repeat("x", 10000), canary, "a b"} {
		b := newBench(t, nil)
		r := request("GET", "/v1/keys", "")
		r.Header.Set("X-Request-Id", id)
		res, body := b.do(r)
		if got := res.Header.Get("X-Request-Id"); !strings.HasPrefix(got, "req_") {
			t.Errorf("X-Request-Id %q", got)
		}
		noEcho(t, b, res, body)
	}
	b := newBench(t, nil)
	r := request("DELETE", "/v1/keys/"+keyID, "")
	r.Header.Set("If-Match", `"3"`)
	res, body := b.do(r)
	wantProblem(t, res, body, 400, apikey.ErrMalformed)
	if b.count() != 0 {
		t.Error("a guarded delete went on without its guard")
	}

	r = request("GET", "/v1/keys", "")
	r.Header.Set("Accept", "json, "+canary+", application/problem+json")
	if res, _ := b.do(r); res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type %q", res.Header.Get("Content-Type"))
	}
}

// A wrong method is 405 with Allow, and no header overrides it (A 18).
func TestMethods(t *testing.T) {
	for _, test := range []struct{ method, path, allow string }{
		{"TRACE", "/v1/keys", "GET, HEAD, POST"},
		{"PUT", "/v1/keys/" + keyID, "DELETE, GET, HEAD, PATCH"},
		{"PATCH", "/v1/keys", "GET, HEAD, POST"},
		{"GET", "/v1/keys/" + keyID + "/disable", "POST"},
		{"HEAD", "/v1/keys/" + keyID + "/disable", "POST"},
		{"OPTIONS", "/v1/events", "GET, HEAD"},
		{canary, "/v1/events", "GET, HEAD"},
		{"POST", "/health/alive", "GET, HEAD"},
		{"POST", "/openapi.json", "GET, HEAD"},
	} {
		b := newBench(t, nil)
		r := request(test.method, test.path, "")
		r.Header.Set("X-HTTP-Method-Override", "GET")
		res, body := b.do(r)
		wantProblem(t, res, body, 405, apikey.ErrMethodNotAllowed)
		if got := res.Header.Get("Allow"); got != test.allow {
			t.Errorf("%s %s: Allow %q, want %q", test.method, test.path, got, test.allow)
		}
		noEcho(t, b, res, body)
	}
}

// Text that would do harm elsewhere goes through unchanged, as JSON (A 8).
func TestTextIsText(t *testing.T) {
	for _, name := range []string{`<img src=x onerror=fetch('//e')>`, `{{7*7}}`, `javascript:alert(1)`, `=cmd|'/c calc'!A0`, `'; drop table keys`, "a\u2028b"} {
		b := newBench(t, nil)
		body, err := jsonOf(map[string]any{"name": name, "scopes": []string{"a"}})
		if err != nil {
			t.Fatal(err)
		}
		res, got := b.do(request("POST", "/v1/keys", body))
		if res.StatusCode != 201 || b.last.(apikey.CreateParams).Name != name || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%q: got %d %s", name, res.StatusCode, got)
		}
	}
}

// One request is one line in the log, with neither query nor headers.
func TestAccessLog(t *testing.T) {
	b := newBench(t, nil)
	r := request("GET", "/v1/keys?q="+canary, "")
	r.Header.Set("X-Secret", canary)
	r.Header.Set("User-Agent", "x\n{\"level\":\"INFO\"}"+canary)
	res, _ := b.do(r)
	lines := bytes.Split(bytes.TrimSpace([]byte(b.log.String())), []byte("\n"))
	if len(lines) != 1 {
		t.Fatalf("got %d lines: %s", len(lines), b.log)
	}
	for _, want := range []string{`"route":"/v1/keys"`, `"status":200`, `"principal":"key:root1"`, `"address":"192.0.2.1"`, res.Header.Get("X-Request-Id"), `"method":"GET"`, `"duration_ms":`} {
		if !strings.Contains(b.log.String(), want) {
			t.Errorf("the log lacks %s: %s", want, b.log)
		}
	}
	if strings.Contains(b.log.String(), canary) || strings.Contains(b.log.String(), goodToken) {
		t.Errorf("the log holds what was sent: %s", b.log)
	}
}
