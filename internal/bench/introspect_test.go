package bench

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// mostCallers is as many as Hydra is asked for at the same time; each shows so
// many tokens in turn.
const (
	mostCallers = 32
	tokensEach  = 6
)

// BenchmarkIntrospect looks up tokens of keys beside Hydra's introspection: as
// the service does it, which believes Hydra's answer for five seconds, and
// asking it each time; called from Go, and over HTTP with a management token by
// the same lines that call Hydra. No two callers show the same token, or they
// would share a question.
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
			turns := func(caller, n int) string { return shown[caller*tokensEach+n%tokensEach] }
			at := func(r raw, path string) func(int, int) error {
				return func(caller, n int) error { return r.introspect(path, turns(caller, n)) }
			}
			with := func(i apikey.Introspector) func(int, int) error {
				return func(caller, n int) error {
					got, err := i.Introspect(ctx, apikey.NewSecret(turns(caller, n)))
					if err == nil && !got.Active {
						err = errors.New("introspect: the token is not active")
					}
					return err
				}
			}
			for _, callers := range []int{1, 8, mostCallers} {
				b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
					measure(b, callers,
						side{name: "cached", call: with(p.Service), times: 50},
						side{name: "uncached", call: with(asking), times: 10},
						side{name: "rest-cached", call: at(cached, "/v1/introspect"), times: 50},
						side{name: "rest-uncached", call: at(uncached, "/v1/introspect"), times: 10},
						side{name: hydraSide, call: at(p.raw, "/admin/oauth2/introspect"), times: 10})
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
		for range (mostCallers*tokensEach + 19) / 20 {
			shown = append(shown, hydratest.MustBuy(b, hydratest.Purchase{TokenURL: p.Hydra.TokenURL(), ID: issued.Key.ID, Secret: issued.Secret.Reveal(),
				Scopes: issued.Key.Scopes, Audiences: issued.Key.Audiences}))
		}
	}
	return shown
}

// introspecting serves s on a loopback port and returns a caller whose
// management key may look tokens up. Its own token is checked as in production:
// with Hydra's answer of up to five seconds ago, and the ledger.
func (p *place) introspecting(b *testing.B, s apikey.Introspector) raw {
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
	return raw{admin: fmt.Sprintf("http://%s", l.Addr()), bearer: p.ManagementToken(b, []apikey.Right{apikey.TokensIntrospect}), http: keptAlive()}
}

func notClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
