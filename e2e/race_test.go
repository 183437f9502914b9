//go:build unix

package e2e_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// bought is a token, and when it was asked for.
type bought struct {
	asked time.Time
	token string
}

// purchases are what clients that buy all the time have got.
type purchases struct {
	mu       sync.Mutex
	tokens   []bought
	refused  int // by 403 access_denied, or Hydra's own 400 unauthorized_client
	failures []error
}

func (b *purchases) add(at time.Time, token string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, refused := errors.AsType[*hydratest.Refused](err)
	switch {
	case err == nil:
		b.tokens = append(b.tokens, bought{at, token})
	case refused && (r.Status == http.StatusForbidden || r.Code == "unauthorized_client"):
		b.refused++
	case hydratest.Status(err) != http.StatusInternalServerError: // see buyFor
		b.failures = append(b.failures, err)
	}
}

func (b *purchases) count() (tokens, refused int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.tokens), b.refused
}

// While 50 clients buy tokens their key is disabled. From the answer on no token
// of it, whenever it was bought, opens the API, no new one is bought, and the
// JWTs among them are refused once the status list was polled.
func testMeetsDisable(t *testing.T, p *product) {
	onEach(t, p, asking, func(t *testing.T, g *guarded, format apikey.TokenFormat) {
		const clients = 50
		k := p.key(t, format, nil)
		all := &purchases{}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					at := time.Now()
					token, err := p.tryBuy(t.Context(), k, audience, scope)
					all.add(at, token, err)
				}
			})
		}
		end := sync.OnceFunc(func() { close(stop); wg.Wait() })
		defer end()
		apikeytest.Eventually(t, "every client has a token", func() bool { n, _ := all.count(); return n >= clients })
		g.want("before", p.buy(t, k), http.StatusOK)
		if r, err := p.api.Disable(t.Context(), k.Key.ID, apikey.DisableParams{}); err != nil || r.Pending {
			t.Fatalf("disable: %+v, %v", r, err)
		}
		answered := time.Now()
		_, before := all.count()
		apikeytest.Eventually(t, "every client was refused", func() bool { _, n := all.count(); return n >= before+2*clients })
		end()
		if len(all.failures) > 0 {
			t.Errorf("%d purchases failed, with %v", len(all.failures), all.failures[0])
		}
		late := 0
		for _, b := range all.tokens {
			if b.asked.After(answered) {
				late++
			}
		}
		if late > 0 {
			t.Errorf("%d tokens that were asked for after the answer", late)
		}
		// Those that were bought last are the ones that Hydra's first sweep may miss.
		tokens := all.tokens[max(0, len(all.tokens)-300):]
		if format == apikey.JWT {
			apikeytest.Eventually(t, "a JWT is refused", func() bool { return g.ask(tokens[0].token).status == http.StatusUnauthorized })
		}
		for _, b := range tokens {
			if got := g.ask(b.token); got.status != http.StatusUnauthorized {
				t.Fatalf("a token asked for %s before the answer: %+v", answered.Sub(b.asked), got)
			}
		}
		t.Logf("%d tokens, %d refusals", len(all.tokens), all.refused)
	})
}
