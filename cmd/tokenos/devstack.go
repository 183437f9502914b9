package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/ledger"
)

// devStack is what tokenos dev runs, from the folder up.
type devStack struct {
	program
	options  devOptions
	policies apikey.Policies
	folder   *devFolder
	log      *slog.Logger
	listener net.Listener
	hook     net.Listener  // where Hydra asks before it issues a token
	shown    apikey.Secret // what it shows there
	hydra    *hydradev.Server
	app      *app

	stops []func(context.Context) error // in the order of the starts
}

// later notes how to end what was just started.
func (d *devStack) later(stop func(context.Context) error) { d.stops = append(d.stops, stop) }

// stop ends everything, the last started first.
func (d *devStack) stop(ctx context.Context) error {
	var errs []error
	for _, stop := range slices.Backward(d.stops) {
		errs = append(errs, stop(ctx))
	}
	return errors.Join(errs...)
}

// start starts Hydra, opens the ledger and wires the service to both. What it
// started before an error is for stop to end.
func (d *devStack) start(ctx context.Context) error {
	secret, err := d.folder.serverSecret()
	if err != nil {
		return err
	}
	binary, err := hydradev.Binary(ctx, hydradev.BinaryConfig{Path: d.options.hydra, Progress: d.stderr})
	if err != nil {
		return err
	}
	api := d.options.ports()[0]
	if d.listener, err = listen(ctx, api.whose, api.address(), api.wayOut()); err != nil {
		return err
	}
	d.later(func(context.Context) error {
		d.listener.Close() // closed already, if it ever served
		return nil
	})
	if d.hook, err = listen(ctx, "the token hook", "127.0.0.1:0", "free a port on 127.0.0.1"); err != nil {
		return err
	}
	d.later(func(context.Context) error {
		d.hook.Close()
		return nil
	})
	d.shown = apikey.NewSecret(rand.Text() + rand.Text())
	if err := d.startHydra(ctx, binary); err != nil {
		return err
	}
	return d.wire(ctx, secret)
}

func (d *devStack) startHydra(ctx context.Context, binary string) (err error) {
	cfg := hydradev.Config{Binary: binary, Memory: d.options.memory, Log: d.stderr,
		PublicPort: d.options.hydraPublicPort, AdminPort: d.options.hydraAdminPort,
		TokenHook: &hydradev.TokenHook{URL: "http://" + d.hook.Addr().String() + handlers.HookPath, Header: handlers.HookHeader, Value: d.shown.Reveal()}}
	if !cfg.Memory {
		cfg.Dir = filepath.Join(d.folder.path, "hydra")
	}
	if d.hydra, err = hydradev.Start(ctx, cfg); err != nil {
		return withHint(err, "ports are chosen with --hydra-public-port and --hydra-admin-port (0 takes a free one), the folder with --data-dir")
	}
	d.later(d.hydra.Stop)
	return nil
}

// wire opens the ledger and builds the service on it and on Hydra.
func (d *devStack) wire(ctx context.Context, secret apikey.Secret) error {
	cfg := ledger.Config{URL: d.folder.ledgerURL(), ServerSecrets: []apikey.Secret{secret}, Log: d.log}
	if _, err := ledger.Migrate(ctx, cfg); err != nil {
		return err
	}
	db, err := ledger.Open(ctx, cfg)
	if err != nil {
		return err
	}
	d.later(func(context.Context) error { return db.Close() })
	m := newMetrics(true)
	h, err := hydra.New(hydra.Config{AdminURL: d.hydra.AdminURL(), PublicURL: d.hydra.PublicURL(), Log: d.log, Observe: m.observeCall})
	if err != nil {
		return err
	}
	d.later(func(context.Context) error {
		h.Close()
		return nil
	})
	self := &patient{config: d.standIn(), rules: d.policies, ledger: db, hydra: h, runs: true}
	service, err := apikey.New(apikey.Config{Ledger: db, Clients: h, Tokens: h, TokenURL: h.TokenURL(), ServerSecrets: []apikey.Secret{secret},
		Policies: d.policies, Hook: true, Issuer: h, PublicURL: "http://" + d.listener.Addr().String(), Diagnose: self.diagnose, Log: d.log})
	if err != nil {
		return err
	}
	self.service = service
	d.app = newApp(db, h, service, m, true, d.log)
	return d.serveHook()
}

// standIn is what the doctor goes by where there is no configuration.
func (d *devStack) standIn() *config.Config {
	c := &config.Config{Hydra: config.Hydra{AdminURL: d.hydra.AdminURL(), PublicURL: d.hydra.PublicURL()}, Hook: config.Hook{Listen: d.hook.Addr().String()},
		Ledger: config.Ledger{URL: config.NewSecret(d.folder.ledgerURL())}}
	if d.options.policyFile != "" {
		c.Policies = &config.PolicyFile{}
	}
	return c
}

// serveHook answers Hydra from now on: without its hook it issues no token, and
// we buy one before anything else is served.
func (d *devStack) serveHook() error {
	side, err := d.app.hookOn(d.hook, []apikey.Secret{d.shown})
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- side.serve() }()
	d.later(func(ctx context.Context) error { return errors.Join(side.stop(ctx, hookPatience), <-served) })
	d.later(d.hydra.Stop) // before us: while it lives it may ask, or keep a connection open to do so
	return nil
}

// info makes sure that Hydra asks us, and of the management key, and buys a token
// with it.
func (d *devStack) info(ctx context.Context) (devInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, devInfoTime)
	defer cancel()
	if err := d.app.service.Refresh(ctx); err != nil {
		return devInfo{}, fmt.Errorf("read the keys: %w", err)
	}
	if _, err := d.app.service.TryHook(ctx); err != nil {
		return devInfo{}, err
	}
	issued, err := d.app.service.EnsureManagementKey(ctx, "tokenos dev", []apikey.Right{apikey.Admin})
	if err != nil {
		return devInfo{}, fmt.Errorf("make the management key: %w", err)
	}
	c := clientcredentials.Config{ClientID: issued.Key.ID, ClientSecret: issued.Secret.Reveal(), TokenURL: d.hydra.TokenURL(),
		AuthStyle: oauth2.AuthStyleInHeader, Scopes: []string{string(apikey.Admin)}, EndpointParams: url.Values{"audience": {apikey.ManagementAudience}}}
	token, err := c.Token(ctx)
	if err != nil {
		return devInfo{}, withHint(fmt.Errorf("buy a management token: %w", err), "does Hydra's database still belong to the ledger beside it? to begin anew remove "+d.folder.path)
	}
	return devInfo{APIURL: "http://" + d.listener.Addr().String(), TokenURL: d.hydra.TokenURL(),
		HydraPublicURL: d.hydra.PublicURL(), HydraAdminURL: d.hydra.AdminURL(),
		ManagementClientID: issued.Key.ID, ManagementClientSecret: issued.Secret.Reveal(), ManagementToken: token.AccessToken,
		PID: os.Getpid(), HydraPID: d.hydra.PID()}, nil
}
