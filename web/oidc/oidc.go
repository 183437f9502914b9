// Package oidc signs people in at an OpenID Connect provider: the authorization
// code flow with PKCE (S256), state and nonce, and what the claims of the ID token
// say about the person.
//
// [Provider.Begin] gives the address to send the browser to and a [Request] to keep
// in that browser; [Provider.Finish] takes both back with what the provider
// answered. It imports nothing of ours.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

// Config says who the provider is and what its claims mean. Issuer, ClientID,
// RedirectURL and RoleClaim are required.
type Config struct {
	Issuer       string // as the provider names itself, exactly
	ClientID     string
	ClientSecret string // "" for a public client: PKCE then stands alone
	RedirectURL  string // where the provider sends the browser back to
	Scopes       []string
	Claims       Claims
	// Client makes the calls to the provider. Nil: one with a deadline of 10 s.
	Client *http.Client
	// Now is the clock that ID tokens are checked by. Nil: time.Now.
	Now func() time.Time
}

// The ways a sign-in can fail. ErrUnavailable is the provider's fault and may
// pass; the others are for the person to read.
var (
	ErrUnavailable = errors.New("the provider does not answer")
	ErrRefused     = errors.New("the provider refused")
	ErrForged      = errors.New("the answer does not belong to this sign-in")
	ErrNoRole      = errors.New("the person has no role here")
	ErrNoOwners    = errors.New("the person has no owners here")
)

// Request is one sign-in under way. It is of use only together with the answer
// that the provider gave the same browser.
type Request struct {
	State, Nonce, Verifier string
}

// Provider is an OpenID Connect provider. It is asked for its addresses when
// somebody first signs in, so that a program starts without it.
type Provider struct {
	config  Config
	known   atomic.Pointer[known] // nil: not yet asked
	flights singleflight.Group    // one discovery for all who sign in meanwhile
}

// known is what discovery told.
type known struct {
	oauth2   oauth2.Config
	verifier *oidc.IDTokenVerifier
}

const (
	callTime = 10 * time.Second
	// maxAnswer bounds what is read of the provider, which go-oidc does not.
	maxAnswer = 1 << 20
)

// New makes a Provider. It makes no call.
func New(c Config) (*Provider, error) {
	if c.Issuer == "" || c.ClientID == "" || c.RedirectURL == "" || c.Claims.Role == "" {
		return nil, errors.New("oidc: Issuer, ClientID, RedirectURL and Claims.Role are required")
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: callTime}
	}
	bounded := *c.Client
	bounded.Transport = limited{c.Client.Transport}
	c.Client = &bounded
	return &Provider{config: c}, nil
}

// limited ends answers that are too long.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	next := l.next
	if next == nil {
		next = http.DefaultTransport
	}
	res, err := next.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

// discover asks the provider once; a failure is not kept. Whoever leaves does not
// wait for the answer.
func (p *Provider) discover(ctx context.Context) (*known, error) {
	if k := p.known.Load(); k != nil {
		return k, nil
	}
	// The provider's keys are fetched through this context later on as well.
	lasting := oidc.ClientContext(context.WithoutCancel(ctx), p.config.Client)
	answer := p.flights.DoChan("", func() (any, error) { return nil, p.ask(lasting) })
	select {
	case r := <-answer:
		return p.known.Load(), r.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("oidc: discover: %w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// ask makes the provider known.
func (p *Provider) ask(lasting context.Context) error {
	found, err := oidc.NewProvider(lasting, p.config.Issuer)
	if err != nil {
		return fmt.Errorf("oidc: discover: %w: %w", ErrUnavailable, err)
	}
	p.known.Store(&known{
		oauth2: oauth2.Config{ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret, Endpoint: found.Endpoint(),
			RedirectURL: p.config.RedirectURL, Scopes: p.config.Scopes},
		verifier: found.VerifierContext(lasting, &oidc.Config{ClientID: p.config.ClientID, Now: p.config.Now}),
	})
	return nil
}

// Begin starts a sign-in. Fails with [ErrUnavailable].
func (p *Provider) Begin(ctx context.Context) (address string, r Request, err error) {
	k, err := p.discover(ctx)
	if err != nil {
		return "", Request{}, err
	}
	r = Request{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	return k.oauth2.AuthCodeURL(r.State, oidc.Nonce(r.Nonce), oauth2.S256ChallengeOption(r.Verifier)), r, nil
}

// Finish ends a sign-in with the query that the provider sent the browser back
// with. Fails with every error of this package.
func (p *Provider) Finish(ctx context.Context, r Request, answer url.Values) (Person, error) {
	if r.State == "" || len(answer["state"]) != 1 || subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(r.State)) != 1 {
		return Person{}, ErrForged
	}
	switch code := answer.Get("error"); code {
	case "":
	case "server_error", "temporarily_unavailable": // its own fault (RFC 6749 section 4.1.2.1)
		return Person{}, fmt.Errorf("%w: %s", ErrUnavailable, code)
	default:
		return Person{}, fmt.Errorf("%w: %s", ErrRefused, errorCode(code))
	}
	k, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	ctx = oidc.ClientContext(ctx, p.config.Client)
	token, err := k.oauth2.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(r.Verifier))
	if err != nil {
		if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && e.Response != nil && e.Response.StatusCode < http.StatusInternalServerError {
			return Person{}, fmt.Errorf("%w: %s", ErrRefused, errorCode(e.ErrorCode))
		}
		return Person{}, fmt.Errorf("oidc: exchange: %w", ErrUnavailable) // without the cause, which may hold the answer
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Person{}, fmt.Errorf("%w: it sent no ID token", ErrRefused)
	}
	id, err := k.verifier.Verify(ctx, raw)
	if err != nil {
		return Person{}, fmt.Errorf("%w: its ID token is not good: %w", ErrRefused, err)
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(r.Nonce)) != 1 {
		return Person{}, ErrForged
	}
	var claims map[string]any
	if err := id.Claims(&claims); err != nil {
		return Person{}, fmt.Errorf("%w: its ID token cannot be read", ErrRefused)
	}
	return p.config.Claims.person(id.Subject, claims)
}

// errorCode keeps a code of RFC 6749 section 4.1.2.1 and drops anything else,
// which is what somebody wrote into an address.
func errorCode(code string) string {
	for _, r := range code {
		if (r < 'a' || r > 'z') && r != '_' {
			return "with a code that is none"
		}
	}
	if code == "" || len(code) > 40 {
		return "without a code"
	}
	return code
}
