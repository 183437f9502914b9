package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenos/tokenos/apikey"
)

// patch are the flags of tokenos keys update.
type patch struct {
	name, description, owner string
	scopes, audiences        listChange
	labels, removeLabels     []string
	expires                  string
	format, lifetime, method string
	ifMatch                  int64
	dryRun                   bool
}

// listChange is what to do to a list: replace it, or add to it and take away.
type listChange struct {
	name             string
	set, add, remove []string
}

func (l *listChange) flags(c *cobra.Command, name, what string) {
	l.name = name
	f := c.Flags()
	f.StringSliceVar(&l.set, name, nil, "replace all "+what+"; repeat for more")
	f.StringSliceVar(&l.add, "add-"+name, nil, "add to the "+what+"; repeat for more")
	f.StringSliceVar(&l.remove, "remove-"+name, nil, "take away from the "+what+"; repeat for more")
	c.MarkFlagsMutuallyExclusive(name, "add-"+name)
	c.MarkFlagsMutuallyExclusive(name, "remove-"+name)
}

// relative reports whether the new list depends on the one that is there.
func (l *listChange) relative() bool { return len(l.add)+len(l.remove) > 0 }

// of is the new list for the one that is there; nil leaves it.
func (l *listChange) of(f *pflag.FlagSet, was []string) *[]string {
	switch {
	case l.relative():
		out := append(slices.Clone(was), l.add...)
		slices.Sort(out)
		out = slices.DeleteFunc(slices.Compact(out), func(s string) bool { return slices.Contains(l.remove, s) })
		return &out
	case f.Changed(l.name):
		return &l.set
	}
	return nil
}

// noteAbsent tells if something was to be taken away that was not there.
func (r *remote) noteAbsent(l listChange, was []string) {
	if slices.ContainsFunc(l.remove, func(s string) bool { return !slices.Contains(was, s) }) {
		fmt.Fprintf(r.stderr, "note: --remove-%s names one that the key did not have\n", l.name)
	}
}

func (r *remote) keysUpdate() *cobra.Command {
	var o patch
	c := &cobra.Command{
		Use:   "update ID",
		Short: "Change what a key is called, may do, or how long it lives",
		Long: "Change what a key is called, may do, or how long it lives. What no flag names\n" +
			"stays. --add-... and --remove-... read the key first, and fail with exit code 5\n" +
			"if somebody changes it in between: nobody's change is lost.",
		Example: "  tokenos keys update key_live_01k9x2mc4q8r7s5t3v1w0y9z8a --add-scope orders:write --expires 90d",
		Args:    oneID,
		RunE:    func(c *cobra.Command, args []string) error { return r.updateKey(c.Context(), args[0], &o, c.Flags()) },
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "for people")
	f.StringVar(&o.description, "description", "", "for people; \"\" takes it away")
	f.StringVar(&o.owner, "owner", "", "whose key it is (right admin)")
	o.scopes.flags(c, "scope", "scopes")
	o.audiences.flags(c, "audience", "audiences")
	f.StringArrayVar(&o.labels, "label", nil, "set the label `NAME=VALUE`; repeat for more")
	f.StringArrayVar(&o.removeLabels, "remove-label", nil, "take the label of this name away; repeat for more")
	f.StringVar(&o.expires, "expires", "", "end after this long from now (90d), at a moment (RFC 3339), or never")
	f.StringVar(&o.format, "token-format", "", "opaque or jwt")
	f.StringVar(&o.lifetime, "token-lifetime", "", "1m to 24h")
	f.StringVar(&o.method, "auth-method", "", "client_secret_basic or client_secret_post; the secret stays")
	f.Int64Var(&o.ifMatch, "if-match", 0, "change it only if this is still its revision")
	dry(f, &o.dryRun)
	return c
}

func (r *remote) updateKey(ctx context.Context, id string, o *patch, f *pflag.FlagSet) error {
	p, err := o.params(f, time.Now())
	if err != nil {
		return err
	}
	api, err := r.open()
	if err != nil {
		return err
	}
	var was apikey.Key
	if o.scopes.relative() || o.audiences.relative() {
		if was, err = api.Get(ctx, id); err != nil {
			return err
		}
		if p.IfMatch == 0 {
			p.IfMatch = was.Revision
		}
	}
	p.Scopes, p.Audiences = o.scopes.of(f, was.Scopes), o.audiences.of(f, was.Audiences)
	stop := r.busy(still("waiting for the server"))
	defer stop()
	out, err := api.Update(ctx, id, p)
	stop()
	if err != nil {
		return unsure(err, "tokenos keys get "+id+" shows by its revision whether it was done")
	}
	r.noteAbsent(o.scopes, was.Scopes)
	r.noteAbsent(o.audiences, was.Audiences)
	return r.showUpdated(out)
}

// params is what to change, but for the lists.
func (o *patch) params(f *pflag.FlagSet, now time.Time) (p apikey.UpdateParams, err error) {
	p.DryRun, p.IfMatch = o.dryRun, o.ifMatch
	if f.Changed("if-match") && o.ifMatch < 1 {
		return p, usagef("--if-match must be a revision, a number from 1 on")
	}
	if !o.changes(f) {
		return p, usagef("there is nothing to change: no flag says what")
	}
	for flag, member := range map[string]struct {
		value *string
		into  **string
	}{"name": {&o.name, &p.Name}, "description": {&o.description, &p.Description}, "owner": {&o.owner, &p.Owner}} {
		if f.Changed(flag) {
			*member.into = member.value
		}
	}
	if o.method != "" {
		p.AuthMethod = new(apikey.AuthMethod(o.method))
	}
	if p.Labels, err = o.labelChanges(); err != nil {
		return p, err
	}
	if p.ExpiresAt, err = expiry("--expires", o.expires, now); err != nil {
		return p, err
	}
	p.Token, err = tokenParams(o.format, o.lifetime)
	return p, err
}

// changes reports whether a flag says what to change.
func (o *patch) changes(f *pflag.FlagSet) bool {
	return slices.ContainsFunc([]string{"name", "description", "owner", "scope", "add-scope", "remove-scope", "audience", "add-audience", "remove-audience",
		"label", "remove-label", "expires", "token-format", "token-lifetime", "auth-method"}, f.Changed)
}

func (o *patch) labelChanges() (map[string]*string, error) {
	set, err := labels(o.labels)
	if err != nil || len(o.labels)+len(o.removeLabels) == 0 {
		return nil, err
	}
	out := map[string]*string{}
	for name, value := range set {
		out[name] = &value
	}
	for _, name := range o.removeLabels {
		if _, both := set[name]; both {
			return nil, usagef("--label and --remove-label name the same label")
		}
		out[name] = nil
	}
	return out, nil
}

func (r *remote) showUpdated(out apikey.Updated) error {
	g := keyFields(out.Key)
	dryRun := false
	if out.Impact != nil {
		impactFields(&g, *out.Impact)
		dryRun = out.Impact.DryRun
	}
	if err := r.print(r.stdout, shown{out, []string{out.ID}, g}); err != nil {
		return err
	}
	r.tellDryRun(dryRun)
	return nil
}
