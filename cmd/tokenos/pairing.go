package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
)

// pairing are the flags that say which public keys a key gets: those in files, or
// that of a pair which is made here.
type pairing struct {
	files    []string
	alg, out string
	pair     *keyPair // made; nil: none
	written  bool     // the private key is in out
}

func (g *pairing) flags(c *cobra.Command, verb string) {
	f := c.Flags()
	f.StringArrayVar(&g.files, "public-key", nil, "with private_key_jwt: "+verb+" the public key in `FILE|-`: PEM, JWK, JWKS or a certificate; repeat for more")
	f.StringVar(&g.alg, "generate-key", "", "make a key pair here for `ALG` (ES256, RS256, ...) and "+verb+" its public key; the private key is sent nowhere")
	f.StringVar(&g.out, "private-key-out", "", "write the private key to this new file, for you alone (0600), PEM of PKCS #8")
	c.MarkFlagsMutuallyExclusive("public-key", "generate-key")
	c.MarkFlagsRequiredTogether("generate-key", "private-key-out")
}

// given reports whether a flag asks for a public key, and so for private_key_jwt.
func (g *pairing) given() bool { return len(g.files) > 0 || g.alg != "" }

// method is how the key will authenticate, if the flag --auth-method says how.
func (g *pairing) method(flag string) (apikey.AuthMethod, error) {
	if !g.given() {
		return apikey.AuthMethod(flag), nil
	}
	if flag != "" && flag != string(apikey.PrivateKeyJWT) {
		return "", usagef("--public-key and --generate-key go with --auth-method private_key_jwt")
	}
	return apikey.PrivateKeyJWT, nil
}

// publicKeys reads the files, or makes the pair. It writes nothing.
func (g *pairing) publicKeys(ctx context.Context, p program) ([]apikey.PublicKeyInput, error) {
	if g.alg != "" {
		pair, err := generatePair(g.alg)
		if err != nil {
			return nil, fmt.Errorf("--generate-key: %w", err)
		}
		g.pair = pair
		return []apikey.PublicKeyInput{{JWK: pair.public.JWK}}, nil
	}
	var out []apikey.PublicKeyInput
	for _, file := range g.files {
		if looksSecret(file) {
			return nil, usagef("--public-key takes the name of a file, or - for stdin; the key itself can be read by others where it stands")
		}
		text, err := p.textOf(ctx, "--public-key", []string{file})
		if err != nil {
			return nil, err
		}
		key, err := readPublicKey(strings.NewReader(text))
		if err != nil {
			return nil, usageError{fmt.Errorf("--public-key: %w", err)}
		}
		out = append(out, apikey.PublicKeyInput{JWK: key})
	}
	return out, nil
}

// keep writes the private key before the request is sent: a key that nobody could
// use would be worse than a file that no key belongs to.
func (g *pairing) keep() error {
	if g.pair == nil {
		return nil
	}
	text, err := g.pair.pem()
	if err != nil {
		return err
	}
	if err := writePrivateFile(g.out, text); err != nil {
		return fmt.Errorf("--private-key-out: %w", err)
	}
	g.written = true
	return nil
}

// after a request the private key is removed again if certainly nothing was done
// with its public half. If that is not known, the error says what the file is.
func (g *pairing) after(err error) error {
	switch {
	case err == nil || !g.written:
		return err
	case nothingDone(err):
		_ = os.Remove(g.out)
		return err
	}
	how := "--public-key " + g.out
	if said, fault := registered(g.pair.private.Public(), ""); fault != nil || said.Alg != g.pair.public.Alg { // PEM does not tell PS256 from RS256
		how = "what tokenos jwk public --alg " + g.pair.public.Alg + " " + g.out + " writes as --public-key"
	}
	return withLastingHint(err, "if it was done, the private key in "+g.out+" (kid "+g.pair.public.KID+") belongs to it; to repeat the request give "+how+" instead of --generate-key")
}

// tell says which file belongs to which key.
func (g *pairing) tell(id string) string {
	if !g.written {
		return ""
	}
	return fmt.Sprintf("The private key of %s is in %s (kid %s).\n", id, g.out, g.pair.public.KID)
}

// nothingDone reports whether a change was certainly not made: the server refused
// it or says so, or it never left.
func nothingDone(err error) bool {
	if settled(err) {
		return true
	}
	e, ok := errors.AsType[*apikey.Error](err)
	told := ok && (e.RequestID != "" || e.Cause != nil) // by our server, or there was no connection
	return told && !e.Pending && e.Kind != apikey.ErrInternal && e.Kind != apikey.ErrIdempotencyRunning
}

// shellPath is the name of a file in which a shell has nothing to read.
var shellPath = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)
