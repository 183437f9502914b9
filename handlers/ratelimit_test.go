package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// hand is a clock that the test sets.
type hand struct {
	mu sync.Mutex
	at time.Time
}

func (h *hand) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *hand) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

// limitedBench is a bench with limits and a clock; asked counts Authenticate.
type limitedBench struct {
	*bench
	hand  *hand
	asked *atomic.Int32
}

func newLimitedBench(t testing.TB, l handlers.Limits, more ...func(*handlers.Config)) *limitedBench {
	t.Helper()
	out := &limitedBench{hand: &hand{at: then}, asked: &atomic.Int32{}}
	out.bench = newBench(t, func(c *handlers.Config) {
		trusting(c)
		c.Limits, c.Now = l, out.hand.now
		c.Authenticate = func(ctx context.Context, token string) (apikey.Caller, error) {
			out.asked.Add(1)
			if strings.HasPrefix(token, "good-") {
				return apikey.Caller{Principal: "key:" + token, Rights: []apikey.Right{apikey.Admin}}, nil
			}
			return authenticate(ctx, token)
		}
		for _, change := range more {
			change(c)
		}
	})
	return out
}

// from makes a request of an address, with a token.
func from(address, method, target, token string) *http.Request {
	r := request(method, target, "")
	r.RemoteAddr = address + ":4711"
	if strings.Contains(address, ":") {
		r.RemoteAddr = "[" + address + "]:4711"
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if token == "" {
		r.Header.Del("Authorization")
	}
	return r
}

// wantLimits compares the headers of an answer, and the status.
func wantLimits(t *testing.T, what string, res reply, status int, policy, limit, retryAfter string) {
	t.Helper()
	h := res.Header
	got := [...]string{fmt.Sprint(res.StatusCode), h.Get("RateLimit-Policy"), h.Get("RateLimit"), h.Get("Retry-After")}
	if want := [...]string{fmt.Sprint(status), policy, limit, retryAfter}; got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
	for _, name := range []string{"RateLimit-Policy", "RateLimit", "Retry-After"} {
		if len(h.Values(name)) > 1 {
			t.Errorf("%s: %s twice", what, name)
		}
	}
}

// Every limited answer tells of the limit that leaves least, in the form of the
// draft, and a refusal when to come again.
func TestRateLimitHeaders(t *testing.T) {
	b := newLimitedBench(t, handlers.Limits{
		Address:  handlers.Limit{PerMinute: 120, Burst: 4},
		Caller:   handlers.Limit{PerMinute: 10, Burst: 3},
		Failures: handlers.Limit{PerMinute: 20, Burst: 2},
		Self:     handlers.Limit{PerMinute: 1, Burst: 2},
	})
	const address, caller, failures, self = `"address";q=4;w=2`, `"caller";q=3;w=18`, `"failures";q=2;w=6`, `"self";q=2;w=120`
	at := "/v1/keys/" + keyID
	for _, step := range []struct {
		wait                                   time.Duration
		address, method, target, token         string
		status                                 int
		policy, limit, retryAfter, description string
	}{
		{0, "192.0.2.1", "GET", at, "good-a", 200, caller, `"caller";r=2;t=6`, "", "the caller's is tighter"},
		{2 * time.Second, "192.0.2.1", "GET", at, "good-a", 200, caller, `"caller";r=1;t=4`, "", "a third of a token later"},
		{0, "192.0.2.2", "GET", at, "good-a", 200, caller, `"caller";r=0;t=4`, "", "the last one"},
		{0, "192.0.2.2", "GET", at, "good-a", 429, caller, `"caller";r=0;t=4`, "4", "one too many"},
		{0, "192.0.2.2", "POST", "/v1/keys", "good-a", 429, caller, `"caller";r=0;t=4`, "4", "refused ones cost nothing"},
		{0, "192.0.2.2", "GET", "/v1/nothing", "", 401, address, `"address";r=0;t=1`, "", "but they count for the address"},
		{0, "192.0.2.2", "GET", "/v1/nothing", "", 429, address, `"address";r=0;t=1`, "1", "the address is refused before all else"},
		{0, "192.0.2.2", "GET", "/health/alive", "", 200, "", "", "", "health is free"},
		{0, "192.0.2.3", "GET", at, "bad", 401, failures, `"failures";r=1;t=3`, "", "a failure"},
		{0, "192.0.2.3", "GET", at, "bad", 401, failures, `"failures";r=0;t=3`, "", "the last failure"},
		{0, "192.0.2.3", "GET", at, "bad", 429, failures, `"failures";r=0;t=3`, "3", "one failure too many"},
		{500 * time.Millisecond, "192.0.2.4", "PUT", at, "good-b", 405, caller, `"caller";r=2;t=6`, "", "a wrong method counts"},
		{0, "192.0.2.4", "HEAD", at, "good-b", 200, caller, `"caller";r=1;t=6`, "", "HEAD counts"},
		{0, "192.0.2.4", "GET", "/v1/nothing", "good-b", 404, caller, `"caller";r=0;t=6`, "", "no route counts"},
		{0, "192.0.2.5", "GET", "/nothing", "", 404, address, `"address";r=3;t=1`, "", "no route, no token"},
		{0, "192.0.2.5", "GET", "/health/nothing", "", 404, address, `"address";r=2;t=1`, "", "no health check"},
		{0, "192.0.2.5", "GET", "/openapi.json", "", 200, address, `"address";r=1;t=1`, "", "the document"},
		{0, "192.0.2.6", "GET", "/v1/self", "", 401, self, `"self";r=1;t=60`, "", "the holder"},
		{0, "192.0.2.6", "GET", "/v1/self/x", "", 401, self, `"self";r=0;t=60`, "", "below"},
		{0, "192.0.2.6", "GET", "/v1/self", "", 429, self, `"self";r=0;t=60`, "60", "too many of the holder's"},
		{0, "192.0.2.7", "GET", "/v1/selfish", "", 401, address, `"address";r=3;t=1`, "", "not the holder's"},
	} {
		b.hand.advance(step.wait)
		res, body := b.do(from(step.address, step.method, step.target, step.token))
		wantLimits(t, step.description, res, step.status, step.policy, step.limit, step.retryAfter)
		if step.status == 429 {
			wantProblem(t, res, body, 429, apikey.ErrRateLimited)
		}
	}
}

// A call in clear counts, and gets nothing but a refusal within the limit and
// beyond it.
func TestPlainHTTPCounts(t *testing.T) {
	b := newLimitedBench(t, handlers.Limits{Address: handlers.Limit{PerMinute: 60, Burst: 2}})
	for i := range 4 {
		r := from("192.0.2.1", "GET", "/v1/keys/"+keyID, "good-a")
		r.TLS = nil
		res, body := b.do(r)
		if i < 2 {
			wantProblem(t, res, body, 403, apikey.ErrHTTPSRequired)
		} else {
			wantProblem(t, res, body, 429, apikey.ErrRateLimited)
		}
	}
	if b.asked.Load() != 0 {
		t.Error("a token that came in clear was looked up")
	}
}

// Without limits nothing is counted, and no header tells of any.
func TestNoLimits(t *testing.T) {
	b := newLimitedBench(t, handlers.Limits{Address: handlers.Limit{Burst: 1}})
	for range 500 {
		res, _ := b.do(from("192.0.2.1", "GET", "/v1/keys/"+keyID, "good-a"))
		if wantLimits(t, "no limits", res, 200, "", "", ""); t.Failed() {
			return
		}
	}
}

// Limits that make no sense are refused at once.
func TestSenselessLimits(t *testing.T) {
	for _, l := range []handlers.Limit{{PerMinute: -1, Burst: 1}, {PerMinute: 1}, {PerMinute: 1, Burst: -1}, {PerMinute: 1 << 40, Burst: 1}, {PerMinute: 1, Burst: 1 << 40}} {
		for name, limits := range map[string]handlers.Limits{"address": {Address: l}, "caller": {Caller: l}, "failures": {Failures: l}, "self": {Self: l}} {
			h, err := handlers.New(handlers.Config{API: newFake(), Authenticate: authenticate, Limits: limits})
			if h != nil || err == nil || !strings.Contains(err.Error(), "limit "+name) {
				t.Errorf("%+v: got %v, %v", limits, h, err)
			}
		}
	}
}

// What counts as one address: whoever writes X-Forwarded-For himself stays the
// peer that he is, behind a trusted proxy each has his own, and one site of
// IPv6 has one.
func TestLimitedAddresses(t *testing.T) {
	const count = 1000
	for _, test := range []struct {
		name, peer string
		forwarded  func(i int) string
		peerOf     func(i int) string
		passed     int
	}{
		{name: "spoofed", peer: "192.0.2.7", forwarded: func(i int) string { return fmt.Sprintf("198.51.%d.%d", i/250, i%250) }, passed: 10},
		{name: "spoofed before the real one", peer: "10.0.0.1", forwarded: func(i int) string { return fmt.Sprintf("198.51.%d.%d, 203.0.113.5", i/250, i%250) }, passed: 10},
		{name: "behind a proxy", peer: "10.0.0.1", forwarded: func(i int) string { return fmt.Sprintf("198.51.%d.%d", i/250, i%250) }, passed: count},
		{name: "unreadable behind a proxy", peer: "10.0.0.1", forwarded: func(i int) string { return fmt.Sprint("nobody", i) }, passed: 10},
		{name: "one /64", peerOf: func(i int) string { return fmt.Sprintf("[2001:db8:1:2::%x]:1", i+1) }, passed: 10},
		{name: "many /64", peerOf: func(i int) string { return fmt.Sprintf("[2001:db8:1:%x::1]:1", i+1) }, passed: count},
		{name: "IPv4 inside IPv6", peerOf: func(i int) string { return fmt.Sprintf("[::ffff:192.0.2.%d]:1", i%2) }, passed: 20},
		{name: "no address", peerOf: func(i int) string { return "@" }, passed: 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newLimitedBench(t, handlers.Limits{Address: handlers.Limit{PerMinute: 1, Burst: 10}})
			passed := 0
			for i := range count {
				r := request("GET", "/openapi.json", "")
				r.RemoteAddr = test.peer + ":4711"
				if test.peerOf != nil {
					r.RemoteAddr = test.peerOf(i)
				}
				if test.forwarded != nil {
					r.Header.Set("X-Forwarded-For", test.forwarded(i))
				}
				if res, _ := b.do(r); res.StatusCode == 200 {
					passed++
				}
			}
			if passed != test.passed {
				t.Errorf("%d requests passed, want %d", passed, test.passed)
			}
		})
	}
}

// Past the burst of bad tokens nobody is asked about one any more, while a token
// that was accepted from anywhere goes on working from that address; after the
// A credential that was accepted is forgotten five minutes after the last time,
// Only a credential that was refused is a failure, not one that nobody could
// Many bad tokens at once have no more looks than one after the other, and
// A caller over its limit costs neither Hydra nor the ledger anything, and its
// body is not read.
func TestRefusingIsCheap(t *testing.T) {
	b := newLimitedBench(t, handlers.Limits{Caller: handlers.Limit{PerMinute: 1, Burst: 2}})
	for range 2 {
		b.do(from("192.0.2.1", "GET", "/v1/keys/"+keyID, "good-a"))
	}
	b.count()
	body := &unreadable{}
	for range 50 {
		r := from("192.0.2.1", "POST", "/v1/keys", "good-a")
		r.Body, r.ContentLength = body, 100
		res, text := b.do(r)
		wantProblem(t, res, text, 429, apikey.ErrRateLimited)
	}
	if b.asked.Load() != 2 || b.count() != 0 || body.read {
		t.Errorf("asked %d times, body read: %v", b.asked.Load(), body.read)
	}
	if res, _ := b.do(from("192.0.2.1", "GET", "/v1/keys/"+keyID, "good-b")); res.StatusCode != 200 {
		t.Errorf("another caller from that address: %d", res.StatusCode)
	}
}

// unreadable is a body that remembers whether it was read.
type unreadable struct{ read bool }

func (u *unreadable) Read([]byte) (int, error) { u.read = true; return 0, context.Canceled }
func (u *unreadable) Close() error             { return nil }

// Callers at once never get more than the burst and what time has added.
func TestCallersAtOnce(t *testing.T) {
	b := newLimitedBench(t, handlers.Limits{Caller: handlers.Limit{PerMinute: 600, Burst: 50}})
	var passed atomic.Int32
	flood := func() {
		var work sync.WaitGroup
		for range 16 {
			work.Go(func() {
				for range 40 {
					if res, _ := b.do(from("192.0.2.1", "GET", "/v1/keys/"+keyID, "good-a")); res.StatusCode == 200 {
						passed.Add(1)
					}
				}
			})
		}
		work.Wait()
	}
	flood()
	if got := passed.Load(); got != 50 {
		t.Errorf("%d passed, want the burst of 50", got)
	}
	b.hand.advance(2 * time.Second)
	flood()
	if got := passed.Load(); got != 70 {
		t.Errorf("%d passed, want 20 more after two seconds", got)
	}
	b.hand.advance(time.Hour)
	flood()
	if got := passed.Load(); got != 120 {
		t.Errorf("%d passed, want no more than a burst after an hour", got)
	}
}

// Refusals do not fill the log: one line a minute for each that is refused,
// with nothing of what was sent.
func TestRefusalsAreLoggedOnce(t *testing.T) {
	b := newLimitedBench(t, handlers.Limits{
		Address: handlers.Limit{PerMinute: 1, Burst: 1}, Caller: handlers.Limit{PerMinute: 1, Burst: 1}, Failures: handlers.Limit{PerMinute: 1, Burst: 1}})
	type line struct{ Level, Msg, Limit, Address, Principal string }
	flood := func(address, token string) (out []line) {
		b.log.Reset()
		for range 100 {
			r := from(address, "GET", "/v1/keys/"+keyID, token)
			r.Header.Set("X-Forwarded-For", canary)
			b.do(r)
		}
		if strings.Contains(b.log.String(), canary) {
			t.Error("the log repeats what was sent")
		}
		for raw := range strings.Lines(b.log.String()) {
			var l line
			if err := json.Unmarshal([]byte(raw), &l); err != nil {
				t.Fatal(err)
			}
			if l.Msg != "request" || l.Level != "INFO" {
				out = append(out, l)
			}
		}
		if lines := strings.Count(b.log.String(), "\n"); lines > 2 {
			t.Errorf("%d lines of 100 requests", lines)
		}
		return out
	}
	want := line{"WARN", "rate limited", "address", "192.0.2.1", ""}
	for _, wait := range []time.Duration{0, time.Minute} {
		b.hand.advance(wait)
		if got := flood("192.0.2.1", "good-a"); len(got) != 1 || got[0] != want {
			t.Errorf("got %+v", got)
		}
	}
	b.hand.advance(30 * time.Second)
	if got := flood("192.0.2.1", "good-a"); len(got) != 0 {
		t.Errorf("half a minute later: %+v", got)
	}

	b = newLimitedBench(t, handlers.Limits{Caller: handlers.Limit{PerMinute: 1, Burst: 1}, Failures: handlers.Limit{PerMinute: 1, Burst: 1}})
	if got := flood("192.0.2.1", "good-a"); len(got) != 1 || got[0] != (line{"WARN", "rate limited", "caller", "192.0.2.1", "key:good-a"}) {
		t.Errorf("got %+v", got)
	}
	if got := flood("192.0.2.1", canary); len(got) != 1 || got[0] != (line{"WARN", "rate limited", "failures", "192.0.2.1", ""}) {
		t.Errorf("got %+v", got)
	}
}

// What holders ask is limited by the key that it is about, from wherever it
// comes, before the holder's credential is looked at; tokens are not in it.
func TestSelfIsLimitedByKey(t *testing.T) {
	asked := 0
	b := newBench(t, func(c *handlers.Config) {
		c.Limits = handlers.Limits{Self: handlers.Limit{PerMinute: 1, Burst: 3}}
		c.Holder = holderFunc(func() { asked++ })
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	ask := func(address, id string) int {
		r := request("GET", "/v1/self", "")
		r.RemoteAddr = "192.0.2.1:1234"
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-For", address)
		r.Header.Del("Authorization")
		r.SetBasicAuth(id, apikey.GenerateSecret().Reveal())
		res, _ := b.do(r)
		return res.StatusCode
	}
	for i := range 3 {
		if got := ask(fmt.Sprint("203.0.113.", i), keyID); got != 200 {
			t.Errorf("request %d: got %d", i, got)
		}
	}
	if got := ask("203.0.113.9", keyID); got != 429 || asked != 3 {
		t.Errorf("one more about the key: got %d after %d questions", got, asked)
	}
	if got := ask("203.0.113.9", keyID+"x"); got == 429 {
		t.Error("another key is limited with it")
	}
}

// holderFunc is a holder's API that only counts.
type holderFunc func()

func (f holderFunc) Self(context.Context, apikey.HolderCredential) (apikey.Self, error) {
	f()
	return apikey.Self{}, nil
}

func (f holderFunc) RevokeSelf(context.Context, apikey.HolderCredential, apikey.RevokeSelfParams) error {
	f()
	return nil
}
