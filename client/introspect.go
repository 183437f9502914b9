package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tokenos/tokenos/apikey"
)

var _ apikey.Introspector = (*Client)(nil)

// Introspect implements [apikey.Introspector]. An answer that does not say
// whether the token is active is an error, never a no.
func (c *Client) Introspect(ctx context.Context, token apikey.Secret) (apikey.Introspection, error) {
	var none apikey.Introspection
	if token.IsZero() { // nothing that could be sent
		return none, nil
	}
	var out struct {
		Active *bool `json:"active"`
		apikey.Introspection
	}
	what := call{method: http.MethodPost, path: "/v1/introspect", form: url.Values{"token": {token.Reveal()}}, read: true}
	if err := c.do(ctx, what, &out); err != nil {
		return none, err
	}
	if out.Active == nil {
		return none, &apikey.Error{Kind: apikey.ErrInternal, Detail: "the server's answer cannot be read", Cause: errNotOurs}
	}
	if !*out.Active {
		return none, nil
	}
	out.Introspection.Active = true
	return out.Introspection, nil
}
