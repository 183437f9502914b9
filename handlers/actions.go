package handlers

import (
	"context"
	"net/http"

	"github.com/tokenos/tokenos/apikey"
)

// actionInput is a POST to a key. Its body may be left out where nothing in it
// is required.
type actionInput struct {
	KeyPath
	Idempotent
	RawBody []byte
}

type actionOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   apikey.Result
}

// acted answers 200 for what is done, 202 for what counts already and waits
// for Hydra.
func acted(r apikey.Result, err error) (*actionOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &actionOutput{Status: http.StatusOK, ETag: etag(r.Key), Body: r}
	if r.Pending {
		out.Status = http.StatusAccepted
	}
	return out, nil
}

func (s *server) disable(ctx context.Context, in *actionInput) (*actionOutput, error) {
	p, err := decode[apikey.DisableParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	return acted(s.API.Disable(ctx, in.ID, p))
}

func (s *server) enable(ctx context.Context, in *actionInput) (*actionOutput, error) {
	p, err := decode[apikey.ActionParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	return acted(s.API.Enable(ctx, in.ID, p))
}

func (s *server) revoke(ctx context.Context, in *actionInput) (*actionOutput, error) {
	p, err := decode[apikey.RevokeParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	return acted(s.API.Revoke(ctx, in.ID, p))
}

func (s *server) revokeTokens(ctx context.Context, in *actionInput) (*actionOutput, error) {
	p, err := decode[apikey.ActionParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	return acted(s.API.RevokeTokens(ctx, in.ID, p))
}

func (s *server) publicKeys(ctx context.Context, in *KeyPath) (*pageOutput[apikey.PublicKey], error) {
	list, err := s.API.PublicKeys(ctx, in.ID)
	return pageOf(apikey.Page[apikey.PublicKey]{Data: list}, err) // at most ten: one page
}

type publicKeyOutput struct{ Body apikey.PublicKey }

func (s *server) addPublicKey(ctx context.Context, in *actionInput) (*publicKeyOutput, error) {
	p, err := decode[apikey.PublicKeyParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	added, err := s.API.AddPublicKey(ctx, in.ID, p)
	if err != nil {
		return nil, err
	}
	return &publicKeyOutput{added}, nil
}

type publicKeyPath struct {
	KeyPath
	KID string `path:"kid" doc:"RFC 7638 SHA-256 thumbprint of the public key"`
}

func (s *server) removePublicKey(ctx context.Context, in *publicKeyPath) (*nothing, error) {
	return nil, s.API.RemovePublicKey(ctx, in.ID, in.KID)
}
