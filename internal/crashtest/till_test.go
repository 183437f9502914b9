package crashtest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// span is from before something began until after it had ended.
type span struct{ from, to time.Time }

func (s span) meets(o span) bool { return !s.from.After(o.to) && !o.from.After(s.to) }

// till is what those who buy tokens with one key were told.
type till struct {
	apikey.Issued
	tokenURL string

	mu                     sync.Mutex
	issued, denied, failed []span // the requests that got a token, 403 access_denied, and anything else
}

// buy asks for a token.
func (k *till) buy(ctx context.Context) {
	at := time.Now()
	_, err := hydratest.Buy(ctx, hydratest.Purchase{TokenURL: k.tokenURL, ID: k.Key.ID, Secret: k.Secret.Reveal(), Scopes: k.Key.Scopes})
	s := span{at, time.Now()}
	refused, answered := errors.AsType[*hydratest.Refused](err)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case err == nil:
		k.issued = append(k.issued, s)
	case answered && refused.Status == http.StatusForbidden && refused.Code == "access_denied":
		k.denied = append(k.denied, s)
	default:
		k.failed = append(k.failed, s)
	}
}

// buyers buy tokens with each key until they are told to stop; then all have
// their answers.
func buyers(seed uint64, keys ...*till) (stop func()) {
	const each = 3
	var wg sync.WaitGroup
	ended := make(chan struct{})
	for n, k := range keys {
		for i := range each {
			r := rand.New(rand.NewPCG(seed, uint64(n*each+i)))
			wg.Go(func() {
				for {
					select {
					case <-ended:
						return
					case <-time.After(time.Duration(r.IntN(20)) * time.Millisecond):
						k.buy(context.Background())
					}
				}
			})
		}
	}
	return func() {
		close(ended)
		wg.Wait()
	}
}

// most is how much of what was answered so may be counted. A request that was in
// Hydra when the program was killed may have been counted, the answer to Hydra
// been lost, and be counted again when Hydra asks again.
func (k *till) most(answered []span, kills []span) int64 {
	n := int64(len(answered))
	for _, all := range [][]span{k.issued, k.denied, k.failed} {
		for _, s := range all {
			for _, kill := range kills {
				if s.meets(kill) {
					n++
				}
			}
		}
	}
	return n
}

// least is how much of it must be counted if a kill loses what was answered
// within a time before it.
func least(answered []span, kills []span, lost time.Duration) (n int64) {
next:
	for _, s := range answered {
		for _, kill := range kills {
			if s.meets(span{kill.from.Add(-lost), kill.to}) {
				continue next
			}
		}
		n++
	}
	return n
}

// loss is the least time before the kills of which all may be lost for the count
// to be right.
func loss(answered []span, kills []span, counted int64) (lost time.Duration) {
	for ; least(answered, kills, lost) > counted && lost < time.Minute; lost += 10 * time.Millisecond {
	}
	return lost
}
