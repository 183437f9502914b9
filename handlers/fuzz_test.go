package handlers_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
)

// FuzzCreateBody: whatever a body holds, the answer is no 5xx, and a failure
// repeats nothing of it.
func FuzzCreateBody(f *testing.F) {
	for _, seed := range []string{
		`{"name":"n","scopes":["a"]}`, `{"name":"` + canary + `"}`, `{"` + canary + `":1}`, `{`, `[]`, `{}{}`, `{"labels":{"` + canary + `":1}}`,
		`{"public_keys":[{"jwk":{"kty":"EC","` + canary + `":[[]]}}]}`, `{"token":{"lifetime":"` + canary + `"}}`, `{"expires_at":"` + canary + `"}`, "{\"a\":\"\xff\"}", `{"a":1e999}`,
	} {
		f.Add(seed)
	}
	b := newBench(f, nil)
	f.Fuzz(func(t *testing.T, body string) {
		for _, target := range []string{"POST /v1/keys", "PATCH /v1/keys/" + keyID, "POST /v1/keys/" + keyID + "/public-keys", "POST /v1/keys/" + keyID + "/disable"} {
			method, path, _ := strings.Cut(target, " ")
			res, got := b.do(request(method, path, body))
			if res.StatusCode >= 500 {
				t.Errorf("%s: got %d %s", target, res.StatusCode, got)
			}
			if res.StatusCode >= 400 {
				noEcho(t, b, res, got)
			}
		}
	})
}

// FuzzPath: whatever a path holds, the answer is no 5xx, no redirect, and an
// id that reaches the API is a valid one.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/v1/keys/a", "/v1/keys/..", "/v1/keys/%2e%2e%2f", "//", "/v1/keys/" + canary + "/x", "/v1/keys/a/public-keys/b", "/%00", "*", "/v1/keys/\u00e9"} {
		f.Add(seed)
	}
	b := newBench(f, nil)
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return // net/http answers 400 to these
		}
		r := request("GET", "/", "")
		r.URL = u
		res, body := b.do(r)
		for _, call := range b.called() {
			if words := strings.Fields(call); len(words) > 1 && !apikey.ValidID(words[len(words)-1]) {
				t.Errorf("%q reached the API", call)
			}
		}
		if res.StatusCode >= 500 || res.StatusCode >= 300 && res.StatusCode < 400 {
			t.Errorf("got %d %s", res.StatusCode, body)
		}
		if res.StatusCode >= 400 {
			noEcho(t, b, res, body)
		}
	})
}

// FuzzQuery: whatever a query holds, the answer is no 5xx and repeats nothing.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"limit=1", "limit=" + canary, canary + "=1", "q=%00", "q=%zz", "expires_before=" + canary, "a=1;b=2", "limit=1&limit=1", "count=maybe"} {
		f.Add(seed)
	}
	b := newBench(f, nil)
	f.Fuzz(func(t *testing.T, query string) {
		r := request("GET", "/v1/keys", "")
		r.URL.RawQuery = query
		res, body := b.do(r)
		if res.StatusCode >= 500 {
			t.Errorf("got %d %s", res.StatusCode, body)
		}
		if res.StatusCode >= 400 {
			noEcho(t, b, res, body)
		}
	})
}
