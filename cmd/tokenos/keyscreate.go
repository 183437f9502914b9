package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
	pairing
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
			"stderr; with --env-file it goes to a new file that only you can read, instead.\n" +
			"With a key pair there is no secret: --public-key registers a public key, and\n" +
			"--generate-key makes the pair here, whose private key is sent nowhere.",
		Example: "  tokenos keys create \"billing worker\" --owner acme --scope orders:read \\\n" +
			"    --audience https://api.example.com --expires 90d --env-file billing.env\n" +
			"  tokenos keys create \"billing worker\" --owner acme --scope orders:read \\\n" +
			"    --audience https://api.example.com --generate-key ES256 --private-key-out billing.pem",
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
			return r.createKey(c.Context(), params, &o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Owner, "owner", "", "whose key it is; may be left out by who is bound to one owner")
	f.StringSliceVar(&o.Scopes, "scope", nil, "the most a token may be granted; repeat for more")
	f.StringSliceVar(&o.Audiences, "audience", nil, "URI of an API that a token may be meant for; repeat for more")
	f.StringVar(&o.method, "auth-method", "", "client_secret_basic, client_secret_post or private_key_jwt (default as the policy says)")
	f.StringVar(&o.Description, "description", "", "for people")
	f.StringVar(&o.environment, "environment", "", "live or test (default live)")
	f.StringArrayVar(&o.labels, "label", nil, "`NAME=VALUE`; repeat for more")
	f.StringVar(&o.expires, "expires", "", "end after this long (90d), at a moment (RFC 3339), or never (default as the policy says)")
	f.StringVar(&o.format, "token-format", "", "opaque or jwt (default as the policy says)")
	f.StringVar(&o.lifetime, "token-lifetime", "", "1m to 24h (default as the policy says)")
	f.StringVar(&o.kind, "kind", "", "api, or management to call this API with (default api)")
	f.StringSliceVar(&o.Owners, "bind-owner", nil, "management keys: bind it to this owner; repeat for more")
	o.pairing.flags(c, "register")
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
	p.Environment, p.Kind = apikey.Environment(o.environment), apikey.Kind(o.kind)
	var err error
	if p.AuthMethod, err = o.pairing.method(o.method); err != nil {
		return p, err
	}
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

func (r *remote) createKey(ctx context.Context, p apikey.CreateParams, o *creation) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	place, err := r.place(o.secretOutput, p.AuthMethod != apikey.PrivateKeyJWT)
	if err != nil {
		return err
	}
	defer place.abandon()
	if p.PublicKeys, err = o.pairing.publicKeys(ctx, r.program); err != nil {
		return err
	}
	if err := o.pairing.keep(); err != nil {
		return err
	}
	stop := r.busy(still("making the key"))
	defer stop()
	return o.pairing.after(r.once(func(key string) error {
		p.IdempotencyKey = key
		out, err := api.Create(ctx, p)
		stop()
		if err != nil {
			return err
		}
		return r.showNew(place, newCredential{key: out.Key, secret: out.Secret, tokenURL: tokenURL(ctx, api), done: "made " + out.Key.ID, fields: keyFields(out.Key), pairing: &o.pairing,
			answer: func(secret string) any { return issued{out.Key, secret} }})
	}))
}

// wordsTime bounds what is asked beside a new secret, which is lost with the program
// until it is written.
const wordsTime = 2 * time.Second

// tokenURL is Hydra's token endpoint, for words only; "" if it is not to be had.
func tokenURL(ctx context.Context, api apikey.API) string {
	ctx, cancel := context.WithTimeout(ctx, wordsTime)
	defer cancel()
	capable, _ := api.Capabilities(ctx)
	return capable.TokenURL
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
	if looksSecret(filepath.Base(path)) {
		return nil, usagef("a file is not named like a credential")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, usagef("%s exists, and is not overwritten", path)
	}
	if err == nil {
		if err = f.Chmod(0o600); err != nil { // a umask may have taken even the owner's rights
			_ = f.Close()
			_ = os.Remove(path)
		}
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

// shellURL is an address in which a shell has nothing to read.
var shellURL = regexp.MustCompile(`^https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?$`)

// keep writes the credential to the file, down to the disk.
func (p *place) keep(c newCredential) error {
	text := envFileText(c.key.ID, c.secret.Reveal(), c.tokenURL)
	if c.pairing.written && shellPath.MatchString(c.pairing.out) {
		text += "TOKENOS_PRIVATE_KEY_FILE=" + c.pairing.out + "\n"
	}
	_, err := p.file.WriteString(text)
	if err = errors.Join(err, p.file.Sync()); err != nil {
		return err
	}
	p.kept = true
	return p.file.Close()
}

// envFileText is what a file with a new credential holds. A token endpoint in which
// a shell could read something is left out.
func envFileText(id, secret, tokenURL string) string {
	text := "TOKENOS_CLIENT_ID=" + id + "\n"
	if secret != "" {
		text += "TOKENOS_CLIENT_SECRET=" + secret + "\n"
	}
	if shellURL.MatchString(tokenURL) {
		text += "TOKENOS_TOKEN_URL=" + tokenURL + "\n"
	}
	return text
}

// newCredential is a credential to be shown.
type newCredential struct {
	key      apikey.Key
	secret   apikey.Secret // zero for private_key_jwt
	pairing  *pairing
	tokenURL string
	done     string                  // "made key_live_...", for people
	answer   func(secret string) any // as the REST API writes it
	fields   grid                    // for people, where there is no secret
	words    string                  // for people, beside a secret; lines
}

// safeCredential reports whether id and secret are such as may be written where a
// shell reads them. A key without a secret has a zero one.
func safeCredential(id string, secret apikey.Secret) bool {
	return apikey.ValidID(id) && (secret.IsZero() || apikey.ValidSecret(secret.Reveal()))
}

// errNoCredential is an answer that is not written anywhere.
var errNoCredential = errors.New("the server's answer has no id and secret such as a TokenOS keys server makes")

// showNew writes a new credential where it is to go, and words about it to stderr.
func (r *remote) showNew(to *place, c newCredential) error {
	if !safeCredential(c.key.ID, c.secret) {
		return errNoCredential
	}
	secret := c.secret.Reveal()
	c.words += c.pairing.tell(c.key.ID)
	switch {
	case to.file != nil:
		if err := to.keep(c); err != nil {
			return lostSecret(c.key.ID, err)
		}
		return r.showKept(to, c)
	case secret == "":
		return r.showPublic(to, c)
	case to.quiet:
		if _, err := fmt.Fprintln(r.stdout, secret); err != nil {
			return lostSecret(c.key.ID, err)
		}
		return nil
	}
	table := grid{rows: [][]string{{"client id:", c.key.ID}, {"client secret:", secret}}}
	if err := r.print(r.stdout, shown{c.answer(secret), nil, table}); err != nil {
		return lostSecret(c.key.ID, err)
	}
	if r.format == "table" {
		fmt.Fprint(r.stderr, plain("\n"+c.words+"The secret is shown only now. Its code: tokenos keys snippet "+c.key.ID+"\n"))
	}
	return nil
}

// showKept tells of a credential that is in a file.
func (r *remote) showKept(to *place, c newCredential) error {
	if r.format != "table" {
		return r.print(r.stdout, shown{c.answer(""), []string{c.key.ID}, grid{}})
	}
	what := "its id and secret are"
	if c.secret.IsZero() {
		what = "its id is"
	}
	fmt.Fprint(r.stderr, plain(fmt.Sprintf("%s; %s in %s\n%s", c.done, what, to.envFile, c.words)))
	return nil
}

// showPublic shows a key that has no secret.
func (r *remote) showPublic(to *place, c newCredential) error {
	if to.quiet {
		return nil
	}
	if err := r.print(r.stdout, shown{c.answer(""), []string{c.key.ID}, c.fields}); err != nil {
		return err
	}
	if r.format == "table" {
		fmt.Fprint(r.stderr, plain(c.words))
	}
	return nil
}

// lostSecret is the failure to write a secret that was made.
func lostSecret(id string, err error) error {
	return fmt.Errorf("the secret of %s was made, but could not be written: %w", id, err)
}
