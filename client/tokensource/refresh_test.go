package tokensource_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// bench is a source behind a proxy, with a clock. Its tokens live 15 minutes.
type bench struct {
	*tokensource.Source
	world    *apikeytest.World
	key      key
	proxy    *hydratest.Proxy
	clock    *apikeytest.Clock
	failures *failures
}

func newBench(t *testing.T, edits ...func(*tokensource.Config)) *bench {
	t.Helper()
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	b := &bench{world: w, key: newKey(t, w, apikey.ClientSecretBasic, apikey.Opaque), proxy: hydratest.NewProxy(t, w.Hydra.PublicURL()), clock: &apikeytest.Clock{}, failures: &failures{}}
	b.Source = newSource(t, b.key.config(), append([]func(*tokensource.Config){through(b.proxy), func(c *tokensource.Config) {
		c.Now, c.OnFailure, c.Retries = b.clock.Now, b.failures.tell, -1
	}}, edits...)...)
	return b
}

// asked is how many tokens were asked for.
func (b *bench) asked() int { return b.proxy.Received("POST", "/oauth2/token") }

func (b *bench) must(t *testing.T) string {
	t.Helper()
	token, err := b.AccessToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A token is used for three quarters of its life without a further request. Then
// the next one is bought while callers go on with the first.
func TestEarlyRefresh(t *testing.T) {
	b := newBench(t)
	first := b.must(t)
	b.clock.Advance(11 * time.Minute)
	for range 10 {
		if b.must(t) != first {
			t.Error("another token after 11 of 15 minutes")
		}
	}
	if b.asked() != 1 {
		t.Errorf("%d requests in 11 minutes, want 1", b.asked())
	}
	b.proxy.Inject(hydratest.Delay(300 * time.Millisecond))
	b.clock.Advance(2 * time.Minute)
	for range 10 {
		if b.must(t) != first {
			t.Error("another token than the one at hand while the next is bought")
		}
	}
	apikeytest.Eventually(t, "the next token is at hand", func() bool { return b.must(t) != first })
	if b.asked() != 2 {
		t.Errorf("%d requests in 13 minutes, want 2", b.asked())
	}
}

// While refreshing fails the last token is used to its end and OnFailure hears of
// it, with pauses in between; after the end callers get the failure; and when
// Hydra is back, a token.
func TestRefreshFails(t *testing.T) {
	b := newBench(t)
	first := b.must(t)
	b.proxy.Inject(hydratest.StatusBefore(503, 0))
	b.clock.Advance(13 * time.Minute)
	for range 50 {
		if b.must(t) != first {
			t.Error("another token")
		}
	}
	apikeytest.Eventually(t, "OnFailure is told", func() bool { return b.failures.count() == 1 })
	for range 50 {
		b.must(t)
	}
	if b.asked() != 2 {
		t.Errorf("%d requests, want 2: no further one in the pause after a failure", b.asked())
	}
	b.clock.Advance(6 * time.Second)
	b.must(t)
	apikeytest.Eventually(t, "another try after the pause", func() bool { return b.asked() == 3 && b.failures.count() == 2 })
	b.clock.Advance(2 * time.Minute)
	_, err := b.Token()
	refused(t, err, tokensource.ErrUnavailable)
	_, again := b.Token()
	if !errors.Is(again, tokensource.ErrUnavailable) || b.asked() != 4 {
		t.Errorf("%d requests and %v: a failure is told for a while without asking again", b.asked(), again)
	}
	b.proxy.Clear()
	b.clock.Advance(6 * time.Second)
	if b.must(t) == first {
		t.Error("the token of before is handed out after its end")
	}
}

// Also a token whose key was disabled meanwhile is used on until the API refuses
// it; the holder hears of it by OnFailure.
func TestDisabledMeanwhile(t *testing.T) {
	b := newBench(t)
	first := b.must(t)
	if _, err := b.world.Service.Disable(b.key.ctx, b.key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(13 * time.Minute)
	if b.must(t) != first {
		t.Error("another token")
	}
	apikeytest.Eventually(t, "OnFailure is told", func() bool { return b.failures.count() == 1 })
	refused(t, b.failures.last(), tokensource.ErrDisabled)
}

// A token is not handed out in its last moments, when it could end on the way.
func TestLastMoments(t *testing.T) {
	b := newBench(t)
	first := b.must(t)
	b.clock.Advance(15*time.Minute - 9*time.Second)
	if b.must(t) == first {
		t.Error("a token is handed out nine seconds before its end")
	}
}

// A clock that is set back does not make a token live longer.
func TestClockSetBack(t *testing.T) {
	b := newBench(t)
	first := b.must(t)
	b.clock.Advance(-30 * time.Second)
	if b.must(t) != first {
		t.Error("a clock set right by half a minute costs a token")
	}
	b.clock.Advance(-time.Hour)
	if b.must(t) == first {
		t.Error("a token is kept although nobody knows its end any more")
	}
}

// A token that lives a minute, the shortest of TokenOS, is used for most of it.
func TestShortLife(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	k := newKey(t, w, apikey.ClientSecretPost, apikey.Opaque)
	minute := apikey.Duration(time.Minute)
	if _, err := w.Service.Update(k.ctx, k.ID, apikey.UpdateParams{Token: &apikey.TokenParams{Lifetime: &minute}}); err != nil {
		t.Fatal(err)
	}
	clock := &apikeytest.Clock{}
	proxy := hydratest.NewProxy(t, w.Hydra.PublicURL())
	source := newSource(t, k.config(), through(proxy), func(c *tokensource.Config) { c.Now = clock.Now })
	for range 4 {
		if _, err := source.Token(); err != nil {
			t.Fatal(err)
		}
		clock.Advance(10 * time.Second)
	}
	if n := proxy.Received("POST", "/oauth2/token"); n != 1 {
		t.Errorf("%d requests in 40 seconds, want 1", n)
	}
}

// A hundred goroutines that want a token make one request and get one token, the
// first time and at each refresh.
func TestOneRequestForAll(t *testing.T) {
	b := newBench(t)
	b.proxy.Inject(hydratest.Delay(300 * time.Millisecond))
	for round := 1; round <= 2; round++ {
		var all sync.Map
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				var token string
				var err error
				if i%2 == 0 {
					token, err = b.AccessToken(t.Context())
				} else if got, e := b.Token(); e == nil {
					token = got.AccessToken
				} else {
					err = e
				}
				if err != nil {
					t.Error(err)
				}
				all.Store(token, true)
			})
		}
		group.Wait()
		n := 0
		all.Range(func(any, any) bool { n++; return true })
		if n != 1 || b.asked() != round {
			t.Errorf("round %d: %d tokens by %d requests, want 1 by %d", round, n, b.asked(), round)
		}
		b.clock.Advance(16 * time.Minute)
	}
}

// A hundred goroutines that get no token make one request, and get one error.
func TestOneRefusalForAll(t *testing.T) {
	b := newBench(t, func(c *tokensource.Config) { c.Scopes = []string{"admin"} })
	b.proxy.Inject(hydratest.Delay(300 * time.Millisecond))
	var group sync.WaitGroup
	for range 100 {
		group.Go(func() {
			if _, err := b.AccessToken(t.Context()); !errors.Is(err, tokensource.ErrScope) {
				t.Errorf("got %v, want %v", err, tokensource.ErrScope)
			}
		})
	}
	group.Wait()
	apikeytest.Eventually(t, "OnFailure is told", func() bool { return b.failures.count() > 0 })
	if b.asked() != 1 || b.failures.count() != 1 {
		t.Errorf("%d requests and %d failures told, want 1", b.asked(), b.failures.count())
	}
}

// A caller that leaves takes nothing from the others: what it began goes on.
func TestCallerLeaves(t *testing.T) {
	b := newBench(t)
	b.proxy.Inject(hydratest.Delay(300 * time.Millisecond))
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := b.AccessToken(ctx)
		left <- err
	}()
	apikeytest.Eventually(t, "the purchase has begun", func() bool { return b.asked() == 1 })
	cancel()
	refused(t, <-left, tokensource.ErrUnavailable)
	if b.must(t); b.asked() != 1 {
		t.Errorf("%d requests, want 1", b.asked())
	}
}

// A forgotten token is not handed out again; one that is another, or was bought a
// moment ago, is kept, so that an API that refuses all tokens causes no flood.
func TestForget(t *testing.T) {
	b := newBench(t)
	first := b.must(t)
	b.Forget(first)
	if b.must(t) != first {
		t.Error("a token bought a moment ago is forgotten")
	}
	b.clock.Advance(5 * time.Second)
	b.Forget("another")
	if b.must(t) != first {
		t.Error("another token's end is taken for this one's")
	}
	b.Forget(first)
	second := b.must(t)
	if second == first || b.asked() != 2 {
		t.Errorf("the forgotten token is handed out again, or %d requests instead of 2", b.asked())
	}
}

// Each caller may change the token that it gets, and no other sees it.
func TestTokensAreCopies(t *testing.T) {
	b := newBench(t)
	mine, err := b.Token()
	if err != nil {
		t.Fatal(err)
	}
	mine.AccessToken = "changed"
	if yours, err := b.Token(); err != nil || yours.AccessToken == "changed" {
		t.Error("callers share a token")
	}
}

// A transport of x/oauth2 around the source itself heeds what it forgets.
func TestTransportAsksEachTime(t *testing.T) {
	b := newBench(t)
	var sent []string
	c := &http.Client{Transport: &oauth2.Transport{Source: b.Source, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r.Header.Get("Authorization"))
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	})}}
	for range 2 {
		get(t, c, "https://api.example.com")
		b.clock.Advance(5 * time.Second)
		b.Forget(b.must(t))
	}
	if len(sent) != 2 || sent[0] == sent[1] {
		t.Errorf("sent %d tokens, the same twice: %v", len(sent), len(sent) == 2 && sent[0] == sent[1])
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
