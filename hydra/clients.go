package hydra

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	client "github.com/ory/hydra-client-go/v2"

	"github.com/tokenos/tokenos/apikey"
)

// Create implements [apikey.Clients]: one POST, never repeated. Of 50
// concurrent ones with one id exactly one wins, which makes it Hydra's only
// atomic operation. A key with a secret must bring it.
func (h *Hydra) Create(ctx context.Context, w apikey.ClientWrite) error {
	c := &call{operation: "create client", id: w.Definition.ID, manner: once}
	if err := check(w); err != nil {
		return failure(c, apikey.ErrInternal, err)
	}
	if w.Secret.IsZero() {
		if w.Definition.AuthMethod.HasSecret() {
			return failure(c, apikey.ErrInternal, errors.New("hydra would make up a secret that nobody knows"))
		}
		// Hydra gives every such client a secret; ours is dropped right here.
		w.Secret = apikey.GenerateSecret()
	}
	return h.write(ctx, c, w, func(ctx context.Context, body client.OAuth2Client) (*client.OAuth2Client, *http.Response, error) {
		return h.api.CreateOAuth2Client(ctx).OAuth2Client(body).Execute()
	})
}

// Put implements [apikey.Clients]: one PUT of the whole client, repeated if
// need be. Hydra keeps the secret if w has none, and does not create a client.
func (h *Hydra) Put(ctx context.Context, w apikey.ClientWrite) error {
	c := &call{operation: "put client", id: w.Definition.ID, manner: repeatable}
	if err := check(w); err != nil {
		return failure(c, apikey.ErrInternal, err)
	}
	err := h.write(ctx, c, w, func(ctx context.Context, body client.OAuth2Client) (*client.OAuth2Client, *http.Response, error) {
		return h.api.SetOAuth2Client(ctx, w.Definition.ID).OAuth2Client(body).Execute()
	})
	if err == nil && c.uncertain && w.Late != nil {
		w.Late()
	}
	return err
}

type sender func(context.Context, client.OAuth2Client) (*client.OAuth2Client, *http.Response, error)

// write sends the projection and looks at nothing of the answer but the id and
// the marker: it also holds a secret and a registration access token.
func (h *Hydra) write(ctx context.Context, c *call, w apikey.ClientWrite, send sender) error {
	c.secret = w.Secret
	return h.exchange(ctx, c, func(ctx context.Context) (*http.Response, error) {
		_, resp, err := send(ctx, project(w))
		if err != nil {
			return resp, err
		}
		state, err := stateOf(resp, w.Definition.ID)
		if err == nil && (state.Ledger != w.Ledger || state.Op != w.Op) {
			err = &strange{"it is not the client that was sent"}
		}
		return resp, err
	})
}

// stateOf checks that the answer is the client asked for and reads its marker.
func stateOf(resp *http.Response, id string) (apikey.ClientState, error) {
	body, err := bodyOf(resp)
	if err != nil {
		return apikey.ClientState{}, err
	}
	if !hasID(body, id) {
		return apikey.ClientState{}, &strange{"it does not carry the client id"}
	}
	return stateFrom(body), nil
}

// State implements [apikey.Clients].
func (h *Hydra) State(ctx context.Context, id string) (apikey.ClientState, error) {
	if !apikey.ValidID(id) {
		return apikey.ClientState{}, fmt.Errorf("hydra: read client: %w", apikey.ErrNotFound)
	}
	var state apikey.ClientState
	err := h.exchange(ctx, &call{operation: "read client", id: id, manner: repeatable}, func(ctx context.Context) (*http.Response, error) {
		_, resp, err := h.api.GetOAuth2Client(ctx, id).Execute()
		if err == nil {
			state, err = stateOf(resp, id)
		}
		return resp, err
	})
	return state, err
}

// Delete implements [apikey.Clients]. Only Hydra's own words make a 404 mean
// that the client is gone.
func (h *Hydra) Delete(ctx context.Context, id string) error {
	c := &call{operation: "delete client", id: id, manner: repeatable}
	if !apikey.ValidID(id) {
		return failure(c, apikey.ErrInternal, errors.New("the id cannot be addressed"))
	}
	err := h.exchange(ctx, c, func(ctx context.Context) (*http.Response, error) {
		resp, err := h.api.DeleteOAuth2Client(ctx, id).Execute()
		return resp, noContent(resp, err)
	})
	if errors.Is(err, apikey.ErrNotFound) {
		return nil
	}
	return err
}

// RevokeTokens implements [apikey.Clients]. Hydra answers the same for a client
// it does not know. A JWT stays good for those who verify it offline.
func (h *Hydra) RevokeTokens(ctx context.Context, id string) error {
	c := &call{operation: "revoke tokens", id: id, manner: repeatable}
	if !apikey.ValidID(id) {
		return failure(c, apikey.ErrInternal, errors.New("the id cannot be addressed"))
	}
	return h.exchange(ctx, c, func(ctx context.Context) (*http.Response, error) {
		resp, err := h.api.DeleteOAuth2Token(ctx).ClientId(id).Execute()
		return resp, noContent(resp, err)
	})
}

// noContent accepts nothing but 204, Hydra's one answer to a DELETE that worked.
func noContent(resp *http.Response, err error) error {
	if err == nil && resp.StatusCode != http.StatusNoContent {
		return &strange{"hydra answers 204"}
	}
	return err
}
