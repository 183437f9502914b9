package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/manifest"
)

// applying are the flags of tokenos apply.
type applying struct {
	files                     []string
	prune, dryRun, exitCode   bool
	secretsDir, secretCommand string
}

// alone is a command at the top of the tree that calls a server.
func (p program) alone(build func(*remote) *cobra.Command) *cobra.Command {
	holder := &cobra.Command{}
	c := build(p.remote(holder))
	c.Long += "\n\n" + remoteHelp
	c.PersistentFlags().AddFlagSet(holder.PersistentFlags())
	return c
}

func hidden(c *cobra.Command) *cobra.Command {
	c.Hidden = true
	return c
}

func (r *remote) apply() *cobra.Command {
	var o applying
	c := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Make keys be as YAML documents say",
		Long: "Make keys be as YAML documents say: make those that are missing, change those\n" +
			"that differ, and with --prune revoke those that apply made and no document is\n" +
			"about. What it would do is shown first, and asked for. It rotates nothing.\n" +
			"docs/keys-as-code.md describes the documents; tokenos export writes them.\n\n" +
			"A new secret goes to a file of --secrets-dir, or to the standard input of\n" +
			"--secret-command, which is run once per key, without a shell. Spaces separate\n" +
			"its arguments, and quotation marks of either kind keep them together. It finds\n" +
			"TOKENOS_KEY_ID, _NAME, _OWNER, _ENVIRONMENT, TOKENOS_AUTH_METHOD and\n" +
			"TOKENOS_TOKEN_URL in its environment.",
		Example: "  tokenos apply -f keys.yaml --dry-run\n" +
			"  tokenos apply -f keys/ --prune --secrets-dir ./secrets\n" +
			"  tokenos export --owner acme | tokenos apply -f - --dry-run",
		RunE: func(c *cobra.Command, _ []string) error { return r.runApply(c.Context(), o) },
	}
	f := c.Flags()
	f.StringArrayVarP(&o.files, "file", "f", nil, "file, folder (its .yaml and .yml files) or - for stdin; repeat for more")
	f.BoolVar(&o.prune, "prune", false, "revoke keys that apply made and that no document is about, of the owners and environments in the documents")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what it would do, and change nothing")
	f.BoolVar(&o.exitCode, "exit-code", false, "with --dry-run: exit with 1 if it would change anything")
	f.StringVar(&o.secretsDir, "secrets-dir", "", "write the secret of each new key to a new file in this folder, for you alone (0600)")
	f.StringVar(&o.secretCommand, "secret-command", "", "run this for each new key, with its secret on stdin")
	r.asks(f)
	c.MarkFlagsMutuallyExclusive("secrets-dir", "secret-command")
	return c
}

// apply is one run of the command.
type apply struct {
	*remote
	applying
	api   apikey.API
	to    handover // nil: there is none
	steps []*step
}

// step is what is done about one key.
type step struct {
	manifest.Change
	access  *apikey.AccessEnds // when the tokens end that it ends
	resume  bool               // an earlier apply made the key, and its secret is still to be handed over
	params  apikey.CreateParams
	id      string // of the key, once known
	where   string // where its secret went
	pending bool   // accepted; Hydra follows
	state   string // "" until it was carried out: done, failed or not_begun
	err     error
}

// changes reports whether there is anything to do.
func (s *step) changes() bool {
	return s.resume || s.Action == manifest.Create || s.Action == manifest.Update || s.Action == manifest.Revoke
}

func (r *remote) runApply(ctx context.Context, o applying) error {
	if o.exitCode && !o.dryRun {
		return usagef("--exit-code goes with --dry-run")
	}
	to, err := r.handover(ctx, o)
	if err != nil {
		return err
	}
	docs, err := r.documents(ctx, o.files)
	if err != nil {
		return err
	}
	api, err := r.open()
	if err != nil {
		return err
	}
	a := &apply{remote: r, applying: o, api: api, to: to}
	return a.run(ctx, docs)
}

func (a *apply) run(ctx context.Context, docs []manifest.Document) error {
	if err := a.plan(ctx, docs); err != nil {
		return err
	}
	if a.dryRun {
		return a.wouldDo()
	}
	return a.do(ctx)
}

// plan finds out what there is to do, and asks the server what it would say.
func (a *apply) plan(ctx context.Context, docs []manifest.Document) error {
	stop := a.busy(still("looking at the keys"))
	defer stop()
	now := time.Now()
	keys, err := liveKeys(ctx, a.api, docs)
	if err != nil {
		return err
	}
	for _, c := range manifest.Plan(docs, keys, manifest.Options{Prune: a.prune, Now: now}) {
		s := &step{Change: c}
		if c.Key != nil {
			s.id = c.Key.ID
		}
		if c.Params != nil {
			s.params = *c.Params
		}
		a.resume(s, now)
		if err := a.preview(ctx, s); err != nil {
			return err
		}
		a.steps = append(a.steps, s)
	}
	return nil
}

// resume finds keys that an apply made which was interrupted before it handed
// over the secret.
func (a *apply) resume(s *step, now time.Time) {
	if a.to == nil || s.Key == nil || s.Params == nil || !a.to.waiting(s) {
		return
	}
	s.resume = now.Sub(s.Key.CreatedAt) < replayed
	if !s.resume {
		s.refuse("its secret was not handed over when it was made, and is gone", "rotate it: tokenos keys rotate "+s.Key.ID)
	}
}

// replayed is how long after it was made a key's secret can surely be had again,
// under its Idempotency-Key.
const replayed = 23 * time.Hour

func (s *step) refuse(problem, fix string) {
	s.Action, s.Problem, s.Fix, s.resume = manifest.Refused, problem, fix, false
}

// preview asks the server what a step would do. What it refuses is refused now,
// before anything was changed.
func (a *apply) preview(ctx context.Context, s *step) error {
	var err error
	switch {
	case s.Action == manifest.Update && s.Patch != nil:
		patch := *s.Patch
		patch.DryRun = true
		var would apikey.Updated
		if would, err = a.api.Update(ctx, s.id, patch); err == nil && would.Impact != nil {
			s.access = would.Impact.AccessEndsAt
		}
	case s.Action == manifest.Revoke:
		var would apikey.Result
		if would, err = a.api.Revoke(ctx, s.id, apikey.RevokeParams{DryRun: true}); err == nil {
			s.access = would.AccessEndsAt
		}
	}
	switch {
	case a.dryRun && errors.Is(err, apikey.ErrForbidden): // a check of proposed documents needs no more than keys:read
		return nil
	case err != nil && settled(err) && !errors.Is(err, apikey.ErrUnauthenticated):
		s.refuse(documentWords(err), "")
		return nil
	}
	return err
}

// wouldDo is the end of a dry run.
func (a *apply) wouldDo() error {
	if err := a.show(); err != nil {
		return err
	}
	n := a.counts()
	switch {
	case n.Refused > 0:
		return silent{exitConflict}
	case a.exitCode && n.Create+n.Change+n.Revoke+n.HandOver > 0:
		return silent{exitFailed}
	}
	return nil
}

// do shows the plan, asks, and carries it out.
func (a *apply) do(ctx context.Context) error {
	n := a.counts()
	if n.Create+n.Change+n.Revoke+n.HandOver == 0 {
		if err := a.show(); err != nil {
			return err
		}
		return a.ending(ctx)
	}
	if err := a.ready(); err != nil {
		return err
	}
	if err := a.showFirst(); err != nil {
		return err
	}
	if err := a.confirm(ctx, a.yes, n.question()); err != nil {
		return err
	}
	a.carryAll(ctx)
	if err := a.showDone(); err != nil {
		return err
	}
	return a.ending(ctx)
}

// ready refuses to begin where a secret would have nowhere to go.
func (a *apply) ready() error {
	var homeless int
	for _, s := range a.steps {
		switch {
		case !s.makesSecret():
		case a.to == nil:
			homeless++
		default:
			if err := a.to.check(s); err != nil {
				return err
			}
		}
	}
	if homeless > 0 {
		return withHint(usagef("%d of the keys to be made have a secret, and nobody says where it is to go; nothing was changed", homeless),
			"add --secrets-dir DIR, or --secret-command CMD")
	}
	return nil
}

// makesSecret reports whether the step ends with a secret to hand over. Only a
// document that says private_key_jwt surely makes none.
func (s *step) makesSecret() bool {
	return s.resume || s.Action == manifest.Create && s.params.AuthMethod != apikey.PrivateKeyJWT
}

// ending is the exit code: that of the failures, if they have one in common.
func (a *apply) ending(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	code := exitOK
	for _, s := range a.steps {
		its := exitOK
		switch {
		case s.Action == manifest.Refused:
			its = exitConflict
		case s.err != nil:
			its = codeOf(s.err)
		}
		switch {
		case its == exitOK || its == code:
		case code == exitOK:
			code = its
		default:
			code = exitFailed
		}
	}
	if code == exitOK {
		return nil
	}
	return silent{code}
}

// title is the key of a step, for people.
func (s *step) title() string {
	owner, env, name := "", apikey.Environment(""), ""
	if s.Key != nil {
		owner, env, name = s.Key.Owner, s.Key.Environment, s.Key.Name
	} else if s.Document != nil {
		owner, env, name = s.Document.Owner, s.Document.Environment, s.Document.Name
	}
	return fmt.Sprintf("%s/%s %s", owner, env, name)
}
