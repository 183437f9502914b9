package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
)

const (
	// glassWithin bounds the whole: opening the ledger and one change.
	glassWithin = time.Minute
	// hydraWithin bounds the calls to Hydra. The key's end does not wait for them.
	hydraWithin = 10 * time.Second
)

func (p program) breakGlass() *cobra.Command {
	c := group("break-glass", "Pause a key in the ledger, when no server answers", "Pause a key in the ledger's database, when no server answers that could be asked.\n"+
		"It reads the configuration of tokenos serve, and needs no access token.")
	c.AddCommand(p.breakGlassDisable())
	return c
}

func (p program) breakGlassDisable() *cobra.Command {
	var pause pausing
	c := &cobra.Command{
		Use:   "disable ID",
		Short: "Pause a key without a server, also while Hydra is away",
		Long: "Pause a key without a server: the disable is written to the ledger, where it counts\n" +
			"at once, for the token hook, the status list and introspection of every server on\n" +
			"it. If Hydra answers within ten seconds it is told; if not, a server is to do that\n" +
			"once it runs and Hydra is back. The audit names system:break-glass.\n\n" +
			"On SQLite a server that runs holds the ledger: stop it first. On Postgres it may go on.\n" +
			"With a server that answers: tokenos keys disable ID.",
		Example: "  tokenos break-glass disable key_live_01k9x2mc4q8r7s5t3v1w0y9z8a --config /etc/tokenos/tokenos.yaml",
		Args:    oneID,
		RunE: func(c *cobra.Command, args []string) error {
			until, err := pause.until(time.Now())
			if err != nil {
				return err
			}
			cfg, err := p.load(c)
			if err != nil {
				return err
			}
			return p.disableLocally(c.Context(), cfg, args[0], until)
		},
	}
	config.RegisterFlags(c.Flags())
	pause.flags(c)
	return c
}

func (p program) disableLocally(ctx context.Context, cfg *config.Config, id string, until *time.Time) (err error) {
	ctx, cancel := context.WithTimeout(ctx, glassWithin)
	defer cancel()
	cfg.Hydra.ChangeTimeout = min(cfg.Hydra.ChangeTimeout, config.Duration(hydraWithin))
	a, err := wire(ctx, cfg, p.logger("error", cfg.Log.Format))
	if err != nil {
		if strings.HasPrefix(cfg.Ledger.URL.Reveal(), "sqlite:") {
			err = withHint(err, "if a server holds the ledger: ask it (tokenos keys disable ID), or stop it first")
		}
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	stop := p.busy(still("the ledger first, then Hydra"))
	defer stop()
	res, err := a.service.Disable(apikey.WithCaller(ctx, apikey.System("break-glass")), id, apikey.DisableParams{Until: until})
	stop()
	if err != nil {
		return err
	}
	if err := resultFields(res).write(p.stdout, true); err != nil {
		return err
	}
	if res.Pending {
		fmt.Fprintln(p.stderr, "accepted: it counts in the ledger from now on. Hydra has not followed; a running server sees to that once Hydra answers")
	} else {
		fmt.Fprintln(p.stderr, "done, in the ledger and at Hydra; to undo it: tokenos keys enable ID")
	}
	return nil
}
