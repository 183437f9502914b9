package bench

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// tokens is how many tokens are looked up in turns: more than a cache for five
// seconds makes the same of.
const tokens = 200

// BenchmarkIntrospect looks up tokens of keys beside Hydra's introspection: as
// the service does it, which believes Hydra's answer for five seconds, and
// asking it each time; called from Go and over HTTP with a management token.
func BenchmarkIntrospect(b *testing.B) {
	for _, name := range placeNames {
		b.Run(name, func(b *testing.B) {
			p := build(b, name, nil)
			fill(b, p.Ledger, many)
			fillHydra(b, p, name, many)
			asking := p.asking(b)
			shown := p.buy(b)
			ctx := apikey.WithCaller(b.Context(), apikey.Caller{Principal: "user:bench", Rights: []apikey.Right{apikey.TokensIntrospect}})
			cached, uncached := p.introspecting(b, p.Service), p.introspecting(b, asking)
			with := func(i apikey.Introspector) func(int, int) error {
				return func(caller, n int) error {
					got, err := i.Introspect(ctx, apikey.NewSecret(shown[(caller*37+n)%tokens]))
					if err == nil && !got.Active {
						err = errors.New("introspect: the token is not active")
					}
					return err
				}
			}
			for _, callers := range crowds {
				b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
					measure(b, callers,
						side{name: "cached", call: with(p.Service), times: 50},
						side{name: "uncached", call: with(asking), times: 10},
						side{name: "rest-cached", call: with(cached), times: 50},
						side{name: "rest-uncached", call: with(uncached), times: 10},
						side{name: hydraSide, call: func(caller, n int) error { return p.raw.introspect(shown[(caller*37+n)%tokens]) }, times: 10})
				})
			}
		})
	}
}

// asking is the service on the same ledger and Hydra that believes no answer of
// Hydra's twice.
func (p *place) asking(b *testing.B) *apikey.Service {
	b.Helper()
	h, err := hydra.New(hydra.Config{AdminURL: p.Hydra.AdminURL(), TokenFresh: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(h.Close)
	s, err := apikey.New(apikey.Config{Ledger: p.Ledger, Clients: h, Tokens: h, Log: quiet, ServerSecrets: []apikey.Secret{apikey.NewSecret(apikeytest.ServerSecret)}})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// buy buys opaque tokens of keys of one owner.
func (p *place) buy(b *testing.B) (shown []string) {
	b.Helper()
	for range 20 {
		issued, err := p.Service.Create(as(b.Context()), newKey("bench"))
		if err != nil {
			b.Fatal(err)
		}
		for range tokens / 20 {
			shown = append(shown, hydratest.MustBuy(b, hydratest.Purchase{TokenURL: p.Hydra.TokenURL(), ID: issued.Key.ID, Secret: issued.Secret.Reveal(),
				Scopes: issued.Key.Scopes, Audiences: issued.Key.Audiences}))
		}
	}
	return shown
}

// introspecting serves s on a loopback port and returns a client whose
// management key may look tokens up. Its own token is checked as in production:
// with Hydra's answer of up to five seconds ago, and the ledger.
func (p *place) introspecting(b *testing.B, s apikey.Introspector) apikey.Introspector {
	b.Helper()
	handler, err := handlers.New(handlers.Config{API: p.Service, Authenticate: p.Service.Authenticate, Introspector: s, InsecureLoopback: true, Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := handlers.Server(handler, 0, nil)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	b.Cleanup(func() {
		if err := errors.Join(server.Close(), notClosed(<-served)); err != nil {
			b.Error(err)
		}
	})
	c, err := client.New(client.Config{BaseURL: fmt.Sprintf("http://%s", l.Addr()), HTTPClient: keptAlive(),
		Token: client.StaticToken(p.ManagementToken(b, []apikey.Right{apikey.TokensIntrospect}))})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func notClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
