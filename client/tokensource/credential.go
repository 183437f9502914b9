package tokensource

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// The ways to authenticate, by their registered names (RFC 7591 section 2, OpenID
// Connect Core section 9).
const (
	methodBasic      = "client_secret_basic"
	methodPost       = "client_secret_post"
	methodPrivateKey = "private_key_jwt"
)

const (
	maxSecret     = 1024 // bytes; those of TokenOS have 53
	redacted      = "[credential]"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
)

// Credential is how a key authenticates. It prints as "[credential]" and nothing
// of it can be read back. The zero Credential is none.
type Credential struct {
	method string
	fault  error // what New says of it
	secret func() string
	sign   func(id, audience string, now time.Time) (string, error)
}

// ClientSecretBasic sends id and secret in the Authorization header, each
// URL-encoded (RFC 6749 section 2.3.1).
func ClientSecretBasic(secret string) Credential { return withSecret(methodBasic, secret) }

// ClientSecretPost sends id and secret in the form (RFC 6749 section 2.3.1).
func ClientSecretPost(secret string) Credential { return withSecret(methodPost, secret) }

func withSecret(method, secret string) Credential {
	c := Credential{method: method, secret: func() string { return secret }}
	if secret == "" || len(secret) > maxSecret {
		c.fault = fmt.Errorf("tokensource: the client secret is empty or longer than %d bytes", maxSecret)
	}
	return c
}

// PrivateKeyJWT sends an assertion that the key signs anew for each request (RFC
// 7523 section 2.2). The private key stays where it is.
func PrivateKeyJWT(key PrivateKey) Credential {
	c := Credential{method: methodPrivateKey}
	c.sign, c.fault = key.signer()
	return c
}

// apply puts the credential into a request to be made.
func (c Credential) apply(cfg *clientcredentials.Config, audience string, now time.Time) error {
	switch c.method {
	case methodBasic:
		cfg.AuthStyle, cfg.ClientSecret = oauth2.AuthStyleInHeader, c.secret()
	case methodPost:
		cfg.AuthStyle, cfg.ClientSecret = oauth2.AuthStyleInParams, c.secret()
	case methodPrivateKey:
		assertion, err := c.sign(cfg.ClientID, audience, now)
		if err != nil {
			return err
		}
		cfg.AuthStyle = oauth2.AuthStyleInParams
		cfg.EndpointParams.Set("client_assertion_type", assertionType)
		cfg.EndpointParams.Set("client_assertion", assertion)
	default:
		return errors.New("tokensource: no credential")
	}
	return nil
}

// sent are the forms in which a request holds what must not be told.
func sent(cfg *clientcredentials.Config) []string {
	if cfg.ClientSecret == "" {
		return []string{cfg.EndpointParams.Get("client_assertion")}
	}
	id, secret := url.QueryEscape(cfg.ClientID), url.QueryEscape(cfg.ClientSecret)
	return []string{cfg.ClientSecret, secret, base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))}
}

// Format prints "[credential]" whatever the verb.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

func (c Credential) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (c Credential) MarshalText() ([]byte, error) { return []byte(redacted), nil }
