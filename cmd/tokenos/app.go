package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/ledger"
)

// app is the rooms wired together: a ledger, a Hydra, and the service on both.
type app struct {
	ledger   *ledger.DB
	hydra    *hydra.Hydra
	service  *apikey.Service
	log      *slog.Logger
	metrics  *metrics
	standing *standing
	hooked   bool        // we are Hydra's token hook
	stopping atomic.Bool // told to stop: no new work, please
}

func (a *app) close() error {
	a.hydra.Close()
	return a.ledger.Close()
}

// parts are what the service cannot do without, by name.
func (a *app) parts() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{"ledger": a.ledger.Ping, "hydra": a.hydra.Ready}
}

var errStopping = errors.New("the program is stopping")

// checks are what readiness asks: the parts, and whether we are on our way out.
func (a *app) checks() map[string]func(context.Context) error {
	all := a.parts()
	all["process"] = func(context.Context) error {
		if a.stopping.Load() {
			return errStopping
		}
		return nil
	}
	if a.hooked {
		all["hook"] = a.service.HookReady
	}
	return all
}

// secrets are the server secrets, the current one first.
func secrets(cfg *config.Config) []apikey.Secret {
	out := []apikey.Secret{apikey.NewSecret(cfg.Secret.Reveal())}
	for _, s := range cfg.PreviousSecrets {
		out = append(out, apikey.NewSecret(s.Reveal()))
	}
	return out
}

func ledgerConfig(cfg *config.Config, log *slog.Logger) ledger.Config {
	return ledger.Config{URL: cfg.Ledger.URL.Reveal(), MaxConnections: cfg.Ledger.MaxConnections, ServerSecrets: secrets(cfg), Log: log}
}

// wire opens the ledger and builds the service. It makes no call to Hydra.
func wire(ctx context.Context, cfg *config.Config, log *slog.Logger) (*app, error) {
	rules, err := policies(cfg.Policies)
	if err != nil {
		return nil, err
	}
	hooked := cfg.Hook.Listen != ""
	m := newMetrics(hooked)
	h, err := newHydra(cfg, log, m.observeCall)
	if err != nil {
		return nil, err
	}
	db, err := ledger.Open(ctx, ledgerConfig(cfg, log))
	if err != nil {
		return nil, err
	}
	self := &patient{env: os.Environ(), config: cfg, rules: rules, ledger: db, hydra: h, runs: true}
	service, err := apikey.New(apikey.Config{Ledger: db, Clients: h, Tokens: h, ServerSecrets: secrets(cfg), Hook: hooked, Issuer: h, TokenURL: h.TokenURL(), Diagnose: self.diagnose,
		RequireIfMatch: cfg.Keys.RequireIfMatch, Policies: rules, PublicURL: cfg.Server.PublicURL, StatusTTL: cfg.Status.TTL.Std(),
		ChangeTimeout: cfg.Hydra.ChangeTimeout.Std(), Lease: cfg.Ledger.Lease.Std(),
		HoursKept: cfg.Usage.HoursKept.Std(), DaysKept: cfg.Usage.DaysKept.Std(), Log: log})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	self.service = service
	return newApp(db, h, service, m, hooked, log), nil
}

// newApp is the app of these parts, whose standing the metrics tell.
func newApp(db *ledger.DB, h *hydra.Hydra, s *apikey.Service, m *metrics, hooked bool, log *slog.Logger) *app {
	a := &app{ledger: db, hydra: h, service: s, log: log, metrics: m, hooked: hooked, standing: &standing{service: s, hooked: hooked}}
	m.watch(a.standing)
	return a
}

// newHydra is Hydra as it is configured. It makes no call.
func newHydra(cfg *config.Config, log *slog.Logger, observe func(hydra.Observation)) (*hydra.Hydra, error) {
	tls, err := clientTLS(cfg.Hydra.CAFile)
	if err != nil {
		return nil, err
	}
	retries := cfg.Hydra.Retries
	if retries == 0 {
		retries = -1 // hydra's zero means its default
	}
	return hydra.New(hydra.Config{AdminURL: cfg.Hydra.AdminURL, PublicURL: cfg.Hydra.PublicURL, TLS: tls,
		CallTimeout: cfg.Hydra.Timeout.Std(), Retries: retries, MaxConcurrent: cfg.Hydra.MaxConcurrent, Log: log, Observe: observe})
}
