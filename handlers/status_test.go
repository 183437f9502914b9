package handlers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// fakeStatusLists answers as an apikey.StatusLists with lists 0 and 12.
type fakeStatusLists struct{ err error }

func (f *fakeStatusLists) StatusList(_ context.Context, n int64) (apikey.StatusList, error) {
	if n != 0 && n != 12 {
		return apikey.StatusList{}, apikey.ErrNotFound
	}
	return apikey.StatusList{JWT: "e30.e30.c2ln", ETag: `W/"abc"`, TTL: 7 * time.Second}, f.err
}

func (f *fakeStatusLists) StatusListKeys(context.Context) (apikey.StatusListKeys, error) {
	return apikey.StatusListKeys{JWKS: []byte(`{"keys":[]}`), ETag: `"def"`}, f.err
}

func statusBench(t *testing.T) (*bench, *fakeStatusLists) {
	f := &fakeStatusLists{}
	return newBench(t, func(c *handlers.Config) { c.StatusLists = f }), f
}

// anybody asks without a token.
func anybody(target string) *http.Request {
	r := request("GET", target, "")
	r.Header.Del("Authorization")
	return r
}

// Lists and their keys are for everybody, say what they are and how long they
// may be kept, and are not sent to whoever has them.
func TestStatusListAnswers(t *testing.T) {
	b, _ := statusBench(t)
	for target, want := range map[string]struct{ kind, cache, etag, body string }{
		"/status/0":         {"application/statuslist+jwt", "public, max-age=7", `W/"abc"`, "e30.e30.c2ln"},
		"/status/12":        {"application/statuslist+jwt", "public, max-age=7", `W/"abc"`, "e30.e30.c2ln"},
		"/status/jwks.json": {"application/json", "public, max-age=300", `"def"`, `{"keys":[]}`},
	} {
		res, body := b.do(anybody(target))
		if res.StatusCode != 200 || body != want.body || res.Header.Get("Content-Type") != want.kind || res.Header.Get("Cache-Control") != want.cache || res.Header.Get("ETag") != want.etag {
			t.Errorf("%s: %d %s %v", target, res.StatusCode, body, res.Header)
		}
		for tag, status := range map[string]int{want.etag: 304, `"x", ` + want.etag: 304, "*": 304, `"abc", W/"def"`: 304, `"x"`: 200, "abc": 200, "": 200, `W/"ab"`: 200} {
			r := anybody(target)
			r.Header.Set("If-None-Match", tag)
			res, body := b.do(r)
			if res.StatusCode != status || (status == 304) != (body == "") || res.Header.Get("ETag") != want.etag || res.Header.Get("Cache-Control") != want.cache {
				t.Errorf("%s, If-None-Match %s: %d %s %v", target, tag, res.StatusCode, body, res.Header)
			}
		}
	}
	server := httptest.NewTLSServer(b.h)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, server.URL+"/status/0", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("ETag") != `W/"abc"` {
		t.Errorf("HEAD: %d %v", res.StatusCode, res.Header)
	}
}

// A list has one address; whatever else looks like one is not there.
func TestStatusListAddresses(t *testing.T) {
	b, f := statusBench(t)
	for _, target := range []string{"/status/1", "/status/00", "/status/01", "/status/-0", "/status/+0", "/status/0x0", "/status/1e3", "/status/0/", "/status/", "/status",
		"/status/999999999999999999999999", "/status/jwks", "/status/%30", "/status/0/jwks.json", "/status/٠"} {
		if res, body := b.do(anybody(target)); res.StatusCode != 404 {
			t.Errorf("%s: %d %s", target, res.StatusCode, body)
		}
	}
	if res, _ := b.do(anybody("/status/0?a=b")); res.StatusCode != 400 {
		t.Errorf("with a query: %d", res.StatusCode)
	}
	if res, _ := b.do(request("POST", "/status/0", "{}")); res.StatusCode != 405 {
		t.Errorf("POST: %d", res.StatusCode)
	}
	r := anybody("/status/0")
	r.TLS, r.URL.Scheme = nil, "http"
	if res, _ := b.do(r); res.StatusCode != 403 {
		t.Errorf("in clear: %d", res.StatusCode)
	}
	f.err = &apikey.Error{Kind: apikey.ErrUnavailable}
	if res, _ := b.do(anybody("/status/0")); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("ETag") != "" {
		t.Errorf("in an outage: %d %v", res.StatusCode, res.Header)
	}
	if res, _ := newBench(t, nil).do(anybody("/status/0")); res.StatusCode != 404 {
		t.Errorf("where there are none: %d", res.StatusCode)
	}
}
