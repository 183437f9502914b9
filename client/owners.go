package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tokenos/tokenos/apikey"
)

// DisableOwner implements [apikey.API].
func (c *Client) DisableOwner(ctx context.Context, owner string, p apikey.DisableOwnerParams) (apikey.Operation, error) {
	return c.operate(ctx, owner, "/disable", p, p.IdempotencyKey)
}

// EnableOwner implements [apikey.API].
func (c *Client) EnableOwner(ctx context.Context, owner string, p apikey.EnableOwnerParams) (apikey.Operation, error) {
	return c.operate(ctx, owner, "/enable", p, p.IdempotencyKey)
}

// RevokeOwner implements [apikey.API].
func (c *Client) RevokeOwner(ctx context.Context, owner string, p apikey.RevokeOwnerParams) (apikey.Operation, error) {
	return c.operate(ctx, owner, "/revoke", p, p.IdempotencyKey)
}

// RevokeOwnerTokens implements [apikey.API].
func (c *Client) RevokeOwnerTokens(ctx context.Context, owner string, p apikey.OwnerActionParams) (apikey.Operation, error) {
	return c.operate(ctx, owner, "/tokens/revoke", p, p.IdempotencyKey)
}

func (c *Client) operate(ctx context.Context, owner, below string, body any, key string) (apikey.Operation, error) {
	var out apikey.Operation
	switch {
	case owner == "":
		return out, &apikey.Error{Kind: apikey.ErrNotFound, Detail: "no owner has such a name"}
	case !apikey.OwnerInPath(owner):
		return out, &apikey.Error{Kind: apikey.ErrMalformed, Detail: "an owner with . or .. between slashes cannot stand in a path"}
	}
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/owners/" + url.PathEscape(owner) + below, body: body, header: idempotent(key)}, &out)
	return out, err
}

// Operation implements [apikey.API].
func (c *Client) Operation(ctx context.Context, id string) (apikey.Operation, error) {
	var out apikey.Operation
	if !apikey.ValidID(id) {
		return out, &apikey.Error{Kind: apikey.ErrNotFound, Detail: "no operation has such an id"}
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/operations/" + id}, &out)
	return out, err
}
