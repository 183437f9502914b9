package keyauth_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/keyauth"
)

// Close ends everything that the verifier began, also what hangs, and may be called
// twice. Afterwards nothing is called any more and what is not remembered is 503.
func TestClose(t *testing.T) {
	w := newWorld(t)
	eventually(t, "the server has started", func() bool { return runtime.NumGoroutine() > 2 })
	before := stacks()
	for range 5 {
		v, err := keyauth.New(func() keyauth.Config {
			c := w.config()
			fastLists(&c)
			c.HydraReadyURL = w.URL + "/health/ready"
			return c
		}())
		if err != nil {
			t.Fatal(err)
		}
		token := w.jwt(w.listed(w.claims(), 7))
		if got := reasonOf(t, v, token); got != "" {
			t.Fatal(got)
		}
		w.breaks("/v1/introspect", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() { _ = reasonOf(t, v, fmt.Sprintf("hangs%d", i)) })
		}
		eventually(t, "they hang", func() bool { return w.count("/v1/introspect") >= 10 })
		began := time.Now()
		for range 2 {
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("closing took %s", d)
		}
		all.Wait()
		w.breaks("/v1/introspect", nil)
		w.mu.Lock()
		clear(w.counts)
		w.mu.Unlock()
		w.advance(10 * time.Minute)
		c := w.claims()
		for _, token := range []string{"opaque", w.jwt(w.listed(c, 7)), es256(`{"alg":"ES256","kid":"new","typ":"JWT"}`, "{}", esKey)} {
			if got := reasonOf(t, v, token); got == "" {
				t.Error("accepted after Close")
			}
		}
		if n := w.count("/v1/introspect") + w.count("/status/0") + w.count(jwks); n != 0 {
			t.Errorf("%d calls after Close", n)
		}
	}
	w.CloseClientConnections()
	eventually(t, "our goroutines are gone", func() bool { return stacks() <= before })
}

// stacks counts the goroutines that have to do with this package or its calls.
func stacks() int {
	buffer := make([]byte, 4<<20)
	n := 0
	for stack := range bytes.SplitSeq(buffer[:runtime.Stack(buffer, true)], []byte("\n\n")) {
		s := string(stack)
		if strings.Contains(s, "tokenos/keyauth.") && !strings.Contains(s, "testing.tRunner") || strings.Contains(s, "persistConn") || strings.Contains(s, "otter") {
			n++
		}
	}
	return n
}

// everything answers every introspection with yes, without a network.
type everything struct{ body []byte }

func (e everything) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(e.body)), Request: r}, nil
}

// distinct is how many different tokens come in the test of the memory; a million
// takes half a minute on a quiet machine.
var distinct = flag.Int("tokens", 50_000, "different tokens in TestMemoryIsBounded")

// However many different good tokens come, they take no more memory than
// configured.
func TestMemoryIsBounded(t *testing.T) {
	const limit = 4 << 20
	w := newWorld(t)
	v := w.verifier(t, func(c *keyauth.Config) {
		c.CacheBytes, c.Issuer = limit, ""
		body := fmt.Sprintf(`{"active":true,"client_id":%q,"sub":%q,"exp":%d,"aud":[%q],"scope":%q,"owner":%q}`, keyID, keyID, time.Now().Unix()+9000, api, strings.Repeat("scope:number ", 20)+"x", strings.Repeat("o", 200))
		c.HTTPClient = &http.Client{Transport: everything{[]byte(body)}}
	})
	before := heap()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range *distinct / 4 {
				if _, err := v.Verify(t.Context(), fmt.Sprintf("ory_at_%d.%d", worker, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if grown := int64(heap()) - int64(before); grown > 3*limit {
		t.Errorf("%d bytes more in use, configured %d", grown, limit)
	}
	runtime.KeepAlive(v)
}

// Different bad tokens leave nothing behind.
func TestBadTokensLeaveNothing(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	good := w.jwt(w.claims())
	_ = reasonOf(t, v, good)
	before := heap()
	head := good[:len(good)-20]
	for i := range 4_000 {
		_, _ = v.Verify(t.Context(), fmt.Sprintf("%s%020d", head, i)) // a wrong signature
		for j := range 49 {
			_, _ = v.Verify(t.Context(), fmt.Sprintf("a%d.b%d.c", i, j))
		}
	}
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("%d bytes more in use", grown)
	}
	runtime.KeepAlive(v)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
