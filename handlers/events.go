package handlers

import (
	"context"
	"net/http"
	"time"

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

// eventsInput asks the feed. From the oldest on, next_cursor is the after of the
// next call, also when nothing new has happened.
type eventsInput struct {
	After     int64     `query:"after" minimum:"0" doc:"only events after the one of this id, such as the last one seen, or next_cursor; default 0: from the beginning"`
	Before    int64     `query:"before" minimum:"0" doc:"only events before the one of this id, such as next_cursor with order=newest"`
	Order     string    `query:"order" enum:"oldest,newest" doc:"which come first; default oldest"`
	Action    string    `query:"action" maxLength:"50" doc:"only events of this action" example:"key.disabled"`
	KeyID     string    `query:"key_id" maxLength:"128" doc:"only events of this key"`
	Principal string    `query:"principal" maxLength:"300" doc:"only what this principal did, exactly as events name it" example:"user:ana"`
	Since     time.Time `query:"since" doc:"only events not before this moment"`
	Limit     int       `query:"limit" minimum:"1" maximum:"200" doc:"default 50"`
}

func (s *server) events(ctx context.Context, in *eventsInput) (*pageOutput[apikey.Event], error) {
	p := apikey.FeedParams{After: in.After, Before: in.Before, Limit: in.Limit, Newest: in.Order == "newest",
		Action: apikey.Action(in.Action), KeyID: in.KeyID, Principal: in.Principal}
	if !in.Since.IsZero() {
		p.Since = &in.Since
	}
	return pageOf(s.API.Events(ctx, p))
}

type verificationOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     apikey.Verification
}

// verifyEvents answers 202 for a verification that is under way, 200 for a
// result that still serves.
func (s *server) verifyEvents(ctx context.Context, _ *nothing) (*verificationOutput, error) {
	v, err := s.API.VerifyEvents(ctx)
	if err != nil {
		return nil, err
	}
	if v.State == apikey.VerificationRunning {
		return &verificationOutput{Status: http.StatusAccepted, Location: "/v1/events/verification", Body: v}, nil
	}
	return &verificationOutput{Status: http.StatusOK, Body: v}, nil
}

func (s *server) verification(ctx context.Context, _ *nothing) (*verificationOutput, error) {
	v, err := s.API.Verification(ctx)
	if err != nil {
		return nil, err
	}
	return &verificationOutput{Status: http.StatusOK, Body: v}, nil
}

type capabilitiesOutput struct{ Body apikey.Capabilities }

func (s *server) capabilities(ctx context.Context, _ *nothing) (*capabilitiesOutput, error) {
	c, err := s.API.Capabilities(ctx)
	if err != nil {
		return nil, err
	}
	return &capabilitiesOutput{c}, nil
}
