package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
)

// holder is what the holder of a key shows at Hydra, as flags say where it lies.
type holder struct {
	envFile, secretFile, privateKey string
	method, tokenURL                string
}

func (h *holder) register(c *cobra.Command, stdin bool) {
	f := c.Flags()
	f.StringVar(&h.envFile, "env-file", "", "file with TOKENOS_CLIENT_ID, TOKENOS_CLIENT_SECRET and TOKENOS_TOKEN_URL, as keys create --env-file writes it")
	usage := "file with the client secret"
	if stdin {
		usage += " (default: stdin)"
	}
	f.StringVar(&h.secretFile, "secret-file", "", usage)
	f.StringVar(&h.privateKey, "private-key", "", "file with the private key, PEM or JWK")
	f.StringVar(&h.method, "auth-method", "", "how the key authenticates (default: as the server knows, else client_secret_basic)")
	f.StringVar(&h.tokenURL, "token-url", "", "Hydra's token endpoint (default: of the env file, else as the server knows)")
	c.MarkFlagsMutuallyExclusive("env-file", "secret-file", "private-key")
}

// presented is a credential that was read.
type presented struct {
	id         string
	secret     apikey.Secret
	privateKey *tokensource.PrivateKey
	tokenURL   string
}

// read reads the credential of the key with this id, which may be "" with an env
// file. Stdin is read only if stdin may be.
func (h *holder) read(ctx context.Context, p program, id string, stdin bool) (presented, error) {
	switch {
	case h.envFile != "":
		return h.readEnv(id)
	case h.privateKey != "":
		text, err := readSmall("--private-key", h.privateKey)
		if err != nil {
			return presented{}, err
		}
		key, err := parsePrivateKey(text)
		if err != nil {
			return presented{}, usageError{fmt.Errorf("--private-key: %w", err)}
		}
		return presented{id: id, privateKey: &key, tokenURL: h.tokenURL}, nil
	case h.secretFile != "":
		text, err := readSmall("--secret-file", h.secretFile)
		return presented{id: id, secret: apikey.NewSecret(strings.TrimSpace(string(text))), tokenURL: h.tokenURL}, err
	case !stdin:
		return presented{}, usagef("say where the credential is: --env-file, --secret-file or --private-key")
	}
	text, err := p.secretText(ctx)
	return presented{id: id, secret: apikey.NewSecret(text), tokenURL: h.tokenURL}, err
}

// secretText asks a person for a secret, or reads it from a pipe.
func (p program) secretText(ctx context.Context) (text string, err error) {
	if p.interactive() {
		text, err = p.hidden(ctx, "client secret (not shown): ")
	} else {
		text, err = p.piped(ctx)
	}
	text = strings.TrimSpace(text)
	if err == nil && text == "" {
		err = usagef("there is no client secret on stdin; --env-file, --secret-file and --private-key are other places for a credential")
	}
	return text, err
}

func (h *holder) readEnv(id string) (presented, error) {
	text, err := readSmall("--env-file", h.envFile)
	if err != nil {
		return presented{}, err
	}
	found := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok {
			found[name] = strings.Trim(value, `"'`)
		}
	}
	out := presented{id: cmp.Or(id, found["TOKENOS_CLIENT_ID"]), secret: apikey.NewSecret(found["TOKENOS_CLIENT_SECRET"]),
		tokenURL: cmp.Or(h.tokenURL, found["TOKENOS_TOKEN_URL"])}
	if out.secret.IsZero() || !apikey.ValidID(out.id) {
		return presented{}, usagef("--env-file: %s lacks TOKENOS_CLIENT_ID or TOKENOS_CLIENT_SECRET", h.envFile)
	}
	return out, nil
}

// maxSmall bounds a file with a credential, in bytes.
const maxSmall = 64 << 10

// readSmall reads a file that a flag names.
func readSmall(flag, path string) ([]byte, error) {
	if looksSecret(path) {
		return nil, noFile(flag)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err != nil {
		return nil, usagef("%s: %w", flag, err)
	}
	if len(raw) > maxSmall {
		return nil, usagef("%s: %s is longer than 64 KiB", flag, path)
	}
	return raw, nil
}

// parsePrivateKey reads PEM or a JWK.
func parsePrivateKey(text []byte) (tokensource.PrivateKey, error) {
	if strings.HasPrefix(strings.TrimSpace(string(text)), "{") {
		return tokensource.ParseJWK(text)
	}
	return tokensource.ParsePEM(text)
}

// source buys with the credential, in the way that the key is registered for as
// far as that is known: k is nil without a server to ask.
func (h *holder) source(in presented, k *apikey.Key, c tokensource.Config) (*tokensource.Source, error) {
	method := apikey.AuthMethod(h.method)
	if method == "" && k != nil {
		method = k.AuthMethod
	}
	switch {
	case in.privateKey != nil:
		if k != nil && len(k.PublicKeys) > 0 && in.privateKey.Algorithm == "" {
			in.privateKey.Algorithm = k.PublicKeys[0].Alg
		}
		c.Credential = tokensource.PrivateKeyJWT(*in.privateKey)
	case method == apikey.ClientSecretPost:
		c.Credential = tokensource.ClientSecretPost(in.secret.Reveal())
	case method == apikey.PrivateKeyJWT:
		return nil, usagef("the key authenticates by private_key_jwt: give its private key with --private-key FILE")
	case method == apikey.ClientSecretBasic, method == "":
		c.Credential = tokensource.ClientSecretBasic(in.secret.Reveal())
	default:
		return nil, usagef("--auth-method must be client_secret_basic, client_secret_post or private_key_jwt")
	}
	if in.tokenURL == "" {
		return nil, usagef("--token-url is required: it is not known where Hydra is")
	}
	c.ClientID, c.TokenURL = in.id, in.tokenURL
	source, err := tokensource.New(c)
	if err != nil {
		return nil, usageError{errors.New(strings.ReplaceAll(err.Error(), "tokensource: ", ""))}
	}
	return source, nil
}
