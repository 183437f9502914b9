package hydra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenos/tokenos/apikey"
)

var _ apikey.Issuer = (*Hydra)(nil)

const (
	saysDenied = "access_denied"
	// saysHook begins what Hydra says of a hook that does not answer well, with
	// 500; other failures of the token endpoint have other words.
	saysHookAnswered = "The token hook target responded with an error."
	saysHookFailed   = "An error occurred while executing the token hook."
)

// errNoWord: an answer of the token endpoint that says nothing of its hook.
var errNoWord = errors.New("hydra says nothing of its hook")

// Try implements [apikey.Issuer]. The hook is asked before Hydra looks at the
// client's grants, and its 403 is the one answer that only it can cause.
func (h *Hydra) Try(ctx context.Context, c apikey.Credential, scope string) (apikey.HookAnswer, error) {
	k := &call{operation: "try the hook", id: c.ID, manner: probe, secret: c.Secret}
	if h.token == "" {
		return apikey.HookUnknown, failure(k, apikey.ErrUnavailable, errors.New("no public url is configured"))
	}
	var out apikey.HookAnswer
	var unknown bool // a client or a secret, says Hydra
	err := h.exchange(ctx, k, func(ctx context.Context) (*http.Response, error) {
		req, err := h.purchase(ctx, c, scope)
		if err != nil {
			return nil, err
		}
		resp, err := h.public.Do(req)
		if err == nil {
			out, unknown, err = hookSeen(resp)
		}
		return resp, err
	})
	switch {
	case err != nil && !errors.Is(err, apikey.ErrUnavailable):
		return apikey.HookUnknown, &apikey.Error{Kind: apikey.ErrUnavailable, RetryAfter: retryIn, Cause: err}
	case err != nil || !unknown:
		return out, err
	}
	// While its database is away Hydra says so of every client.
	if notReady := h.probeAfter(ctx, h.probesBegun()); notReady != nil {
		return apikey.HookUnknown, notReady
	}
	return apikey.HookUnknown, disproved("hydra does not know the client, or not this secret")
}

// purchase is a request for a token (RFC 6749 section 4.4.2).
func (h *Hydra) purchase(ctx context.Context, c apikey.Credential, scope string) (*http.Request, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if scope != "" {
		form.Set("scope", scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.token, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret.Reveal()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	return req, nil
}

// hookSeen reads what Hydra's answer says of its hook.
func hookSeen(resp *http.Response) (a apikey.HookAnswer, unknown bool, err error) {
	said := answerOf(resp)
	switch {
	case resp.StatusCode == http.StatusForbidden && said.Error == saysDenied:
		return apikey.HookRefuses, false, nil
	case resp.StatusCode == http.StatusBadRequest && said.Error == saysOtherUse:
		return apikey.HookNotAsked, false, nil
	case resp.StatusCode == http.StatusInternalServerError && (strings.HasPrefix(said.Description, saysHookAnswered) || strings.HasPrefix(said.Description, saysHookFailed)):
		return apikey.HookFails, false, nil
	case resp.StatusCode == http.StatusUnauthorized && said.Error == saysNo:
		return apikey.HookUnknown, true, nil
	case resp.StatusCode == http.StatusOK:
		return apikey.HookIssues, false, nil
	}
	return apikey.HookUnknown, false, fmt.Errorf("answer %d: %w", resp.StatusCode, errNoWord)
}
