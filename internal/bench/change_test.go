package bench

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/tokenos/tokenos/apikey"
)

// ids makes ids of clients that nobody has.
var ids atomic.Int64

func newClientID() string { return fmt.Sprintf("key_live_raw%023d", ids.Add(1)) }

func newKey(owner string) apikey.CreateParams {
	return apikey.CreateParams{Name: "billing worker", Description: "calls the billing API for the growth team", Owner: owner,
		Labels: map[string]string{"team": "growth"}, Scopes: []string{"orders:read", "status:read"}, Audiences: []string{"https://api.example.com"}}
}

// sides are the service and the REST API doing one thing, and Hydra alone.
func (p *place) sides(b *testing.B, ours func(api apikey.API, caller, n int) error, hydra func(caller, n int) error) []side {
	b.Helper()
	return []side{
		{name: serviceSide, call: func(caller, n int) error { return ours(p.Service, caller, n) }},
		{name: restSide, call: func(caller, n int) error { return ours(p.rest, caller, n) }},
		{name: hydraSide, call: hydra},
	}
}

// create makes a key with a secret, beside Hydra's own create.
func create(b *testing.B, p *place, callers int) {
	ctx := as(b.Context())
	measure(b, callers, p.sides(b,
		func(api apikey.API, _, _ int) error {
			_, err := api.Create(ctx, newKey("bench"))
			return err
		},
		func(int, int) error { return p.raw.create(newClientID()) })...)
}

// patch changes one member of a key, beside Hydra's PUT of the whole client (a
// careful program would GET it first).
func patch(b *testing.B, p *place, callers int) {
	keys, clients := p.existing(b, callers)
	ctx := as(b.Context())
	measure(b, callers, p.sides(b,
		func(api apikey.API, caller, n int) error {
			text := fmt.Sprintf("patched %T %d", api, n) // a repeated one would change nothing
			_, err := api.Update(ctx, keys[caller], apikey.UpdateParams{Description: &text})
			return err
		},
		func(caller, n int) error {
			c := clients[caller]
			c.Metadata = map[string]any{"description": fmt.Sprint("patched ", n)}
			return p.raw.put(c)
		})...)
}

// disableEnable pauses a key and its tokens and brings it back, beside the three
// calls of Hydra that do it.
func disableEnable(b *testing.B, p *place, callers int) {
	keys, clients := p.existing(b, callers)
	ctx := as(b.Context())
	measure(b, callers, p.sides(b,
		func(api apikey.API, caller, _ int) error {
			if _, err := api.Disable(ctx, keys[caller], apikey.DisableParams{}); err != nil {
				return err
			}
			_, err := api.Enable(ctx, keys[caller], apikey.ActionParams{})
			return err
		},
		func(caller, _ int) error {
			c := clients[caller]
			c.GrantTypes = []string{"disabled"}
			if err := p.raw.put(c); err != nil {
				return err
			}
			if err := p.raw.revokeTokens(c.ID); err != nil {
				return err
			}
			return p.raw.put(clients[caller])
		})...)
}

// rotate changes the secret in place, beside the two calls of Hydra that do it.
// Ours also proves the new secret at Hydra.
func rotate(b *testing.B, p *place, callers int) {
	keys, clients := p.existing(b, callers)
	ctx := as(b.Context())
	measure(b, callers, p.sides(b,
		func(api apikey.API, caller, _ int) error {
			_, err := api.Rotate(ctx, keys[caller], apikey.RotateParams{GracePeriod: new(apikey.Duration(0)), Force: true})
			return err
		},
		func(caller, _ int) error {
			c := clients[caller]
			c.Secret = apikey.GenerateSecret().Reveal()
			if err := p.raw.put(c); err != nil {
				return err
			}
			return p.raw.revokeTokens(c.ID)
		})...)
}

// succeed rotates into a successor and ends the key before it, beside Hydra's
// create, and the two calls that close a client.
func succeed(b *testing.B, p *place, callers int) {
	keys, clients := p.existing(b, callers)
	ctx := as(b.Context())
	measure(b, callers, p.sides(b,
		func(api apikey.API, caller, _ int) error {
			r, err := api.Rotate(ctx, keys[caller], apikey.RotateParams{})
			if err != nil {
				return err
			}
			keys[caller] = r.Key.ID
			_, err = api.CompleteRotation(ctx, r.Key.ID, apikey.ActionParams{})
			return err
		},
		func(caller, _ int) error {
			old := clients[caller]
			clients[caller] = newOAuthClient(newClientID())
			if err := p.raw.create(clients[caller].ID); err != nil {
				return err
			}
			old.GrantTypes = []string{"disabled"}
			if err := p.raw.put(old); err != nil {
				return err
			}
			return p.raw.revokeTokens(old.ID)
		})...)
}

// existing makes a key and a client for each caller.
func (p *place) existing(b *testing.B, callers int) (keys []string, clients []oauthClient) {
	b.Helper()
	for range callers {
		issued, err := p.Service.Create(as(b.Context()), newKey("bench"))
		if err != nil {
			b.Fatal(err)
		}
		keys = append(keys, issued.Key.ID)
		c := newOAuthClient(newClientID())
		if err := p.raw.create(c.ID); err != nil {
			b.Fatal(err)
		}
		clients = append(clients, c)
	}
	return keys, clients
}
