package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

func (p program) jwk() *cobra.Command {
	c := group("jwk", "Make and read the key pairs of private_key_jwt",
		"Make and read the key pairs of private_key_jwt. All of it happens on this\n"+
			"machine: the private key goes nowhere, and only the public one is registered.")
	c.AddCommand(p.jwkGenerate(), p.jwkPublic(), p.jwkThumbprint())
	return c
}

func (p program) jwkGenerate() *cobra.Command {
	var alg, out, format string
	c := &cobra.Command{
		Use:   "generate --private-key-out FILE|-",
		Short: "Make a key pair: the private key into a file, the public JWK on stdout",
		Long: "Make a key pair. The private key goes into a new file that only you can read,\n" +
			"the public key to stdout, as the JWK that is registered for a key.\n\n" +
			"With --private-key-out - the private key alone goes to stdout;\n" +
			"`tokenos jwk public` makes the public one of it.\n\n" +
			"Algorithms: ES256 (short and fast), ES384, ES512, and with RSA keys of 3072 bits\n" +
			"PS256, PS384, PS512, RS256, RS384, RS512. PEM does not say which of the six an RSA\n" +
			"key is for; a JWK does.",
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("format", format, "pem", "jwk"); err != nil {
				return err
			}
			if out == "" {
				return withHint(usagef("--private-key-out is required"), "name a new file for the private key, or - for standard output")
			}
			return p.generate(alg, out, format)
		},
	}
	c.Flags().StringVar(&alg, "alg", "ES256", "algorithm of the signatures")
	c.Flags().StringVar(&out, "private-key-out", "", "new file for the private key, or - for standard output")
	c.Flags().StringVar(&format, "format", "pem", "pem (PKCS #8) or jwk, of the private key")
	return c
}

// generate makes a key pair. The private key is written first: a public key
// without one is of no use.
func (p program) generate(alg, out, format string) error {
	pair, err := generatePair(alg)
	if err != nil {
		return err
	}
	encode := pair.pem
	if format == "jwk" {
		encode = pair.jwk
	}
	private, err := encode()
	if err != nil {
		return err
	}
	if out == "-" {
		_, err := p.stdout.Write(private)
		return err
	}
	if err := writePrivateFile(out, private); err != nil {
		return fmt.Errorf("the private key: %w", err)
	}
	if err := p.writeJWK(pair.public.JWK); err != nil {
		return withHint(err, "the private key is written; `tokenos jwk public` makes the public one of it")
	}
	return nil
}

// writeJWK writes one line.
func (p program) writeJWK(key apikey.JWK) error { return json.NewEncoder(p.stdout).Encode(key) }

func (p program) jwkPublic() *cobra.Command {
	var alg string
	c := &cobra.Command{
		Use:   "public [FILE|-]",
		Short: "Print the public JWK of a key, as it is registered",
		Long: "Print the public JWK of a key, as it is registered: with its kid, use and alg, and\n" +
			"nothing private.\n\n" +
			"Reads a private or public key or a certificate in PEM, a JWK, or a JWKS in which\n" +
			"one key can be used; from FILE, or from standard input.",
		Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			key, err := p.publicKey(c.Context(), args)
			if err != nil {
				return err
			}
			if alg != "" {
				key["alg"] = alg
				again, err := register(key)
				if err != nil {
					return err
				}
				key = again.JWK
			}
			return p.writeJWK(key)
		},
	}
	c.Flags().StringVar(&alg, "alg", "", "algorithm of the signatures (default: as the JWK says, else RS256 for RSA, or by the curve)")
	return c
}

func (p program) jwkThumbprint() *cobra.Command {
	return &cobra.Command{
		Use:   "thumbprint [FILE|-]",
		Short: "Print the name (kid) under which a key is registered",
		Long: "Print the name (kid) under which a key is registered: its SHA-256 thumbprint\n" +
			"(RFC 7638), the same for the private and the public half.\n\n" +
			"Reads what `tokenos jwk public` reads.",
		Args: oneFile,
		RunE: func(c *cobra.Command, args []string) error {
			key, err := p.publicKey(c.Context(), args)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.stdout, key["kid"])
			return err
		},
	}
}

// publicKey reads the public half of a key.
func (p program) publicKey(ctx context.Context, args []string) (apikey.JWK, error) {
	text, err := p.textOf(ctx, "the key", args)
	if err != nil {
		return nil, err
	}
	key, err := readPublicKey(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the key: %w", err)
	}
	return key, nil
}
