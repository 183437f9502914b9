package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tokenos/tokenos/apikey"
)

// Policies implements [apikey.API].
func (c *Client) Policies(ctx context.Context, owner string) (apikey.EffectivePolicies, error) {
	q := query{}
	q.text("owner", owner)
	var out apikey.EffectivePolicies
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/policies", query: url.Values(q)}, &out); err != nil {
		return apikey.EffectivePolicies{}, err
	}
	return out, nil
}

// PolicyViolations implements [apikey.API].
func (c *Client) PolicyViolations(ctx context.Context, p apikey.PolicyViolationsParams) (apikey.Page[apikey.KeyViolations], error) {
	q := query{}
	q.text("owner", p.Owner)
	q.number("limit", int64(p.Limit))
	q.text("cursor", p.Cursor)
	var out page[apikey.KeyViolations]
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/policies/violations", query: url.Values(q)}, &out); err != nil {
		return apikey.Page[apikey.KeyViolations]{}, err
	}
	return out.page(), nil
}
