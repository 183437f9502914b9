package handlers

import (
	"context"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

type usageInput struct {
	KeyPath
	From time.Time `query:"from" doc:"the first hour or day that is wanted holds this moment; default 24 hours or 30 days before to"`
	To   time.Time `query:"to" doc:"the last one ends at this moment, or holds it; default now"`
	By   string    `query:"by" doc:"hour or day (default); both are those of UTC"`
}

type usageOutput struct{ Body apikey.Usage }

func (s *server) usage(ctx context.Context, in *usageInput) (*usageOutput, error) {
	p := apikey.UsageParams{By: apikey.UsagePeriod(in.By)}
	if !in.From.IsZero() {
		p.From = &in.From
	}
	if !in.To.IsZero() {
		p.To = &in.To
	}
	u, err := s.API.Usage(ctx, in.ID, p)
	if err != nil {
		return nil, err
	}
	return &usageOutput{u}, nil
}
