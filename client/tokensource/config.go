package tokensource

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const (
	defaultTimeout = 30 * time.Second
	defaultRetries = 3
	maxWords       = 200     // scopes, or audiences
	maxParameter   = 8 << 10 // bytes of all scopes, or of all audiences
	tokenPath      = "/oauth2/token"
	readyPath      = "/health/ready"
)

// Config says which key buys tokens, where, and for what. TokenURL, ClientID and
// Credential are required.
type Config struct {
	// TokenURL is Hydra's token endpoint, https://host[:port]/oauth2/token. Plain
	// http is taken for a loopback host only. Redirects are not followed.
	TokenURL string
	// ClientID is the key's id.
	ClientID string
	// Credential is how the key authenticates. Hydra takes the key's own
	// auth_method and no other.
	Credential Credential
	// Scopes and Audiences are asked for by name: Hydra grants neither unasked.
	// At most 200 of each.
	Scopes, Audiences []string

	// AssertionAudience is who the assertion of private_key_jwt is for. Empty
	// means TokenURL. Set it to Hydra's own token URL if Hydra is reached by
	// another name than it knows itself by: it compares exactly.
	AssertionAudience string
	// ReadyURL answers 200 while Hydra can work. It is asked before a refusal
	// without a reason is believed. Empty means /health/ready beside TokenURL's
	// /oauth2/token, as Hydra has it.
	ReadyURL string

	// HTTPClient sends the requests; its CheckRedirect is not used. Nil means one
	// of its own.
	HTTPClient *http.Client
	// Timeout bounds a purchase with all its attempts; one attempt may take a
	// third of it. Zero means 30 seconds.
	Timeout time.Duration
	// Retries is how often a purchase is tried again after a 5xx or without an
	// answer. Zero means 3; negative: never. A 4xx is never tried again.
	Retries int
	// OnFailure is told of each purchase that failed, also of those that no caller
	// sees because a valid token is left. It must not wait. Nil tells nobody.
	OnFailure func(error)
	// Now tells the time. Nil means time.Now.
	Now func() time.Time
}

// scopeToken is one scope (RFC 6749 section 3.3); a URI has no other characters
// either (RFC 3986 section 2).
var scopeToken = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`)

// check reports everything that is wrong at once, without repeating a value, and
// fills in what is empty.
func (c *Config) check() error {
	errs := []error{
		checkURL("TokenURL", c.TokenURL),
		checkWords("Scopes", c.Scopes),
		checkWords("Audiences", c.Audiences),
	}
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New("tokensource: "+what))
		}
	}
	need(c.ClientID != "" && len(c.ClientID) <= 255, "ClientID is required, up to 255 bytes")
	need(c.Credential.method != "", "Credential is required: ClientSecretBasic, ClientSecretPost or PrivateKeyJWT")
	need(c.Timeout >= 0, "Timeout cannot be negative")
	errs = append(errs, c.Credential.fault)
	if c.ReadyURL == "" {
		if base, ok := strings.CutSuffix(c.TokenURL, tokenPath); ok {
			c.ReadyURL = base + readyPath
		}
	}
	if c.ReadyURL != "" {
		errs = append(errs, checkURL("ReadyURL", c.ReadyURL))
	}
	if c.AssertionAudience == "" {
		c.AssertionAudience = c.TokenURL
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Retries == 0 {
		c.Retries = defaultRetries
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return errors.Join(errs...)
}

// checkURL wants an address to which a secret may be sent.
func checkURL(name, address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return fmt.Errorf("tokensource: %s must be an absolute URL without credentials or query", name)
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("tokensource: %s must begin with https://: plain HTTP would show the credential to everybody on the way", name)
	}
	return fmt.Errorf("tokensource: %s must begin with https://", name)
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func checkWords(name string, words []string) error {
	if len(words) > maxWords || len(strings.Join(words, " ")) > maxParameter {
		return fmt.Errorf("tokensource: %s has more than %d entries or %d bytes", name, maxWords, maxParameter)
	}
	for i, w := range words {
		if !scopeToken.MatchString(w) {
			return fmt.Errorf("tokensource: %s[%d] is empty or has a space, a quote or another character that cannot stand there", name, i)
		}
	}
	return nil
}
