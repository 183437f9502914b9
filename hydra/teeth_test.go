package hydra_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/hydra"
)

const hydraMinute = time.Minute

// clock is a clock that only moves when told.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// teeth is a Hydra that fails as told: a real one cannot be made to.
type teeth struct {
	*httptest.Server
	requests atomic.Int64
	release  chan struct{} // closed at the end of the test, to let hanging ones go
}

// bite starts one. The handler gets the number of the request, from 1.
func bite(t *testing.T, handle func(n int64, w http.ResponseWriter, r *http.Request)) *teeth {
	t.Helper()
	b := &teeth{release: make(chan struct{})}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handle(b.requests.Add(1), w, r)
	}))
	t.Cleanup(b.Close)
	t.Cleanup(func() { close(b.release) })
	return b
}

// against points our Hydra at it, with short patience.
func (b *teeth) against(t *testing.T, options ...func(*hydra.Config)) *hydra.Hydra {
	t.Helper()
	return newHydra(t, append([]func(*hydra.Config){func(c *hydra.Config) {
		c.AdminURL, c.CallTimeout = b.URL, 250*time.Millisecond
	}}, options...)...)
}

// hang answers nothing until the caller goes away or the test ends.
func (b *teeth) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-b.release:
	}
}

// drop closes the connection, as a reset if hard.
func drop(w http.ResponseWriter, hard bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && hard {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func say(w http.ResponseWriter, status int, media, body string) {
	if media != "" {
		w.Header().Set("Content-Type", media)
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

const (
	mediaJSON = "application/json; charset=utf-8"
	mediaHTML = "text/html"
	e404      = `{"error":"Unable to locate the resource","error_description":""}`
	e500      = `{"error":"error","error_description":"The error is unrecognizable"}`
)

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come true", what)
		}
	}
}
