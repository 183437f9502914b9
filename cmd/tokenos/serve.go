package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/handlers"
)

func (p program) serve() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the REST API on an existing Hydra (production)",
		Long: "Serve the REST API on an existing Hydra.\n\n" +
			"Settings come from a file (--config), TOKENOS_... variables, TOKENOS_..._FILE and flags;\n" +
			"`tokenos config validate` checks them, `tokenos migrate` prepares the ledger,\n" +
			"`tokenos bootstrap` makes the first management key.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.load(c)
			if err != nil {
				return err
			}
			return p.serveWith(c.Context(), cfg)
		},
	}
	config.RegisterFlags(c.Flags())
	return c
}

func (p program) serveWith(ctx context.Context, cfg *config.Config) error {
	log := p.logger(cfg.Log.Level, cfg.Log.Format)
	a, err := wire(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() {
		if err := a.close(); err != nil {
			log.Error("ledger not closed", "error", err)
		}
	}()
	all, err := servers(ctx, cfg, a, log)
	if err != nil {
		return err
	}
	log.Info("serving", "address", all[0].listener.Addr().String(), "public_url", cfg.Server.PublicURL, "hydra", cfg.Hydra.AdminURL)
	return a.runServers(ctx, log, cfg.Server.ShutdownTimeout.Std(), all...)
}

// servers makes the public server and, if asked for, the one for operators.
func servers(ctx context.Context, cfg *config.Config, a *app, log *slog.Logger) ([]served, error) {
	proxies, err := prefixes(cfg.Server.TrustedProxies)
	if err != nil {
		return nil, err
	}
	hc := handlers.Config{API: a.service, Authenticate: a.service.Authenticate, Ready: a.checks(), Version: version(), TokenURL: a.hydra.TokenURL(), Log: log, TrustedProxies: proxies,
		MaxBodyBytes: int64(cfg.Server.MaxBodyBytes), RequestTimeout: cfg.Server.RequestTimeout.Std()}
	handler, err := handlers.New(hc)
	if err != nil {
		return nil, err
	}
	var own *tls.Config
	if cfg.Server.TLS.Enabled() {
		cert, err := newCertificate(cfg.Server.TLS.CertFile, cfg.Server.TLS.KeyFile, log)
		if err != nil {
			return nil, err
		}
		own = cert.serverTLS()
	}
	l, err := listen(ctx, cfg.Server.Listen, "another program has the address: choose one with --server.listen")
	if err != nil {
		return nil, err
	}
	if own != nil {
		l = handlers.Listener(l, own)
	}
	all := []served{{server(handler, cfg, log), l}}
	if cfg.Ops.Listen != "" {
		ol, err := listen(ctx, cfg.Ops.Listen, "another program has the address: choose one with --ops.listen")
		if err != nil {
			return nil, err
		}
		all = append(all, served{server(handlers.NewOps(hc), cfg, log), ol})
	}
	return all, nil
}

// server makes the HTTP server with the limits of the configuration.
func server(h http.Handler, cfg *config.Config, log *slog.Logger) *http.Server {
	s := handlers.Server(h, cfg.Server.RequestTimeout.Std(), log)
	s.ReadHeaderTimeout, s.ReadTimeout = cfg.Server.ReadHeaderTimeout.Std(), cfg.Server.ReadTimeout.Std()
	s.WriteTimeout, s.IdleTimeout = cfg.Server.WriteTimeout.Std(), cfg.Server.IdleTimeout.Std()
	s.MaxHeaderBytes = cfg.Server.MaxHeaderBytes
	return s
}

// prefixes reads addresses and CIDR ranges.
func prefixes(in []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range in {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("server.trusted_proxies: not an address or range: %w", err)
		}
		out = append(out, netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()))
	}
	return out, nil
}
