package handlers_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// fakeIntrospector answers as an apikey.Introspector, and remembers the tokens.
type fakeIntrospector struct {
	mu     sync.Mutex
	tokens []string
	says   apikey.Introspection
	err    error
}

func (f *fakeIntrospector) Introspect(_ context.Context, token apikey.Secret) (apikey.Introspection, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens = append(f.tokens, token.Reveal())
	return f.says, f.err
}

func introspectBench(t *testing.T) (*bench, *fakeIntrospector) {
	f := &fakeIntrospector{}
	return newBench(t, func(c *handlers.Config) { c.Introspector = f }), f
}

func form(body string) *http.Request {
	r := request("POST", "/v1/introspect", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// The answer is that of RFC 7662: of an active token all that is known, of any
// other one member and nothing that tells why.
func TestIntrospectAnswers(t *testing.T) {
	b, f := introspectBench(t)
	res, body := b.do(form("token=" + canary))
	if res.StatusCode != 200 || body != `{"active":false}` || res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("not active: %d %s %v", res.StatusCode, body, res.Header)
	}
	f.says = apikey.Introspection{Active: true, ClientID: keyID, Subject: keyID, Scope: "a b", Audiences: []string{}, Issuer: "https://auth.test", TokenType: "Bearer",
		ExpiresAt: 1_803_168_000, IssuedAt: 1_803_167_100, NotBefore: 1_803_167_100, RootID: keyID, Owner: "acme", Env: apikey.Live}
	res, body = b.do(form("token=a%2Bb&token_type_hint=access_token"))
	want := `{"active":true,"client_id":"` + keyID + `","sub":"` + keyID + `","scope":"a b","aud":[],"iss":"https://auth.test","token_type":"Bearer",` +
		`"exp":1803168000,"iat":1803167100,"nbf":1803167100,"root_id":"` + keyID + `","owner":"acme","env":"live"}`
	if res.StatusCode != 200 || body != want || f.tokens[1] != "a+b" {
		t.Errorf("active: %d %s, asked about %q", res.StatusCode, body, f.tokens[1])
	}
	f.err = &apikey.Error{Kind: apikey.ErrUnavailable}
	res, body = b.do(form("token=" + canary))
	if res.StatusCode != 503 || strings.Contains(body, "active") || res.Header.Get("Retry-After") == "" {
		t.Errorf("in an outage: %d %s", res.StatusCode, body)
	}
	if strings.Contains(b.log.String(), canary) {
		t.Error("the token is in the log")
	}
}

// A request that cannot be understood, or asks for more than is looked at, is
// refused without asking anybody, and never repeats what was sent.
func TestIntrospectForms(t *testing.T) {
	b, f := introspectBench(t)
	for body, status := range map[string]int{
		"":                        400,
		"token=":                  400,
		"token=a&token=" + canary: 400,
		"token=a&scope=" + canary: 400,
		"token=a&" + canary + "=": 400,
		"token=a&client_id=b&client_secret=" + canary: 400,
		"token=%zz" + canary:                          400,
		"token=%ff" + canary:                          400,
		"token=a;token=" + canary:                     400,
		"token_type_hint=access_token":                400,
		"token_type_hint=a&token_type_hint=b&token=c": 400,
		"token=" + strings.Repeat("a", 17<<10):        413,
		"token=" + strings.Repeat("a", 70<<10):        413,
	} {
		res, answer := b.do(form(body))
		if res.StatusCode != status || strings.Contains(answer, canary) || len(f.tokens) != 0 {
			t.Errorf("%.40q: %d %s; asked about %d tokens", body, res.StatusCode, answer, len(f.tokens))
		}
	}
	for kind, status := range map[string]int{"application/json": 415, "text/plain": 415, "multipart/form-data; boundary=x": 415, "": 415,
		"application/x-www-form-urlencoded; charset=UTF-8": 200, "application/x-www-form-urlencoded; charset=latin1": 415} {
		r := form("token=a")
		r.Header.Set("Content-Type", kind)
		if res, body := b.do(r); res.StatusCode != status {
			t.Errorf("%s: %d %s", kind, res.StatusCode, body)
		}
	}
	r := form("token=a")
	r.Header.Del("Authorization")
	if res, _ := b.do(r); res.StatusCode != 401 {
		t.Errorf("without a token: %d", res.StatusCode)
	}
	if res, _ := b.do(request("GET", "/v1/introspect?token=a", "")); res.StatusCode != 405 {
		t.Errorf("GET: %d", res.StatusCode)
	}
	r = form("token=a")
	r.URL.RawQuery = "token=" + canary
	if res, body := b.do(r); res.StatusCode != 400 || strings.Contains(body, canary) {
		t.Errorf("in the address: %d %s", res.StatusCode, body)
	}
	if res, _ := newBench(t, nil).do(form("token=a")); res.StatusCode == 200 {
		t.Error("there is no introspector, and an answer")
	}
}
