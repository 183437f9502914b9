package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/ledger"
)

// app is the rooms wired together: a ledger, a Hydra, and the service on both.
type app struct {
	ledger  *ledger.DB
	hydra   *hydra.Hydra
	service *apikey.Service
}

func (a *app) close() error {
	a.hydra.Close()
	return a.ledger.Close()
}

// checks are what readiness asks.
func (a *app) checks() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{"ledger": a.ledger.Ping, "hydra": a.hydra.Ready}
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
	tls, err := clientTLS(cfg.Hydra.CAFile)
	if err != nil {
		return nil, err
	}
	retries := cfg.Hydra.Retries
	if retries == 0 {
		retries = -1 // hydra's zero means its default
	}
	h, err := hydra.New(hydra.Config{AdminURL: cfg.Hydra.AdminURL, PublicURL: cfg.Hydra.PublicURL, TLS: tls,
		CallTimeout: cfg.Hydra.Timeout.Std(), Retries: retries, MaxConcurrent: cfg.Hydra.MaxConcurrent, Log: log})
	if err != nil {
		return nil, err
	}
	db, err := ledger.Open(ctx, ledgerConfig(cfg, log))
	if err != nil {
		return nil, err
	}
	service, err := apikey.New(apikey.Config{Ledger: db, Clients: h, Tokens: h, ServerSecrets: secrets(cfg),
		RequireIfMatch: cfg.Keys.RequireIfMatch, ChangeTimeout: cfg.Hydra.ChangeTimeout.Std(), Lease: cfg.Ledger.Lease.Std(), Log: log})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &app{ledger: db, hydra: h, service: service}, nil
}

// listen opens a listener; an address in use gets a sentence of its own.
func listen(ctx context.Context, address, wayOut string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, withHint(fmt.Errorf("cannot listen on %s: %w", address, err), wayOut)
	}
	return l, nil
}

// served is one HTTP server on its listener.
type served struct {
	server   *http.Server
	listener net.Listener
}

// runServers serves, and does the background work, until ctx ends or one of
// them fails; then requests in flight get the time in patience to end.
func (a *app) runServers(ctx context.Context, log *slog.Logger, patience time.Duration, all ...served) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	group, ctx := errgroup.WithContext(ctx)
	background := make(chan struct{})
	go func() {
		defer close(background)
		a.service.Run(work)
	}()
	go a.logHead(work, log)
	for _, s := range all {
		group.Go(func() error {
			if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve: %w", err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(patience, time.Millisecond))
			defer cancel()
			if err := s.server.Shutdown(end); err != nil {
				log.Warn("requests were cut off at shutdown", "error", err)
				return s.server.Close()
			}
			return nil
		})
	}
	err := group.Wait()
	stopWork()
	<-background
	return err
}

// headEvery is how often the head of the audit chain is logged: kept apart from
// the ledger, it proves later that no event was cut off the end.
const headEvery = 10 * time.Minute

func (a *app) logHead(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(headEvery)
	defer tick.Stop()
	for {
		id, mac, err := a.ledger.Head(ctx)
		if err == nil {
			log.Info("audit head", "event", id, "mac", mac)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
