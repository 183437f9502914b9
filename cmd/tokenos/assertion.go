package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/assertion"
)

func (p program) assertion() *cobra.Command {
	c := group("assertion", "Find out why Hydra refuses a client assertion", "Find out why Hydra refuses a client assertion (private_key_jwt).\n\n"+remoteHelp)
	r := p.remote(c)
	c.AddCommand(r.assertionExplain())
	return c
}

// explanation are the flags of tokenos assertion explain.
type explanation struct {
	tokenURL, clientID, alg string
	publicKeys              []string
	offline                 bool
}

func (r *remote) assertionExplain() *cobra.Command {
	var o explanation
	c := &cobra.Command{
		Use:   "explain [FILE|-]",
		Short: "Make Hydra's checks of a client assertion; exit code 1 unless Hydra would take it",
		Long: "Make Hydra's checks of a client assertion, in Hydra's order and all of them, and say\n" +
			"of each what was seen, what is expected and what to do.\n\n" +
			"The assertion is not sent to anybody and may be used afterwards. If you are signed\n" +
			"in, the server tells the key's public keys, whether the key is active, and the token\n" +
			"URL; else give --public-key and --token-url, because without them not enough can be\n" +
			"checked. Whether the jti was used before, only Hydra knows.",
		Example: "  tokenos assertion explain assertion.jwt --token-url https://auth.example.com/oauth2/token --public-key key.pem",
		Args:    oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			return r.explain(c.Context(), o, args)
		},
	}
	f := c.Flags()
	f.StringVar(&o.tokenURL, "token-url", "", "Hydra's token endpoint, as Hydra names it (default: as the server knows)")
	f.StringArrayVar(&o.publicKeys, "public-key", nil, "file with a registered public key: PEM, JWK, JWKS or certificate, also a private key; repeat for more, in order (default: as the server knows)")
	f.StringVar(&o.alg, "alg", "", "algorithm for which the public keys are registered (default: as the JWK says, else RS256 for RSA, or by the curve)")
	f.StringVar(&o.clientID, "client-id", "", "client_id that the request sends beside the assertion (default: none)")
	f.BoolVar(&o.offline, "offline", false, "ask no server")
	return c
}

func (r *remote) explain(ctx context.Context, o explanation, args []string) error {
	if err := r.check(); err != nil {
		return err
	}
	with := assertion.Options{ClientID: o.clientID, TokenURL: o.tokenURL}
	var err error
	if with.PublicKeys, err = registeredKeys(o.publicKeys, o.alg); err != nil {
		return err
	}
	token, err := r.textOf(ctx, "the assertion", args)
	if err != nil {
		return err
	}
	if id := assertion.ClientID(token, with); !o.offline && apikey.ValidID(id) {
		known, err := r.known(ctx, id)
		if err != nil {
			return err
		}
		with = known.completes(with)
		if known.api != nil && known.key == nil {
			fmt.Fprintln(r.stderr, "note: the server knows no such key, or it is not yours to see, or it does not answer")
		}
	}
	return r.showReport(assertion.Explain(token, with))
}

// completes adds what the server knows to what was given, which comes first.
func (k knowledge) completes(o assertion.Options) assertion.Options {
	o.TokenURL = cmp.Or(o.TokenURL, k.tokenURL)
	if k.key != nil {
		key := *k.key
		if len(o.PublicKeys) > 0 {
			key.PublicKeys = o.PublicKeys
		}
		o.Key = &key
	}
	return o
}

// registeredKeys reads public keys as they are registered.
func registeredKeys(files []string, alg string) ([]apikey.PublicKey, error) {
	var out []apikey.PublicKey
	for _, file := range files {
		text, err := readSmall("--public-key", file)
		if err != nil {
			return nil, err
		}
		jwk, err := readPublicKey(bytes.NewReader(text))
		if err == nil && alg != "" {
			jwk["alg"] = alg
		}
		var key apikey.PublicKey
		if err == nil {
			key, err = register(jwk)
		}
		if err != nil {
			return nil, usageError{fmt.Errorf("--public-key: %w", err)}
		}
		out = append(out, key)
	}
	return out, nil
}

func (r *remote) showReport(got assertion.Report) error {
	var g grid
	for _, c := range got.Checks {
		g.add(string(c.Result), c.Name, c.Seen)
		if c.Result == assertion.Failed {
			g.add("", "", "expected: "+c.Expected)
			g.add("", "", "fix: "+c.Fix)
		}
	}
	if err := r.print(r.stdout, shown{got, failedOnes(got, assertion.Failed), g}); err != nil {
		return err
	}
	if got.Verdict == assertion.Accepted {
		if r.format == "table" {
			fmt.Fprintln(r.stderr, "Hydra takes this assertion, once.")
		}
		return nil
	}
	return refusal(got)
}

// failedOnes are the names of the checks with that result.
func failedOnes(r assertion.Report, as assertion.Result) []string {
	var names []string
	for _, c := range r.Checks {
		if c.Result == as {
			names = append(names, c.Name)
		}
	}
	return names
}

// refusal is how the program ends for an assertion that Hydra would not take, as
// far as is known.
func refusal(r assertion.Report) error {
	if r.Verdict == assertion.Undecided {
		return withHint(errors.New("nothing wrong was found, but what decides is not known: "+strings.Join(failedOnes(r, assertion.Unknown), ", ")),
			"sign in (tokenos auth login), or give --token-url and --public-key")
	}
	return withHint(fmt.Errorf("this assertion would be refused by Hydra with %s, because of %s; failed checks: %s", r.Answer, r.Because, strings.Join(failedOnes(r, assertion.Failed), ", ")),
		r.Named(r.Because).Fix)
}
