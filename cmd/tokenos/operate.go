package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/ledger"
)

func (p program) migrate() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the ledger's database to this version's schema",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.load(c)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 10*time.Minute)
			defer cancel()
			applied, err := ledger.Migrate(ctx, ledgerConfig(cfg, p.logger(cfg.Log.Level, cfg.Log.Format)))
			if err != nil {
				return err
			}
			for _, name := range applied {
				fmt.Fprintln(p.stderr, "applied", name)
			}
			fmt.Fprintf(p.stderr, "the ledger is up to date (%d applied)\n", len(applied))
			return nil
		},
	}
	config.RegisterFlags(c.Flags())
	return c
}

// bootstrapOptions are the flags of tokenos bootstrap.
type bootstrapOptions struct {
	name, output   string
	rights, owners []string
	expires        string
}

func (p program) bootstrap() *cobra.Command {
	var o bootstrapOptions
	c := &cobra.Command{
		Use:   "bootstrap",
		Short: "Make a management key, with which programs call the REST API; its secret is shown once",
		Long: "Make a management key. It needs the ledger and Hydra, not a running server:\n" +
			"on SQLite, stop `tokenos serve` first.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.load(c)
			if err != nil {
				return err
			}
			return p.bootstrapWith(c.Context(), cfg, o)
		},
	}
	config.RegisterFlags(c.Flags())
	c.Flags().StringVar(&o.name, "name", "bootstrap", "name of the key")
	c.Flags().StringSliceVar(&o.rights, "right", []string{string(apikey.Admin)}, "keys:read, keys:write, audit:read, tokens:introspect, admin")
	c.Flags().StringSliceVar(&o.owners, "owner", nil, "bind the key to these owners (default: all)")
	c.Flags().StringVar(&o.expires, "expires", "", "end it after this long, for example 90d (default: never)")
	c.Flags().StringVarP(&o.output, "output", "o", "text", "text or json")
	return c
}

func (p program) bootstrapWith(ctx context.Context, cfg *config.Config, o bootstrapOptions) error {
	if o.output != "text" && o.output != "json" {
		return usageError{fmt.Errorf("--output must be text or json")}
	}
	params := apikey.CreateParams{Name: o.name, Kind: apikey.KindManagement, Scopes: o.rights, Owners: o.owners}
	if o.expires != "" {
		d, err := apikey.ParseDuration(o.expires)
		if err != nil {
			return usageError{fmt.Errorf("--expires: %w", err)}
		}
		end := time.Now().Add(time.Duration(d))
		params.ExpiresAt = &end
	}
	a, err := wire(ctx, cfg, p.logger("warn", cfg.Log.Format))
	if err != nil {
		return err
	}
	issued, err := a.service.Create(apikey.WithCaller(ctx, apikey.System("bootstrap")), params)
	if closed := a.close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("make the management key: %w", err)
	}
	return p.showManagementKey(issued, a.hydra.TokenURL(), o)
}

func (p program) showManagementKey(issued apikey.Issued, tokenURL string, o bootstrapOptions) error {
	if o.output == "json" {
		return json.NewEncoder(p.stdout).Encode(map[string]any{"id": issued.Key.ID, "client_secret": issued.Secret.Reveal(),
			"token_url": tokenURL, "audience": apikey.ManagementAudience, "scopes": issued.Key.Scopes, "owners": issued.Key.Owners})
	}
	fmt.Fprintf(p.stdout, "client id:     %s\nclient secret: %s\n", issued.Key.ID, issued.Secret.Reveal())
	fmt.Fprintf(p.stderr, "\nThe secret is shown only now. A program buys its access token with it at\n%s\nasking for audience=%s and the scopes it needs (%v).\n",
		tokenURL, apikey.ManagementAudience, issued.Key.Scopes)
	return nil
}

func (p program) audit() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Check the audit", RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	var head string
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Check that no event was altered, removed or added; exit code 1 if one was",
		Long: "Check the chain of events: each carries a MAC over itself and the one before.\n" +
			"With --head ID:MAC, a head noted earlier (the server logs it), also that nothing\n" +
			"was cut off the end since. A running server does not mind.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.load(c)
			if err != nil {
				return err
			}
			return p.verifyAudit(c.Context(), cfg, head)
		},
	}
	config.RegisterFlags(verify.Flags())
	verify.Flags().StringVar(&head, "head", "", "a head noted earlier, ID:MAC")
	c.AddCommand(verify)
	return c
}

func (p program) verifyAudit(ctx context.Context, cfg *config.Config, head string) error {
	noted, err := parseHead(head)
	if err != nil {
		return err
	}
	lc := ledgerConfig(cfg, p.logger("warn", cfg.Log.Format))
	lc.ReadOnly = true
	db, err := ledger.Open(ctx, lc)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // only read
	start := time.Now()
	v, err := db.VerifyChain(ctx, noted, func(n int64) {
		if time.Since(start) > 2*time.Second {
			fmt.Fprintf(p.stderr, "%d events checked\n", n)
		}
	})
	if err != nil {
		return err
	}
	if !v.Intact() {
		return fmt.Errorf("the audit is not as it was written: event %d: %s (%d events before it are good)", v.FirstBad, v.Reason, v.Events)
	}
	fmt.Fprintf(p.stdout, "%d events, all as they were written; head %d:%s\n", v.Events, v.Head.ID, v.Head.MAC)
	return nil
}

// parseHead reads "ID:MAC", "" as no head.
func parseHead(s string) (ledger.Head, error) {
	if s == "" {
		return ledger.Head{}, nil
	}
	number, mac, ok := strings.Cut(s, ":")
	id, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || id < 0 || mac == "" {
		return ledger.Head{}, usageError{errors.New("--head must be ID:MAC, as `tokenos audit verify` and the server's log write it")}
	}
	return ledger.Head{ID: id, MAC: mac}, nil
}
