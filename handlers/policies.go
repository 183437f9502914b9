package handlers

import (
	"context"

	"github.com/tokenos/tokenos/apikey"
)

type policiesInput struct {
	Owner string `query:"owner" doc:"whose rules; default the caller's only owner, else the rules for owners without rules of their own"`
}

type policiesOutput struct{ Body apikey.EffectivePolicies }

func (s *server) policies(ctx context.Context, in *policiesInput) (*policiesOutput, error) {
	p, err := s.API.Policies(ctx, in.Owner)
	if err != nil {
		return nil, err
	}
	return &policiesOutput{p}, nil
}

type policyViolationsInput struct {
	Owner  string `query:"owner" doc:"only this owner's keys"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" doc:"default 50"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before; a page may be empty and still have one"`
}

func (s *server) policyViolations(ctx context.Context, in *policyViolationsInput) (*pageOutput[apikey.KeyViolations], error) {
	return pageOf(s.API.PolicyViolations(ctx, apikey.PolicyViolationsParams{Owner: in.Owner, Limit: in.Limit, Cursor: in.Cursor}))
}
