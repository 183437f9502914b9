package main

import "github.com/spf13/cobra"

func (p program) tokens() *cobra.Command {
	c := &cobra.Command{
		Use:     "token [ID]",
		Short:   "Buy an access token at Hydra, and look into tokens",
		Long:    tokenHelp + "\n\n" + remoteHelp,
		Example: "  tokenos token --env-file billing.env --scope orders:read\n  tokenos keys create job --scope a --quiet | tokenos token key_live_...",
	}
	r := p.remote(c)
	r.buying(c)
	c.AddCommand(r.tokenInspect(), r.tokenVerify(), r.tokenIntrospect(), r.tokenRevoke())
	return c
}
