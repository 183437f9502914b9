package bench

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// The sides beside Hydra.
const (
	serviceSide = "service" // apikey.Service called from Go
	restSide    = "rest"    // the REST API over loopback HTTP, by package client
	smallSide   = "small"   // the service on the smaller ledger
)

var placeNames = []string{"sqlite", "postgres"}

// place is a service and a REST API on a ledger and a Hydra that keep their
// data in the same kind of database.
type place struct {
	*apikeytest.World
	rest  apikey.API
	small *apikeytest.World // the same Hydra, a ledger with fewer keys
	raw   raw
	token string // of a management key
}

// as puts the caller of all measured calls into the context.
func as(ctx context.Context) context.Context {
	return apikey.WithCaller(ctx, apikey.Caller{Principal: "user:bench", Rights: apikeytest.All, Address: "192.0.2.1", RequestID: "bench"})
}

// quiet takes every line that the program would write, and drops it.
var quiet = slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // the cost of writing lines is part of what is measured

// build makes an empty place. settings are Hydra's, beside what hydradev sets.
func build(b *testing.B, name string, settings map[string]any) *place {
	b.Helper()
	hc := hydradev.Config{Dir: b.TempDir(), Settings: settings}
	var ledgerURL, smallURL string
	if name == "postgres" {
		server := pgtest.New(b, pgtest.Config{Durable: true})
		ledgerURL, smallURL = server.URL(b), server.URL(b)
		hc.DSN = server.URL(b) + "&max_conns=20&max_idle_conns=20"
	} else {
		ledgerURL, smallURL = apikeytest.SQLiteURL(b), apikeytest.SQLiteURL(b)
	}
	p := &place{}
	h := hydratest.New(b, hc)
	p.raw = newRaw(h.AdminURL(), hc)
	p.World = apikeytest.NewWorld(b, apikeytest.Options{LedgerURL: ledgerURL, Hydra: h, Config: func(c *apikey.Config) { c.Log = quiet }})
	p.small = apikeytest.NewWorld(b, apikeytest.Options{LedgerURL: smallURL, Hydra: h, Idle: true})
	p.rest = p.serve(b)
	return p
}

// serve puts the REST API on a loopback port and returns a client that calls it
// with a real token of a management key.
func (p *place) serve(b *testing.B) apikey.API {
	b.Helper()
	issued, err := p.Service.EnsureManagementKey(b.Context(), "bench", apikeytest.All)
	if err != nil {
		b.Fatal(err)
	}
	p.token = hydratest.MustBuy(b, hydratest.Purchase{TokenURL: p.Hydra.TokenURL(), ID: issued.Key.ID, Secret: issued.Secret.Reveal(),
		Scopes: issued.Key.Scopes, Audiences: issued.Key.Audiences})
	address := serve(b, handlers.Config{API: p.Service, Authenticate: p.Service.Authenticate, Introspector: p.Service, InsecureLoopback: true, Log: quiet})
	api, err := client.New(client.Config{BaseURL: address, Token: client.StaticToken(p.token), HTTPClient: keptAlive()})
	if err != nil {
		b.Fatal(err)
	}
	return api
}

// serve answers on a loopback port, whose address it returns, until the benchmark ends.
func serve(b *testing.B, c handlers.Config) string {
	b.Helper()
	handler, err := handlers.New(c)
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
		if err := server.Close(); err != nil {
			b.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			b.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

// keptAlive is an HTTP client with a connection for each caller.
func keptAlive() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
}
