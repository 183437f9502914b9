package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenos/tokenos/apikey"
)

// action is a change of one key that answers with an [apikey.Result].
type action struct {
	// question is asked before it is done, below what it would do. "": none is.
	question string
	dryRun   bool
	do       func(ctx context.Context, api apikey.API, dryRun bool, idempotencyKey string) (apikey.Result, error)
}

// act does it, after the yes that it may need.
func (r *remote) act(ctx context.Context, a action) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	if a.dryRun {
		res, err := a.do(ctx, api, true, "")
		if err != nil {
			return err
		}
		return r.showResult(res)
	}
	if a.question != "" && !r.yes {
		if err := r.askAbout(ctx, api, a); err != nil {
			return err
		}
	}
	stop := r.busy(still("waiting for the server"))
	defer stop()
	return r.once(func(key string) error {
		res, err := a.do(ctx, api, false, key)
		stop()
		if err != nil {
			return err
		}
		return r.showResult(res)
	})
}

// askAbout shows what the action would do and asks whether to do it.
func (r *remote) askAbout(ctx context.Context, api apikey.API, a action) error {
	if err := r.askable(r.yes); err != nil {
		return err
	}
	would, err := a.do(ctx, api, true, "")
	if err != nil {
		return err
	}
	if err := resultFields(would).write(r.stderr, true); err != nil {
		return err
	}
	return r.confirm(ctx, r.yes, a.question)
}

// dry adds --dry-run.
func dry(f *pflag.FlagSet, into *bool) {
	f.BoolVar(into, "dry-run", false, "show what it would do, and change nothing")
}

func (r *remote) keysEnable() *cobra.Command {
	var a action
	c := &cobra.Command{
		Use:   "enable ID",
		Short: "End the pause of a key; the same secret works again",
		Args:  oneID,
		RunE: func(c *cobra.Command, args []string) error {
			a.do = func(ctx context.Context, api apikey.API, dryRun bool, key string) (apikey.Result, error) {
				return api.Enable(ctx, args[0], apikey.ActionParams{DryRun: dryRun, IdempotencyKey: key})
			}
			return r.act(c.Context(), a)
		},
	}
	dry(c.Flags(), &a.dryRun)
	r.changes(c.Flags())
	return c
}

func (r *remote) keysDisable() *cobra.Command {
	var a action
	var p pausing
	var local bool
	c := &cobra.Command{
		Use:   "disable ID",
		Short: "Pause a key: no new tokens, and those it has are ended",
		Long: "Pause a key: no new tokens, and those it has are ended. Its secret stays, and\n" +
			"tokenos keys enable ends the pause. While Hydra is away this is accepted, and\n" +
			"done when it is back.\n\n" +
			"With --local, for when no server answers or no token is to be had, it reads the\n" +
			"configuration of tokenos serve and writes the disable to the ledger itself, where\n" +
			"it counts at once, for the token hook, the status list and introspection of every\n" +
			"server on it. If Hydra answers within ten seconds it is told; if not, a server is\n" +
			"to do that once it runs and Hydra is back. The audit names system:break-glass. On\n" +
			"SQLite a server that runs holds the ledger: stop it first. On Postgres it may go on.",
		Example: "  tokenos keys disable key_live_01k9x2mc4q8r7s5t3v1w0y9z8a --for 7d\n" +
			"  tokenos keys disable key_live_01k9x2mc4q8r7s5t3v1w0y9z8a --local --config /etc/tokenos/tokenos.yaml",
		Args: oneID,
		RunE: func(c *cobra.Command, args []string) error {
			until, err := p.until(time.Now())
			if err != nil {
				return err
			}
			if local {
				return r.disableHere(c, args[0], apikey.DisableParams{Until: until, DryRun: a.dryRun})
			}
			a.do = func(ctx context.Context, api apikey.API, dryRun bool, key string) (apikey.Result, error) {
				return api.Disable(ctx, args[0], apikey.DisableParams{Until: until, DryRun: dryRun, IdempotencyKey: key})
			}
			return r.act(c.Context(), a)
		},
	}
	p.flags(c)
	dry(c.Flags(), &a.dryRun)
	r.changes(c.Flags())
	c.Flags().BoolVar(&local, "local", false, "break glass: in the ledger, by the server's configuration, without a server")
	configured(c)
	return c
}

// disableHere reads the server's configuration, and pauses the key in its ledger.
func (r *remote) disableHere(c *cobra.Command, id string, p apikey.DisableParams) error {
	if err := r.check(); err != nil {
		return err
	}
	cfg, err := r.load(c)
	if err != nil {
		return err
	}
	return r.disableLocally(c.Context(), cfg, id, p)
}

// pausing are the flags that say how long.
type pausing struct{ length, moment string }

func (p *pausing) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.length, "for", "", "enable again by itself after this long, for example 7d")
	c.Flags().StringVar(&p.moment, "until", "", "enable again by itself at this moment, for example 2027-01-31T08:00:00Z")
	c.MarkFlagsMutuallyExclusive("for", "until")
}

// until is the end of the pause; nil: somebody ends it.
func (p *pausing) until(now time.Time) (*time.Time, error) {
	switch {
	case p.length != "":
		d, err := apikey.ParseDuration(p.length)
		if err != nil || d <= 0 {
			return nil, usagef("--for must be a duration such as 12h or 7d")
		}
		return new(now.Add(time.Duration(d)).UTC().Truncate(time.Second)), nil
	case p.moment != "":
		at, err := time.Parse(time.RFC3339, p.moment)
		if err != nil {
			return nil, usagef("--until must be a moment such as 2027-01-31T08:00:00Z")
		}
		return new(at.UTC()), nil
	}
	return nil, nil
}

func (r *remote) keysRevokeTokens() *cobra.Command {
	var a action
	c := &cobra.Command{
		Use:   "revoke-tokens ID",
		Short: "End the tokens issued so far, and keep the key",
		Args:  oneID,
		RunE: func(c *cobra.Command, args []string) error {
			a.do = func(ctx context.Context, api apikey.API, dryRun bool, key string) (apikey.Result, error) {
				return api.RevokeTokens(ctx, args[0], apikey.ActionParams{DryRun: dryRun, IdempotencyKey: key})
			}
			return r.act(c.Context(), a)
		},
	}
	dry(c.Flags(), &a.dryRun)
	r.changes(c.Flags())
	return c
}

// whyRevoked are the flags that say why a key ends.
type whyRevoked struct{ reason, description string }

func (w *whyRevoked) flags(f *pflag.FlagSet) {
	f.StringVar(&w.reason, "reason", "", "key_compromise, superseded, cessation_of_operation, privilege_withdrawn or unspecified (default unspecified)")
	f.StringVar(&w.description, "description", "", "for people")
}

func (r *remote) keysRevoke() *cobra.Command {
	a := action{question: "Revoke this key? Nothing undoes it."}
	var why whyRevoked
	c := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a key for good; its record stays",
		Long: "End a key for good; its record stays. It shows what that ends and asks first.\n" +
			"While Hydra is away this is accepted, and done when it is back.",
		Example: "  tokenos keys revoke key_live_01k9x2mc4q8r7s5t3v1w0y9z8a --reason key_compromise",
		Args:    oneID,
		RunE: func(c *cobra.Command, args []string) error {
			a.do = func(ctx context.Context, api apikey.API, dryRun bool, key string) (apikey.Result, error) {
				return api.Revoke(ctx, args[0], apikey.RevokeParams{Reason: apikey.RevocationReason(why.reason), Description: why.description, DryRun: dryRun, IdempotencyKey: key})
			}
			return r.act(c.Context(), a)
		},
	}
	why.flags(c.Flags())
	dry(c.Flags(), &a.dryRun)
	r.asks(c.Flags())
	r.changes(c.Flags())
	return c
}

func (r *remote) keysDelete() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete ID",
		Short: "Remove the record of a revoked key; its events stay",
		Args:  oneID,
		RunE:  func(c *cobra.Command, args []string) error { return r.deleteKey(c.Context(), args[0]) },
	}
	r.asks(c.Flags())
	return c
}

func (r *remote) deleteKey(ctx context.Context, id string) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	if !r.yes {
		if err := r.askable(r.yes); err != nil {
			return err
		}
		k, err := api.Get(ctx, id)
		if err != nil {
			return err
		}
		if err := resultFields(apikey.Result{Key: k}).write(r.stderr, true); err != nil {
			return err
		}
		if err := r.confirm(ctx, r.yes, "Remove the record of this key?"); err != nil {
			return err
		}
	}
	stop := r.busy(still("waiting for the server"))
	defer stop()
	if err := api.Delete(ctx, id); err != nil {
		return unsure(err, "tokenos keys get "+id+" shows whether it is still there")
	}
	fmt.Fprintf(r.stderr, "deleted %s; its events stay: tokenos keys events %s\n", id, id)
	return nil
}

// unsure adds how to find out to a change that may have been done all the same,
// and that nothing can repeat.
func unsure(err error, how string) error {
	if e, ok := errors.AsType[*apikey.Error](err); ok && e.Pending {
		return withLastingHint(err, how)
	}
	return err
}
