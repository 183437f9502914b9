package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/ledger"
)

// migrateWithin bounds a migration, which on Postgres also waits for others'.
const migrateWithin = 10 * time.Minute

func (p program) migrate() *cobra.Command {
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the ledger's database to this version's schema",
		Long: "Bring the ledger's database to this version's schema. On SQLite it makes the\n" +
			"file, and `tokenos serve` must not run; on Postgres it may run beside others.\n" +
			"Running it again does no harm.",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := p.load(c)
			if err != nil {
				return err
			}
			return p.migrateWith(c.Context(), cfg)
		},
	}
	configured(c)
	return c
}

func (p program) migrateWith(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, migrateWithin)
	defer cancel()
	stop := p.busy(still("migrating"))
	applied, err := ledger.Migrate(ctx, ledgerConfig(cfg, p.logger("warn", cfg.Log.Format)))
	stop()
	for _, name := range applied {
		fmt.Fprintln(p.stderr, "applied", name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "the ledger is up to date (%d applied)\n", len(applied))
	return nil
}
