package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/config"
)

// bootstrapWithin bounds the making of one key: opening the ledger, and one
// change at Hydra.
const bootstrapWithin = 2 * time.Minute

// bootstrapOptions are the flags of tokenos bootstrap.
type bootstrapOptions struct {
	name, output   string
	rights, owners []string
	expires        string
}

func (p program) bootstrap() *cobra.Command {
	var o bootstrapOptions
	c := &cobra.Command{
		Use:   "bootstrap",
		Short: "Make a management key, with which programs call the REST API; its secret is shown once",
		Long: "Make a management key, with which programs call the REST API. Its secret is\n" +
			"shown once, on stdout. It needs the ledger and Hydra, not a running server:\n" +
			"on SQLite, stop `tokenos serve` first.",
		RunE: func(c *cobra.Command, _ []string) error {
			params, err := o.params(time.Now())
			if err != nil {
				return err
			}
			cfg, err := p.load(c)
			if err != nil {
				return err
			}
			return p.bootstrapWith(c.Context(), cfg, params, o.output)
		},
	}
	configured(c)
	c.Flags().StringVar(&o.name, "name", "bootstrap", "name of the key")
	c.Flags().StringSliceVar(&o.rights, "right", []string{string(apikey.Admin)}, "keys:read, keys:write, audit:read, tokens:introspect, admin")
	c.Flags().StringSliceVar(&o.owners, "owner", nil, "bind the key to these owners (default: all)")
	c.Flags().StringVar(&o.expires, "expires", "", "end it after this long, for example 90d (default: never)")
	c.Flags().StringVarP(&o.output, "output", "o", "text", "text or json")
	return c
}

// params is the key asked for.
func (o bootstrapOptions) params(now time.Time) (apikey.CreateParams, error) {
	params := apikey.CreateParams{Name: o.name, Kind: apikey.KindManagement, Scopes: o.rights, Owners: o.owners}
	if err := oneOf("output", o.output, "text", "json"); err != nil {
		return params, err
	}
	if o.expires != "" {
		d, err := apikey.ParseDuration(o.expires)
		if err != nil {
			return params, usagef("--expires must be a duration such as 12h or 90d")
		}
		end := now.Add(time.Duration(d))
		params.ExpiresAt = apikey.SetTo(end)
	}
	return params, nil
}

func (p program) bootstrapWith(ctx context.Context, cfg *config.Config, params apikey.CreateParams, output string) error {
	ctx, cancel := context.WithTimeout(ctx, bootstrapWithin)
	defer cancel()
	stop := p.busy(still("making the key"))
	defer stop()
	a, err := wire(ctx, cfg, p.logger("warn", cfg.Log.Format))
	if err != nil {
		return err
	}
	issued, err := a.service.Create(apikey.WithCaller(ctx, apikey.System("bootstrap")), params)
	stop()
	if err != nil {
		return errors.Join(notMade(err), a.close())
	}
	// First the secret, which nobody can show again.
	return errors.Join(p.showManagementKey(issued, a.hydra.TokenURL(), output), a.close())
}

// notMade explains why there is no key, in the words of the command line.
func notMade(err error) error {
	if invalid, ok := errors.AsType[*apikey.InvalidError](err); ok {
		flags := strings.NewReplacer("#/name", "--name", "#/scopes", "--right", "#/owners", "--owner", "#/expires_at", "--expires")
		var lines []string
		for _, f := range invalid.Fields {
			flag, _, _ := strings.Cut(flags.Replace(f.Pointer), "/") // without the place in a list
			lines = append(lines, strings.TrimRight(told(flag, f.Detail)+"; "+f.Fix, "; "))
		}
		return usageError{errors.New(strings.Join(lines, "\n       "))}
	}
	err = fmt.Errorf("make the management key: %w", err)
	if errors.Is(err, apikey.ErrUnavailable) {
		return withHint(err, "is Hydra running, and hydra.admin_url its admin API?")
	}
	return err
}

// showManagementKey writes the secret to stdout, and everything about it to
// stderr: a pipe gets what it needs and no more.
func (p program) showManagementKey(issued apikey.Issued, tokenURL, output string) error {
	var err error
	if output == "json" {
		err = json.NewEncoder(p.stdout).Encode(map[string]any{"id": issued.Key.ID, "client_secret": issued.Secret.Reveal(),
			"token_url": tokenURL, "audience": apikey.ManagementAudience, "scopes": issued.Key.Scopes, "owners": issued.Key.Owners})
	} else {
		_, err = fmt.Fprintf(p.stdout, "client id:     %s\nclient secret: %s\n", issued.Key.ID, issued.Secret.Reveal())
	}
	if err != nil {
		return withHint(fmt.Errorf("the key %s was made, but its secret could not be written: %w", issued.Key.ID, err), "revoke it and make another")
	}
	fmt.Fprintf(p.stderr, "\nThe secret is shown only now. A program buys its access token with it at\n%s\nasking for audience=%s and the scopes it needs (%s).\n",
		tokenURL, apikey.ManagementAudience, strings.Join(issued.Key.Scopes, " "))
	return nil
}
