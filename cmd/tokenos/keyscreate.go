package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

// creation are the flags of tokenos keys create.
type creation struct {
	apikey.CreateParams
	environment, method, kind string
	labels                    []string
	expires                   string
	format, lifetime          string
	secretOutput
}

// secretOutput says where a new secret goes.
type secretOutput struct {
	quiet   bool
	envFile string
}

func (r *remote) keysCreate() *cobra.Command {
	var o creation
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a key; its secret is shown once",
		Long: "Make a key. Its secret is written to stdout, once, and everything about it to\n" +
			"stderr; with --env-file it goes to a new file that only you can read, instead.",
		Example: "  tokenos keys create \"billing worker\" --owner acme --scope orders:read \\\n" +
			"    --audience https://api.example.com --expires 90d --env-file billing.env",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%s takes a name; one with spaces in quotation marks", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.Name = args[0]
			params, err := o.params(time.Now())
			if err != nil {
				return err
			}
			return r.createKey(c.Context(), params, o.secretOutput)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Owner, "owner", "", "whose key it is; may be left out by who is bound to one owner")
	f.StringSliceVar(&o.Scopes, "scope", nil, "the most a token may be granted; repeat for more")
	f.StringSliceVar(&o.Audiences, "audience", nil, "URI of an API that a token may be meant for; repeat for more")
	f.StringVar(&o.method, "auth-method", "", "client_secret_basic, client_secret_post or private_key_jwt (default as the policy says)")
	f.StringVar(&o.Description, "description", "", "for people")
	f.StringVar(&o.environment, "environment", "", "live or test (default live)")
	f.StringSliceVar(&o.labels, "label", nil, "NAME=VALUE; repeat for more")
	f.StringVar(&o.expires, "expires", "", "end after this long (90d), at a moment (RFC 3339), or never (default as the policy says)")
	f.StringVar(&o.format, "token-format", "", "opaque or jwt (default as the policy says)")
	f.StringVar(&o.lifetime, "token-lifetime", "", "1m to 24h (default as the policy says)")
	f.StringVar(&o.kind, "kind", "", "api, or management to call this API with (default api)")
	f.StringSliceVar(&o.Owners, "bind-owner", nil, "management keys: bind it to this owner; repeat for more")
	o.secretOutput.register(c)
	r.changes(f)
	return c
}

func (s *secretOutput) register(c *cobra.Command) {
	c.Flags().BoolVar(&s.quiet, "quiet", false, "write the secret alone to stdout, and no words")
	c.Flags().StringVar(&s.envFile, "env-file", "", "write id and secret to this new file instead of stdout, for you alone (0600)")
	c.MarkFlagsMutuallyExclusive("quiet", "env-file")
}

// params is the key asked for.
func (o *creation) params(now time.Time) (apikey.CreateParams, error) {
	p := o.CreateParams
	p.Environment, p.AuthMethod, p.Kind = apikey.Environment(o.environment), apikey.AuthMethod(o.method), apikey.Kind(o.kind)
	var err error
	if p.ExpiresAt, err = expiry("--expires", o.expires, now); err != nil {
		return p, err
	}
	if p.Labels, err = labels(o.labels); err != nil {
		return p, err
	}
	p.Token, err = tokenParams(o.format, o.lifetime)
	return p, err
}

// expiry reads "90d" from now, a moment, "never", and "" for as it is.
func expiry(flag, text string, now time.Time) (apikey.Nullable[time.Time], error) {
	switch text {
	case "":
		return apikey.Nullable[time.Time]{}, nil
	case "never":
		return apikey.Null[time.Time](), nil
	}
	if d, err := apikey.ParseDuration(text); err == nil {
		return apikey.SetTo(now.Add(time.Duration(d)).UTC().Truncate(time.Second)), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return apikey.Nullable[time.Time]{}, usagef("%s must be a duration such as 90d, a moment such as 2027-01-31T00:00:00Z, or never", flag)
	}
	return apikey.SetTo(at.UTC()), nil
}

func labels(pairs []string) (map[string]string, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usagef("--label must be NAME=VALUE")
		}
		out[name] = value
	}
	return out, nil
}

func tokenParams(format, lifetime string) (*apikey.TokenParams, error) {
	if format == "" && lifetime == "" {
		return nil, nil
	}
	p := &apikey.TokenParams{}
	if format != "" {
		p.Format = apikey.TokenFormat(format)
	}
	if lifetime != "" {
		d, err := apikey.ParseDuration(lifetime)
		if err != nil {
			return nil, usagef("--token-lifetime must be a duration from 1m to 24h")
		}
		p.Lifetime = &d
	}
	return p, nil
}

// issued is a new key as the REST API writes it.
type issued struct {
	Key          apikey.Key `json:"key"`
	ClientSecret string     `json:"client_secret,omitzero"`
}

func (r *remote) createKey(ctx context.Context, p apikey.CreateParams, to secretOutput) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	place, err := r.place(to, p.AuthMethod != apikey.PrivateKeyJWT)
	if err != nil {
		return err
	}
	defer place.abandon()
	stop := r.busy(still("making the key"))
	defer stop()
	return r.once(func(key string) error {
		p.IdempotencyKey = key
		out, err := api.Create(ctx, p)
		stop()
		if err != nil {
			return err
		}
		capable, _ := api.Capabilities(ctx) // for words only
		return r.showNew(place, issued{out.Key, out.Secret.Reveal()}, "made", capable.TokenURL)
	})
}

// place is where a new secret will go, made ready before there is one.
type place struct {
	secretOutput
	file *os.File // nil: stdout
	kept bool
}

// place opens the file, so that one that exists, or cannot be made, is known
// before there is a secret.
func (r *remote) place(to secretOutput, secret bool) (*place, error) {
	if to.envFile == "" {
		if secret && r.format == "name" && !to.quiet {
			return nil, usagef("-o name would lose the secret: add --env-file FILE")
		}
		return &place{secretOutput: to}, nil
	}
	f, err := newPrivateFile(to.envFile)
	if err != nil {
		return nil, err
	}
	return &place{secretOutput: to, file: f}, nil
}

// newPrivateFile makes a file that only its owner can read, whatever the umask,
// and never one that exists.
func newPrivateFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, usagef("%s exists, and is not overwritten", path)
	}
	if err != nil {
		return nil, fmt.Errorf("make the file for the secret: %w", err)
	}
	return f, nil
}

// abandon removes a file that nothing was written to.
func (p *place) abandon() {
	if p.file != nil && !p.kept {
		_ = p.file.Close()
		_ = os.Remove(p.file.Name())
	}
}

// keep writes id and secret to the file, down to the disk.
func (p *place) keep(id, secret, tokenURL string) error {
	_, err := p.file.WriteString(envFileText(id, secret, tokenURL))
	if err = errors.Join(err, p.file.Sync()); err != nil {
		return err
	}
	p.kept = true
	return p.file.Close()
}

// envFileText is what a file with a new credential holds.
func envFileText(id, secret, tokenURL string) string {
	text := fmt.Sprintf("TOKENOS_CLIENT_ID=%s\nTOKENOS_CLIENT_SECRET=%s\n", id, secret)
	if tokenURL != "" {
		text += "TOKENOS_TOKEN_URL=" + tokenURL + "\n"
	}
	return text
}

// showNew writes a new credential where it is to go, and words about it to stderr.
func (r *remote) showNew(to *place, got issued, what, tokenURL string) error {
	k := got.Key
	switch {
	case got.ClientSecret == "":
		if to.quiet {
			return nil
		}
		return r.print(r.stdout, shown{got, []string{k.ID}, keyFields(k)})
	case to.file != nil:
		if err := to.keep(k.ID, got.ClientSecret, tokenURL); err != nil {
			return lostSecret(k.ID, err)
		}
		got.ClientSecret = ""
		if r.format == "table" {
			fmt.Fprintf(r.stderr, "%s %s; its id and secret are in %s\n", what, k.ID, to.envFile)
			return nil
		}
		return r.print(r.stdout, shown{got, []string{k.ID}, grid{}})
	case to.quiet:
		if _, err := fmt.Fprintln(r.stdout, got.ClientSecret); err != nil {
			return lostSecret(k.ID, err)
		}
		return nil
	}
	table := grid{rows: [][]string{{"client id:", k.ID}, {"client secret:", got.ClientSecret}}}
	if err := r.print(r.stdout, shown{got, nil, table}); err != nil {
		return lostSecret(k.ID, err)
	}
	if r.format == "table" {
		fmt.Fprintf(r.stderr, "\nThe secret is shown only now. Its code: tokenos keys snippet %s\n", k.ID)
	}
	return nil
}

// lostSecret is the failure to write a secret that was made.
func lostSecret(id string, err error) error {
	return fmt.Errorf("the secret of %s was made, but could not be written: %w", id, err)
}
