package hydra_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
)

// operations are the calls that change or read a client.
var operations = []struct {
	name string
	once bool // must never be repeated
	read bool
	run  func(context.Context, *hydra.Hydra, apikey.ClientWrite) error
}{
	{"create", true, false, func(ctx context.Context, h *hydra.Hydra, w apikey.ClientWrite) error { return h.Create(ctx, w) }},
	{"put", false, false, func(ctx context.Context, h *hydra.Hydra, w apikey.ClientWrite) error { return h.Put(ctx, w) }},
	{"state", false, true, func(ctx context.Context, h *hydra.Hydra, w apikey.ClientWrite) error {
		_, err := h.State(ctx, w.Definition.ID)
		return err
	}},
	{"delete", false, false, func(ctx context.Context, h *hydra.Hydra, w apikey.ClientWrite) error {
		return h.Delete(ctx, w.Definition.ID)
	}},
	{"revoke tokens", false, false, func(ctx context.Context, h *hydra.Hydra, w apikey.ClientWrite) error {
		return h.RevokeTokens(ctx, w.Definition.ID)
	}},
}

type failing struct {
	name     string
	kind     apikey.ErrorKind
	outcome  error
	requests [3]int64 // at most, for create, writes and reads
	answer   func(b *teeth, w http.ResponseWriter, r *http.Request)
}

func status(code int, media, body string) func(*teeth, http.ResponseWriter, *http.Request) {
	return func(_ *teeth, w http.ResponseWriter, _ *http.Request) { say(w, code, media, body) }
}

var (
	never    = [3]int64{1, 1, 1}
	repeated = [3]int64{1, 3, 3}
)

var failings = []failing{
	{"hangs", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, repeated, func(b *teeth, _ http.ResponseWriter, r *http.Request) { b.hang(r) }},
	{"resets", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, repeated, func(_ *teeth, w http.ResponseWriter, _ *http.Request) { drop(w, true) }},
	{"drops the answer", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, repeated, func(_ *teeth, w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		drop(w, false)
	}},
	{"breaks off the body", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, repeated, func(_ *teeth, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		say(w, 200, mediaJSON, `{"client_id":"key`)
	}},
	{"hangs in the body", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, repeated, func(b *teeth, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		say(w, 200, mediaJSON, `{`)
		_ = http.NewResponseController(w).Flush()
		b.hang(r)
	}},
	{"answers E500", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, [3]int64{1, 2, 2}, status(500, mediaJSON, e500)},
	{"answers 502", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, repeated, status(502, mediaHTML, "<h1>Bad Gateway")},
	{"answers 503", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, repeated, status(503, "", "")},
	{"answers 504", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, repeated, status(504, mediaJSON, `{}`)},
	{"answers 429", apikey.ErrUnavailable, apikey.ErrNotSent, repeated, status(429, mediaJSON, `{}`)},
	{"answers 400", apikey.ErrInternal, apikey.ErrNotSent, never, status(400, mediaJSON, `{"error":"invalid_client_metadata","error_description":"no"}`)},
	{"answers 401", apikey.ErrInternal, apikey.ErrNotSent, never, status(401, mediaHTML, "who are you")},
	{"answers a proxy's 404", apikey.ErrInternal, apikey.ErrNotSent, never, status(404, mediaHTML, "not here")},
	{"answers a stranger's 404", apikey.ErrInternal, apikey.ErrNotSent, never, status(404, mediaJSON, `{"error":"not found"}`)},
	{"answers a router's 404", apikey.ErrInternal, apikey.ErrNotSent, never, status(404, mediaJSON, `{"error":{"code":404,"message":"Unable to locate the resource"}}`)},
	{"answers a stranger's 409", apikey.ErrInternal, apikey.ErrNotSent, never, status(409, mediaJSON, `{"error":"conflict"}`)},
	{"answers html", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, never, status(200, mediaHTML, "<h1>Welcome")},
	{"answers half json", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, never, status(200, mediaJSON, `{"client_id":`)},
	{"answers null", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, never, status(200, mediaJSON, `null`)},
	{"answers nothing", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, never, status(200, mediaJSON, ``)},
	{"answers another client", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, never, status(200, mediaJSON, `{"client_id":"other"}`)},
	{"answers 10 MB", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, never, status(200, mediaJSON, `{"client_id":"`+strings.Repeat("a", 10<<20)+`"}`)},
	{"redirects", apikey.ErrUnavailable, apikey.ErrOutcomeUnknown, never, func(_ *teeth, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}},
}

func TestFailures(t *testing.T) {
	// Each way in which Hydra can fail has the right kind and outcome for each
	// operation, in bounded time and with a bounded number of requests.
	for _, f := range failings {
		for i, o := range operations {
			t.Run(f.name+"/"+o.name, func(t *testing.T) {
				t.Parallel()
				var b *teeth
				b = bite(t, func(_ int64, w http.ResponseWriter, r *http.Request) { f.answer(b, w, r) })
				start := time.Now()
				err := o.run(deadline(t), b.against(t), newWrite())
				wantFailure(t, err, f.kind, f.outcome)
				if took := time.Since(start); took > 4*time.Second {
					t.Errorf("took %v", took)
				}
				most := f.requests[min(i, 1)]
				if o.read {
					most = f.requests[2]
				}
				if got := b.requests.Load(); got < 1 || got > most {
					t.Errorf("%d requests, want 1 to %d", got, most)
				}
			})
		}
	}
}

func wantFailure(t *testing.T, err error, kind apikey.ErrorKind, outcome error) {
	t.Helper()
	var e *apikey.Error
	if !errors.As(err, &e) || e.Kind != kind || !errors.Is(err, outcome) {
		t.Errorf("got %v, want %v and %v", err, kind, outcome)
	}
	for _, other := range []error{apikey.ErrNotSent, apikey.ErrOutcomeUnknown, apikey.ErrNotFound, apikey.ErrClientExists} {
		if !errors.Is(outcome, other) && errors.Is(err, other) {
			t.Errorf("got %v, which is also %v", err, other)
		}
	}
}

func TestRefusedConnection(t *testing.T) {
	// Where nobody listens nothing was sent.
	for _, o := range operations {
		b := bite(t, func(int64, http.ResponseWriter, *http.Request) {})
		h := b.against(t)
		b.Close()
		wantFailure(t, o.run(deadline(t), h, newWrite()), apikey.ErrUnavailable, apikey.ErrNotSent)
	}
}

func TestUnknownHost(t *testing.T) {
	// A name that does not resolve is a call not sent.
	h := newHydra(t, func(c *hydra.Config) { c.AdminURL = "http://hydra.invalid:4445" })
	wantFailure(t, h.Create(deadline(t), newWrite()), apikey.ErrUnavailable, apikey.ErrNotSent)
}

func TestEndedContext(t *testing.T) {
	// A caller that has gone before the call causes no request.
	b := bite(t, func(int64, http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, o := range operations {
		err := o.run(ctx, b.against(t), newWrite())
		wantFailure(t, err, apikey.ErrUnavailable, apikey.ErrNotSent)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want it to say canceled", o.name, err)
		}
	}
	if n := b.requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestDeadlineBoundsRetries(t *testing.T) {
	// The caller's deadline ends a call between its attempts too.
	b := bite(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		say(w, 503, "", "")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := b.against(t, func(c *hydra.Config) { c.CallTimeout = 10 * time.Second }).Put(ctx, newWrite())
	wantFailure(t, err, apikey.ErrUnavailable, apikey.ErrOutcomeUnknown)
	if took := time.Since(start); took > 600*time.Millisecond || b.requests.Load() != 1 {
		t.Errorf("took %v and %d requests", took, b.requests.Load())
	}
}

func TestRetryAfterIsCapped(t *testing.T) {
	// An hour's Retry-After delays a repetition by at most a second.
	b := bite(t, func(n int64, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.Header().Set("Retry-After", "3600")
			say(w, 503, "", "")
			return
		}
		say(w, 204, "", "")
	})
	start := time.Now()
	err := b.against(t, func(c *hydra.Config) { c.CallTimeout = 10 * time.Second }).Delete(deadline(t), "key_test_1")
	if took := time.Since(start); err != nil || took < 500*time.Millisecond || took > 2*time.Second {
		t.Errorf("got %v after %v", err, took)
	}
}

func TestOutcomeOfAllAttempts(t *testing.T) {
	// What an earlier attempt may have done is not forgotten by a later one.
	write := newWrite()
	for _, c := range []struct {
		name string
		then func(b *teeth, w http.ResponseWriter)
		want func(t *testing.T, put, remove error)
	}{
		{"then nobody listens", nil, func(t *testing.T, put, remove error) {
			wantFailure(t, put, apikey.ErrUnavailable, apikey.ErrOutcomeUnknown)
			wantFailure(t, remove, apikey.ErrUnavailable, apikey.ErrOutcomeUnknown)
		}},
		{"then a refusal", func(_ *teeth, w http.ResponseWriter) { say(w, 403, mediaHTML, "no") }, func(t *testing.T, put, remove error) {
			wantFailure(t, put, apikey.ErrInternal, apikey.ErrOutcomeUnknown)
			wantFailure(t, remove, apikey.ErrInternal, apikey.ErrOutcomeUnknown)
		}},
		{"then hydra knows no such client", func(_ *teeth, w http.ResponseWriter) { say(w, 404, mediaJSON, e404) }, func(t *testing.T, put, remove error) {
			if !errors.Is(put, apikey.ErrNotFound) || remove != nil {
				t.Errorf("put: got %v, want not found; delete: got %v, want success", put, remove)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			try := func(run func(h *hydra.Hydra) error) error {
				var b *teeth
				b = bite(t, func(n int64, w http.ResponseWriter, _ *http.Request) {
					if n > 1 {
						c.then(b, w)
						return
					}
					if c.then == nil {
						_ = b.Listener.Close()
					}
					drop(w, true)
				})
				return run(b.against(t))
			}
			c.want(t, try(func(h *hydra.Hydra) error { return h.Put(deadline(t), write) }),
				try(func(h *hydra.Hydra) error { return h.Delete(deadline(t), "key_test_1") }))
		})
	}
}

func TestCrowding(t *testing.T) {
	// One call too many fails at once, unsent; token look-ups and readiness
	// have places of their own.
	var b *teeth
	b = bite(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/health/ready":
			say(w, 200, mediaJSON, `{"status":"ok"}`)
		case "/admin/oauth2/introspect":
			say(w, 200, mediaJSON, `{"active":false}`)
		default:
			b.hang(r)
		}
	})
	h := b.against(t, func(c *hydra.Config) { c.MaxConcurrent, c.CallTimeout = 2, 20*time.Second })
	ctx, cancel := context.WithCancel(deadline(t))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { _ = h.Create(ctx, newWrite()) })
	}
	eventually(t, "two calls under way", func() bool { return b.requests.Load() == 2 })
	start := time.Now()
	wantFailure(t, h.Put(ctx, newWrite()), apikey.ErrUnavailable, apikey.ErrNotSent)
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
	if err := h.Ready(ctx); err != nil {
		t.Errorf("ready: got %v", err)
	}
	if _, err := h.Introspect(ctx, "some-token"); !errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("introspect: got %v, want unauthenticated", err)
	}
	cancel()
	wg.Wait()
}

func TestNoStorm(t *testing.T) {
	// In an outage most calls give up their retries: far fewer requests than
	// three for each call.
	b := bite(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		time.Sleep(100 * time.Millisecond) // a struggling Hydra is slow
		say(w, 503, "", "")
	})
	h := b.against(t, func(c *hydra.Config) { c.MaxConcurrent, c.CallTimeout = 64, 10*time.Second })
	var wg sync.WaitGroup
	const calls = 60
	for range calls {
		wg.Go(func() {
			wantFailure(t, h.RevokeTokens(t.Context(), "key_test_1"), apikey.ErrUnavailable, apikey.ErrOutcomeUnknown)
		})
	}
	wg.Wait()
	if got := b.requests.Load(); got < calls || got > calls*3/2 {
		t.Errorf("%d requests for %d calls", got, calls)
	}
}

func TestNothingSecretGetsOut(t *testing.T) {
	// Whatever Hydra or somebody in its place answers, neither our secret nor
	// one in the answer reaches an error or the log.
	const made = "made-up-by-hydra"
	for _, code := range []int{200, 201, 302, 400, 401, 404, 409, 429, 500, 503} {
		for _, media := range []string{mediaJSON, mediaHTML} {
			b := bite(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				say(w, code, media, fmt.Sprintf(`{"error":"bad %[1]s","error_description":%[2]q,"client_secret":%[3]q,"registration_access_token":%[3]q}`,
					"x", body, made))
			})
			var log bytes.Buffer
			h := b.against(t, func(c *hydra.Config) {
				c.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			w := newWrite()
			for _, err := range []error{h.Create(deadline(t), w), h.Put(deadline(t), w)} {
				if err == nil {
					t.Fatalf("%d %s passed for success", code, media)
				}
				for _, text := range []string{fmt.Sprintf("%v %+v %#v", err, err, err), log.String()} {
					if strings.Contains(text, w.Secret.Reveal()) || strings.Contains(text, made) {
						t.Errorf("%d %s: a secret got out: %s", code, media, text)
					}
				}
			}
		}
	}
}
