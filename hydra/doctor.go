package hydra

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

const healthAlive = "/health/alive"

// CheckTokenEndpoint fails unless Hydra answers where keys buy tokens, and may be
// believed over the connection (TLS). It shows a client that nobody has, which
// only Hydra refuses in Hydra's words. The error is [apikey.ErrUnavailable].
func (h *Hydra) CheckTokenEndpoint(ctx context.Context) error {
	_, err := h.present(ctx, apikey.Credential{Method: apikey.ClientSecretBasic, ID: "probe_" + rand.Text(), Secret: apikey.GenerateSecret()})
	return err
}

// Clock is what Hydra's clock says, in whole seconds: the Date of an answer of its
// admin API (RFC 9110 section 6.6.1), which no proxy of the public side has
// touched.
func (h *Hydra) Clock(ctx context.Context) (time.Time, error) {
	var at time.Time
	err := h.exchange(ctx, &call{operation: "read clock", manner: probe}, func(ctx context.Context) (*http.Response, error) {
		resp, err := h.raw(ctx, http.MethodGet, healthAlive, nil)
		if err != nil {
			return resp, err
		}
		if at, err = http.ParseTime(resp.Header.Get("Date")); err != nil {
			return resp, &strange{"it has no date"}
		}
		return resp, nil
	})
	return at.UTC(), err
}

// Discovery is what Hydra tells its clients about itself (OpenID Connect
// Discovery 1.0 section 3).
type Discovery struct {
	Issuer        string `json:"issuer"`
	TokenEndpoint string `json:"token_endpoint"`
	// Registration is where clients may register themselves. Hydra names an
	// address only if one is configured.
	Registration string `json:"registration_endpoint"`
}

// maxAddress bounds what is read of an address.
const maxAddress = maxWords // bytes: more is cut short where it is shown

// Discover reads the public API's discovery document. The error is
// [apikey.ErrUnavailable].
func (h *Hydra) Discover(ctx context.Context) (Discovery, error) {
	var said Discovery
	err := h.askPublic(ctx, "read discovery", http.MethodGet, "/.well-known/openid-configuration", "", func(resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		if body, err := bodyOf(resp); err != nil || json.Unmarshal(body, &said) != nil || said.Issuer == "" || said.TokenEndpoint == "" {
			return &strange{"it names no issuer or no token endpoint"}
		}
		if len(said.Issuer) > maxAddress || len(said.TokenEndpoint) > maxAddress || len(said.Registration) > maxAddress {
			return &strange{"it names an address that is too long"}
		}
		for _, address := range []string{said.Issuer, said.TokenEndpoint, said.Registration} {
			if plain(address) != address {
				return &strange{"it names an address with characters that are none of an address"}
			}
		}
		return nil
	})
	if err != nil {
		return Discovery{}, err // not what was refused
	}
	return said, nil
}

// AdminIsPublic reports whether the admin API answers where the public API is: it
// asks for a client that nobody has, which only the admin API cannot locate. The
// error is [apikey.ErrUnavailable].
func (h *Hydra) AdminIsPublic(ctx context.Context) (public bool, err error) {
	err = h.askPublic(ctx, "look for the admin api", http.MethodGet, "/admin/clients/probe_"+rand.Text(), "", func(resp *http.Response) error {
		public = resp.StatusCode == http.StatusNotFound && answerOf(resp).Error == saysUnknown || resp.StatusCode == http.StatusOK
		if resp.StatusCode >= http.StatusInternalServerError {
			return errors.New(resp.Status)
		}
		return nil
	})
	return public, err
}

// RegistrationIsOpen reports whether anybody may make a client of their own
// (RFC 7591). What it sends is not JSON, so no client comes of it: where the way
// is closed, it is refused before that is seen. The error is
// [apikey.ErrUnavailable].
func (h *Hydra) RegistrationIsOpen(ctx context.Context) (open bool, err error) {
	err = h.askPublic(ctx, "look for registration", http.MethodPost, "/oauth2/register", "[", func(resp *http.Response) error {
		switch resp.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
			return nil
		case http.StatusBadRequest:
			if answerOf(resp).Error != "" { // Hydra has read it
				open = true
				return nil
			}
		}
		return errors.New(resp.Status)
	})
	return open, err
}

// askPublic sends one request to the public API, without a credential. Every
// error is [apikey.ErrUnavailable].
func (h *Hydra) askPublic(ctx context.Context, operation, method, path, body string, read func(*http.Response) error) error {
	k := &call{operation: operation, manner: probe}
	if h.token == "" {
		return failure(k, apikey.ErrUnavailable, errors.New("no public url is configured"))
	}
	err := h.exchange(ctx, k, func(ctx context.Context) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(h.token, tokenPath)+path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", "application/json")
		req.Header.Set("User-Agent", userAgent)
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := h.public.Do(req)
		if err == nil {
			err = read(resp)
		}
		return resp, err
	})
	return onlyUnavailable(err)
}

// onlyUnavailable makes every error [apikey.ErrUnavailable].
func onlyUnavailable(err error) error {
	if err == nil || errors.Is(err, apikey.ErrUnavailable) {
		return err
	}
	return &apikey.Error{Kind: apikey.ErrUnavailable, RetryAfter: retryIn, Cause: err}
}

// The scopes of the client that probes have, and one that the second grants if
// Hydra heeds the star. Hydra looks at the scope asked for before it looks at the
// client's grants or asks its hook.
const (
	probeScope    = "tokenos.doctor"
	probeWildcard = "tokenos.any.*"
	probeChild    = "tokenos.any.child"
)

// ScopesAreExact reports whether Hydra compares scopes character by character
// (strategies.scope: exact): by default a client with "a.*" is granted "a.b". It
// asks for a client of its own, which may buy nothing, and which it removes. The
// error is [apikey.ErrUnavailable].
func (h *Hydra) ScopesAreExact(ctx context.Context) (exact bool, err error) {
	err = h.withProbe(ctx, func(ctx context.Context, c apikey.Credential) error {
		granted, err := h.grants(ctx, c, probeChild)
		exact = !granted
		return err
	})
	return exact && err == nil, err
}

const saysScope = "invalid_scope"

// grants reports whether the client might have a token with the scope, if it
// might have one at all.
func (h *Hydra) grants(ctx context.Context, c apikey.Credential, scope string) (granted bool, err error) {
	k := &call{operation: "try a scope", id: c.ID, manner: probe, secret: c.Secret}
	err = h.exchange(ctx, k, func(ctx context.Context) (*http.Response, error) {
		req, err := h.purchase(ctx, c, scope)
		if err != nil {
			return nil, err
		}
		resp, err := h.public.Do(req)
		if err != nil {
			return resp, err
		}
		said := answerOf(resp)
		hook, unknown, strangeAnswer := hookSeen(resp)
		switch {
		case resp.StatusCode == http.StatusBadRequest && said.Error == saysScope:
			return resp, nil
		case unknown || strangeAnswer != nil || hook == apikey.HookUnknown:
			return resp, fmt.Errorf("answer %d says nothing of the scope", resp.StatusCode)
		}
		granted = true
		return resp, nil
	})
	return granted, onlyUnavailable(err)
}

// hashTries bounds how often [Hydra.HashTime] asks.
const hashTries = 10

// HashTime is how long Hydra takes to compare a secret with what it keeps of it:
// it asks about a client of its own, which it removes, and about one that nobody
// has, in turn, and subtracts the quickest of each. It stops as soon as that is
// below enough. The error is [apikey.ErrUnavailable].
func (h *Hydra) HashTime(ctx context.Context, enough time.Duration) (time.Duration, error) {
	var took time.Duration
	err := h.withProbe(ctx, func(ctx context.Context, c apikey.Credential) error {
		nobody := c
		nobody.ID += "x"
		var quickest [2]time.Duration
		for range hashTries {
			for i, who := range []apikey.Credential{c, nobody} {
				start := time.Now()
				v, err := h.present(ctx, who)
				since := time.Since(start)
				if err != nil {
					return err
				}
				if (v == right) != (i == 0) {
					return failure(&call{operation: "time a secret"}, apikey.ErrUnavailable, errors.New("hydra takes the probe for somebody else"))
				}
				if quickest[i] == 0 || since < quickest[i] {
					quickest[i] = since
				}
			}
			if took = max(0, quickest[0]-quickest[1]); took < enough {
				return nil
			}
		}
		return nil
	})
	return took, err
}

// withProbe makes a client that may buy nothing, lends its credential, and
// removes it, also if the caller has left.
func (h *Hydra) withProbe(ctx context.Context, use func(context.Context, apikey.Credential) error) (err error) {
	if h.token == "" {
		return failure(&call{operation: "probe"}, apikey.ErrUnavailable, errors.New("no public url is configured"))
	}
	id := "tokenos_doctor_" + strings.ToLower(rand.Text())
	c := apikey.Credential{Method: apikey.ClientSecretBasic, ID: id, Secret: apikey.GenerateSecret()}
	at := h.config.Now().UTC().Truncate(time.Second)
	w := apikey.ClientWrite{Op: "doctor", Ledger: "doctor", Secret: c.Secret, Definition: apikey.Definition{ID: id, RootID: id, Kind: apikey.KindManagement, Name: "tokenos doctor", Owner: apikey.ManagementAudience,
		Description: "disabled, and removed after a moment; tries what hydra does", AuthMethod: c.Method, Scopes: []string{probeScope, probeWildcard}, Environment: apikey.Test,
		Token: apikey.TokenSettings{Format: apikey.Opaque, Lifetime: apikey.Duration(time.Minute)}, CreatedAt: at, CreatedBy: "system:doctor", UpdatedAt: at, Revision: 1}}
	defer func() {
		// Whatever came of the making: it may have been done without an answer.
		err = onlyUnavailable(errors.Join(err, h.Delete(context.WithoutCancel(ctx), id)))
	}()
	if err := h.Create(ctx, w); err != nil {
		return err
	}
	return use(ctx, c)
}
