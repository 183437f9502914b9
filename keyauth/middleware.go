package keyauth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Require lets in who has a good access token with all of the scopes, and puts
// the [Identity] into the request's context: see [FromContext]. Without scopes any
// good token will do. It panics if one cannot be a scope (RFC 6749 section 3.3).
//
// All others get a problem document (RFC 9457) with a challenge (RFC 6750 section
// 3): 401 without a good token, 403 without a scope or without HTTPS, 503 with
// Retry-After when nobody can tell. The reason stands in the log only.
func (v *Verifier) Require(scopes ...string) func(http.Handler) http.Handler {
	for _, s := range scopes {
		if !validScope(s) {
			panic("keyauth: Require: " + strconv.Quote(s) + " cannot be a scope")
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			who, err := v.authorize(r, scopes)
			v.observe(Observation{Operation: OpRequest}, began, err)
			if err != nil {
				v.refuse(w, r, who, err, scopes)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, who)))
		})
	}
}

// authorize says who calls, also with ErrInsufficientScope.
func (v *Verifier) authorize(r *http.Request, scopes []string) (Identity, error) {
	if !v.secure(r) {
		return Identity{}, &Error{Kind: ErrHTTPSRequired, Reason: InClear}
	}
	raw, missing := bearer(r.Header)
	if missing != nil {
		return Identity{}, missing
	}
	who, err := v.Verify(r.Context(), raw)
	if err != nil {
		return Identity{}, err
	}
	if !who.Allows(scopes...) {
		return who, &Error{Kind: ErrInsufficientScope, Reason: MissingScope}
	}
	return who, nil
}

// bearer reads the token of the one Authorization header (RFC 6750 section 2.1).
// Tokens in the body or the query, where logs and histories keep them, are not
// read.
func bearer(h http.Header) (string, *Error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", &Error{Kind: ErrNoToken, Reason: MissingToken}
	}
	if len(values) > 1 {
		return "", invalid(Malformed) // proxies differ in which one they mean
	}
	scheme, raw, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &Error{Kind: ErrNoToken, Reason: MissingToken}
	}
	return strings.TrimLeft(raw, " "), nil
}

// problem is what a refused caller sees (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Scope  string `json:"scope,omitempty"` // what was needed, with insufficient_scope
}

// problemFor describes a refusal without its reason, which would help those only
// who try tokens.
func problemFor(err error, scopes []string) problem {
	p := problem{Type: "about:blank"}
	switch {
	case errors.Is(err, ErrHTTPSRequired):
		p.Status, p.Code, p.Detail = http.StatusForbidden, "https_required", "This API answers over HTTPS only. What was sent in clear must be taken for known to others."
	case errors.Is(err, ErrNoToken):
		p.Status, p.Code, p.Detail = http.StatusUnauthorized, "no_token", "Send an access token: Authorization: Bearer."
	case errors.Is(err, ErrInsufficientScope):
		p.Status, p.Code, p.Detail = http.StatusForbidden, "insufficient_scope", "The access token lacks a scope."
		p.Scope = strings.Join(scopes, " ")
	case errors.Is(err, ErrInvalidToken):
		p.Status, p.Code, p.Detail = http.StatusUnauthorized, "invalid_token", "The access token is not good for this API. Buy another one."
	default:
		p.Status, p.Code, p.Detail = http.StatusServiceUnavailable, "unavailable", "The access token cannot be checked now. Try again with the same one."
	}
	p.Title = http.StatusText(p.Status)
	return p
}

func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, who Identity, err error, scopes []string) {
	p := problemFor(err, scopes)
	h := w.Header()
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", v.challenge(p))
	case http.StatusForbidden:
		if p.Code == "insufficient_scope" {
			h.Set("WWW-Authenticate", v.challenge(p))
		} else {
			h.Set("Connection", "close")
		}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(int(retryAfter(err)/time.Second)))
	}
	v.log(r, who, err, p)
	body, _ := json.Marshal(p) // strings and a number
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the caller may have left
}

// challenge is a WWW-Authenticate header (RFC 6750 section 3). A request without a
// token is told no error.
func (v *Verifier) challenge(p problem) string {
	c := `Bearer realm="` + v.config.Audiences[0] + `"`
	if p.Code != "no_token" {
		c += `, error="` + p.Code + `"`
	}
	if p.Scope != "" {
		c += `, scope="` + p.Scope + `"`
	}
	return c
}

func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok && e.RetryAfter > 0 {
		return max(e.RetryAfter, time.Second)
	}
	return retryIn
}

// log writes why, at the level of who must look: nobody for a refused token.
func (v *Verifier) log(r *http.Request, who Identity, err error, p problem) {
	level := slog.LevelInfo
	if p.Status == http.StatusServiceUnavailable && r.Context().Err() == nil {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{slog.Int("status", p.Status), slog.String("code", p.Code), slog.String("reason", string(reasonOf(err))), slog.String("method", r.Method), slog.String("remote", r.RemoteAddr)}
	if p.Status == http.StatusServiceUnavailable {
		attrs = append(attrs, slog.Any("error", err))
	}
	if who.KeyID != "" {
		attrs = append(attrs, slog.String("key_id", who.KeyID))
	}
	v.config.Log.LogAttrs(r.Context(), level, "keyauth: request refused", attrs...)
}
