package apikey

import (
	"context"
	"errors"
	"slices"
)

// Authenticate tells who presents an access token at our own API. The token
// must be meant for us alone (audience exactly [ManagementAudience]: Hydra also
// grants paths below it), and the ledger must know its client as an active
// management key; its rights are those that both token and key have. Fails
// with ErrUnauthenticated, or ErrUnavailable when it cannot be known now.
func (s *Service) Authenticate(ctx context.Context, token string) (Caller, error) {
	refused := fail(ErrUnauthenticated, "the access token is not valid here")
	info, r, err := s.lookUpToken(ctx, token, View{})
	switch {
	case errors.Is(err, errHydraSilent):
		return Caller{}, unavailable("Hydra does not answer, so the access token cannot be checked now; one that this process has checked before still works", err)
	case errors.Is(err, ErrNotFound):
		return Caller{}, refused
	case err != nil:
		return Caller{}, err
	}
	if !slices.Equal(info.Audiences, []string{ManagementAudience}) {
		return Caller{}, fail(ErrUnauthenticated, "the access token must have exactly the audience tokenos: ask Hydra for audience=tokenos")
	}
	if r.Kind != KindManagement || !r.active(s.now()) {
		return Caller{}, refused
	}
	c := Caller{Principal: "key:" + r.RootID, Owners: r.Owners}
	for _, right := range ManagementRights {
		if slices.Contains(info.Scopes, string(right)) && slices.Contains(r.Scopes, string(right)) {
			c.Rights = append(c.Rights, right)
		}
	}
	return c, nil
}
