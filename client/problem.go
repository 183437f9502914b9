package client

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// problem is what the server says went wrong (RFC 9457).
type problem struct {
	Code      string              `json:"code"`
	Detail    string              `json:"detail"`
	RequestID string              `json:"request_id"`
	Pending   bool                `json:"pending"`
	Errors    []apikey.FieldError `json:"errors"`
}

// kinds are the codes that mean the same on both sides. Any other code, from a
// newer server, is an internal error with its words kept.
var kinds = []apikey.ErrorKind{
	apikey.ErrMalformed, apikey.ErrUnauthenticated, apikey.ErrForbidden, apikey.ErrHTTPSRequired, apikey.ErrNotFound,
	apikey.ErrBusy, apikey.ErrExpired, apikey.ErrRevoked, apikey.ErrNotRevoked, apikey.ErrLastCredential,
	apikey.ErrPublicKeyInUse, apikey.ErrDrifted, apikey.ErrReplaced, apikey.ErrRotationPending, apikey.ErrIdempotencyRunning, apikey.ErrReplayExpired,
	apikey.ErrIdempotencyMismatch, apikey.ErrPrecondition, apikey.ErrPreconditionRequired, apikey.ErrInvalid,
	apikey.ErrUnavailable, apikey.ErrInternal, apikey.ErrMethodNotAllowed, apikey.ErrUnsupportedMediaType,
	apikey.ErrTooLarge, apikey.ErrTimeout, apikey.ErrRateLimited,
}

// told reads the server's own words; ok is false for anybody else's.
func told(a *answer) (p problem, ok bool) {
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	return p, kind == "application/problem+json" && json.Unmarshal(a.body, &p) == nil && p.Code != ""
}

// unsettled reports whether the request may have been done all the same: so the
// server says, or a proxy has no answer of the server's.
func unsettled(a *answer) bool {
	if p, ours := told(a); ours {
		return p.Pending
	}
	return a.status >= http.StatusInternalServerError
}

// refused is failure for the last answer to a call. What an attempt before it may
// have done, this answer does not undo: pending.
func refused(a *answer, pending bool) error {
	err := failure(a)
	if e, ok := errors.AsType[*apikey.Error](err); ok {
		e.Pending = e.Pending || pending
	}
	return err
}

// failure turns an answer that is no success into the error it stands for.
func failure(a *answer) error {
	p, ours := told(a)
	if !ours {
		return stranger(a)
	}
	if p.Code == string(apikey.ErrInvalid) && len(p.Errors) > 0 {
		return &apikey.InvalidError{Fields: p.Errors}
	}
	e := &apikey.Error{Kind: apikey.ErrorKind(p.Code), Detail: p.Detail, Pending: p.Pending, RequestID: p.RequestID, RetryAfter: max(retryAfter(a.header), 0)}
	if !slices.Contains(kinds, e.Kind) {
		e.Kind = apikey.ErrInternal
	}
	return e
}

// stranger is for an answer that is not our server's: a proxy before it, or
// another server altogether. A 404 of theirs says nothing about a key.
func stranger(a *answer) error {
	e := &apikey.Error{Kind: apikey.ErrInternal, Detail: "what answers at this address is not a TokenOS keys server (" + http.StatusText(a.status) + ")"}
	switch a.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.Kind, e.Detail = apikey.ErrUnavailable, "a proxy before the server answers "+http.StatusText(a.status)
		e.RetryAfter = max(retryAfter(a.header), 0)
	case http.StatusUnauthorized:
		e.Kind, e.Detail = apikey.ErrUnauthenticated, "a proxy before the server wants other credentials"
	case http.StatusRequestEntityTooLarge:
		e.Kind, e.Detail = apikey.ErrTooLarge, "a proxy before the server finds the request too large"
	}
	if a.status >= 300 && a.status < 400 {
		e.Detail = "the server redirects, which this API never does; check the address"
	}
	return e
}

// unanswered is the error of a call that got no answer. A change that left may
// have been made all the same: pending.
func unanswered(ctx context.Context, err error, pending bool) error {
	if t, ok := errors.AsType[*tokenError](err); ok {
		if _, known := errors.AsType[apikey.ErrorKind](t.cause); known {
			return t.cause
		}
		return &apikey.Error{Kind: apikey.ErrUnauthenticated, Detail: "no access token could be had", Cause: t}
	}
	e := &apikey.Error{Kind: apikey.ErrUnavailable, Detail: "the server could not be reached", Pending: pending, Cause: err}
	switch {
	case ctx.Err() != nil:
		e.Kind, e.Detail = apikey.ErrTimeout, "no answer within "+lasted(ctx)
		e.Cause = ctx.Err()
	case errors.Is(err, errTooLong):
		e.Kind, e.Detail = apikey.ErrInternal, "the server's answer is longer than any of this API"
	}
	return e
}

func lasted(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return "the time the caller waited"
	}
	return "the deadline"
}

// until is a time for a query.
func until(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// exactly is a time for a query that counts parts of a second.
func exactly(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
