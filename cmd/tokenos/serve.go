package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
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
			"`tokenos bootstrap` makes the first management key.\n\n" +
			"The addresses go to stdout in one line, the log to stderr. SIGTERM and Ctrl-C end it\n" +
			"with exit code 0, once requests in flight are answered (server.shutdown_timeout).",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.read(c)
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
	for _, w := range cfg.Warnings {
		log.WarnContext(ctx, "unwise configuration", "warning", w)
	}
	stop := p.busy(still("opening the ledger"))
	a, err := wire(ctx, cfg, log)
	stop()
	if err != nil {
		return err
	}
	defer func() {
		if err := a.close(); err != nil {
			log.ErrorContext(ctx, "ledger not closed", "error", err)
		}
	}()
	all, err := a.servers(ctx, cfg)
	if err != nil {
		return err
	}
	p.announce(cfg, all)
	log.InfoContext(ctx, "serving", "version", version(), "address", all.api.listener.Addr().String(), "public_url", cfg.Server.PublicURL, "hydra", cfg.Hydra.AdminURL)
	return a.run(ctx, cfg.Server.ShutdownTimeout.Std(), all)
}

// announce tells a person where we serve, in one line.
func (p program) announce(cfg *config.Config, all sides) {
	how := "plain HTTP for trusted proxies"
	if cfg.Server.TLS.Enabled() {
		how = "TLS"
	}
	more := ""
	if all.ops != nil {
		more = fmt.Sprintf("; health at http://%s/health/ready", all.ops.listener.Addr())
	}
	if all.hook != nil {
		more += "; token hook on " + all.hook.listener.Addr().String()
	}
	fmt.Fprintf(p.stdout, "tokenos %s serves %s on %s (%s)%s\n", version(), cfg.Server.PublicURL, all.api.listener.Addr(), how, more)
}

// servers makes the public server and, if asked for, the token hook and the
// server for operators.
func (a *app) servers(ctx context.Context, cfg *config.Config) (all sides, err error) {
	defer func() {
		if err != nil {
			all.close()
		}
	}()
	proxies, err := prefixes(cfg.Server.TrustedProxies)
	if err != nil {
		return all, err
	}
	hc := handlers.Config{API: a.service, Authenticate: a.service.Authenticate, Holder: a.service, Introspector: a.service, StatusLists: a.service, Ready: a.checks(), Log: a.log, Observe: a.metrics.observeRequest,
		Version: version(), TokenURL: a.hydra.TokenURL(), TrustedProxies: proxies,
		Limits: limits(cfg.Limits), MaxBodyBytes: int64(cfg.Server.MaxBodyBytes), RequestTimeout: cfg.Server.RequestTimeout.Std()}
	if hc.Pages, err = a.pages(cfg); err != nil {
		return all, err
	}
	handler, err := handlers.New(hc)
	if err != nil {
		return all, err
	}
	l, err := listenAPI(ctx, cfg, a.log)
	if err != nil {
		return all, err
	}
	all.api = served{server(handler, cfg, a.log), l}
	if all.hook, err = a.hookServer(ctx, cfg); err != nil || cfg.Ops.Listen == "" {
		return all, err
	}
	ol, err := listen(ctx, "the side for operators", cfg.Ops.Listen, "stop the program that has the address, or choose another with --ops.listen")
	if err != nil {
		return all, err
	}
	all.ops = &served{server(a.opsHandler(hc, cfg.Ops.Metrics), cfg, a.log), ol}
	return all, nil
}

// opsHandler is the side for operators: health, and metrics if they are wanted.
// Its requests are not counted among the API's.
func (a *app) opsHandler(hc handlers.Config, metrics bool) http.Handler {
	hc.Observe = nil
	health := handlers.NewOps(hc)
	if !metrics {
		return health
	}
	scrape := a.metrics.handler(a.log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == metricsPath && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			scrape.ServeHTTP(w, r)
			return
		}
		health.ServeHTTP(w, r)
	})
}

// listenAPI opens the public listener, with our own TLS if there is a certificate.
func listenAPI(ctx context.Context, cfg *config.Config, log *slog.Logger) (net.Listener, error) {
	l, err := listen(ctx, "the REST API", cfg.Server.Listen, "stop the program that has the address, or choose another with --server.listen")
	if err != nil || !cfg.Server.TLS.Enabled() {
		return l, err
	}
	cert, err := newCertificate(cfg.Server.TLS.CertFile, cfg.Server.TLS.KeyFile, log)
	if err != nil {
		l.Close()
		return nil, err
	}
	return handlers.Listener(l, cert.serverTLS()), nil
}

// server makes the HTTP server with the limits of the configuration.
func server(h http.Handler, cfg *config.Config, log *slog.Logger) *http.Server {
	s := handlers.Server(h, cfg.Server.RequestTimeout.Std(), log)
	s.ReadHeaderTimeout, s.ReadTimeout = cfg.Server.ReadHeaderTimeout.Std(), cfg.Server.ReadTimeout.Std()
	s.WriteTimeout, s.IdleTimeout = cfg.Server.WriteTimeout.Std(), cfg.Server.IdleTimeout.Std()
	s.MaxHeaderBytes = cfg.Server.MaxHeaderBytes
	return s
}

// limits are the rate limits as handlers takes them.
func limits(c config.Limits) handlers.Limits {
	return handlers.Limits{
		Address:  handlers.Limit{PerMinute: c.AddressPerMinute, Burst: c.AddressBurst},
		Caller:   handlers.Limit{PerMinute: c.CallerPerMinute, Burst: c.CallerBurst},
		Failures: handlers.Limit{PerMinute: c.FailuresPerMinute, Burst: c.FailuresBurst},
		Self:     handlers.Limit{PerMinute: c.SelfPerMinute, Burst: c.SelfBurst},
	}
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
