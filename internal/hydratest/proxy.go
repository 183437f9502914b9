package hydratest

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/hydradev"
)

// requestLimit is the longest body of a request that the proxy takes, in bytes.
const requestLimit = 64 << 20

// Proxy stands before one of Hydra's ports and does to requests what networks,
// proxies and dying servers do. Without faults it changes nothing. It counts the
// requests it gets and those that reach Hydra. When Hydra itself does not answer,
// the proxy ends the connection without a response.
//
// Mind that net/http sends a GET once more by itself when a kept connection dies
// before the first byte of the answer.
type Proxy struct {
	port    int
	forward *httputil.ReverseProxy
	quit    chan struct{}  // closed at the end of the test
	busy    sync.WaitGroup // requests being handled

	mu        sync.Mutex
	over      bool         // the test has ended
	server    *http.Server // nil while refusing
	faults    []*Injected
	random    *rand.Rand
	received  map[string]int
	forwarded map[string]int
}

// Injected is a fault at work.
type Injected struct {
	proxy *Proxy
	fault Fault
	left  int // strikes left; below zero means without end
	count int
}

// NewProxy starts a proxy before target (a base URL such as
// [hydradev.Server.AdminURL]) that lives as long as the test. Its source of
// chance is seeded with 1.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{quit: make(chan struct{}), received: map[string]int{}, forwarded: map[string]int{}}
	p.Seed(1)
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, ResponseHeaderTimeout: time.Minute}
	p.forward = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // as Hydra gave no answer, neither do we
		},
	}
	for range 10 { // again with another port if somebody was faster
		if p.port, err = hydradev.FreePort(); err != nil {
			t.Fatal(err)
		}
		if err = p.Accept(); err == nil {
			t.Cleanup(p.close)
			return p
		}
	}
	t.Fatal(err)
	return nil
}

// close ends the proxy; nothing reaches Hydra after it has returned.
func (p *Proxy) close() {
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	close(p.quit)
	p.Refuse()
	p.busy.Wait()
}

// enter counts a request in, unless the test has ended.
func (p *Proxy) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.busy.Add(1)
	}
	return !p.over
}

// URL is the proxy's base URL, the same for its whole life.
func (p *Proxy) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", p.port) }

// Refuse closes the listener and all connections: callers get "connection
// refused" until [Proxy.Accept].
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		_ = p.server.Close() // its error is that of closing the listener: nothing to do about it
		p.server = nil
	}
}

// Accept listens again at the same port after [Proxy.Refuse].
func (p *Proxy) Accept() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
	if err != nil {
		return fmt.Errorf("hydratest: accept at the proxy: %w", err)
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 30 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func(s *http.Server) { _ = s.Serve(l) }(p.server) // ends with Close
	return nil
}

// Inject puts a fault to work after those already there: of several that match,
// the first strikes.
func (p *Proxy) Inject(f Fault) *Injected {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := &Injected{proxy: p, fault: f, left: f.times}
	if f.times == 0 {
		i.left = -1
	}
	p.faults = append(p.faults, i)
	return i
}

// Clear removes all faults. Requests already struck are not freed.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Seed starts the source of chance anew.
func (p *Proxy) Seed(seed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.random = rand.New(rand.NewPCG(seed, seed))
}

// Struck is how many requests the fault has hit.
func (i *Injected) Struck() int {
	i.proxy.mu.Lock()
	defer i.proxy.mu.Unlock()
	return i.count
}

// pick chooses the fault for a request, if any.
func (p *Proxy) pick(r *http.Request) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, i := range p.faults {
		f := i.fault
		if i.left == 0 || !f.matches(r) || (f.chance > 0 && p.random.Float64() >= f.chance) {
			continue
		}
		i.count++
		i.left--
		return f, true
	}
	return Fault{}, false
}

// ServeHTTP handles one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.busy.Done()
	// Read the request whole: only then does net/http notice a caller that leaves,
	// and a late delivery needs it.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestLimit))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	p.count(p.received, r)
	if f, ok := p.pick(r); ok {
		p.strike(f, w, r)
		return
	}
	p.pass(w, r)
}

// pass lets Hydra answer.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request) {
	p.count(p.forwarded, r)
	p.forward.ServeHTTP(w, r)
}

// work lets Hydra do what is asked, whether or not the caller still waits, and
// returns its answer.
func (p *Proxy) work(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	p.pass(rec, r.WithContext(context.WithoutCancel(r.Context())))
	return rec
}
