package tokensource_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// What fails on the way, or with a 5xx, is tried again, each time with an
// assertion of its own; anything else is not. The caller gets a token where one
// can be had.
func TestFaults(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	const tokenEndpoint = "/oauth2/token"
	for _, tt := range []struct {
		name  string
		fault hydratest.Fault
		times int              // how often it strikes; 0: always
		want  tokensource.Kind // "": a token
		asked int              // requests for a token
	}{
		{"reset", hydratest.Reset(), 2, "", 3},
		{"answer lost", hydratest.DropAnswer(), 2, "", 3},
		{"reset after the work", hydratest.Reset().AfterWork(), 1, "", 2},
		{"503", hydratest.StatusBefore(503, 0), 3, "", 4},
		{"503 after the work", hydratest.StatusAfter(503), 1, "", 2},
		{"500", hydratest.StatusBefore(500, 0), 1, "", 2},
		{"502 with Retry-After", hydratest.StatusBefore(502, time.Second), 1, "", 2},
		{"no answer in time", hydratest.Hang(), 1, "", 2},
		{"slow", hydratest.Delay(200 * time.Millisecond), 0, "", 1},
		{"drip", hydratest.SlowDrip(time.Millisecond), 0, "", 1},
		{"reset always", hydratest.Reset(), 0, tokensource.ErrUnavailable, 4},
		{"503 always", hydratest.StatusBefore(503, 0), 0, tokensource.ErrUnavailable, 4},
		{"Retry-After beyond the time", hydratest.StatusBefore(503, 30*time.Second), 0, tokensource.ErrUnavailable, 1},
		{"429", hydratest.StatusBefore(429, time.Second), 0, tokensource.ErrUnavailable, 1},
		{"400 of a stranger", hydratest.StatusBefore(400, 0), 0, tokensource.ErrAnswer, 1},
		{"404", hydratest.StatusBefore(404, 0), 0, tokensource.ErrAnswer, 1},
		{"a page", hydratest.GarbageHTML(), 0, tokensource.ErrAnswer, 1},
		{"half of it", hydratest.GarbageJSON(), 0, tokensource.ErrAnswer, 1},
		{"huge", hydratest.GarbageHuge(), 0, tokensource.ErrAnswer, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			proxy := hydratest.NewProxy(t, w.Hydra.PublicURL())
			injected := proxy.Inject(tt.fault.On("POST", tokenEndpoint).Times(tt.times))
			k := newKey(t, w, apikey.PrivateKeyJWT, apikey.Opaque)
			source := newSource(t, k.config(), through(proxy), func(c *tokensource.Config) { c.Timeout = 9 * time.Second })
			_, err := source.AccessToken(t.Context())
			if tt.want != "" {
				refused(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
			if got := proxy.Received("POST", tokenEndpoint); got != tt.asked || injected.Struck() == 0 {
				t.Errorf("asked %d times, want %d; struck %d times", got, tt.asked, injected.Struck())
			}
		})
	}
}

// A purchase ends within the Timeout, and a caller waits no longer than its
// context, whatever Hydra does.
func TestTimeouts(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	proxy := hydratest.NewProxy(t, w.Hydra.PublicURL())
	proxy.Inject(hydratest.Hang())
	k := newKey(t, w, apikey.ClientSecretBasic, apikey.Opaque)
	begun := time.Now()
	_, err := newSource(t, k.config(), through(proxy), func(c *tokensource.Config) { c.Timeout = 900 * time.Millisecond }).Token()
	refused(t, err, tokensource.ErrUnavailable, k.secret)
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("a purchase of 900 ms took %v", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun = time.Now()
	_, err = newSource(t, k.config(), through(proxy)).AccessToken(ctx)
	if refused(t, err, tokensource.ErrUnavailable); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's end", err)
	}
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("a caller with 50 ms waited for %v", took)
	}
}

// Where nobody listens, and while nobody does, a token is not to be had, which is
// no statement about the key; then it is.
func TestNobodyListens(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	proxy := hydratest.NewProxy(t, w.Hydra.PublicURL())
	proxy.Refuse()
	clock := &apikeytest.Clock{}
	source := newSource(t, newKey(t, w, apikey.PrivateKeyJWT, apikey.Opaque).config(), through(proxy), func(c *tokensource.Config) { c.Now = clock.Now })
	_, err := source.Token()
	refused(t, err, tokensource.ErrUnavailable)
	if err := proxy.Accept(); err != nil {
		t.Fatal(err)
	}
	clock.Advance(2 * time.Second)
	if _, err := source.Token(); err != nil {
		t.Error(err)
	}
}
