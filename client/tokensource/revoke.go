package tokensource

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const revokePath = "/oauth2/revoke"

// Revoke ends an access token of this key before its time (RFC 7009), for example
// when a program has done its work. A JWT works on at APIs that do not look
// tokens up. Hydra says yes to a token that it does not know, too. Errors are an
// [*Error], as for a purchase; it is tried once.
func (s *Source) Revoke(ctx context.Context, accessToken string) error {
	s.drop(accessToken)
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	base, ok := strings.CutSuffix(s.config.TokenURL, tokenPath)
	if !ok {
		return errors.New("tokensource: TokenURL does not end with " + tokenPath + ", so it is not known where tokens are revoked")
	}
	if err := s.askToRevoke(ctx, base+revokePath, accessToken); err != nil {
		return err
	}
	// While its database is away Hydra answers 200 to whatever comes.
	if s.ready(ctx) == notReady {
		return &Error{Kind: ErrUnavailable, Detail: "Hydra is not ready, which makes it say yes and do nothing; revoke the token again later"}
	}
	return nil
}

// drop makes the next call buy another token, if this is the one at hand.
func (s *Source) drop(accessToken string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil && s.held.token.AccessToken == accessToken {
		s.held = nil
	}
}

func (s *Source) askToRevoke(ctx context.Context, address, accessToken string) error {
	cfg := clientcredentials.Config{ClientID: s.config.ClientID, EndpointParams: url.Values{"token": {accessToken}}}
	since := s.now()
	if err := s.config.Credential.apply(&cfg, s.config.AssertionAudience, since); err != nil {
		return &Error{Kind: ErrSign, Detail: "the private key did not sign", Cause: err}
	}
	form := cfg.EndpointParams
	if cfg.AuthStyle == oauth2.AuthStyleInParams {
		form.Set("client_id", cfg.ClientID)
	}
	if cfg.AuthStyle == oauth2.AuthStyleInParams && cfg.ClientSecret != "" {
		form.Set("client_secret", cfg.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return &Error{Kind: ErrAnswer, Detail: "this is no address"}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cfg.AuthStyle == oauth2.AuthStyleInHeader {
		req.SetBasicAuth(url.QueryEscape(cfg.ClientID), url.QueryEscape(cfg.ClientSecret))
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return s.explain(err, &cfg, since)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return s.notRevoked(ctx, resp, &cfg, since)
}

// notRevoked says what another answer than 200 means.
func (s *Source) notRevoked(ctx context.Context, resp *http.Response, cfg *clientcredentials.Config, since time.Time) error {
	var said struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if body, err := io.ReadAll(resp.Body); err == nil { // which is short: see guard
		_ = json.Unmarshal(body, &said)
	}
	e := s.explain(&oauth2.RetrieveError{Response: resp, ErrorCode: said.Code, ErrorDescription: said.Description}, cfg, since)
	if e.Kind == ErrCredential && s.ready(ctx) == notReady {
		return &Error{Kind: ErrUnavailable, Detail: "Hydra is not ready, which makes it refuse every credential; the key may be good", Status: e.Status, Code: e.Code}
	}
	return e
}
