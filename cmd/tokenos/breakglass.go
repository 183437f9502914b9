package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
)

const (
	// glassWithin bounds the whole: opening the ledger and one change.
	glassWithin = time.Minute
	// hydraWithin bounds the calls to Hydra. The key's end does not wait for them.
	hydraWithin = 10 * time.Second
)

// disableLocally pauses a key in the ledger, without a server or a token, for when
// neither is to be had. The audit names system:break-glass.
func (r *remote) disableLocally(ctx context.Context, cfg *config.Config, id string, p apikey.DisableParams) (err error) {
	ctx, cancel := context.WithTimeout(ctx, glassWithin)
	defer cancel()
	cfg.Hydra.ChangeTimeout = min(cfg.Hydra.ChangeTimeout, config.Duration(hydraWithin))
	a, err := wire(ctx, cfg, r.logger("error", cfg.Log.Format))
	if err != nil {
		if strings.HasPrefix(cfg.Ledger.URL.Reveal(), "sqlite:") {
			err = withHint(err, "if a server holds the ledger: ask it (tokenos keys disable ID), or stop it first")
		}
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	stop := r.busy(still("the ledger first, then Hydra"))
	defer stop()
	res, err := a.service.Disable(apikey.WithCaller(ctx, apikey.System("break-glass")), id, p)
	stop()
	if errors.Is(err, apikey.ErrNotFound) {
		return withHint(&apikey.Error{Kind: apikey.ErrNotFound, Detail: "this ledger has no such key"}, "is the id whole, and ledger.url that of the key's installation?")
	}
	if err != nil {
		return err
	}
	if err := r.print(r.stdout, shown{res, []string{id}, resultFields(res)}); err != nil {
		return err
	}
	switch {
	case res.DryRun:
	case res.Pending:
		fmt.Fprintln(r.stderr, "accepted: it counts in the ledger from now on. Hydra has not followed; a running server sees to that once Hydra answers")
	default:
		fmt.Fprintln(r.stderr, "done, in the ledger and at Hydra; to undo it: tokenos keys enable ID")
	}
	return nil
}
