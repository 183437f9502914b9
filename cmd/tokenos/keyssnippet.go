package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/snippets"
)

// languages are what --lang takes.
var languages = map[string]snippets.Language{"curl": snippets.Curl, "js": snippets.JavaScript, "go": snippets.Go, "python": snippets.Python}

func (r *remote) keysSnippet() *cobra.Command {
	var lang string
	c := &cobra.Command{
		Use:   "snippet ID",
		Short: "Write the code that buys a token with a key",
		Long: "Write a whole program that buys an access token with the key, by its method, for\n" +
			"its scopes and audiences. It reads the secret from TOKENOS_CLIENT_SECRET, or the\n" +
			"private key from the file that TOKENOS_PRIVATE_KEY_FILE names: neither is in it.",
		Example: "  tokenos keys snippet key_live_01k9x2mc4q8r7s5t3v1w0y9z8a --lang python > buy_token.py",
		Args:    oneID,
		RunE: func(c *cobra.Command, args []string) error {
			if err := oneOf("lang", lang, "curl", "js", "go", "python"); err != nil {
				return err
			}
			return r.snippet(c.Context(), args[0], lang)
		},
	}
	c.Flags().StringVar(&lang, "lang", "curl", "curl, js, go or python")
	return c
}

func (r *remote) snippet(ctx context.Context, id, lang string) error {
	api, err := r.open()
	if err != nil {
		return err
	}
	k, err := api.Get(ctx, id)
	if err != nil {
		return err
	}
	can, err := api.Capabilities(ctx)
	if err != nil {
		return err
	}
	p, err := snippetOf(k, can.TokenURL, time.Now())
	if err != nil {
		return err
	}
	text, err := snippets.Render(languages[lang], p)
	if err != nil {
		return err
	}
	if r.format == "json" || r.format == "yaml" {
		return r.print(r.stdout, shown{value: map[string]string{"language": lang, "code": text}})
	}
	if _, err := fmt.Fprint(r.stdout, source(text)); err != nil {
		return err
	}
	if k.Status != apikey.StatusActive {
		fmt.Fprintf(r.stderr, "note: the key is %s, and gets no token now\n", cell(string(k.Status)))
	}
	return nil
}

// snippetOf describes a key for its snippet.
func snippetOf(k apikey.Key, tokenURL string, now time.Time) (snippets.Params, error) {
	p := snippets.Params{Method: string(k.AuthMethod), TokenURL: tokenURL, ClientID: k.ID, Scope: strings.Join(k.Scopes, " "),
		Audience: strings.Join(k.Audiences, " "), InsecureLoopback: true}
	if k.AuthMethod != apikey.PrivateKeyJWT {
		return p, nil
	}
	usable := k.LivePublicKeys(now)
	if len(usable) == 0 {
		return p, withHint(errors.New("the key has no public key that works"), "tokenos keys public-keys list "+k.ID)
	}
	newest := usable[len(usable)-1]
	p.KID, p.Alg = newest.KID, newest.Alg
	return p, nil
}
