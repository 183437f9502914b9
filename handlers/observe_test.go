package handlers_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// observed keeps what was observed, without the times.
type observed struct {
	mu  sync.Mutex
	all []string
}

func (o *observed) note(seen string, took time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if took <= 0 || took > time.Minute {
		seen += fmt.Sprint(" took ", took)
	}
	o.all = append(o.all, seen)
}

func (o *observed) want(t *testing.T, want ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if diff := cmp.Diff(want, o.all); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
	o.all = nil
}

// Each request is observed once, by its route and never by its path, and with the
// limit that refused it. Nothing that a caller makes up comes through.
func TestObserve(t *testing.T) {
	var seen observed
	b := newLimitedBench(t, handlers.Limits{Caller: handlers.Limit{PerMinute: 60, Burst: 4}}, func(c *handlers.Config) {
		c.Observe = func(o handlers.Observation) {
			seen.note(fmt.Sprintf("%s %s %d %s", o.Method, o.Route, o.Status, o.Limited), o.Duration)
		}
	})
	b.do(request("GET", "/v1/keys/"+keyID, ""))
	b.do(request("HEAD", "/v1/keys/"+keyID, ""))
	b.do(request("DELETE", "/v1/keys/"+keyID+"/public-keys/"+canary, ""))
	b.do(request("GET", "/v1/keys/"+keyID+"/events?limit="+canary, ""))
	seen.want(t, "GET /v1/keys/{id} 200 ", "GET /v1/keys/{id} 200 ", "DELETE /v1/keys/{id}/public-keys/{kid} 204 ", "GET /v1/keys/{id}/events 422 ")

	b.do(request("GET", "/v1/keys", ""))
	b.do(request("GET", "/"+canary, ""))
	b.do(request(canary, "/v1/keys", ""))
	b.do(request("PUT", "/v1/keys", ""))
	clear := request("GET", "/v1/keys", "")
	clear.TLS = nil
	b.do(clear)
	seen.want(t, "GET /v1/keys 429 caller", "GET none 404 ", "other none 429 caller", "PUT none 429 caller", "GET /v1/keys 403 ")

	b.hand.advance(time.Minute)
	b.fake.err = apikey.ErrUnavailable
	b.do(request("GET", "/v1/keys", ""))
	b.do(request("GET", "/health/alive", ""))
	seen.want(t, "GET /v1/keys 503 ", "GET /health/alive 200 ")
}

// The hook's answers are observed, and who does not show the secret apart.
func TestObserveHook(t *testing.T) {
	const secret = "hook-secret-0123456789abcdefghijklmn"
	var seen observed
	status := http.StatusForbidden
	h, err := handlers.NewHook(handlers.HookConfig{
		Answer:  func(context.Context, []byte) (int, []byte) { return answering(status) },
		Secrets: []apikey.Secret{apikey.NewSecret(secret)},
		Observe: func(o handlers.HookObservation) { seen.note(fmt.Sprint(o.Status, o.Stranger), o.Duration) },
	})
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, shown string) {
		r := request(method, path, "{}")
		r.Header.Set(handlers.HookHeader, shown)
		serveOnce(h, r)
	}
	call("POST", handlers.HookPath, secret)
	status = http.StatusOK
	call("POST", handlers.HookPath, secret)
	status = 0 // panics
	call("POST", handlers.HookPath, secret)
	call("POST", "/elsewhere", secret)
	call("POST", handlers.HookPath, strings.Repeat("x", 40))
	seen.want(t, "403 false", "200 false", "400 false", "400 false", "403 true")
}

// answering is a status, or a panic.
func answering(status int) (int, []byte) {
	if status == 0 {
		panic("no answer")
	}
	return status, nil
}
