package handlers

import (
	"context"

	"github.com/tokenos/tokenos/apikey"
)

type keyEventsInput struct {
	KeyPath
	Limit  int    `query:"limit" minimum:"1" maximum:"200" doc:"default 50"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before"`
}

func (s *server) keyEvents(ctx context.Context, in *keyEventsInput) (*pageOutput[apikey.Event], error) {
	return pageOf(s.API.KeyEvents(ctx, in.ID, apikey.PageParams{Limit: in.Limit, Cursor: in.Cursor}))
}

// eventsInput asks the feed. next_cursor is the after of the next call, also
// when nothing new has happened.
type eventsInput struct {
	After int64 `query:"after" minimum:"0" doc:"the id of the last event seen, or next_cursor; default 0: from the beginning"`
	Limit int   `query:"limit" minimum:"1" maximum:"200" doc:"default 50"`
}

func (s *server) events(ctx context.Context, in *eventsInput) (*pageOutput[apikey.Event], error) {
	return pageOf(s.API.Events(ctx, apikey.FeedParams{After: in.After, Limit: in.Limit}))
}

type capabilitiesOutput struct{ Body apikey.Capabilities }

func (s *server) capabilities(ctx context.Context, _ *nothing) (*capabilitiesOutput, error) {
	c, err := s.API.Capabilities(ctx)
	if err != nil {
		return nil, err
	}
	return &capabilitiesOutput{c}, nil
}
