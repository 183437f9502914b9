package handlers

import (
	"context"

	"github.com/tokenos/tokenos/apikey"
)

// rotation is the answer to a rotation; beside create's it is the one that
// holds a secret.
type rotation struct {
	apikey.Rotation
	ClientSecret string `json:"client_secret,omitzero" doc:"shown this once; absent for private_key_jwt and with dry_run" example:"tos_..."`
}

type rotateOutput struct {
	Status   int
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     rotation
}

// rotate answers 201, because a credential has come to be; 200 with dry_run.
func (s *server) rotate(ctx context.Context, in *actionInput) (*rotateOutput, error) {
	p, err := decode[apikey.RotateParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	r, err := s.API.Rotate(ctx, in.ID, p)
	if err != nil {
		return nil, err
	}
	out := &rotateOutput{Status: 201, ETag: etag(r.Key), Location: "/v1/keys/" + r.Key.ID, Body: rotation{r, r.Secret.Reveal()}}
	if r.DryRun {
		out.Status, out.Location = 200, ""
	}
	return out, nil
}

func (s *server) completeRotation(ctx context.Context, in *actionInput) (*actionOutput, error) {
	p, err := decode[apikey.ActionParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	return acted(s.API.CompleteRotation(ctx, in.ID, p))
}
