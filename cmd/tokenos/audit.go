package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
	"github.com/tokenos/tokenos/ledger"
)

func (p program) audit() *cobra.Command {
	c := group("audit", "Read the audit, and check it", "Read the audit at a running server, and check it in the ledger's database.")
	var head string
	verify := &cobra.Command{
		Use:   "verify",
		Short: "Check that no event was altered, removed or added; exit code 1 if one was",
		Long: "Check the chain of events: each carries a MAC over itself and the one before.\n" +
			"With --head ID:MAC, a head noted earlier (the server logs it), also that nothing\n" +
			"was cut off the end since. A running server does not mind.",
		RunE: func(c *cobra.Command, _ []string) error {
			noted, err := parseHead(head)
			if err != nil {
				return err
			}
			cfg, err := p.load(c)
			if err != nil {
				return err
			}
			return p.verifyAudit(c.Context(), cfg, noted)
		},
	}
	configured(verify)
	verify.Flags().StringVar(&head, "head", "", "a head noted earlier, ID:MAC")
	c.AddCommand(p.auditList(), verify)
	return c
}

func (p program) verifyAudit(ctx context.Context, cfg *config.Config, noted apikey.Head) (err error) {
	lc := ledgerConfig(cfg, p.logger("warn", cfg.Log.Format))
	lc.ReadOnly = true
	db, err := ledger.Open(ctx, lc)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var checked atomic.Int64
	stop := p.busy(func(since time.Duration) string {
		return fmt.Sprintf("%d events checked in %s", checked.Load(), since)
	})
	v, err := db.VerifyChain(ctx, noted, checked.Store)
	stop()
	if err != nil {
		return err
	}
	if !v.Intact() {
		return fmt.Errorf("the audit is not as it was written: event %d: %s (%d events before it are good)", v.FirstBad, v.Reason, v.Events)
	}
	_, err = fmt.Fprintf(p.stdout, "%d events, all as they were written; head %s\n", v.Events, v.Head)
	return err
}

// parseHead reads "ID:MAC", "" as no head.
func parseHead(s string) (apikey.Head, error) {
	if s == "" {
		return apikey.Head{}, nil
	}
	number, mac, ok := strings.Cut(s, ":")
	id, err := strconv.ParseInt(number, 10, 64)
	_, notHex := hex.DecodeString(mac)
	if !ok || err != nil || id < 0 || mac == "" || notHex != nil {
		return apikey.Head{}, usagef("--head must be ID:MAC, as `tokenos audit verify` and the server's log write it")
	}
	return apikey.Head{ID: id, MAC: mac}, nil
}
