package client

import (
	"context"
	"net/http"

	"github.com/tokenos/tokenos/apikey"
)

// Doctor implements [apikey.API].
func (c *Client) Doctor(ctx context.Context) (apikey.Diagnosis, error) {
	var out apikey.Diagnosis
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/doctor"}, &out); err != nil {
		return apikey.Diagnosis{}, err
	}
	return out, nil
}
