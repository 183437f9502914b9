package handlers_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

// refill one more is looked at.
func TestFailures(t *testing.T) {
	b := newLimitedBench(t, handlers.Limits{Failures: handlers.Limit{PerMinute: 20, Burst: 5}})
	const bad = "192.0.2.66"
	at := "/v1/keys/" + keyID
	status := func(address, token string) int {
		res, _ := b.do(from(address, "GET", at, token))
		return res.StatusCode
	}
	if got := status("192.0.2.1", "good-old"); got != 200 {
		t.Fatalf("a good token: %d", got)
	}
	for i := range 100 {
		want := 429
		if i < 5 {
			want = 401
		}
		if got := status(bad, fmt.Sprint("bad", i)); got != want {
			t.Errorf("bad token %d: got %d, want %d", i, got, want)
		}
	}
	if got := b.asked.Load(); got != 6 {
		t.Errorf("asked %d times, want once for the good one and 5 times for bad ones", got)
	}
	if got := status(bad, "good-old"); got != 200 {
		t.Errorf("a token accepted before, from the bad address: %d", got)
	}
	if got := status(bad, "good-new"); got != 429 {
		t.Errorf("a token not seen before, from the bad address: %d", got)
	}
	if got := status("192.0.2.2", "bad"); got != 401 {
		t.Errorf("a bad token from elsewhere: %d", got)
	}
	if got := status(bad, ""); got != 401 {
		t.Errorf("no token, which costs nobody anything: %d", got)
	}
	b.hand.advance(3 * time.Second)
	for range 20 {
		if got := status(bad, "good-new"); got != 200 {
			t.Errorf("a good token after the refill: %d; success must cost nothing", got)
		}
	}
	if first, second := status(bad, "bad"), status(bad, "bad"); first != 401 || second != 429 {
		t.Errorf("two bad ones after the refill of one: %d, %d", first, second)
	}
	b.hand.advance(3 * time.Minute)
	if got := status(bad, "good-old"); got != 200 {
		t.Errorf("used again: %d", got)
	}
	for range 6 {
		status(bad, "bad")
	}
	b.hand.advance(2 * time.Second)
	if got := status(bad, "good-old"); got != 200 {
		t.Errorf("accepted two seconds ago: %d", got)
	}
}

// and at once when it is refused.
func TestAcceptedIsForgotten(t *testing.T) {
	ended := map[string]bool{}
	b := newLimitedBench(t, handlers.Limits{Failures: handlers.Limit{PerMinute: 1, Burst: 1}}, func(c *handlers.Config) {
		next := c.Authenticate
		c.Authenticate = func(ctx context.Context, token string) (apikey.Caller, error) {
			caller, err := next(ctx, token)
			if ended[token] {
				return apikey.Caller{}, apikey.ErrUnauthenticated
			}
			return caller, err
		}
	})
	status := func(token string) int {
		res, _ := b.do(from("192.0.2.1", "GET", "/v1/keys/"+keyID, token))
		return res.StatusCode
	}
	for token, then := range map[string]func(){
		"good-a": func() { b.hand.advance(5*time.Minute + time.Second) },
		"good-b": func() { ended["good-b"] = true; status("good-b") },
	} {
		if got := status(token); got != 200 {
			t.Fatalf("%s: %d", token, got)
		}
		then()
		for range 2 {
			status("bad")
		}
		before := b.asked.Load()
		if got := status(token); got != 429 || b.asked.Load() != before {
			t.Errorf("%s: got %d, asked %d times more", token, got, b.asked.Load()-before)
		}
		b.hand.advance(time.Minute)
	}
}

// look up.
func TestOutagesAreNoFailures(t *testing.T) {
	b := newLimitedBench(t, handlers.Limits{Failures: handlers.Limit{PerMinute: 1, Burst: 2}}, func(c *handlers.Config) {
		c.Authenticate = func(context.Context, string) (apikey.Caller, error) {
			return apikey.Caller{}, &apikey.Error{Kind: apikey.ErrUnavailable}
		}
	})
	for range 20 {
		res, body := b.do(from("192.0.2.1", "GET", "/v1/keys", "any"))
		wantProblem(t, res, body, 503, apikey.ErrUnavailable)
		if res.Header.Get("RateLimit") != "" {
			t.Errorf("RateLimit %q", res.Header.Get("RateLimit"))
		}
	}
}

// those that wait for an answer are counted.
func TestFailuresAtOnce(t *testing.T) {
	release := make(chan struct{})
	b := newLimitedBench(t, handlers.Limits{Failures: handlers.Limit{PerMinute: 1, Burst: 5}}, func(c *handlers.Config) {
		next := c.Authenticate
		c.Authenticate = func(ctx context.Context, token string) (apikey.Caller, error) {
			defer func() { <-release }()
			return next(ctx, token)
		}
	})
	var work sync.WaitGroup
	answers := make(chan int, 50)
	for i := range 50 {
		work.Go(func() {
			res, _ := b.do(from("192.0.2.1", "GET", "/v1/keys", fmt.Sprint("bad", i)))
			answers <- res.StatusCode
		})
	}
	for range 45 {
		select {
		case got := <-answers:
			if got != 429 {
				t.Errorf("got %d while five are looked at", got)
			}
		case <-time.After(10 * time.Second):
			close(release)
			t.Fatalf("%d are looked at, want 5", b.asked.Load())
		}
	}
	close(release)
	work.Wait()
	if got := b.asked.Load(); got != 5 {
		t.Errorf("asked %d times, want 5", got)
	}
}

// One new token with which many requests come at once is one try, good or bad.
func TestOneTokenAtOnce(t *testing.T) {
	const count = 50
	for token, want := range map[string]int{"good-new": 200, "bad": 401} {
		var arrived sync.WaitGroup
		arrived.Add(count)
		b := newLimitedBench(t, handlers.Limits{Failures: handlers.Limit{PerMinute: 1, Burst: 2}}, func(c *handlers.Config) {
			next := c.Authenticate
			c.Authenticate = func(ctx context.Context, token string) (apikey.Caller, error) {
				if token != "last" {
					arrived.Done()
					arrived.Wait() // all are in flight together
				}
				return next(ctx, token)
			}
		})
		var work sync.WaitGroup
		for range count {
			work.Go(func() {
				if res, body := b.do(from("192.0.2.1", "GET", "/v1/keys/"+keyID, token)); res.StatusCode != want {
					t.Errorf("%s: got %d %s, want %d", token, res.StatusCode, body, want)
					if res.StatusCode == 429 {
						arrived.Done()
					}
				}
			})
		}
		work.Wait()
		res, _ := b.do(from("192.0.2.1", "GET", "/v1/keys", "last"))
		left := `"failures";r=1;t=60`
		if token == "bad" {
			left = `"failures";r=0;t=60`
		}
		if res.StatusCode != 401 || res.Header.Get("RateLimit") != left {
			t.Errorf("after %s: %d, RateLimit %s, want %s", token, res.StatusCode, res.Header.Get("RateLimit"), left)
		}
	}
}
