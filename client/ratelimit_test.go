package client_test

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// A read or a POST that comes too soon for the server's limit waits as asked
// and is made again, with the same Idempotency-Key; a PATCH or DELETE, a wait
// that is too long and a proxy's 429 end the call.
func TestRateLimited(t *testing.T) {
	for _, test := range []struct {
		name, mediaType, after string
		call                   func(apikey.API) error
		attempts               int32
		kind                   apikey.ErrorKind
		told                   time.Duration
	}{
		{"POST", "application/problem+json", "1", create(t), 2, "", 0},
		{"GET", "application/problem+json", "1", get(t), 2, "", 0},
		{"PATCH", "application/problem+json", "1", patch(t), 1, apikey.ErrRateLimited, time.Second},
		{"DELETE", "application/problem+json", "1", remove(t), 1, apikey.ErrRateLimited, time.Second},
		{"long wait", "application/problem+json", "60", get(t), 1, apikey.ErrRateLimited, time.Minute},
		{"a proxy's", "text/plain", "1", get(t), 1, apikey.ErrUnavailable, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var count atomic.Int32
			keys, begun := make(chan string, 10), time.Now()
			c := of(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				keys <- r.Header.Get("Idempotency-Key")
				if count.Add(1) == 1 {
					w.Header().Set("Content-Type", test.mediaType)
					w.Header().Set("Retry-After", test.after)
					w.WriteHeader(http.StatusTooManyRequests)
					_, _ = io.WriteString(w, `{"code":"rate_limited","detail":"d","request_id":"r"}`)
					return
				}
				_, _ = io.WriteString(w, `{"key":{"id":"k"}}`)
			}), nil)
			err := test.call(c)
			if count.Load() != test.attempts {
				t.Errorf("%d attempts, want %d", count.Load(), test.attempts)
			}
			if test.kind == "" {
				if err != nil || time.Since(begun) < time.Second {
					t.Errorf("got %v after %s", err, time.Since(begun))
				}
				if first, second := <-keys, <-keys; first != second || (test.name == "POST") != (first != "") {
					t.Errorf("Idempotency-Keys %q and %q", first, second)
				}
				return
			}
			if e, ok := errors.AsType[*apikey.Error](err); !ok || e.Kind != test.kind || e.RetryAfter != test.told || e.Pending {
				t.Errorf("got %+v", err)
			}
		})
	}
}

func create(t *testing.T) func(apikey.API) error {
	return func(c apikey.API) error {
		_, err := c.Create(t.Context(), apikey.CreateParams{Name: "n"})
		return err
	}
}

func get(t *testing.T) func(apikey.API) error {
	return func(c apikey.API) error {
		_, err := c.Get(t.Context(), keyID)
		return err
	}
}

func patch(t *testing.T) func(apikey.API) error {
	return func(c apikey.API) error {
		_, err := c.Update(t.Context(), keyID, apikey.UpdateParams{})
		return err
	}
}

func remove(t *testing.T) func(apikey.API) error {
	return func(c apikey.API) error { return c.Delete(t.Context(), keyID) }
}

// Against the real handlers a busy client is slowed down, not failed.
func TestSlowedDown(t *testing.T) {
	s := &stub{key: fullKey(t)}
	h, err := handlers.New(handlers.Config{API: s, Authenticate: good, Limits: handlers.Limits{Caller: handlers.Limit{PerMinute: 120, Burst: 3}}})
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int32
	c := of(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&noting{w, &refused}, r)
	}), nil)
	for i := range 5 {
		if _, err := c.Get(t.Context(), keyID); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if refused.Load() == 0 {
		t.Error("nothing was refused")
	}
}

// noting counts refusals.
type noting struct {
	http.ResponseWriter
	refused *atomic.Int32
}

func (n *noting) WriteHeader(status int) {
	if status == http.StatusTooManyRequests {
		n.refused.Add(1)
	}
	n.ResponseWriter.WriteHeader(status)
}
