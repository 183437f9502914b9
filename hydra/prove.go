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

const (
	maxSecret    = 1024    // bytes; ours have 53, Hydra's own 26
	maxAssertion = 8 << 10 // bytes; one signed with RSA-4096 has about 1000
	madeUp       = "proof" // a refresh token that nobody has
	saysOtherUse = "unauthorized_client"
	saysNo       = "invalid_client"
	saysReplayed = "jti_known"
	saysBadForm  = "invalid_request"
	// saysNothing is all that Hydra says of an unknown client, of a wrong secret,
	// and of every credential while its database is away. When it has read the
	// client and refuses something else, a hint follows.
	saysNothing = "Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method)."

	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
)

// verdict is what Hydra makes of a credential.
type verdict int

const (
	right    verdict = iota
	wrong            // Hydra knows the client, and why not
	refused          // no reason given
	replayed         // the assertion's jti is known
)

// Prove implements [apikey.Clients]. It asks the token endpoint for a grant that
// our clients never have: Hydra looks at the credential first, issues nothing
// and calls no hook, and says unauthorized_client only to a client that has
// proved itself, whether or not it may buy tokens. The revocation endpoint will
// not do: it answers 200 to every credential while the database is away, and to
// expired and replayed assertions always.
//
// While its database is away Hydra says no to right credentials, so a no counts
// only if a readiness probe begun after it says yes, and Hydra, unless it named
// a reason, then says no again.
func (h *Hydra) Prove(ctx context.Context, c apikey.Credential) error {
	if h.token == "" {
		return failure(&call{operation: "prove", id: c.ID}, apikey.ErrUnavailable, errors.New("no public url is configured"))
	}
	if !presentable(c) {
		return disproved("it cannot be one of hydra's credentials")
	}
	first, err := h.present(ctx, c)
	if err != nil || first == right {
		return err
	}
	if notReady := h.probeAfter(ctx, h.probesBegun()); notReady != nil {
		return notReady
	}
	if first == wrong {
		return disproved("hydra names a reason")
	}
	second, err := h.present(ctx, c)
	switch {
	case err != nil || second == right:
		return err
	case second == replayed && first != replayed:
		// The first question may have used up the assertion without reading the
		// client.
		return failure(&call{operation: "prove", id: c.ID}, apikey.ErrUnavailable, errors.New("the assertion was used up by a question without an answer"))
	}
	return disproved("hydra says no twice")
}

// presentable reports whether a question to Hydra makes sense.
func presentable(c apikey.Credential) bool {
	switch c.Method {
	case apikey.ClientSecretBasic, apikey.ClientSecretPost:
		n := len(c.Secret.Reveal())
		return apikey.ValidID(c.ID) && n > 0 && n <= maxSecret
	case apikey.PrivateKeyJWT:
		n := len(c.Assertion.Reveal())
		return apikey.ValidID(c.ID) && n > 0 && n <= maxAssertion
	}
	return false
}

func disproved(why string) error {
	return &apikey.Error{Kind: apikey.ErrUnauthenticated, Cause: errors.New("hydra: prove: " + why)}
}

// present asks once. An assertion is not sent again by itself: the one whose
// answer was lost may have used it up. The error is [apikey.ErrUnavailable],
// for everything that is neither yes nor no.
func (h *Hydra) present(ctx context.Context, c apikey.Credential) (verdict, error) {
	k := &call{operation: "prove", id: c.ID, manner: lookup, secret: c.Secret}
	if c.Method == apikey.PrivateKeyJWT {
		k.manner, k.secret = lookupOnce, c.Assertion
	}
	var v verdict
	err := h.exchange(ctx, k, func(ctx context.Context) (*http.Response, error) {
		req, err := h.proof(ctx, c)
		if err != nil {
			return nil, err
		}
		resp, err := h.public.Do(req)
		if err == nil {
			v, err = judge(c, resp)
		}
		return resp, err
	})
	if err != nil && !errors.Is(err, apikey.ErrUnavailable) {
		err = &apikey.Error{Kind: apikey.ErrUnavailable, RetryAfter: retryIn, Cause: err}
	}
	return v, err
}

// proof is the request: the credential as its method has it (RFC 6749 section
// 2.3.1, RFC 7523 section 2.2).
func (h *Hydra) proof(ctx context.Context, c apikey.Credential) (*http.Request, error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {madeUp}}
	switch c.Method {
	case apikey.ClientSecretPost:
		form.Set("client_id", c.ID)
		form.Set("client_secret", c.Secret.Reveal())
	case apikey.PrivateKeyJWT:
		form.Set("client_id", c.ID)
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", c.Assertion.Reveal())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.token, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	if c.Method == apikey.ClientSecretBasic {
		req.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret.Reveal()))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	return req, nil
}

// judge reads the answer. Only Hydra's own words are a yes or a no; an assertion
// is also refused with 400.
func judge(c apikey.Credential, resp *http.Response) (verdict, error) {
	said, byAssertion := answerOf(resp), c.Method == apikey.PrivateKeyJWT
	switch {
	case resp.StatusCode == http.StatusBadRequest && said.Error == saysOtherUse:
		return right, nil
	case resp.StatusCode == http.StatusUnauthorized && said.Error == saysNo && strings.HasPrefix(said.Description, saysNothing+" "):
		return wrong, nil
	case resp.StatusCode == http.StatusUnauthorized && said.Error == saysNo:
		return refused, nil
	case resp.StatusCode == http.StatusBadRequest && said.Error == saysBadForm && byAssertion:
		return wrong, nil
	case resp.StatusCode == http.StatusBadRequest && said.Error == saysReplayed && byAssertion:
		return replayed, nil
	case resp.StatusCode < 300:
		return refused, &strange{"hydra refuses this grant"}
	}
	return refused, fmt.Errorf("answer %d", resp.StatusCode)
}
