package handlers

import (
	"context"

	"github.com/tokenos/tokenos/apikey"
)

type doctorOutput struct{ Body apikey.Diagnosis }

func (s *server) doctor(ctx context.Context, _ *nothing) (*doctorOutput, error) {
	d, err := s.API.Doctor(ctx)
	if err != nil {
		return nil, err
	}
	return &doctorOutput{d}, nil
}
