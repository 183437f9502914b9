package hydra

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/maypok86/otter/v2"

	"github.com/tokenos/tokenos/apikey"
)

const maxToken = 4096 // characters; a JWT signed with RSA-4096 has about 1100

// tokenForm reports whether s is a b64token (RFC 6750 section 2.1).
func tokenForm(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._~+/-", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// seen is an active token as Hydra last described it.
type seen struct {
	info   apikey.TokenInfo
	at     time.Time // when Hydra was asked
	number uint64    // of the introspection that asked
}

// untilExpiry is how long an entry is kept: a token is good for nothing after
// its exp, also in an outage.
func (h *Hydra) untilExpiry(e otter.Entry[[32]byte, seen]) time.Duration {
	return max(e.Value.info.ExpiresAt.Sub(h.config.Now()), time.Millisecond)
}

// Introspect implements [apikey.Tokens]. Callers with the same token share one
// question to Hydra. Nothing but a yes is remembered, under the token's hash.
func (h *Hydra) Introspect(ctx context.Context, token string) (apikey.TokenInfo, error) {
	key, err := keyOf(token)
	if err != nil {
		return apikey.TokenInfo{}, err
	}
	now := h.config.Now()
	if s, found := h.tokens.GetIfPresent(key); found && now.Before(s.info.ExpiresAt) {
		if age := now.Sub(s.at); age >= 0 && age < h.config.TokenFresh {
			return h.told(s), nil
		}
	}
	s, err := h.join(ctx, token, key)
	return h.told(s), err
}

// IntrospectNow implements [apikey.Tokens]. A question that was under way when
// the call came may have been answered before it, so the next one counts.
func (h *Hydra) IntrospectNow(ctx context.Context, token string) (apikey.TokenInfo, error) {
	key, err := keyOf(token)
	if err != nil {
		return apikey.TokenInfo{}, err
	}
	before := h.asked.Load()
	s, err := h.join(ctx, token, key)
	if err == nil && !s.info.Remembered && s.number <= before {
		s, err = h.join(ctx, token, key)
	}
	return h.told(s), err
}

// keyOf is what a token is remembered under.
func keyOf(token string) ([32]byte, error) {
	if len(token) > maxToken || !tokenForm(token) {
		return [32]byte{}, inactive("the token is not of an access token's form")
	}
	return sha256.Sum256([]byte(token)), nil
}

// join waits for the question about a token that is under way, or asks it.
func (h *Hydra) join(ctx context.Context, token string, key [32]byte) (seen, error) {
	// The question is everybody's: it does not end with the caller who began it.
	detached := context.WithoutCancel(ctx)
	answer := h.flights.DoChan("token "+string(key[:]), func() (any, error) { return h.lookUp(detached, token, key) })
	select {
	case r := <-answer:
		s, _ := r.Val.(seen)
		return s, r.Err
	case <-ctx.Done():
		return seen{}, failure(&call{operation: "introspect"}, apikey.ErrUnavailable, context.Cause(ctx))
	}
}

// told is what a caller is given: nothing that others could write into.
func (h *Hydra) told(s seen) apikey.TokenInfo {
	i := s.info
	if s.number == 0 {
		return i
	}
	i.Scopes, i.Audiences = slices.Clone(i.Scopes), slices.Clone(i.Audiences)
	i.Age = max(h.config.Now().Sub(s.at), 0)
	return i
}

// lookUp asks Hydra. While its database is away Hydra calls every token
// inactive, so a no counts only if a readiness probe begun after it says yes,
// and Hydra then says no again: the database may have been away for just that
// moment.
func (h *Hydra) lookUp(ctx context.Context, token string, key [32]byte) (seen, error) {
	old, known := h.tokens.GetIfPresent(key)
	s := seen{number: h.asked.Add(1), at: h.config.Now()}
	var err error
	s.info, err = h.ask(ctx, token)
	if errors.Is(err, apikey.ErrUnauthenticated) {
		if notReady := h.probeAfter(ctx, h.probesBegun()); notReady != nil {
			err = notReady
		} else {
			s.info, err = h.ask(ctx, token)
		}
	}
	switch {
	case err == nil:
		h.tokens.Set(key, s)
		return s, nil
	case errors.Is(err, apikey.ErrUnauthenticated):
		h.tokens.Invalidate(key)
		return seen{}, err
	case known && !crowded(err) && h.config.Now().Before(old.info.ExpiresAt):
		// Too many callers are no outage: whoever holds an ended token must not
		// be able to keep it alive by crowding.
		old.info.Remembered = true
		return old, nil
	}
	return seen{}, err
}

// ask introspects once (RFC 7662 section 2). [apikey.ErrUnauthenticated] if
// Hydra says no, [apikey.ErrUnavailable] for everything that is not an answer.
func (h *Hydra) ask(ctx context.Context, token string) (apikey.TokenInfo, error) {
	var info apikey.TokenInfo
	var active bool
	err := h.exchange(ctx, &call{operation: "introspect", manner: lookup, secret: apikey.NewSecret(token)}, func(ctx context.Context) (*http.Response, error) {
		resp, err := h.raw(ctx, http.MethodPost, "/admin/oauth2/introspect", url.Values{"token": {token}})
		if err != nil {
			return resp, err
		}
		body, err := bodyOf(resp)
		if err == nil {
			info, active, err = readIntrospection(body)
		}
		return resp, err
	})
	if err != nil {
		if !errors.Is(err, apikey.ErrUnavailable) {
			err = &apikey.Error{Kind: apikey.ErrUnavailable, RetryAfter: retryIn, Cause: err}
		}
		return apikey.TokenInfo{}, err
	}
	if !active {
		return apikey.TokenInfo{}, inactive("the token is not active")
	}
	return info, nil
}

// introspection is Hydra's answer (RFC 7662 section 2.2). Members that are absent
// or null are nil.
type introspection struct {
	Active    *bool    `json:"active"`
	Use       *string  `json:"token_use"`
	ClientID  *string  `json:"client_id"`
	ExpiresAt *int64   `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Scope     string   `json:"scope"` // left out if empty
	Audiences []string `json:"aud"`   // a list, always
	Subject   string   `json:"sub"`
	Issuer    string   `json:"iss"`
	TokenType string   `json:"token_type"`
}

// readIntrospection reads the answer by exact member names, each once, which the
// SDK and encoding/json do not: only "active": true is a yes. A refresh token is
// a no. An active token without client or end is not Hydra's answer.
func readIntrospection(body []byte) (apikey.TokenInfo, bool, error) {
	var said introspection
	if err := json.Unmarshal(body, &said); err != nil {
		return apikey.TokenInfo{}, false, &strange{"it is not a JSON object, or a member is of another type"}
	}
	switch {
	case said.Active == nil:
		return apikey.TokenInfo{}, false, &strange{"active is not true or false"}
	case !*said.Active:
		return apikey.TokenInfo{}, false, nil
	case said.Use == nil || said.ClientID == nil || said.ExpiresAt == nil || *said.ExpiresAt <= 0 || !apikey.ValidID(*said.ClientID):
		return apikey.TokenInfo{}, false, &strange{"token_use, client_id or exp is missing"}
	case *said.Use != "access_token":
		return apikey.TokenInfo{}, false, nil
	}
	return apikey.TokenInfo{ClientID: *said.ClientID, Subject: said.Subject, Scopes: strings.Fields(said.Scope), Audiences: said.Audiences,
		Issuer: said.Issuer, TokenType: said.TokenType, IssuedAt: seconds(said.IssuedAt), NotBefore: seconds(said.NotBefore), ExpiresAt: seconds(*said.ExpiresAt)}, true, nil
}

// seconds is a NumericDate (RFC 7519 section 2); zero for none.
func seconds(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

func inactive(why string) error {
	return &apikey.Error{Kind: apikey.ErrUnauthenticated, Cause: errors.New("hydra: introspect: " + why)}
}
