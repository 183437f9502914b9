package handlers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const (
	hookSecret  = "hook-secret-0123456789abcdefghijklmn"
	otherSecret = "other-secret-0123456789abcdefghijkl"
)

// hooked serves the token hook and returns its address.
func hooked(t *testing.T, c HookConfig) string {
	t.Helper()
	if c.Secrets == nil {
		c.Secrets = []apikey.Secret{apikey.NewSecret(hookSecret)}
	}
	h, err := NewHook(c)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// says answers 200 with the body it got.
func says(_ context.Context, body []byte) (int, []byte) { return http.StatusOK, body }

func callHook(t *testing.T, method, url, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw), resp.Header
}

// Who does not show the secret learns nothing: every request gets the same 403,
// and nobody is asked. Of two secrets either will do.
func TestHookSecret(t *testing.T) {
	asked := 0
	var mu sync.Mutex
	url := hooked(t, HookConfig{Secrets: []apikey.Secret{apikey.NewSecret(hookSecret), apikey.NewSecret(otherSecret)},
		Answer: func(ctx context.Context, body []byte) (int, []byte) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return says(ctx, body)
		}})
	for _, right := range []string{hookSecret, otherSecret} {
		if status, body, h := callHook(t, http.MethodPost, url+HookPath, `{"a":1}`, HookHeader, right); status != 200 || body != `{"a":1}` || h.Get("Content-Type") != "application/json" {
			t.Errorf("with a right secret: %d %q %v", status, body, h)
		}
	}
	before := asked
	for name, headers := range map[string][]string{
		"none": nil, "empty": {HookHeader, ""}, "wrong": {HookHeader, "x" + hookSecret[1:]}, "longer": {HookHeader, hookSecret + "x"}, "shorter": {HookHeader, hookSecret[:35]},
		"twice": {HookHeader, hookSecret, HookHeader, hookSecret}, "both in one": {HookHeader, hookSecret + ", " + otherSecret},
		"as bearer": {"Authorization", "Bearer " + hookSecret}, "in a cookie": {"Cookie", HookHeader + "=" + hookSecret}, "other case": {HookHeader, strings.ToUpper(hookSecret)},
	} {
		for _, at := range []struct{ method, path string }{{"POST", HookPath}, {"GET", HookPath}, {"POST", "/"}, {"POST", "/v1/keys"}, {"GET", "/health/ready"}, {"OPTIONS", HookPath}} {
			status, body, h := callHook(t, at.method, url+at.path, strings.Repeat("x", 5000), headers...)
			if status != http.StatusForbidden || body != "" || len(h["Content-Type"]) != 0 {
				t.Errorf("%s, %s %s: %d %q %v", name, at.method, at.path, status, body, h)
			}
		}
	}
	if asked != before {
		t.Error("somebody was asked without a secret")
	}
}

// With the secret everything that is no token request is 400, never more: Hydra
// would ask again and again.
func TestHookStatuses(t *testing.T) {
	url := hooked(t, HookConfig{Answer: func(_ context.Context, body []byte) (int, []byte) {
		switch string(body) {
		case "panic":
			panic("secret words")
		case "abort":
			panic(http.ErrAbortHandler)
		}
		return http.StatusNoContent, nil
	}})
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", HookPath, "", 204}, {"POST", HookPath, "panic", 400}, {"POST", HookPath, "abort", 400},
		{"GET", HookPath, "", 400}, {"PUT", HookPath, "", 400}, {"POST", HookPath + "/", "", 400}, {"POST", "/", "", 400}, {"POST", "/hooks/../hooks/hydra/token", "", 400},
		{"POST", HookPath, strings.Repeat("x", maxHookBody), 204}, {"POST", HookPath, strings.Repeat("x", maxHookBody+1), 400},
	} {
		if status, body, _ := callHook(t, c.method, url+c.path, c.body, HookHeader, hookSecret); status != c.want || body != "" {
			t.Errorf("%s %s with %d bytes: %d %q, want %d", c.method, c.path, len(c.body), status, body, c.want)
		}
	}
}

// A decision that takes too long has its context ended, and a body that does not
// come is not waited for.
func TestHookDeadline(t *testing.T) {
	url := hooked(t, HookConfig{Answer: func(ctx context.Context, _ []byte) (int, []byte) {
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("ended with %v", ctx.Err())
		}
		return http.StatusBadRequest, nil
	}})
	start := time.Now()
	if status, _, _ := callHook(t, http.MethodPost, url+HookPath, "{}", HookHeader, hookSecret); status != 400 {
		t.Errorf("too slow: %d", status)
	}
	if took := time.Since(start); took < hookTime || took > hookTime+time.Second {
		t.Errorf("answered after %v", took)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")) //nolint:noctx // a loopback address
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	start = time.Now()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s: %s\r\nContent-Length: 10\r\n\r\n{", HookPath, HookHeader, hookSecret)
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	first := make([]byte, 12)
	if _, err := io.ReadFull(conn, first); err != nil || string(first) != "HTTP/1.1 400" {
		t.Errorf("a body that does not come: %q, %v", first, err)
	}
	if took := time.Since(start); took > hookTime+time.Second {
		t.Errorf("a body that does not come was waited for %v", took)
	}
}

// The log hears of wrong secrets, once for a flood, and never the secret, the
// right one, nor what else was sent.
func TestHookLog(t *testing.T) {
	var out bytes.Buffer
	var mu sync.Mutex
	url := hooked(t, HookConfig{Answer: says, Log: slog.New(slog.NewJSONHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return out.Write(p)
	}), nil))})
	for range 200 {
		callHook(t, http.MethodPost, url+HookPath+"?q4ery=canary", "b0dy-canary", HookHeader, "wr0ng-canary", "X-Other", "h3ader-canary")
	}
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(out.String(), "without its secret"); n != 1 {
		t.Errorf("%d lines, want 1:\n%s", n, out.String())
	}
	if strings.Contains(out.String(), "canary") || strings.Contains(out.String(), hookSecret) {
		t.Errorf("the log tells too much:\n%s", out.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A hook without a secret, with a short one or with three is none.
func TestHookRefusesConfig(t *testing.T) {
	long := apikey.NewSecret(hookSecret)
	for name, c := range map[string]HookConfig{
		"no answer": {Secrets: []apikey.Secret{long}}, "no secret": {Answer: says}, "empty secret": {Answer: says, Secrets: []apikey.Secret{{}}},
		"short": {Answer: says, Secrets: []apikey.Secret{long, apikey.NewSecret("short")}}, "three": {Answer: says, Secrets: []apikey.Secret{long, long, long}},
	} {
		if _, err := NewHook(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// The public side and the side for operators have no token hook.
func TestHookIsNotPublic(t *testing.T) {
	public, err := New(Config{API: struct{ apikey.API }{}, Authenticate: func(context.Context, string) (apikey.Caller, error) { return apikey.System("test"), nil }, InsecureLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]http.Handler{"public": public, "operators": NewOps(Config{})} {
		s := httptest.NewServer(h)
		if status, _, _ := callHook(t, http.MethodPost, s.URL+HookPath, "{}", HookHeader, hookSecret, "Authorization", "Bearer x", "Content-Type", "application/json"); status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", name, status)
		}
		s.Close()
	}
}
