package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokenos/tokenos/apikey"
)

// completionTime is how long a shell waits for the server's ids and scopes.
const completionTime = 2 * time.Second

// words of flags that take one of a few. The shell offers them.
var flagWords = map[string][]string{
	"auth-method":  {string(apikey.ClientSecretBasic), string(apikey.ClientSecretPost), string(apikey.PrivateKeyJWT)},
	"environment":  {string(apikey.Live), string(apikey.Test)},
	"kind":         {string(apikey.KindAPI), string(apikey.KindManagement)},
	"status":       {string(apikey.StatusActive), string(apikey.StatusDisabled), string(apikey.StatusExpired), string(apikey.StatusRevoked)},
	"token-format": {string(apikey.Opaque), string(apikey.JWT)},
	"reason": {string(apikey.KeyCompromise), string(apikey.Superseded), string(apikey.CessationOfOperation),
		string(apikey.PrivilegeWithdrawn), string(apikey.Unspecified)},
	"right":        rightWords(),
	"generate-key": apikey.Algorithms,
	"lang":         {"curl", "js", "go", "python"},
	"by":           {string(apikey.ByHour), string(apikey.ByDay)},
	"skip":         checkNames(),
}

func rightWords() []string {
	out := make([]string, len(apikey.ManagementRights))
	for i, r := range apikey.ManagementRights {
		out[i] = string(r)
	}
	return out
}

// complete gives every command below c what a shell may offer: ids of keys or
// names of profiles where the first argument is one, and the values of flags.
func (p program) complete(c *cobra.Command) {
	words := strings.Fields(c.Use)
	switch {
	case len(words) < 2 || c.ValidArgsFunction != nil:
	case words[1] == "ID":
		c.ValidArgsFunction = p.completeIDs
	case words[1] == "NAME" && words[0] == "use":
		c.ValidArgsFunction = p.completeProfiles
	}
	offer := func(f *pflag.Flag) { p.completeFlag(c, f) }
	c.PersistentFlags().VisitAll(offer)
	c.LocalNonPersistentFlags().VisitAll(offer)
	for _, sub := range c.Commands() {
		p.complete(sub)
	}
}

func (p program) completeFlag(c *cobra.Command, f *pflag.Flag) {
	var offer cobra.CompletionFunc
	words, fixed := flagWords[f.Name]
	switch {
	case fixed:
		offer = cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	case f.Name == "scope", f.Name == "add-scope":
		offer = p.completeScopes
	case f.Name == "output" && c.Flag("no-headers") != nil:
		offer = cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)
	case f.Name == "profile":
		offer = p.completeProfiles
	default:
		return
	}
	_ = c.RegisterFlagCompletionFunc(f.Name, offer) // fails only if the command has one of its own
}

// asked is the server that the flags typed so far name.
func (p program) asked(c *cobra.Command) (*remote, context.Context, context.CancelFunc) {
	r := &remote{program: p, timeout: completionTime, printing: printing{format: "name"}}
	for name, to := range map[string]*string{"server": &r.server, "profile": &r.profileName, "token-file": &r.tokenFile} {
		if f := c.Flag(name); f != nil {
			*to = f.Value.String()
		}
	}
	ctx, cancel := context.WithTimeout(c.Context(), completionTime)
	return r, ctx, cancel
}

func (p program) completeIDs(c *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	none := cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, none
	}
	r, ctx, cancel := p.asked(c)
	defer cancel()
	api, err := r.open()
	if err != nil {
		return nil, none
	}
	page, err := api.List(ctx, apikey.ListParams{Limit: 100, Q: idQuery(typed)})
	if err != nil {
		return nil, none
	}
	var out []cobra.Completion
	for _, k := range page.Data {
		if strings.HasPrefix(k.ID, typed) {
			out = append(out, cobra.CompletionWithDesc(k.ID, cell(k.Name+", "+k.Owner)))
		}
	}
	return out, none
}

// idQuery narrows the list to ids that begin so, if there is enough of one to
// search for.
func idQuery(typed string) string {
	if len(typed) < len("key_live_0000") {
		return ""
	}
	return typed
}

func (p program) completeScopes(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	none := cobra.ShellCompDirectiveNoFileComp
	r, ctx, cancel := p.asked(c)
	defer cancel()
	api, err := r.open()
	if err != nil {
		return nil, none
	}
	rules, err := api.Policies(ctx, "")
	if err != nil {
		return nil, none
	}
	var out []cobra.Completion
	for _, s := range rules.Scopes {
		out = append(out, cobra.CompletionWithDesc(s.Name, cell(s.Description)))
	}
	return out, none
}

func (p program) completeProfiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	all, err := p.profiles()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(all.Profiles)), cobra.ShellCompDirectiveNoFileComp
}
