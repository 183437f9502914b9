package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/client/tokensource"
)

// purchase are the flags of tokenos token ID.
type purchase struct {
	holder
	scopes, audiences []string
	decode            bool
}

const tokenHelp = `Buy an access token at Hydra with a key, as its holder does, and write it to
stdout. The secret comes from stdin, or from a file; never from an argument. If
you are signed in, what the server knows of the key fills in what is left out, and
says why Hydra refuses.`

// buying makes c, which has other commands below it, buy a token.
func (r *remote) buying(c *cobra.Command) {
	var o purchase
	o.register(c, true)
	c.Flags().StringSliceVar(&o.scopes, "scope", nil, "ask for these (default: all of the key, as the server knows them)")
	c.Flags().StringSliceVar(&o.audiences, "audience", nil, "ask for these (default: all of the key, as the server knows them)")
	c.Flags().BoolVar(&o.decode, "decode", false, "show what the token says instead of the token: a JWT's claims, or for an opaque one what the server says of it")
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 || len(args) == 1 && apikey.ValidID(args[0]) && !looksSecret(args[0]) {
			return nil
		}
		return usagef("%s takes the id of one key; nothing secret stands in an argument", c.CommandPath())
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 && o.envFile == "" {
			return c.Help()
		}
		return r.buy(c.Context(), o, slices.Concat(args, []string{""})[0])
	}
}

// bought is a token as Hydra's token endpoint answers it (RFC 6749 section 5.1).
type bought struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
}

func (r *remote) buy(ctx context.Context, o purchase, id string) error {
	in, err := o.read(ctx, r.program, id, true)
	if err != nil {
		return err
	}
	known, err := r.known(ctx, in.id)
	if err != nil {
		return err
	}
	c := tokensource.Config{Scopes: o.scopes, Audiences: o.audiences, Timeout: r.timeout, Retries: -1}
	if k := known.key; k != nil {
		if len(c.Scopes) == 0 {
			c.Scopes = k.Scopes
		}
		if len(c.Audiences) == 0 {
			c.Audiences = k.Audiences
		}
	}
	if in.tokenURL == "" {
		in.tokenURL = known.tokenURL
	}
	source, err := o.source(in, known.key, c)
	if err != nil {
		return err
	}
	stop := r.busy(still("asking Hydra"))
	defer stop()
	if _, err := source.AccessToken(ctx); err != nil {
		stop()
		return known.explain(ctx, in, err)
	}
	stop()
	token, err := source.Token()
	if err != nil {
		return err
	}
	if o.decode {
		return r.showBought(ctx, known.api, token.AccessToken)
	}
	scope, _ := token.Extra("scope").(string)
	out := bought{token.AccessToken, token.TokenType, token.ExpiresIn, scope}
	table := grid{rows: [][]string{{token.AccessToken}}}
	if err := r.print(r.stdout, shown{out, []string{token.AccessToken}, table}); err != nil {
		return err
	}
	if r.format == "table" {
		fmt.Fprintf(r.stderr, "works for %s; scopes: %s; audiences: %s\n", time.Duration(out.ExpiresIn)*time.Second,
			or(cell(out.Scope), "none"), or(cell(strings.Join(c.Audiences, " ")), "none"))
	}
	return nil
}

// showBought shows what a token says. An opaque one says nothing by itself.
func (r *remote) showBought(ctx context.Context, api *client.Client, token string) error {
	if strings.HasPrefix(token, "eyJ") {
		return r.showInspection(token)
	}
	if api == nil {
		return withHint(errors.New("the token is opaque, and only the server can say what it is"), "sign in, or leave --decode out")
	}
	got, err := api.Introspect(ctx, apikey.NewSecret(token))
	if err != nil {
		return err
	}
	return r.showIntrospection(got)
}

// knowledge is what the server knows of a key: nothing, if nobody is signed in or
// the key is not theirs to see.
type knowledge struct {
	api      *client.Client // nil: not signed in
	key      *apikey.Key
	tokenURL string
}

func (r *remote) known(ctx context.Context, id string) (knowledge, error) {
	api, err := r.open()
	if errors.Is(err, apikey.ErrUnauthenticated) {
		return knowledge{}, nil
	}
	if err != nil {
		return knowledge{}, err
	}
	out := knowledge{api: api}
	if k, err := api.Get(ctx, id); err == nil {
		out.key = &k
	} else if ctx.Err() != nil {
		return out, ctx.Err()
	}
	if c, err := api.Capabilities(ctx); err == nil {
		out.tokenURL = c.TokenURL
	}
	return out, nil
}

// explain adds to Hydra's refusal what the server knows of the key.
func (k knowledge) explain(ctx context.Context, in presented, err error) error {
	e, ok := errors.AsType[*tokensource.Error](err)
	if !ok || ctx.Err() != nil {
		return err
	}
	if e.Kind == tokensource.ErrUnavailable {
		return withHint(err, "is Hydra running, with its database, at "+in.tokenURL+"? tokenos doctor, at the server, finds out")
	}
	if k.key == nil {
		if k.api == nil {
			return withHint(err, "the server knows more: sign in (tokenos auth login) and try again")
		}
		return withHint(err, "the server knows no such key, or it is not yours to see")
	}
	if why := reasonOf(*k.key, in, time.Now()); why != "" {
		return withHint(err, why)
	}
	return err
}

// reasonOf says what stands against a token for the key now, by what it is; "" for
// nothing.
func reasonOf(k apikey.Key, in presented, now time.Time) string {
	switch {
	case k.Status == apikey.StatusRevoked:
		return "the key was revoked on " + moment(k.RevokedAt) + " and does not come back: make another"
	case k.EndsAt != nil && !now.Before(*k.EndsAt):
		return "the key was replaced by " + value(k.ReplacedBy) + " and ended on " + moment(k.EndsAt) + ": use its successor"
	case k.Status == apikey.StatusExpired:
		return "the key expired on " + moment(k.ExpiresAt) + ": tokenos keys update " + k.ID + " --expires 90d"
	case k.Status == apikey.StatusDisabled:
		return "the key has been disabled since " + moment(k.DisabledAt) + ": tokenos keys enable " + k.ID
	case in.privateKey != nil && k.AuthMethod != apikey.PrivateKeyJWT:
		return "the key authenticates by " + string(k.AuthMethod) + ": it has a secret and no private key"
	case in.privateKey == nil && k.Secret != nil && !strings.HasSuffix(in.secret.Reveal(), strings.TrimLeft(k.Secret.Hint, ".")):
		return "this is another secret: the key's ends with " + k.Secret.Hint + ", made on " + moment(&k.Secret.CreatedAt)
	}
	return ""
}

func (r *remote) tokenIntrospect() *cobra.Command {
	return &cobra.Command{
		Use:   "introspect [FILE|-]",
		Short: "Ask the server whether an access token works, and what it may do; exit code 1 if it does not",
		Args:  oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			api, err := r.open()
			if err != nil {
				return err
			}
			token, err := r.tokenText(c.Context(), args)
			if err != nil {
				return err
			}
			got, err := api.Introspect(c.Context(), apikey.NewSecret(token))
			if err != nil {
				return err
			}
			return r.showIntrospection(got)
		},
	}
}

func (r *remote) showIntrospection(got apikey.Introspection) error {
	var g grid
	g.field("active", fmt.Sprint(got.Active))
	if got.Active {
		g.field("client id", got.ClientID)
		g.field("root id", got.RootID)
		g.field("owner", got.Owner)
		g.field("environment", string(got.Env))
		g.field("scope", got.Scope)
		g.field("audiences", strings.Join(got.Audiences, " "))
		g.field("issued", moment(unix(got.IssuedAt)))
		g.field("expires", moment(unix(got.ExpiresAt)))
	}
	var value any = got
	if !got.Active {
		value = map[string]bool{"active": false} // RFC 7662 section 2.2
	}
	if err := r.print(r.stdout, shown{value, nil, g}); err != nil {
		return err
	}
	if !got.Active {
		return errors.New("the token does not work: it is no access token of a key, has expired, or was ended")
	}
	return nil
}

// unix is a moment of Unix seconds, nil for none.
func unix(seconds int64) *time.Time {
	if seconds == 0 {
		return nil
	}
	return new(time.Unix(seconds, 0))
}

// oneFile takes a file's name, or nothing or "-" for stdin. A token does not
// stand in an argument, where every process can read it.
func oneFile(c *cobra.Command, args []string) error {
	if len(args) > 1 || len(args) == 1 && looksSecret(args[0]) {
		return usagef("%s reads a file or stdin; nothing secret stands in an argument", c.CommandPath())
	}
	return nil
}

// tokenText is the token in the file, or on stdin.
func (r *remote) tokenText(ctx context.Context, args []string) (string, error) {
	text, err := r.textOf(ctx, "the token", args)
	if err != nil {
		return "", err
	}
	text = strings.TrimSpace(text)
	if !oneWord(text) {
		return "", usagef("there is no access token to read")
	}
	return text, nil
}

func (r *remote) tokenRevoke() *cobra.Command {
	var h holder
	c := &cobra.Command{
		Use:   "revoke ID [FILE|-]",
		Short: "End one access token at Hydra with the key that bought it (RFC 7009)",
		Long: "End one access token at Hydra with the key that bought it (RFC 7009). A JWT works on\n" +
			"at APIs that do not look tokens up. To end all tokens of a key, or one whose\n" +
			"credential you do not have: tokenos keys revoke-tokens ID.",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || !apikey.ValidID(args[0]) {
				return usagef("%s takes the id of the key, then a file or - for stdin", c.CommandPath())
			}
			return oneFile(c, args[1:])
		},
		RunE: func(c *cobra.Command, args []string) error {
			return r.revokeToken(c.Context(), h, args)
		},
	}
	h.register(c, false)
	return c
}

func (r *remote) revokeToken(ctx context.Context, h holder, args []string) error {
	in, err := h.read(ctx, r.program, args[0], false)
	if err != nil {
		return err
	}
	token, err := r.tokenText(ctx, args[1:])
	if err != nil {
		return err
	}
	known, err := r.known(ctx, in.id)
	if err != nil {
		return err
	}
	if in.tokenURL == "" {
		in.tokenURL = known.tokenURL
	}
	source, err := h.source(in, known.key, tokensource.Config{Timeout: r.timeout})
	if err != nil {
		return err
	}
	if err := source.Revoke(ctx, token); err != nil {
		return known.explain(ctx, in, err)
	}
	fmt.Fprintln(r.stderr, "ended; a JWT works on at APIs that do not look tokens up")
	return nil
}
