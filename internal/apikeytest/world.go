package apikeytest

import (
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/ledger"
)

// ServerSecret is the worlds' server secret.
const ServerSecret = "apikeytest-server-secret-0123456789abcdefgh"

// PublicURL is the worlds' address, as far as they know.
const PublicURL = "https://keys.test"

// World is a service on a real ledger and a real Hydra.
type World struct {
	Service *apikey.Service
	Ledger  *ledger.DB
	Clients *hydra.Hydra
	Hydra   *hydradev.Server
	Clock   *Clock
	stop    func()
}

// Options shape a world. The zero value is a new SQLite ledger and the shared
// Hydra, with background work running.
type Options struct {
	LedgerURL string           // empty: a new SQLite file; it is migrated
	Hydra     *hydradev.Server // nil: the one the test package shares
	AdminURL  string           // through which to call Hydra's admin API; empty: directly
	Clock     *Clock           // nil: its own
	Idle      bool             // no background work: the test calls Turn
	Config    func(*apikey.Config)
	HydraWith func(*hydra.Config)
}

// SQLiteURL names a SQLite ledger in a new folder.
func SQLiteURL(t testing.TB) string {
	return "sqlite://" + filepath.Join(t.TempDir(), "ledger.db")
}

// NewWorld makes a world that lives as long as the test.
func NewWorld(t testing.TB, o Options) *World {
	t.Helper()
	if o.LedgerURL == "" {
		o.LedgerURL = SQLiteURL(t)
	}
	if o.Hydra == nil {
		o.Hydra = hydratest.Shared(t)
	}
	if o.AdminURL == "" {
		o.AdminURL = o.Hydra.AdminURL()
	}
	if o.Clock == nil {
		o.Clock = &Clock{}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	secrets := []apikey.Secret{apikey.NewSecret(ServerSecret)}
	lc := ledger.Config{URL: o.LedgerURL, ServerSecrets: secrets, Log: log}
	if _, err := ledger.Migrate(ctx, lc); err != nil {
		t.Fatal(err)
	}
	db, err := ledger.Open(ctx, lc)
	if err != nil {
		t.Fatal(err)
	}
	hc := hydra.Config{AdminURL: o.AdminURL, PublicURL: o.Hydra.PublicURL(), Log: log}
	if o.HydraWith != nil {
		o.HydraWith(&hc)
	}
	h, err := hydra.New(hc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := apikey.Config{Ledger: db, Clients: h, Tokens: h, ServerSecrets: secrets, Policies: suitePolicies(), Diagnose: suiteDiagnosis(), PublicURL: PublicURL, Now: o.Clock.Now, Log: log}
	if o.Config != nil {
		o.Config(&cfg)
	}
	service, err := apikey.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &World{Service: service, Ledger: db, Clients: h, Hydra: o.Hydra, Clock: o.Clock}
	w.run(o.Idle)
	t.Cleanup(w.Close)
	return w
}

func (w *World) run(idle bool) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if !idle {
			w.Service.Run(ctx)
		}
	}()
	w.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		w.Clients.Close()
		_ = w.Ledger.Close()
	})
}

// Close ends the world before the test's end.
func (w *World) Close() { w.stop() }

var callers struct {
	sync.Mutex
	n int
}

// Caller makes a caller that no other test has.
func Caller(rights []apikey.Right, owners ...string) apikey.Caller {
	callers.Lock()
	defer callers.Unlock()
	callers.n++
	return apikey.Caller{Principal: fmt.Sprintf("user:%d", callers.n), Rights: rights, Owners: owners, Address: "192.0.2.1", RequestID: fmt.Sprint("r", callers.n)}
}

// Fixture is the world's service as an API under test.
func (w *World) Fixture() Fixture {
	return Fixture{Clock: w.Clock, TokenURL: w.Hydra.TokenURL(), AdminURL: w.Hydra.AdminURL(), AddUsage: w.Ledger.AddUsage,
		As: func(t *testing.T, rights []apikey.Right, owners ...string) (apikey.API, context.Context) {
			return w.Service, apikey.WithCaller(t.Context(), Caller(rights, owners...))
		}}
}

func publicJWK(t testing.TB, private any) apikey.JWK {
	t.Helper()
	signer, ok := private.(crypto.Signer)
	if !ok {
		t.Fatal("no signer")
	}
	raw, err := jose.JSONWebKey{Key: signer.Public()}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var out apikey.JWK
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
