package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

func (p program) owners() *cobra.Command {
	c := group("owners", "Pause, enable or end every key of an owner", "Pause, enable or end every key of an owner. Each shows how many keys it concerns\n"+
		"and asks first, then waits until it is done. It goes on by itself: who stops\n"+
		"waiting stops nothing.\n\n"+remoteHelp)
	r := p.remote(c)
	c.AddCommand(r.ownersDisable(), r.ownersEnable(), r.ownersRevoke(), r.ownersRevokeTokens(), r.ownersOperation())
	return c
}

// oneOwner takes an owner as the only argument.
func oneOwner(c *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return usagef("%s takes one owner; one with spaces in quotation marks", c.CommandPath())
	}
	return nil
}

// ownerAction is an action on every key of an owner.
type ownerAction struct {
	what           string // "Disable"
	dryRun, noWait bool
	do             func(ctx context.Context, api apikey.API, dryRun bool, idempotencyKey string) (apikey.Operation, error)
}

func (r *remote) ownerFlags(c *cobra.Command, a *ownerAction) {
	f := c.Flags()
	dry(f, &a.dryRun)
	f.BoolVar(&a.noWait, "no-wait", false, "do not wait until it is done")
	r.asks(f)
	r.changes(f)
}

func (r *remote) ownersDisable() *cobra.Command {
	a := ownerAction{what: "Disable"}
	var p pausing
	c := &cobra.Command{
		Use:   "disable OWNER",
		Short: "Pause every key of an owner",
		Args:  oneOwner,
		RunE: func(c *cobra.Command, args []string) error {
			until, err := p.until(time.Now())
			if err != nil {
				return err
			}
			a.do = func(ctx context.Context, api apikey.API, dryRun bool, key string) (apikey.Operation, error) {
				return api.DisableOwner(ctx, args[0], apikey.DisableOwnerParams{Until: until, DryRun: dryRun, IdempotencyKey: key})
			}
			return r.operate(c.Context(), a)
		},
	}
	p.flags(c)
	r.ownerFlags(c, &a)
	return c
}

func (r *remote) ownersEnable() *cobra.Command {
	a := ownerAction{what: "Enable"}
	var all bool
	c := &cobra.Command{
		Use:   "enable OWNER",
		Short: "End the pauses that began with the owner's",
		Long: "End the pauses that began with the owner's. A key that was disabled by itself,\n" +
			"because it leaked, stays disabled; with --all it is enabled, too.",
		Args: oneOwner,
		RunE: func(c *cobra.Command, args []string) error {
			a.do = func(ctx context.Context, api apikey.API, dryRun bool, key string) (apikey.Operation, error) {
				return api.EnableOwner(ctx, args[0], apikey.EnableOwnerParams{All: all, DryRun: dryRun, IdempotencyKey: key})
			}
			return r.operate(c.Context(), a)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also keys that were disabled by themselves")
	r.ownerFlags(c, &a)
	return c
}

func (r *remote) ownersRevoke() *cobra.Command {
	a := ownerAction{what: "Revoke, for good,"}
	var why whyRevoked
	c := &cobra.Command{
		Use:   "revoke OWNER",
		Short: "End every key of an owner for good",
		Args:  oneOwner,
		RunE: func(c *cobra.Command, args []string) error {
			a.do = func(ctx context.Context, api apikey.API, dryRun bool, key string) (apikey.Operation, error) {
				return api.RevokeOwner(ctx, args[0], apikey.RevokeOwnerParams{Reason: apikey.RevocationReason(why.reason), Description: why.description, DryRun: dryRun, IdempotencyKey: key})
			}
			return r.operate(c.Context(), a)
		},
	}
	why.flags(c.Flags())
	r.ownerFlags(c, &a)
	return c
}

func (r *remote) ownersRevokeTokens() *cobra.Command {
	a := ownerAction{what: "End the tokens of"}
	c := &cobra.Command{
		Use:   "revoke-tokens OWNER",
		Short: "End the tokens of every key of an owner, and keep the keys",
		Args:  oneOwner,
		RunE: func(c *cobra.Command, args []string) error {
			a.do = func(ctx context.Context, api apikey.API, dryRun bool, key string) (apikey.Operation, error) {
				return api.RevokeOwnerTokens(ctx, args[0], apikey.OwnerActionParams{DryRun: dryRun, IdempotencyKey: key})
			}
			return r.operate(c.Context(), a)
		},
	}
	r.ownerFlags(c, &a)
	return c
}

func (r *remote) ownersOperation() *cobra.Command {
	var wait bool
	c := &cobra.Command{
		Use:   "operation OPERATION",
		Short: "Show how far an operation on an owner has come",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 || !apikey.ValidID(args[0]) {
				return usagef("%s takes the id of an operation, like op_k3vq5n2wz7c4m6x8y1b9d0f2gh", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.open()
			if err != nil {
				return err
			}
			o, err := api.Operation(c.Context(), args[0])
			if err == nil && wait {
				o, err = r.await(c.Context(), api, o)
			}
			if err != nil {
				return err
			}
			return r.showOperation(o)
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	return c
}

// operate begins an operation, after a yes, and waits for its end.
func (r *remote) operate(ctx context.Context, a ownerAction) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	if a.dryRun {
		would, err := a.do(ctx, api, true, "")
		if err != nil {
			return err
		}
		return r.showOperation(would)
	}
	if !r.yes {
		if err := r.askOwner(ctx, api, a); err != nil {
			return err
		}
	}
	var o apikey.Operation
	stop := r.busy(still("waiting for the server"))
	defer stop()
	err = r.once(func(key string) error {
		o, err = a.do(ctx, api, false, key)
		return err
	})
	stop()
	if err == nil && !a.noWait {
		o, err = r.await(ctx, api, o)
	}
	if err != nil {
		return err
	}
	return r.showOperation(o)
}

func (r *remote) askOwner(ctx context.Context, api apikey.API, a ownerAction) error {
	if err := r.askable(r.yes); err != nil {
		return err
	}
	would, err := a.do(ctx, api, true, "")
	if err != nil {
		return err
	}
	if err := operationFields(would).write(r.stderr, true); err != nil {
		return err
	}
	return r.confirm(ctx, r.yes, fmt.Sprintf("%s %d of %d keys of %s?", a.what, would.Changed, would.Total, cell(would.Owner)))
}

// askEvery is how often a running operation is looked at.
const askEvery = time.Second

// await waits until an operation no longer runs, and tells how far it is.
func (r *remote) await(ctx context.Context, api apikey.API, o apikey.Operation) (apikey.Operation, error) {
	how := "it goes on by itself: tokenos owners operation " + o.ID + " --wait"
	var line progressLine
	line.set(o)
	stop := r.busy(line.text)
	defer stop()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for o.State == apikey.OperationRunning {
		select {
		case <-ctx.Done():
			return o, withLastingHint(ctx.Err(), how)
		case <-tick.C:
		}
		now, err := api.Operation(ctx, o.ID)
		if err != nil {
			return o, withLastingHint(err, how)
		}
		o = now
		line.set(o)
	}
	return o, nil
}

// showOperation shows an operation. One that did not do all it was to do is a
// failure as well.
func (r *remote) showOperation(o apikey.Operation) error {
	names := []string{o.ID}
	if o.ID == "" { // of a dry run
		names = nil
	}
	if err := r.print(r.stdout, shown{o, names, operationFields(o)}); err != nil {
		return err
	}
	r.tellDryRun(o.State == apikey.OperationPreview)
	switch {
	case o.State == apikey.OperationSuperseded:
		return &apikey.Error{Kind: apikey.ErrBusy, Detail: "a newer disable or revoke of the owner ended it"}
	case o.State == apikey.OperationDone && o.Failed > 0:
		return withHint(fmt.Errorf("%d of %d keys stayed as they were", o.Failed, o.Total), "look at them: tokenos keys get ID")
	case o.State == apikey.OperationRunning:
		fmt.Fprintf(r.stderr, "it goes on by itself: tokenos owners operation %s --wait\n", cell(o.ID))
	}
	return nil
}

// operationFields show an operation for people.
func operationFields(o apikey.Operation) grid {
	var g grid
	g.field("id", o.ID)
	g.field("owner", o.Owner)
	g.field("action", string(o.Action))
	g.field("state", string(o.State))
	g.field("keys", fmt.Sprintf("%d: %d changed, %d were so already, %d failed", o.Total, o.Changed, o.Unchanged, o.Failed))
	if o.Waiting > 0 {
		g.field("waiting", fmt.Sprintf("%d accepted and counting, Hydra has yet to follow", o.Waiting))
	}
	for _, f := range o.Failures {
		g.field("failed", f.KeyID+" "+string(f.Code))
	}
	if o.State != apikey.OperationRunning {
		accessFields(&g, o.AccessEndsAt)
	}
	if o.ID != "" {
		g.field("begun", instant(&o.CreatedAt)+" by "+o.CreatedBy)
	}
	g.field("finished", instant(o.FinishedAt))
	return g
}
