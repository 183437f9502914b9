package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// keyAt is the path of a key and what lies below it. An id that no key can
// have is not found without asking: in a path it might mean something else.
func keyAt(id, below string) (string, error) {
	if !apikey.ValidID(id) {
		return "", &apikey.Error{Kind: apikey.ErrNotFound, Detail: "no key has such an id"}
	}
	return "/v1/keys/" + id + below, nil
}

// Create implements [apikey.API].
func (c *Client) Create(ctx context.Context, p apikey.CreateParams) (apikey.Issued, error) {
	var out struct {
		Key          apikey.Key `json:"key"`
		ClientSecret string     `json:"client_secret"`
	}
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/keys", body: p, header: idempotent(p.IdempotencyKey)}, &out)
	if err != nil {
		return apikey.Issued{}, err
	}
	return apikey.Issued{Key: out.Key, Secret: apikey.NewSecret(out.ClientSecret)}, nil
}

// Get implements [apikey.API].
func (c *Client) Get(ctx context.Context, id string) (apikey.Key, error) {
	return onKey[apikey.Key](ctx, c, id, "", call{method: http.MethodGet})
}

// onKey makes a call to a key's address.
func onKey[T any](ctx context.Context, c *Client, id, below string, what call) (T, error) {
	var out, none T
	path, err := keyAt(id, below)
	if err != nil {
		return none, err
	}
	what.path = path
	if err := c.do(ctx, what, &out); err != nil {
		return none, err
	}
	return out, nil
}

// page is a list as the server writes it.
type page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor"`
	Count      *int    `json:"count"`
}

func (p page[T]) page() apikey.Page[T] {
	out := apikey.Page[T]{Data: p.Data, Count: p.Count}
	if p.NextCursor != nil {
		out.NextCursor = *p.NextCursor
	}
	return out
}

// List implements [apikey.API].
func (c *Client) List(ctx context.Context, p apikey.ListParams) (apikey.Page[apikey.Key], error) {
	q := query{}
	q.text("q", p.Q)
	q.text("owner", p.Owner)
	q.text("kind", string(p.Kind))
	q.text("status", string(p.Status))
	q.text("environment", string(p.Environment))
	q.text("auth_method", string(p.AuthMethod))
	q.text("scope", p.Scope)
	q.text("label", p.Label)
	q.text("root_id", p.RootID)
	q.text("sort", p.Sort)
	q.text("cursor", p.Cursor)
	q.number("limit", int64(p.Limit))
	if p.ExpiresBefore != nil {
		q.text("expires_before", until(*p.ExpiresBefore))
	}
	if p.LastUsedBefore != nil {
		q.text("last_used_before", exactly(*p.LastUsedBefore))
	}
	q.number("unused_scopes", int64(p.UnusedScopes))
	if p.Count {
		q.text("count", "true")
	}
	var out page[apikey.Key]
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/keys", query: url.Values(q)}, &out); err != nil {
		return apikey.Page[apikey.Key]{}, err
	}
	return out.page(), nil
}

// query leaves out what is zero: it means the default on both sides.
type query url.Values

func (q query) text(name, value string) {
	if value != "" {
		url.Values(q).Set(name, value)
	}
}

func (q query) number(name string, n int64) {
	if n != 0 {
		q.text(name, strconv.FormatInt(n, 10))
	}
}

// Update implements [apikey.API]. A PATCH is made once: whether a lost one was
// done shows in the key's revision.
func (c *Client) Update(ctx context.Context, id string, p apikey.UpdateParams) (apikey.Updated, error) {
	what := call{method: http.MethodPatch, body: p}
	if p.IfMatch != 0 {
		what.header = map[string]string{"If-Match": `"` + strconv.FormatInt(p.IfMatch, 10) + `"`}
	}
	return onKey[apikey.Updated](ctx, c, id, "", what)
}

// Disable implements [apikey.API].
func (c *Client) Disable(ctx context.Context, id string, p apikey.DisableParams) (apikey.Result, error) {
	return c.act(ctx, id, "/disable", p, p.IdempotencyKey)
}

// Enable implements [apikey.API].
func (c *Client) Enable(ctx context.Context, id string, p apikey.ActionParams) (apikey.Result, error) {
	return c.act(ctx, id, "/enable", p, p.IdempotencyKey)
}

// Revoke implements [apikey.API].
func (c *Client) Revoke(ctx context.Context, id string, p apikey.RevokeParams) (apikey.Result, error) {
	return c.act(ctx, id, "/revoke", p, p.IdempotencyKey)
}

// RevokeTokens implements [apikey.API].
func (c *Client) RevokeTokens(ctx context.Context, id string, p apikey.ActionParams) (apikey.Result, error) {
	return c.act(ctx, id, "/tokens/revoke", p, p.IdempotencyKey)
}

// Rotate implements [apikey.API].
func (c *Client) Rotate(ctx context.Context, id string, p apikey.RotateParams) (apikey.Rotation, error) {
	out, err := onKey[struct {
		apikey.Rotation
		ClientSecret string `json:"client_secret"`
	}](ctx, c, id, "/rotations", call{method: http.MethodPost, body: p, header: idempotent(p.IdempotencyKey)})
	out.Secret = apikey.NewSecret(out.ClientSecret)
	return out.Rotation, err
}

// CompleteRotation implements [apikey.API].
func (c *Client) CompleteRotation(ctx context.Context, id string, p apikey.ActionParams) (apikey.Result, error) {
	return c.act(ctx, id, "/rotations/complete", p, p.IdempotencyKey)
}

func (c *Client) act(ctx context.Context, id, below string, body any, key string) (apikey.Result, error) {
	return onKey[apikey.Result](ctx, c, id, below, call{method: http.MethodPost, body: body, header: idempotent(key)})
}

// Delete implements [apikey.API].
func (c *Client) Delete(ctx context.Context, id string) error {
	path, err := keyAt(id, "")
	if err != nil {
		return err
	}
	return c.do(ctx, call{method: http.MethodDelete, path: path}, nil)
}

// PublicKeys implements [apikey.API].
func (c *Client) PublicKeys(ctx context.Context, id string) ([]apikey.PublicKey, error) {
	out, err := onKey[page[apikey.PublicKey]](ctx, c, id, "/public-keys", call{method: http.MethodGet})
	return out.Data, err
}

// AddPublicKey implements [apikey.API].
func (c *Client) AddPublicKey(ctx context.Context, id string, p apikey.PublicKeyParams) (apikey.PublicKey, error) {
	return onKey[apikey.PublicKey](ctx, c, id, "/public-keys", call{method: http.MethodPost, body: p, header: idempotent(p.IdempotencyKey)})
}

// RemovePublicKey implements [apikey.API].
func (c *Client) RemovePublicKey(ctx context.Context, id, kid string) error {
	if !apikey.ValidID(kid) {
		return &apikey.Error{Kind: apikey.ErrNotFound, Detail: "no public key has such a kid"}
	}
	path, err := keyAt(id, "/public-keys/"+kid)
	if err != nil {
		return err
	}
	return c.do(ctx, call{method: http.MethodDelete, path: path}, nil)
}

// KeyEvents implements [apikey.API].
func (c *Client) KeyEvents(ctx context.Context, id string, p apikey.PageParams) (apikey.Page[apikey.Event], error) {
	q := query{}
	q.number("limit", int64(p.Limit))
	q.text("cursor", p.Cursor)
	out, err := onKey[page[apikey.Event]](ctx, c, id, "/events", call{method: http.MethodGet, query: url.Values(q)})
	return out.page(), err
}

// Events implements [apikey.API].
func (c *Client) Events(ctx context.Context, p apikey.FeedParams) (apikey.Page[apikey.Event], error) {
	q := query{}
	q.number("after", p.After)
	q.number("before", p.Before)
	q.number("limit", int64(p.Limit))
	q.text("action", string(p.Action))
	q.text("key_id", p.KeyID)
	q.text("principal", p.Principal)
	if p.Newest {
		q.text("order", "newest")
	}
	if p.Since != nil {
		q.text("since", p.Since.UTC().Format(time.RFC3339))
	}
	var out page[apikey.Event]
	if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/events", query: url.Values(q)}, &out); err != nil {
		return apikey.Page[apikey.Event]{}, err
	}
	return out.page(), nil
}

// Capabilities implements [apikey.API].
func (c *Client) Capabilities(ctx context.Context) (apikey.Capabilities, error) {
	var out apikey.Capabilities
	err := c.do(ctx, call{method: http.MethodGet, path: "/v1/capabilities"}, &out)
	return out, err
}
