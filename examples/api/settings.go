package main

import (
	"context"
	"flag"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/tokenos/tokenos/keyauth"
)

// settings are the flags of the program, and the credential from the environment.
type settings struct {
	listen, audience, issuer, hydraAdmin, tokenos string
	gin                                           bool
	proxies                                       []netip.Prefix
	id, secret                                    string // of our management key, for -tokenos
}

// The defaults are the addresses of `tokenos dev`.
func readSettings(args []string, env func(string) string, stderr io.Writer) (settings, error) {
	s := settings{id: env("TOKENOS_CLIENT_ID"), secret: env("TOKENOS_CLIENT_SECRET")}
	f := flag.NewFlagSet("api", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.listen, "listen", "127.0.0.1:9090", "address to listen on")
	f.StringVar(&s.audience, "audience", "https://api.example.com", "the name of this API, for which tokens must be meant")
	f.StringVar(&s.issuer, "issuer", "http://127.0.0.1:4444", "Hydra's issuer")
	f.StringVar(&s.tokenos, "tokenos", "", "URL of TokenOS, to look up opaque tokens and the status of keys; needs TOKENOS_CLIENT_ID and TOKENOS_CLIENT_SECRET of a management key with tokens:introspect")
	f.StringVar(&s.hydraAdmin, "hydra-admin", "http://127.0.0.1:4445", "Hydra's admin API, to look up opaque tokens without -tokenos; for development")
	f.BoolVar(&s.gin, "gin", false, "serve with Gin instead of net/http")
	f.Func("trusted-proxy", "network of a proxy that ends TLS and sets X-Forwarded-Proto; may be given again", func(text string) error {
		p, err := netip.ParsePrefix(text)
		s.proxies = append(s.proxies, p)
		return err
	})
	return s, f.Parse(args)
}

// keyauth is all that an API has to say to have its tokens checked.
func (s settings) keyauth() keyauth.Config {
	c := keyauth.Config{
		Audiences:        []string{s.audience},
		Issuer:           s.issuer,
		TrustedProxies:   s.proxies,
		InsecureLoopback: strings.HasPrefix(s.issuer, "http://"), // tokenos dev
	}
	if s.tokenos == "" {
		c.InsecureHydraAdmin = s.hydraAdmin
		c.StatusList.Off = true // Hydra knows of none
		return c
	}
	c.Introspection.URL = strings.TrimSuffix(s.tokenos, "/") + "/v1/introspect"
	c.Introspection.Token = s.ownToken()
	return c
}

// ownToken buys the access token that this API calls TokenOS with, and buys
// another before that ends.
func (s settings) ownToken() func(context.Context) (string, error) {
	credential := clientcredentials.Config{
		ClientID: s.id, ClientSecret: s.secret, TokenURL: strings.TrimSuffix(s.issuer, "/") + "/oauth2/token",
		Scopes: []string{"tokens:introspect"}, EndpointParams: url.Values{"audience": {"tokenos"}}, AuthStyle: oauth2.AuthStyleInHeader,
	}
	// The source outlives each request, so it may not have the context of one.
	client := &http.Client{Timeout: 5 * time.Second}
	source := credential.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, client))
	return func(context.Context) (string, error) {
		token, err := source.Token()
		if err != nil {
			return "", err
		}
		return token.AccessToken, nil
	}
}
