package handlers

import (
	"context"

	"github.com/tokenos/tokenos/apikey"
)

func (s *server) signingKeys(ctx context.Context, _ *nothing) (*pageOutput[apikey.SigningKey], error) {
	list, err := s.API.SigningKeys(ctx)
	return pageOf(apikey.Page[apikey.SigningKey]{Data: list}, err) // at most a hundred: one page
}
