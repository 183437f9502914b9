package handlers_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// fakeHolder answers as an apikey.Holder, and remembers what it was shown.
type fakeHolder struct {
	mu    sync.Mutex
	shown []string
	from  apikey.Caller
	err   error
}

func (f *fakeHolder) note(ctx context.Context, c apikey.HolderCredential, reason apikey.RevocationReason) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	own := c.Own
	f.shown = append(f.shown, strings.Trim(fmt.Sprint(c.Token.Reveal(), " ", own.Method, " ", own.ID, " ", own.Secret.Reveal(), " ", own.Assertion.Reveal(), " ", reason), " "))
	f.from, _ = apikey.CallerFrom(ctx)
	return f.err
}

func (f *fakeHolder) Self(ctx context.Context, c apikey.HolderCredential) (apikey.Self, error) {
	return apikey.Self{ID: keyID, RootID: keyID, Status: apikey.StatusActive, Flags: []apikey.Flag{}, Scopes: []string{"a"}, Audiences: []string{}}, f.note(ctx, c, "")
}

func (f *fakeHolder) RevokeSelf(ctx context.Context, c apikey.HolderCredential, p apikey.RevokeSelfParams) error {
	return f.note(ctx, c, p.Reason)
}

func newHolder(t testing.TB) (*fakeHolder, *bench) {
	t.Helper()
	f := &fakeHolder{}
	return f, newBench(t, func(c *handlers.Config) { c.Holder = f })
}

// holding makes a request of a holder, with what the Authorization header says
// ("": none) and a form ("": no body).
func holding(method, target, authorization, form string) *http.Request {
	r := request(method, target, form)
	r.Header.Del("Authorization")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

const (
	jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	secretOfF = "s+e%c r:e/t"
)

// unsigned is an assertion in form, with a signature that nobody checks here.
func unsigned(header, claims string) string {
	b := base64.RawURLEncoding
	return b.EncodeToString([]byte(header)) + "." + b.EncodeToString([]byte(claims)) + "." + b.EncodeToString([]byte("signature"))
}

var assertionOfF = unsigned(`{"alg":"ES256"}`, `{"iss":"`+keyID+`","sub":"`+keyID+`","jti":"1","exp":9999999999}`)

// A holder shows a token, Basic or a form, and what it shows is what the routes
// pass on, with where it came from and without any right.
func TestSelfPresented(t *testing.T) {
	form := url.Values{"client_id": {keyID}, "client_secret": {secretOfF}}.Encode()
	asserted := url.Values{"client_assertion_type": {jwtBearer}, "client_assertion": {assertionOfF}}.Encode()
	for name, test := range map[string]struct {
		r     *http.Request
		shown string
		holds string
	}{
		"token":                     {holding("GET", "/v1/self", "bearer "+canary, ""), canary, `"status":"active"`},
		"head":                      {holding("HEAD", "/v1/self", "Bearer "+canary, ""), canary, ``},
		"token by post":             {holding("POST", "/v1/self", "Bearer "+canary, ""), canary, `"root_id":"` + keyID},
		"basic":                     {holding("GET", "/v1/self", basic(keyID, secretOfF), ""), "client_secret_basic " + keyID + " " + secretOfF, `"expires_at":null`},
		"basic by post":             {holding("POST", "/v1/self", basic(keyID, secretOfF), ""), "client_secret_basic " + keyID + " " + secretOfF, `"flags":[]`},
		"form":                      {holding("POST", "/v1/self", "", form), "client_secret_post " + keyID + " " + secretOfF, `"id":"` + keyID},
		"assertion":                 {holding("POST", "/v1/self", "", asserted), "private_key_jwt   " + assertionOfF, `"id":"` + keyID},
		"assertion with client_id":  {holding("POST", "/v1/self", "", asserted+"&client_id="+keyID), "private_key_jwt " + keyID + "  " + assertionOfF, `"id":"` + keyID},
		"revoke by token":           {holding("POST", "/v1/self/revoke", "Bearer "+canary, ""), canary, `{"status":"revoked"}`},
		"revoke by token, a reason": {holding("POST", "/v1/self/revoke", "Bearer "+canary, "reason=superseded"), canary + "     superseded", `{"status":"revoked"}`},
		"revoke by basic, a reason": {holding("POST", "/v1/self/revoke", basic(keyID, "x"), "reason=key_compromise"), "client_secret_basic " + keyID + " x  key_compromise", `{"status":"revoked"}`},
		"revoke by form":            {holding("POST", "/v1/self/revoke", "", form), "client_secret_post " + keyID + " " + secretOfF, `{"status":"revoked"}`},
		"revoke by form, a reason":  {holding("POST", "/v1/self/revoke", "", form+"&reason=unspecified"), "client_secret_post " + keyID + " " + secretOfF + "  unspecified", `{"status":"revoked"}`},
		"revoke by assertion":       {holding("POST", "/v1/self/revoke", "", asserted), "private_key_jwt   " + assertionOfF, `{"status":"revoked"}`},
	} {
		f, b := newHolder(t)
		test.r.Header.Set("User-Agent", "probe/1")
		res, body := b.do(test.r)
		if res.StatusCode != 200 || !strings.Contains(body, test.holds) || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %s", name, res.StatusCode, body)
		}
		if len(f.shown) != 1 || f.shown[0] != test.shown {
			t.Errorf("%s: shown %q, want %q", name, f.shown, test.shown)
		}
		if f.from.Principal != "" || len(f.from.Rights) > 0 || f.from.Address == "" || f.from.RequestID != res.Header.Get("X-Request-Id") || f.from.UserAgent != "probe/1" {
			t.Errorf("%s: from %+v", name, f.from)
		}
		if b.count() != 0 {
			t.Errorf("%s: the management API was called", name)
		}
		noEcho(t, b, res, body)
	}
}

// What cannot be a credential, or is two, is refused before anybody is asked,
// and nothing of it is repeated.
func TestSelfHostile(t *testing.T) {
	secret := "client_id=" + keyID + "&client_secret=" + canary
	asserted := "client_assertion_type=" + url.QueryEscape(jwtBearer) + "&client_assertion=" + assertionOfF
	assertionWith := func(header, claims string) string {
		return "client_assertion_type=" + url.QueryEscape(jwtBearer) + "&client_assertion=" + unsigned(header, claims)
	}
	raw := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	mistyped := apikey.GenerateSecret().Reveal()[:52] + "!"
	for name, test := range map[string]struct {
		authorization, form string
		status              int
		kind                apikey.ErrorKind
	}{
		"nothing":                   {"", "", 401, apikey.ErrUnauthenticated},
		"empty id":                  {"", "client_id=", 400, apikey.ErrMalformed},
		"unknown scheme":            {"Digest " + canary, "", 401, apikey.ErrUnauthenticated},
		"scheme alone":              {"Basic", "", 401, apikey.ErrUnauthenticated},
		"no base64":                 {"Basic " + canary + "!", "", 401, apikey.ErrUnauthenticated},
		"no colon":                  {raw(canary), "", 401, apikey.ErrUnauthenticated},
		"no secret":                 {raw(keyID + ":"), "", 401, apikey.ErrUnauthenticated},
		"no id":                     {raw(":" + canary), "", 401, apikey.ErrUnauthenticated},
		"bad encoding of secret":    {raw(keyID + ":" + canary + "%zz"), "", 401, apikey.ErrUnauthenticated},
		"bad encoding of id":        {raw("%:" + canary), "", 401, apikey.ErrUnauthenticated},
		"dots":                      {raw("..:" + canary), "", 401, apikey.ErrUnauthenticated},
		"NUL in id":                 {raw(keyID + "%00:" + canary), "", 401, apikey.ErrUnauthenticated},
		"slash in id":               {raw("a%2Fb:" + canary), "", 401, apikey.ErrUnauthenticated},
		"mistyped secret":           {basic(keyID, mistyped), "", 401, apikey.ErrUnauthenticated},
		"huge basic":                {raw(keyID + ":" + strings.Repeat("a", 9<<10)), "", 401, apikey.ErrUnauthenticated},
		"huge token":                {"Bearer " + strings.Repeat("a", 9<<10), "", 401, apikey.ErrUnauthenticated},
		"token and form":            {"Bearer " + canary, secret, 400, apikey.ErrMalformed},
		"basic and form":            {basic(keyID, canary), secret, 400, apikey.ErrMalformed},
		"basic and client_id":       {basic(keyID, canary), "client_id=" + keyID, 400, apikey.ErrMalformed},
		"token and assertion":       {"Bearer " + canary, asserted, 400, apikey.ErrMalformed},
		"secret and assertion":      {"", secret + "&" + asserted, 400, apikey.ErrMalformed},
		"secret without id":         {"", "client_secret=" + canary, 400, apikey.ErrMalformed},
		"id alone":                  {"", "client_id=" + keyID, 400, apikey.ErrMalformed},
		"assertion without type":    {"", "client_assertion=" + assertionOfF, 400, apikey.ErrMalformed},
		"another type":              {"", "client_assertion_type=" + canary + "&client_assertion=" + assertionOfF, 400, apikey.ErrMalformed},
		"type alone":                {"", "client_assertion_type=" + url.QueryEscape(jwtBearer), 400, apikey.ErrMalformed},
		"id twice":                  {"", secret + "&client_id=" + keyID, 400, apikey.ErrMalformed},
		"secret twice":              {"", secret + "&client_secret=" + canary, 400, apikey.ErrMalformed},
		"empty secret":              {"", "client_id=" + keyID + "&client_secret=", 400, apikey.ErrMalformed},
		"unknown parameter":         {"", secret + "&" + canary + "=1", 400, apikey.ErrMalformed},
		"grant_type":                {"", secret + "&grant_type=client_credentials", 400, apikey.ErrMalformed},
		"another case":              {"", "Client_id=" + keyID + "&client_secret=" + canary, 400, apikey.ErrMalformed},
		"semicolons":                {"", "client_id=" + keyID + ";client_secret=" + canary, 400, apikey.ErrMalformed},
		"bad escape":                {"", secret + "%zz", 400, apikey.ErrMalformed},
		"no UTF-8":                  {"", secret + "%ff", 400, apikey.ErrMalformed},
		"dots in form":              {"", "client_id=..&client_secret=" + canary, 401, apikey.ErrUnauthenticated},
		"NUL in form":               {"", "client_id=a%00b&client_secret=" + canary, 401, apikey.ErrUnauthenticated},
		"17 KiB":                    {"", secret + strings.Repeat("a", 17<<10), 413, apikey.ErrTooLarge},
		"70 KiB":                    {"", secret + strings.Repeat("a", 70<<10), 413, apikey.ErrTooLarge},
		"many parameters":           {"", secret + strings.Repeat("&a=b", 3000), 400, apikey.ErrMalformed},
		"assertion of alg none":     {"", assertionWith(`{"alg":"none"}`, `{"iss":"a","sub":"a","jti":"1","exp":9999999999}`), 401, apikey.ErrUnauthenticated},
		"assertion of HS256":        {"", assertionWith(`{"alg":"HS256"}`, `{"iss":"a","sub":"a","jti":"1","exp":9999999999}`), 401, apikey.ErrUnauthenticated},
		"assertion of EdDSA":        {"", assertionWith(`{"alg":"EdDSA"}`, `{"iss":"a","sub":"a","jti":"1","exp":9999999999}`), 401, apikey.ErrUnauthenticated},
		"assertion of another sub":  {"", asserted + "&client_id=" + keyID + "x", 401, apikey.ErrUnauthenticated},
		"assertion of dots":         {"", assertionWith(`{"alg":"ES256"}`, `{"iss":"..","sub":"..","jti":"1","exp":9999999999}`), 401, apikey.ErrUnauthenticated},
		"assertion without sub":     {"", assertionWith(`{"alg":"ES256"}`, `{"iss":"a","jti":"1","exp":9999999999}`), 401, apikey.ErrUnauthenticated},
		"assertion of numbers":      {"", assertionWith(`{"alg":"ES256"}`, `{"iss":1,"sub":1,"jti":1,"exp":"1"}`), 401, apikey.ErrUnauthenticated},
		"assertion that is none":    {"", "client_assertion_type=" + url.QueryEscape(jwtBearer) + "&client_assertion=" + canary, 401, apikey.ErrUnauthenticated},
		"assertion of 9 KiB":        {"", assertionWith(`{"alg":"ES256"}`, `{"iss":"a","sub":"a","jti":"`+strings.Repeat("a", 8<<10)+`","exp":9999999999}`), 401, apikey.ErrUnauthenticated},
		"assertion as JSON, signed": {"", "client_assertion_type=" + url.QueryEscape(jwtBearer) + "&client_assertion=" + url.QueryEscape(`{"payload":"e30","signatures":[]}`), 401, apikey.ErrUnauthenticated},
	} {
		for _, target := range []string{"/v1/self", "/v1/self/revoke"} {
			f, b := newHolder(t)
			res, body := b.do(holding("POST", target, test.authorization, test.form))
			if res.StatusCode != test.status {
				t.Errorf("%s at %s: got %d %s, want %d", name, target, res.StatusCode, body, test.status)
				continue
			}
			wantProblem(t, res, body, test.status, test.kind)
			if len(f.shown) > 0 {
				t.Errorf("%s at %s: the holder was asked", name, target)
			}
			if strings.Contains(res.Header.Get("WWW-Authenticate"), "Basic") {
				t.Errorf("%s at %s: browsers are told to ask for a secret", name, target)
			}
			noEcho(t, b, res, body)
		}
	}
}

// The bodies of holders are forms and nothing else, and no other route takes one.
func TestSelfMediaTypes(t *testing.T) {
	f, b := newHolder(t)
	var parts bytes.Buffer
	w := multipart.NewWriter(&parts)
	_ = w.WriteField("client_id", keyID)
	_ = w.WriteField("client_secret", canary)
	_ = w.Close()
	form := "client_id=" + keyID + "&client_secret=" + canary
	for media, body := range map[string]string{
		"application/json": `{"client_id":"` + keyID + `","client_secret":"` + canary + `"}`, w.FormDataContentType(): parts.String(), "": form,
		"text/plain": form, "application/x-www-form-urlencoded; charset=utf-16": form, "application/x-www-form-urlencoded; boundary=x": form,
	} {
		r := holding("POST", "/v1/self/revoke", "", body)
		r.Header.Set("Content-Type", media)
		if media == "" {
			r.Header.Del("Content-Type")
		}
		res, answer := b.do(r)
		wantProblem(t, res, answer, 415, apikey.ErrUnsupportedMediaType)
		noEcho(t, b, res, answer)
	}
	r := request("POST", "/v1/keys/"+keyID+"/revoke", "reason=superseded")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, answer := b.do(r)
	wantProblem(t, res, answer, 415, apikey.ErrUnsupportedMediaType)
	if len(f.shown) > 0 || b.count() > 0 {
		t.Errorf("shown %q, called %d times", f.shown, b.count())
	}
}

// A credential counts in the one header and the form only, once, and over TLS.
func TestSelfElsewhere(t *testing.T) {
	f, b := newHolder(t)
	query := holding("POST", "/v1/self?client_id="+keyID+"&client_secret="+canary, basic(keyID, "x"), "")
	res, body := b.do(query)
	wantProblem(t, res, body, 400, apikey.ErrMalformed)
	noEcho(t, b, res, body)
	twice := holding("GET", "/v1/self", basic(keyID, canary), "")
	twice.Header.Add("Authorization", "Bearer "+canary)
	res, body = b.do(twice)
	wantProblem(t, res, body, 401, apikey.ErrUnauthenticated)
	noEcho(t, b, res, body)
	clear := httptest.NewRequestWithContext(t.Context(), "GET", "http://keys.test/v1/self", nil)
	clear.Header.Set("Authorization", basic(keyID, canary))
	res, body = b.do(clear)
	wantProblem(t, res, body, 403, apikey.ErrHTTPSRequired)
	noEcho(t, b, res, body)
	res, body = b.do(holding("GET", "/v1/self/revoke", basic(keyID, "x"), ""))
	wantProblem(t, res, body, 405, apikey.ErrMethodNotAllowed)
	for _, beside := range []string{"/v1/self/", "/v1/self/x", "/v1/selfish", "/v1/Self"} {
		res, body = b.do(holding("GET", beside, basic(keyID, "x"), ""))
		wantProblem(t, res, body, 401, apikey.ErrUnauthenticated)
	}
	if len(f.shown) > 0 {
		t.Errorf("shown %q", f.shown)
	}
}

// Where nobody answers holders their routes are like any that are not there.
func TestSelfAbsent(t *testing.T) {
	b := newBench(t, nil)
	res, body := b.do(holding("GET", "/v1/self", basic(keyID, "x"), ""))
	wantProblem(t, res, body, 401, apikey.ErrUnauthenticated)
	res, body = b.do(request("GET", "/v1/self", ""))
	wantProblem(t, res, body, 404, apikey.ErrNotFound)
}

// A refused token is told apart from none (RFC 6750 section 3.1); a failure
// answers nothing of the cause.
func TestSelfRefused(t *testing.T) {
	f, b := newHolder(t)
	f.err = &apikey.Error{Kind: apikey.ErrUnauthenticated, Detail: "no", Cause: fmt.Errorf("because %s", canary)}
	for authorization, challenge := range map[string]string{
		"Bearer x": `Bearer realm="tokenos", error="invalid_token"`, basic(keyID, "x"): `Bearer realm="tokenos"`,
	} {
		for _, target := range []string{"/v1/self", "/v1/self/revoke"} {
			res, body := b.do(holding("POST", target, authorization, ""))
			wantProblem(t, res, body, 401, apikey.ErrUnauthenticated)
			if got := res.Header.Get("WWW-Authenticate"); got != challenge {
				t.Errorf("%s at %s: WWW-Authenticate %s", authorization, target, got)
			}
			noEcho(t, b, res, body)
		}
	}
	f.err = &apikey.Error{Kind: apikey.ErrUnavailable}
	res, body := b.do(holding("POST", "/v1/self/revoke", basic(keyID, "x"), ""))
	wantProblem(t, res, body, 503, apikey.ErrUnavailable)
	if res.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
