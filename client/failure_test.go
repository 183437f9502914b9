package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
)

// A POST or GET answered 503 is tried again, each time with the same
// Idempotency-Key; a PATCH or DELETE is not.
func TestRetries(t *testing.T) {
	var count atomic.Int32
	var keys []string
	unwell := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		if count.Add(1) < 3 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"code":"unavailable","detail":"d","request_id":"r"}`)
			return
		}
		_, _ = io.WriteString(w, `{"key":{"id":"k"},"client_secret":"s"}`)
	})
	c := of(t, unwell, nil)
	got, err := c.Create(t.Context(), apikey.CreateParams{Name: "n"})
	if err != nil || got.Key.ID != "k" || got.Secret.Reveal() != "s" || count.Load() != 3 {
		t.Errorf("got %v, %v after %d attempts", got, err, count.Load())
	}
	if len(keys) != 3 || len(keys[0]) < 16 || keys[0] != keys[1] || keys[1] != keys[2] {
		t.Errorf("Idempotency-Keys %q", keys)
	}
	for name, call := range map[string]func() error{
		"PATCH":  func() error { _, err := c.Update(t.Context(), keyID, apikey.UpdateParams{}); return err },
		"DELETE": func() error { return c.Delete(t.Context(), keyID) },
	} {
		count.Store(0)
		if err := call(); !errors.Is(err, apikey.ErrUnavailable) || count.Load() != 1 {
			t.Errorf("%s: %v after %d attempts", name, err, count.Load())
		}
	}
}

// A dropped connection is tried again, in vain four times at most, and then
// the change is said to be pending; if nobody was ever reached it is not.
func TestDroppedConnections(t *testing.T) {
	var count atomic.Int32
	c := of(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		count.Add(1)
		panic(http.ErrAbortHandler)
	}), nil)
	_, err := c.Enable(t.Context(), keyID, apikey.ActionParams{})
	e, ok := errors.AsType[*apikey.Error](err)
	if !ok || e.Kind != apikey.ErrUnavailable || !e.Pending || count.Load() < 4 || count.Load() > 8 {
		t.Errorf("got %v after %d requests", err, count.Load())
	}

	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err = client.New(client.Config{BaseURL: gone.URL, Token: client.StaticToken(token)})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Delete(t.Context(), keyID)
	if e, ok := errors.AsType[*apikey.Error](err); !ok || e.Kind != apikey.ErrUnavailable || e.Pending {
		t.Errorf("got %+v", e)
	}
}

// An attempt whose outcome nobody told leaves the change pending, whatever the next
// attempt is answered: that one does not undo it.
func TestLostAttempt(t *testing.T) {
	cut := func(w http.ResponseWriter) { panic(http.ErrAbortHandler) }
	gateway := func(w http.ResponseWriter) { w.WriteHeader(http.StatusGatewayTimeout) }
	away := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"code":"unavailable","detail":"d","request_id":"r"}`)
	}
	for name, test := range map[string]struct {
		first, then func(http.ResponseWriter)
		pending     bool
	}{"cut": {cut, away, true}, "gateway": {gateway, gateway, true}, "told": {away, away, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var count atomic.Int32
			c := of(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if count.Add(1) == 1 {
					test.first(w)
					return
				}
				test.then(w)
			}), func(c *client.Config) { c.Retries = 1 })
			_, made := c.Create(t.Context(), apikey.CreateParams{Name: "n"})
			if e, ok := errors.AsType[*apikey.Error](made); !ok || e.Kind != apikey.ErrUnavailable || e.Pending != test.pending {
				t.Errorf("after %d attempts: %+v", count.Load(), made)
			}
			count.Store(0)
			_, read := c.Get(t.Context(), keyID)
			if e, ok := errors.AsType[*apikey.Error](read); !ok || e.Pending {
				t.Errorf("a read: %+v", read)
			}
			if name != "gateway" {
				return
			}
			count.Store(0)
			if e, ok := errors.AsType[*apikey.Error](c.Delete(t.Context(), keyID)); !ok || !e.Pending {
				t.Errorf("a delete: %+v", e)
			}
		})
	}
}

// A redirect is not followed: the token goes to no other place.
func TestRedirects(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("followed, with %q", r.Header.Get("Authorization"))
	}))
	defer other.Close()
	for _, status := range []int{301, 302, 307, 308} {
		c := of(t, http.RedirectHandler(other.URL, status), nil)
		if _, err := c.Get(t.Context(), keyID); !errors.Is(err, apikey.ErrInternal) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// Answers that are not of this API are told apart from ours: a proxy's 404 is
// no missing key, and nothing of an answer is repeated in the error.
func TestStrangers(t *testing.T) {
	for _, test := range []struct {
		status int
		kind   string
		body   string
		want   apikey.ErrorKind
	}{
		{404, "text/html", "<h1>not here", apikey.ErrInternal},
		{502, "text/html", "<h1>bad gateway", apikey.ErrUnavailable},
		{429, "text/plain", "slow down", apikey.ErrUnavailable},
		{401, "text/html", "who?", apikey.ErrUnauthenticated},
		{409, "application/problem+json", `{"code":"from_the_future","request_id":"r"}`, apikey.ErrInternal},
		{409, "application/problem+json", `{"status":409}`, apikey.ErrInternal},
		{200, "application/json", `{"id": "canary`, apikey.ErrInternal},
		{200, "text/html", `<canary>`, apikey.ErrInternal},
	} {
		c := of(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", test.kind)
			w.WriteHeader(test.status)
			_, _ = io.WriteString(w, test.body)
		}), nil)
		_, err := c.Get(t.Context(), keyID)
		if !errors.Is(err, test.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%d %s: %v, want %s", test.status, test.body, err, test.want)
		}
	}
}

// An endless answer ends at the limit.
func TestEndlessAnswer(t *testing.T) {
	c := of(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	}), nil)
	if _, err := c.Get(t.Context(), keyID); !errors.Is(err, apikey.ErrInternal) {
		t.Errorf("got %v", err)
	}
}

// A call ends at its own time-out, also if the context has none.
func TestTimeout(t *testing.T) {
	c := of(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}), func(c *client.Config) { c.Timeout = 100 * time.Millisecond })
	_, err := c.Enable(context.Background(), keyID, apikey.ActionParams{})
	if e, ok := errors.AsType[*apikey.Error](err); !ok || e.Kind != apikey.ErrTimeout || !e.Pending || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// What Config.Token fails with ends the call, with its kind if it has one.
func TestTokenFailure(t *testing.T) {
	for _, test := range []struct {
		fails error
		want  apikey.ErrorKind
	}{
		{errors.New("no such file"), apikey.ErrUnauthenticated},
		{fmt.Errorf("hydra: %w", apikey.ErrUnavailable), apikey.ErrUnavailable},
	} {
		c := of(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") }), func(c *client.Config) {
			c.Token = func(context.Context) (string, error) { return "", test.fails }
		})
		if _, err := c.Get(t.Context(), keyID); !errors.Is(err, test.want) || !errors.Is(err, test.fails) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}
