package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

func (p program) rules() *cobra.Command {
	var owner string
	c := &cobra.Command{
		Use:   "policies",
		Short: "Show the rules for keys, and keys that break them",
		Long: "Show the rules for the keys of an owner, with every default filled in, and the\n" +
			"catalogue of scopes. They are set in the server's policy file.\n\n" + remoteHelp,
	}
	r := p.remote(c)
	c.RunE = func(c *cobra.Command, _ []string) error { return r.policies(c.Context(), owner) }
	c.Flags().StringVar(&owner, "owner", "", "whose keys; without it, of owners without rules of their own")
	c.AddCommand(r.violations())
	return c
}

func (r *remote) policies(ctx context.Context, owner string) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	p, err := api.Policies(ctx, owner)
	if err != nil {
		return err
	}
	names := make([]string, len(p.Scopes))
	for i, s := range p.Scopes {
		names[i] = s.Name
	}
	if err := r.print(r.stdout, shown{p, names, policyGrid(p)}); err != nil || r.format != "table" || len(p.Scopes) == 0 {
		return err
	}
	catalogue := grid{heading: []string{"SCOPE", "TITLE", "DESCRIPTION"}}
	for _, s := range p.Scopes {
		catalogue.add(s.Name, s.Title, s.Description)
	}
	fmt.Fprintln(r.stdout)
	return r.print(r.stdout, shown{table: catalogue})
}

// policyGrid compares the rules of both environments.
func policyGrid(p apikey.EffectivePolicies) grid {
	g := grid{heading: []string{"RULE", "LIVE", "TEST"}}
	add := func(rule string, of func(apikey.Policy) string) { g.add(rule, of(p.Live), of(p.Test)) }
	add("max_lifetime", func(p apikey.Policy) string { return ruled(p.MaxLifetime) })
	add("never_expires", func(p apikey.Policy) string { return ruled(p.NeverExpires) })
	add("default_lifetime", func(p apikey.Policy) string {
		if p.DefaultLifetime == nil {
			return "never"
		}
		return p.DefaultLifetime.String()
	})
	add("auth_methods", func(p apikey.Policy) string { return ruledList(p.AuthMethods) })
	add("scopes", func(p apikey.Policy) string { return ruledList(p.Scopes) })
	add("audiences", func(p apikey.Policy) string { return ruledList(p.Audiences) })
	add("max_grace_period", func(p apikey.Policy) string { return ruled(p.MaxGracePeriod) })
	add("token.max_lifetime", func(p apikey.Policy) string { return ruled(p.Token.MaxLifetime) })
	add("token.formats", func(p apikey.Policy) string { return ruledList(p.Token.Formats) })
	add("max_keys", func(p apikey.Policy) string { return ruled(p.MaxKeys) })
	return g
}

// ruled is the value of a rule; without one anything goes.
func ruled[T any](value *T) string {
	if value == nil {
		return "any"
	}
	return fmt.Sprint(*value)
}

func ruledList[T ~string](values []T) string {
	switch {
	case values == nil:
		return "any"
	case len(values) == 0:
		return "none"
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return strings.Join(out, " ")
}

func (r *remote) violations() *cobra.Command {
	var owner string
	c := &cobra.Command{
		Use:   "violations",
		Short: "List keys that the rules of today would refuse, the oldest first",
		Long:  "List keys that the rules of today would refuse, the oldest first. They go on\nworking: a policy is asked when a key is made or changed.",
		RunE:  func(c *cobra.Command, _ []string) error { return r.listViolations(c.Context(), owner) },
	}
	c.Flags().StringVar(&owner, "owner", "", "whose keys (default all)")
	return c
}

// violationPage is a list as the REST API writes it.
type violationPage struct {
	Data       []apikey.KeyViolations `json:"data"`
	NextCursor *string                `json:"next_cursor"`
}

// listViolations reads all pages: one may be empty and still have a next one.
func (r *remote) listViolations(ctx context.Context, owner string) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	stop := r.busy(func(since time.Duration) string { return fmt.Sprintf("looking at every key: %s", since) })
	defer stop()
	p := apikey.PolicyViolationsParams{Owner: owner, Limit: 200}
	page := violationPage{Data: []apikey.KeyViolations{}}
	for {
		got, err := api.PolicyViolations(ctx, p)
		if err != nil {
			return err
		}
		page.Data = append(page.Data, got.Data...)
		if p.Cursor = got.NextCursor; p.Cursor == "" {
			break
		}
		if len(page.Data) >= maxListed {
			page.NextCursor = &p.Cursor
			break
		}
	}
	stop()
	if err := r.print(r.stdout, violationsShown(page)); err != nil {
		return err
	}
	if r.format == "table" && len(page.Data) == 0 {
		fmt.Fprintln(r.stderr, "no key breaks a rule")
	}
	return nil
}

func violationsShown(page violationPage) shown {
	g := grid{heading: []string{"ID", "NAME", "OWNER", "STATUS", "RULE", "LIMIT", "WHAT"}}
	var names []string
	for _, k := range page.Data {
		names = append(names, k.KeyID)
		for _, v := range k.Violations {
			g.add(k.KeyID, k.Name, k.Owner, string(k.Status), v.Rule, v.Limit, strings.TrimPrefix(v.Pointer, "#/")+" "+v.Detail)
		}
	}
	return shown{page, names, g}
}

func (p program) capabilities() *cobra.Command {
	c := &cobra.Command{
		Use:   "capabilities",
		Short: "Show what a server can do, its limits, and where keys buy tokens",
		Long:  "Show what a server can do, its limits, and where keys buy tokens.\n\n" + remoteHelp,
	}
	r := p.remote(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		api, err := r.open()
		if err != nil {
			return err
		}
		can, err := api.Capabilities(c.Context())
		if err != nil {
			return err
		}
		return r.print(r.stdout, shown{can, can.Algorithms, capabilityFields(can)})
	}
	return c
}

func capabilityFields(c apikey.Capabilities) grid {
	var g grid
	hydra, issuer := "does not answer", ""
	if c.Hydra != nil {
		hydra, issuer = c.Hydra.Version, c.Hydra.Issuer
	}
	g.field("token url", c.TokenURL)
	g.field("issuer", or(issuer, "unknown"))
	g.field("hydra", hydra)
	g.field("auth methods", ruledList(c.AuthMethods))
	g.field("algorithms", strings.Join(c.Algorithms, " "))
	l := c.Limits
	g.field("token lifetime", l.TokenLifetimeMin.String()+" to "+l.TokenLifetimeMax.String())
	for _, most := range []struct {
		what string
		n    int
	}{{"name", l.NameLength}, {"description", l.DescriptionLength}, {"owner", l.OwnerLength}, {"scope", l.ScopeLength}, {"audience", l.AudienceLength}} {
		g.field(most.what, fmt.Sprintf("at most %d characters", most.n))
	}
	for _, most := range []struct {
		what string
		n    int
	}{{"scopes", l.Scopes}, {"audiences", l.Audiences}, {"labels", l.Labels}, {"public keys", l.PublicKeys}} {
		g.field(most.what, fmt.Sprintf("at most %d", most.n))
	}
	return g
}
