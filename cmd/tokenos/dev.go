package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydradev"
)

const (
	devPatience  = time.Second      // for requests in flight when dev is told to stop
	devStopsIn   = 10 * time.Second // Hydra's end at the latest
	devInfoTime  = 30 * time.Second // making the management key, buying a token
	anyFreePort  = 0
	highestPort  = 65535
	otherDevHint = "stop the other `tokenos dev`, choose another folder with --data-dir, or keep nothing with --memory"
)

// devOptions are the flags of tokenos dev.
type devOptions struct {
	dataDir, hydra, output, logLevel      string
	policyFile                            string
	memory                                bool
	port, hydraPublicPort, hydraAdminPort int
}

func (p program) dev() *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run a real Hydra, the REST API and the dashboard on this machine, for development",
		Long: "Run a real Ory Hydra, the REST API and the dashboard on loopback, from one command.\n\n" +
			"The first start builds Hydra (one to three minutes, needs Go); later ones take a moment.\n" +
			"Keys survive a restart. Plain HTTP is served here, to this machine only. The link that\n" +
			"it prints signs you in to the dashboard once; the sign-in page has a new one printed.\n" +
			"Ctrl-C stops everything, with exit code 0; a second Ctrl-C does so on the spot.",
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return p.runDev(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.dataDir, "data-dir", "", "folder for both databases and the server secret (default: "+shownDataDir()+")")
	f.BoolVar(&o.memory, "memory", false, "keep nothing: use temporary folders and remove them")
	f.IntVar(&o.port, "port", 8080, "port of the REST API; 0 takes a free one")
	f.IntVar(&o.hydraPublicPort, "hydra-public-port", 4444, "port of Hydra's public API; 0 takes a free one")
	f.IntVar(&o.hydraAdminPort, "hydra-admin-port", 4445, "port of Hydra's admin API; 0 takes a free one")
	f.StringVar(&o.hydra, "hydra", "", "Hydra binary to run (default: "+hydradev.EnvBinary+", else built once into the cache)")
	f.StringVar(&o.policyFile, "policy-file", "", "YAML file of the rules for keys (docs/policy.md); read at start (default: no rules)")
	f.StringVarP(&o.output, "output", "o", "text", "text, or json: one line on stdout once ready")
	f.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn or error")
	return c
}

// policies reads the policy file, if there is one.
func (o devOptions) policies() (apikey.Policies, error) {
	if o.policyFile == "" {
		return apikey.Policies{}, nil
	}
	f, err := config.ReadPolicyFile(o.policyFile)
	if err != nil {
		return apikey.Policies{}, withHint(err, policyHint)
	}
	return policies(f)
}

// devPort is one of the ports of tokenos dev.
type devPort struct {
	whose, flag string
	number      int
}

func (o devOptions) ports() []devPort {
	return []devPort{{"the REST API", "port", o.port}, {"Hydra's public API", "hydra-public-port", o.hydraPublicPort}, {"Hydra's admin API", "hydra-admin-port", o.hydraAdminPort}}
}

// check finds what is wrong with the flags alone.
func (o devOptions) check() error {
	if err := errors.Join(oneOf("output", o.output, "text", "json"), oneOf("log-level", o.logLevel, "debug", "info", "warn", "error")); err != nil {
		return err
	}
	if o.memory && o.dataDir != "" {
		return usagef("--memory and --data-dir exclude each other")
	}
	taken := map[int]string{}
	for _, port := range o.ports() {
		if port.number < 0 || port.number > highestPort {
			return usagef("--%s must be from 0 to %d", port.flag, highestPort)
		}
		if other := taken[port.number]; other != "" && port.number != anyFreePort {
			return usagef("--%s and --%s must be two ports", other, port.flag)
		}
		taken[port.number] = port.flag
	}
	return nil
}

// wayOut is what to do about a port that cannot be used.
func (d devPort) wayOut() string {
	return "stop the program that has the port, or choose another with --" + d.flag + " (0 takes a free one)"
}

func (d devPort) address() string { return "127.0.0.1:" + strconv.Itoa(d.number) }

// tryPorts fails if a port that was asked for cannot be used, before anything
// that takes time.
func (o devOptions) tryPorts(ctx context.Context) error {
	for _, port := range o.ports() {
		l, err := listen(ctx, port.whose, port.address(), port.wayOut())
		if err != nil {
			return err
		}
		l.Close()
	}
	return nil
}

// runDev runs both processes until ctx ends, which is no error once it is ready.
func (p program) runDev(ctx context.Context, o devOptions) (err error) {
	rules, err := o.policies()
	if err != nil {
		return err
	}
	if err := o.tryPorts(ctx); err != nil {
		return err
	}
	folder, err := openDevFolder(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.close()) }()
	d := &devStack{program: p, options: o, policies: rules, folder: folder, log: p.logger(o.logLevel, "text")}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), devStopsIn)
		defer cancel()
		err = errors.Join(err, d.stop(end))
	}()
	if err := d.start(ctx); err != nil {
		return err
	}
	return d.serve(ctx)
}

// serve prints what a person needs and answers requests until ctx ends.
func (d *devStack) serve(ctx context.Context) error {
	pages, link, err := d.pages()
	if err != nil {
		return err
	}
	handler, err := handlers.New(handlers.Config{Pages: pages, API: d.app.service, Authenticate: d.app.service.Authenticate, Holder: d.app.service, Introspector: d.app.service, StatusLists: d.app.service, Ready: d.app.checks(), Log: d.log,
		Limits: limits(config.DefaultLimits()), InsecureLoopback: true, Version: version(), TokenURL: d.hydra.TokenURL()})
	if err != nil {
		return err
	}
	info, err := d.info(ctx)
	if err != nil {
		return err
	}
	info.DashboardURL = link()
	if err := d.print(info); err != nil {
		return fmt.Errorf("print the addresses: %w", err)
	}
	return d.app.run(ctx, devPatience, sides{api: served{handlers.Server(handler, 0, d.log), d.listener}})
}
