package client

import (
	"context"
	"net/http"

	"github.com/tokenos/tokenos/apikey"
)

// SigningKeys implements [apikey.API].
func (c *Client) SigningKeys(ctx context.Context) ([]apikey.SigningKey, error) {
	var out page[apikey.SigningKey]
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/signing-keys"}, &out)
	return out.Data, err
}
