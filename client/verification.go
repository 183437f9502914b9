package client

import (
	"context"
	"net/http"

	"github.com/tokenos/tokenos/apikey"
)

// VerifyEvents implements [apikey.API]. The server's own word is only as good as
// the server; `tokenos audit verify --head` checks its database from elsewhere.
func (c *Client) VerifyEvents(ctx context.Context) (apikey.Verification, error) {
	return c.verification(ctx, http.MethodPost)
}

// Verification implements [apikey.API]. Where several servers share an address,
// each tells of its own.
func (c *Client) Verification(ctx context.Context) (apikey.Verification, error) {
	return c.verification(ctx, http.MethodGet)
}

func (c *Client) verification(ctx context.Context, method string) (apikey.Verification, error) {
	var out apikey.Verification
	if err := c.do(ctx, call{method: method, path: "/v1/events/verification", read: true}, &out); err != nil {
		return apikey.Verification{}, err
	}
	return out, nil
}
