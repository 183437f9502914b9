package handlers

import (
	"context"
	"net/http"

	"github.com/tokenos/tokenos/apikey"
)

// OwnerPath names an owner, percent-encoded as one segment; see pathOwner.
type OwnerPath struct {
	Owner string `path:"owner" doc:"whose keys, percent-encoded as one segment" example:"acme"`
}

type ownerInput struct {
	OwnerPath
	Idempotent
	RawBody []byte
}

type operationOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     apikey.Operation
}

// operated answers 202 for an operation that goes on by itself, 200 for what
// one would do.
func operated(o apikey.Operation, err error) (*operationOutput, error) {
	if err != nil {
		return nil, err
	}
	if o.DryRun {
		return &operationOutput{Status: http.StatusOK, Body: o}, nil
	}
	return &operationOutput{Status: http.StatusAccepted, Location: "/v1/operations/" + o.ID, Body: o}, nil
}

func (s *server) disableOwner(ctx context.Context, in *ownerInput) (*operationOutput, error) {
	p, err := decode[apikey.DisableOwnerParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	return operated(s.API.DisableOwner(ctx, in.Owner, p))
}

func (s *server) enableOwner(ctx context.Context, in *ownerInput) (*operationOutput, error) {
	p, err := decode[apikey.EnableOwnerParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	return operated(s.API.EnableOwner(ctx, in.Owner, p))
}

func (s *server) revokeOwner(ctx context.Context, in *ownerInput) (*operationOutput, error) {
	p, err := decode[apikey.RevokeOwnerParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	return operated(s.API.RevokeOwner(ctx, in.Owner, p))
}

func (s *server) revokeOwnerTokens(ctx context.Context, in *ownerInput) (*operationOutput, error) {
	p, err := decode[apikey.OwnerActionParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	return operated(s.API.RevokeOwnerTokens(ctx, in.Owner, p))
}

// OperationPath names an operation.
type OperationPath struct {
	ID string `path:"id" doc:"the operation's id" example:"op_k3vq5n2wz7c4m6x8y1b9d0f2gh"`
}

type operationState struct{ Body apikey.Operation }

func (s *server) operation(ctx context.Context, in *OperationPath) (*operationState, error) {
	o, err := s.API.Operation(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &operationState{o}, nil
}
