package hydratest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/hydradev"
)

// create asks base for a client with an id and returns the status and the body,
// or the error.
func create(ctx context.Context, base, id string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/admin/clients", strings.NewReader(`{"client_id":"`+id+`"}`))
	if err != nil {
		return 0, "", err
	}
	resp, err := direct.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// unique is an id that no earlier run has used at the shared Hydra.
func unique(name string) string { return name + "-" + rand.Text() }

// exists reports whether Hydra itself has the client.
func exists(t *testing.T, id string) bool {
	t.Helper()
	status, _ := send(t, http.MethodGet, Shared(t).AdminURL()+"/admin/clients/"+id, "", nil)
	return status == http.StatusOK
}

// eventually polls until ok is true, at most 10 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if ok() {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatalf("within 10 s it did not become true that %s", what)
}

// Each fault does to the caller what its name says, and Hydra has done the work
// exactly when the fault comes after it. Once it has struck as often as told, all
// is as without it.
func TestFaults(t *testing.T) {
	isReset := func(status int, body string, err error) bool { return errors.Is(err, syscall.ECONNRESET) }
	isEOF := func(status int, body string, err error) bool { return errors.Is(err, io.EOF) }
	is := func(want int, in string) func(int, string, error) bool {
		return func(status int, body string, err error) bool {
			return err == nil && status == want && strings.Contains(body, in)
		}
	}
	for _, test := range []struct {
		name   string
		fault  Fault
		seen   func(status int, body string, err error) bool
		worked bool
	}{
		{"reset", Reset(), isReset, false},
		{"reset-after-work", Reset().AfterWork(), isReset, true},
		{"delay", Delay(50 * time.Millisecond), is(201, `"client_id":"delay-`), true},
		{"delay-answer", DelayAnswer(50 * time.Millisecond), is(201, `"client_id":"delay-answer-`), true},
		{"drop-answer", DropAnswer(), isEOF, true},
		{"status-before", StatusBefore(429, 0), is(429, "injected"), false},
		{"status-after", StatusAfter(503), is(503, "injected"), true},
		{"html", GarbageHTML(), is(200, "<!doctype html>"), false},
		{"json", GarbageJSON(), is(200, `{"client_id":"half`), false},
		{"huge", GarbageHuge().AfterWork(), func(status int, body string, err error) bool {
			return err == nil && status == 200 && len(body) == hugeSize && json.Valid([]byte(body))
		}, true},
		{"slow-drip", SlowDrip(10 * time.Microsecond), is(201, `"client_id":"slow-drip-`), true},
		{"hang", Hang(), func(_ int, _ string, err error) bool { return errors.Is(err, context.DeadlineExceeded) }, false},
		{"hang-after-work", Hang().AfterWork(), func(_ int, _ string, err error) bool { return errors.Is(err, context.DeadlineExceeded) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			id := unique(test.name)
			proxy := NewProxy(t, Shared(t).AdminURL())
			injected := proxy.Inject(test.fault.On("POST", "/admin/clients").Times(1))
			patience := 10 * time.Second
			if test.fault.kind == hang {
				patience = 1500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if status, body, err := create(ctx, proxy.URL(), id); !test.seen(status, body, err) {
				t.Errorf("got %d %.200q, %v", status, body, err)
			}
			if got := exists(t, id); got != test.worked {
				t.Errorf("Hydra did the work: %v, want %v", got, test.worked)
			}
			if injected.Struck() != 1 || proxy.Received("POST", "") != 1 {
				t.Errorf("struck %d of %d requests", injected.Struck(), proxy.Received("POST", ""))
			}
			if status, body, err := create(t.Context(), proxy.URL(), unique(test.name)); status != 201 {
				t.Errorf("after the fault: got %d %s, %v", status, body, err)
			}
		})
	}
}

// A delayed request reaches Hydra although its caller has given up.
func TestDelayDeliversLate(t *testing.T) {
	id := unique("late")
	proxy := NewProxy(t, Shared(t).AdminURL())
	proxy.Inject(Delay(time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := create(ctx, proxy.URL(), id); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the deadline", err)
	}
	if exists(t, id) {
		t.Fatal("it was there before the delay was over")
	}
	eventually(t, "Hydra has the client", func() bool { return exists(t, id) })
}

// Retry-After is sent in seconds, and only if wanted.
func TestRetryAfter(t *testing.T) {
	proxy := NewProxy(t, Shared(t).AdminURL())
	proxy.Inject(StatusBefore(503, 7*time.Second).Times(1))
	proxy.Inject(StatusBefore(503, 0))
	for _, want := range []string{"7", ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, proxy.URL()+"/health/ready", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := direct.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Retry-After"); resp.StatusCode != 503 || got != want {
			t.Errorf("got %d with Retry-After %q, want %q", resp.StatusCode, got, want)
		}
	}
}

// While the proxy refuses nobody can connect, an open connection ends too, and
// afterwards it is at the same port again.
func TestRefuse(t *testing.T) {
	proxy := NewProxy(t, Shared(t).AdminURL())
	url := proxy.URL()
	proxy.Inject(Hang().Times(1))
	hanging := make(chan error, 1)
	go func() {
		_, _, err := create(context.Background(), url, "never")
		hanging <- err
	}()
	eventually(t, "a request hangs", func() bool { return proxy.Received("POST", "") == 1 })
	for range 2 {
		proxy.Refuse()
	}
	if err := <-hanging; err == nil {
		t.Error("the open connection lived on")
	}
	if _, _, err := create(t.Context(), url, "never"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want a refused connection", err)
	}
	for range 2 {
		if err := proxy.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	if status, body, err := create(t.Context(), proxy.URL(), unique("refuse")); status != 201 || proxy.URL() != url {
		t.Errorf("after Accept: got %d %s, %v", status, body, err)
	}
}

// With a dead Hydra behind it the proxy gives no answer at all, rather than one
// that Hydra would not give.
func TestDeadHydraBehindTheProxy(t *testing.T) {
	own := New(t, hydradev.Config{})
	proxy := NewProxy(t, own.AdminURL())
	if err := own.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, body, err := create(t.Context(), proxy.URL(), "x"); !errors.Is(err, io.EOF) {
		t.Errorf("got %d %s, %v, want the end of the connection", status, body, err)
	}
	if err := own.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, body, err := create(t.Context(), proxy.URL(), "x"); status != 201 {
		t.Errorf("after Resume: got %d %s, %v", status, body, err)
	}
}

// A chance strikes about as often as it says, the same requests for the same
// seed, and others are untouched.
func TestChance(t *testing.T) {
	proxy := NewProxy(t, Shared(t).AdminURL())
	var runs [2]string
	for i := range runs {
		proxy.Clear()
		proxy.Seed(42)
		proxy.Inject(StatusBefore(500, 0).On("GET", "/health").Chance(0.3))
		for range 200 {
			status, _ := send(t, http.MethodGet, proxy.URL()+"/health/alive", "", nil)
			if status == 500 {
				runs[i] += "x"
			} else {
				runs[i] += "."
			}
		}
	}
	if n := strings.Count(runs[0], "x"); n < 30 || n > 90 {
		t.Errorf("a chance of 0.3 struck %d of 200", n)
	}
	if diff := cmp.Diff(runs[0], runs[1]); diff != "" {
		t.Errorf("the same seed struck otherwise (-first +second):\n%s", diff)
	}
	if status, _ := send(t, http.MethodGet, proxy.URL()+"/admin/clients", "", nil); status != 200 {
		t.Errorf("another path: got %d", status)
	}
}

// Requests are counted by class, on arrival and again on their way to Hydra, and
// none is lost when many come at once.
func TestCounts(t *testing.T) {
	proxy := NewProxy(t, Shared(t).AdminURL())
	proxy.Inject(StatusBefore(500, 0).On("DELETE", "/admin/clients/"))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for _, r := range [][2]string{
				{"GET", "/admin/clients?owner=x"}, {"GET", "/admin/clients/a.b"}, {"DELETE", "/admin/clients/a.b"},
				{"PUT", "/admin/clients/c/lifespans"}, {"GET", "/admin/keys/set/kid"},
			} {
				send(t, r[0], proxy.URL()+r[1], "", nil)
			}
		})
	}
	all.Wait()
	want := map[string]int{
		"GET /admin/clients": 8, "GET /admin/clients/{id}": 8, "DELETE /admin/clients/{id}": 8,
		"PUT /admin/clients/{id}/lifespans": 8, "GET /admin/keys/{id}/kid": 8,
	}
	if diff := cmp.Diff(want, proxy.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if got, want := proxy.Received("", "/admin/clients"), 32; got != want {
		t.Errorf("received %d, want %d", got, want)
	}
	if got, want := proxy.Forwarded("", "/admin/clients"), 24; got != want {
		t.Errorf("forwarded %d, want %d", got, want)
	}
	proxy.ResetCounts()
	if got := proxy.Received("", "") + proxy.Forwarded("", ""); got != 0 {
		t.Errorf("%d counted after a reset", got)
	}
}
