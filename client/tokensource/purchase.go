package tokensource

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	maxAnswer    = 64 << 10 // bytes; a token with 100 scopes and audiences stays below it
	firstDelay   = 200 * time.Millisecond
	longestDelay = 5 * time.Second
	attemptShare = 3 // an attempt may take this part of the Timeout
	maxLife      = 10 * 365 * 24 * time.Hour
)

// bearerToken is what may follow "Bearer" in a header (RFC 6750 section 2.1).
var bearerToken = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// buy buys a token, trying again what may pass while the context has time.
func (s *Source) buy(ctx context.Context) (*held, error) {
	for attempt := 0; ; attempt++ {
		bought, err := s.attempt(ctx)
		if err == nil {
			return bought, nil
		}
		if !err.passing || attempt >= s.config.Retries || !pause(ctx, delay(attempt, err.RetryAfter)) {
			return nil, err
		}
	}
}

// delay doubles from attempt to attempt, with a quarter of jitter, or is what the
// answer asks for.
func delay(attempt int, asked time.Duration) time.Duration {
	d := min(firstDelay<<min(attempt, 10), longestDelay)
	d += time.Duration((rand.Float64() - 0.5) / 2 * float64(d)) //nolint:gosec // spreads requests, protects nothing
	return max(d, asked)
}

// pause waits, unless the context would end before.
func pause(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt asks for a token. While its database is away Hydra refuses right
// credentials, and gives no reason. So such a refusal counts only if Hydra then
// is ready and says the same again.
func (s *Source) attempt(ctx context.Context) (*held, *Error) {
	bought, err := s.ask(ctx)
	if err == nil || err.Kind != ErrCredential {
		return bought, err
	}
	switch s.ready(ctx) {
	case notReady:
		return nil, &Error{Kind: ErrUnavailable, Detail: "Hydra is not ready, which makes it refuse every credential; the key may be good",
			Status: err.Status, Code: err.Code, passing: true}
	case readyUnknown:
		err.Detail += "; Hydra's readiness cannot be asked, so an outage of its database is as likely"
		return nil, err
	}
	return s.ask(ctx)
}

// ask makes one request.
func (s *Source) ask(ctx context.Context) (*held, *Error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout/attemptShare)
	defer cancel()
	cfg := clientcredentials.Config{ClientID: s.config.ClientID, TokenURL: s.config.TokenURL, Scopes: s.config.Scopes, EndpointParams: url.Values{}}
	if len(s.config.Audiences) > 0 {
		cfg.EndpointParams.Set("audience", strings.Join(s.config.Audiences, " "))
	}
	since := s.now()
	if err := s.config.Credential.apply(&cfg, s.config.AssertionAudience, since); err != nil {
		return nil, &Error{Kind: ErrSign, Detail: "the private key did not sign", Cause: err}
	}
	token, err := cfg.Token(context.WithValue(ctx, oauth2.HTTPClient, s.http))
	if err != nil {
		return nil, s.explain(err, &cfg, since)
	}
	return read(token, since)
}

// read takes a token only as Hydra issues it.
func read(got *oauth2.Token, since time.Time) (*held, *Error) {
	seconds, _ := got.Extra("expires_in").(float64)
	life := time.Duration(min(seconds, maxLife.Seconds()) * float64(time.Second))
	switch {
	case !strings.EqualFold(got.TokenType, "bearer") || !bearerToken.MatchString(got.AccessToken):
		return nil, &Error{Kind: ErrAnswer, Detail: "the answer has no bearer token", Status: http.StatusOK}
	case life <= 0:
		return nil, &Error{Kind: ErrAnswer, Detail: "the answer does not say how long its token lives, or it is already over", Status: http.StatusOK}
	}
	token := &oauth2.Token{AccessToken: got.AccessToken, TokenType: "Bearer", Expiry: since.Add(life), ExpiresIn: int64(seconds)}
	return keep(token.WithExtra(map[string]any{"scope": got.Extra("scope")}), since, life), nil
}

// guard makes the client that sends requests: it follows no redirect, which would
// carry the credential elsewhere, and reads short answers only.
func guard(given *http.Client) *http.Client {
	var c http.Client
	if given != nil {
		c = *given
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	c.Transport = whole{c.Transport}
	return &c
}

// whole reads an answer to its end, so that one that breaks off is a failure on
// the way like others, and none is longer than maxAnswer.
type whole struct{ base http.RoundTripper }

var errTooLong = errors.New("the answer is longer than any of a token endpoint")

func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxAnswer {
		return nil, errTooLong
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// unsent is a failure without an answer.
func unsent(err error) *Error {
	e := &Error{Kind: ErrUnavailable, Detail: "Hydra gave no answer", Cause: err, passing: true}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.Detail, e.passing = "Hydra's certificate is not trusted here", false
	}
	if errors.Is(err, errTooLong) {
		e.Kind, e.Detail, e.Cause, e.passing = ErrAnswer, errTooLong.Error(), nil, false
	}
	return e
}
