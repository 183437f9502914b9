package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tokenos/tokenos/apikey"
)

// Usage implements [apikey.API].
func (c *Client) Usage(ctx context.Context, id string, p apikey.UsageParams) (apikey.Usage, error) {
	q := query{}
	q.text("by", string(p.By))
	if p.From != nil {
		q.text("from", exactly(*p.From))
	}
	if p.To != nil {
		q.text("to", exactly(*p.To))
	}
	return onKey[apikey.Usage](ctx, c, id, "/usage", call{method: http.MethodGet, query: url.Values(q)})
}
