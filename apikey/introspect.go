package apikey

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Introspector looks up the access tokens that an API is shown (RFC 7662).
// [Service] does it; the Go client asks a server to. The caller travels in the
// context and needs the right [TokensIntrospect]. Fails with
// ErrUnauthenticated, ErrForbidden, and ErrUnavailable while Hydra or the ledger
// does not answer: it is never "not active" for that.
type Introspector interface {
	Introspect(ctx context.Context, token Secret) (Introspection, error)
}

// Introspection is what Hydra says of an access token, cut to what the ledger
// says of its key (RFC 7662 section 2.2). The zero value is that of every token
// that is not active; nothing tells why. Moments are Unix seconds; 0: not told.
type Introspection struct {
	Active    bool        `json:"active"`
	ClientID  string      `json:"client_id,omitzero" doc:"the key's id"`
	Subject   string      `json:"sub,omitzero" doc:"the same"`
	Scope     string      `json:"scope,omitzero" doc:"what the token was granted and the key still has, separated by spaces; absent: nothing" example:"orders:read"`
	Audiences []string    `json:"aud,omitzero" doc:"what the token is for and the key is registered for, or lies below it; may be empty" example:"[\"https://api.example.com\"]"`
	Issuer    string      `json:"iss,omitzero"`
	TokenType string      `json:"token_type,omitzero" example:"Bearer"`
	ExpiresAt int64       `json:"exp,omitzero" doc:"the end of the token or of its key, whichever is earlier"`
	IssuedAt  int64       `json:"iat,omitzero"`
	NotBefore int64       `json:"nbf,omitzero"`
	RootID    string      `json:"root_id,omitzero" doc:"the first key of the rotation chain"`
	Owner     string      `json:"owner,omitzero" doc:"whose key it is"`
	Env       Environment `json:"env,omitzero" enum:"live,test"`
}

var _ Introspector = (*Service)(nil)

// Introspect implements [Introspector]. Hydra's answer is believed for a few
// seconds, unless the key's tokens were ended meanwhile; the ledger is asked
// each time, so what is accepted there counts for the next call in every
// process, also for a token that was being made then. A management key's token
// is not active: it is meant for this product alone, and an API that took it for
// a customer's would take an administrator's for one.
func (s *Service) Introspect(ctx context.Context, token Secret) (Introspection, error) {
	c, err := s.allow(ctx, TokensIntrospect)
	if err != nil {
		return Introspection{}, err
	}
	if s.tokens == nil {
		return Introspection{}, unavailable("access tokens cannot be looked up here", nil)
	}
	info, r, err := s.lookUpToken(ctx, token.Reveal(), View{Owners: c.Owners})
	switch {
	case errors.Is(err, errHydraSilent), err == nil && info.Remembered:
		return Introspection{}, unavailable("Hydra does not answer, so the token cannot be looked up now", err)
	case errors.Is(err, ErrUnauthenticated), errors.Is(err, ErrNotFound): // not ours, or another owner's
		return Introspection{}, nil
	case err != nil:
		return Introspection{}, err
	}
	return s.introspection(info, r), nil
}

// clocksDiffer is by how much the clocks of two processes may differ.
const clocksDiffer = 10 * time.Second

// errHydraSilent: Hydra cannot be asked about a token now.
var errHydraSilent = errors.New("hydra does not answer")

// lookUpToken is what Hydra says of an access token, and the ledger of its key,
// in this order. An answer of Hydra's that may be from before the key's tokens
// were last ended does not count: it is asked again, and nobody compares the
// token's iat, whose second does not tell which of the two was first. Fails with
// ErrUnauthenticated if the token is not active, ErrNotFound if its key does not
// lie within v, and errHydraSilent.
func (s *Service) lookUpToken(ctx context.Context, token string, v View) (TokenInfo, Standing, error) {
	silent := func(err error) error {
		if errors.Is(err, ErrUnavailable) {
			return fmt.Errorf("%w: %w", errHydraSilent, err)
		}
		return err
	}
	info, err := s.tokens.Introspect(ctx, token)
	if err != nil {
		return TokenInfo{}, Standing{}, silent(err)
	}
	told := s.now() // Age is as of now: the ledger may take its time
	r, err := s.ledger.Standing(ctx, info.ClientID, v, told)
	if err != nil {
		return TokenInfo{}, Standing{}, err
	}
	before := func(i TokenInfo) bool {
		return !r.TokensEndedAt.IsZero() && i.Age >= told.Sub(r.TokensEndedAt)-clocksDiffer
	}
	if !before(info) {
		return info, r, nil
	}
	info, err = s.tokens.IntrospectNow(ctx, token)
	told = s.now()
	switch {
	case err != nil:
		return TokenInfo{}, Standing{}, silent(err)
	case info.ClientID != r.ID:
		return TokenInfo{}, Standing{}, notFound()
	case info.Remembered && before(info):
		return TokenInfo{}, Standing{}, fmt.Errorf("%w: what it said is from before the tokens were ended", errHydraSilent)
	}
	return info, r, nil
}

// introspection lays what the ledger says over what Hydra says.
func (s *Service) introspection(info TokenInfo, r Standing) Introspection {
	// A subject of its own is a person's: nothing that a key may get.
	if r.Kind != KindAPI || !r.active(s.now()) || info.Subject != "" && info.Subject != r.ID {
		return Introspection{}
	}
	out := Introspection{Active: true, ClientID: r.ID, Subject: r.ID, Audiences: []string{}, Issuer: info.Issuer, TokenType: info.TokenType,
		ExpiresAt: info.ExpiresAt.Unix(), RootID: r.RootID, Owner: r.Owner, Env: r.Environment}
	if end := r.end(); end != nil {
		out.ExpiresAt = min(out.ExpiresAt, end.Unix())
	}
	if !info.IssuedAt.IsZero() {
		out.IssuedAt = info.IssuedAt.Unix()
	}
	if !info.NotBefore.IsZero() {
		out.NotBefore = info.NotBefore.Unix()
	}
	kept := slices.DeleteFunc(slices.Clone(info.Scopes), func(s string) bool { return !slices.Contains(r.Scopes, s) })
	out.Scope = strings.Join(kept, " ")
	for _, a := range info.Audiences {
		if slices.ContainsFunc(r.Audiences, func(registered string) bool { return yields(registered, a) }) {
			out.Audiences = append(out.Audiences, a)
		}
	}
	return out
}

// yields reports whether a key that is registered for an audience may have a
// token for a: the audience itself, or a path below it, as Hydra grants them.
// Hydra keeps a token's audiences joined by "|", so that what it grants as one
// comes back as several; those that were never registered end here.
func yields(registered, a string) bool {
	base := strings.TrimRight(registered, "/")
	if a == registered || a == base {
		return true
	}
	if !strings.HasPrefix(a, base+"/") || !audienceURI(a) {
		return false
	}
	u, err := url.Parse(a)
	return err == nil && !slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." })
}
