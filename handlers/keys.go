package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// KeyPath names a key. Anything that cannot be an id is 404 before it is used.
// It is exported, as Idempotent is, because huma passes over embedded fields
// that are not.
type KeyPath struct {
	ID string `path:"id" doc:"the key's id" example:"key_live_01k9x2m3n4p5q6r7s8t9v0w1xy"`
}

// Idempotent is what every POST that changes something takes.
type Idempotent struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"16 to 255 printable ASCII characters without space. The same key and body within 24 hours get the same answer, including the same secret" example:"6f0c9a0e-6f1f-4a55-9d7e-0f6b1f2f9c11"`
}

// page is one page of a list, as it is written.
type page[T any] struct {
	Data       []T     `json:"data"`
	NextCursor *string `json:"next_cursor" doc:"null on the last page"`
	Count      *int    `json:"count,omitzero" doc:"of all pages; only if asked for"`
}

type pageOutput[T any] struct{ Body page[T] }

func pageOf[T any](p apikey.Page[T], err error) (*pageOutput[T], error) {
	if err != nil {
		return nil, err
	}
	out := &pageOutput[T]{page[T]{Data: p.Data, Count: p.Count}}
	if p.NextCursor != "" {
		out.Body.NextCursor = &p.NextCursor
	}
	return out, nil
}

type listInput struct {
	Q             string    `query:"q" doc:"words that begin a word of name, description, id, owner or labels; or the beginning of an id"`
	Owner         string    `query:"owner"`
	Kind          string    `query:"kind" doc:"api (default) or management"`
	Status        string    `query:"status" doc:"active, disabled, expired or revoked"`
	Environment   string    `query:"environment" doc:"live or test"`
	AuthMethod    string    `query:"auth_method"`
	Scope         string    `query:"scope" doc:"keys that have this scope"`
	Label         string    `query:"label" doc:"name:value" example:"team:payments"`
	ExpiresBefore time.Time `query:"expires_before"`
	RootID        string    `query:"root_id" doc:"the keys of one rotation chain"`
	Sort          string    `query:"sort" doc:"created_at, updated_at, expires_at, name or last_used_at; with - before it downwards. Default -created_at, or last_used_at with last_used_before or unused_scopes"`
	Limit         int       `query:"limit" minimum:"1" maximum:"200" doc:"default 50"`
	Cursor        string    `query:"cursor" doc:"next_cursor of the page before; goes with the same filters, order and caller"`
	Count         bool      `query:"count" doc:"also count all matches"`

	LastUsedBefore time.Time `query:"last_used_before" doc:"keys made before this moment that were not used since, or never"`
	UnusedScopes   int       `query:"unused_scopes" minimum:"1" maximum:"3650" doc:"keys older than so many days with a scope that was not asked for within them"`
}

func (s *server) list(ctx context.Context, in *listInput) (*pageOutput[apikey.Key], error) {
	p := apikey.ListParams{
		Q: in.Q, Owner: in.Owner, Kind: apikey.Kind(in.Kind), Status: apikey.Status(in.Status),
		Environment: apikey.Environment(in.Environment), AuthMethod: apikey.AuthMethod(in.AuthMethod),
		Scope: in.Scope, Label: in.Label, RootID: in.RootID, Sort: in.Sort,
		Limit: in.Limit, Cursor: in.Cursor, Count: in.Count, UnusedScopes: in.UnusedScopes,
	}
	if !in.LastUsedBefore.IsZero() {
		p.LastUsedBefore = &in.LastUsedBefore
	}
	if !in.ExpiresBefore.IsZero() {
		p.ExpiresBefore = &in.ExpiresBefore
	}
	return pageOf(s.API.List(ctx, p))
}

type createInput struct {
	Idempotent
	RawBody []byte
}

// issued is the one answer that holds a secret.
type issued struct {
	Key          apikey.Key `json:"key"`
	ClientSecret string     `json:"client_secret,omitzero" doc:"shown this once; absent for private_key_jwt" example:"tos_..."`
}

type createOutput struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     issued
}

func (s *server) create(ctx context.Context, in *createInput) (*createOutput, error) {
	p, err := decode[apikey.CreateParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	p.IdempotencyKey = in.IdempotencyKey
	made, err := s.API.Create(ctx, p)
	if err != nil {
		return nil, err
	}
	return &createOutput{
		Location: "/v1/keys/" + made.Key.ID,
		ETag:     etag(made.Key),
		Body:     issued{Key: made.Key, ClientSecret: made.Secret.Reveal()},
	}, nil
}

type keyOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   apikey.Key
}

// get does not know If-None-Match: status and flags follow the clock while the
// revision, and so the ETag, stays; a 304 would hide an expiry.
func (s *server) get(ctx context.Context, in *KeyPath) (*keyOutput, error) {
	k, err := s.API.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &keyOutput{Status: http.StatusOK, ETag: etag(k), Body: k}, nil
}

type updateInput struct {
	KeyPath
	IfMatch string `header:"If-Match" doc:"the ETag of the key you have seen; another answers 412" example:"\"7\""`
	RawBody []byte
}

type updateOutput struct {
	ETag string `header:"ETag"`
	Body apikey.Updated
}

func (s *server) update(ctx context.Context, in *updateInput) (*updateOutput, error) {
	p, err := decode[apikey.UpdateParams](s, in.RawBody)
	if err != nil {
		return nil, err
	}
	if in.IfMatch != "" {
		p.IfMatch = matchRevision(in.IfMatch)
	}
	k, err := s.API.Update(ctx, in.ID, p)
	if err != nil {
		return nil, err
	}
	return &updateOutput{ETag: etag(k.Key), Body: k}, nil
}

// nothing is the answer to a delete: 204.
type nothing struct{}

func (s *server) delete(ctx context.Context, in *KeyPath) (*nothing, error) {
	return nil, s.API.Delete(ctx, in.ID)
}
