package client

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/tokenos/tokenos/apikey"
)

const selfPath = "/v1/self"

var _ apikey.Holder = (*Client)(nil)

// Self implements [apikey.Holder]. A credential that is sent in a body is sent
// once if it is an assertion, which Hydra takes only once.
func (c *Client) Self(ctx context.Context, h apikey.HolderCredential) (apikey.Self, error) {
	what, err := presenting(h)
	if err != nil {
		return apikey.Self{}, err
	}
	what.method, what.path = http.MethodGet, selfPath
	if what.form != nil {
		what.method, what.read, what.once = http.MethodPost, true, !h.Own.Assertion.IsZero()
	}
	var out apikey.Self
	err = c.do(ctx, what, &out)
	return out, err
}

// RevokeSelf implements [apikey.Holder]. It is made once: after a lost answer
// the key may have ended, and the credential with it.
func (c *Client) RevokeSelf(ctx context.Context, h apikey.HolderCredential, p apikey.RevokeSelfParams) error {
	what, err := presenting(h)
	if err != nil {
		return err
	}
	what.method, what.path, what.once = http.MethodPost, selfPath+"/revoke", true
	if p.Reason != "" {
		if what.form == nil {
			what.form = url.Values{}
		}
		what.form.Set("reason", string(p.Reason))
	}
	return c.do(ctx, what, nil)
}

// presenting is a call that shows a holder's credential instead of the client's
// token. What no key can have is not sent.
func presenting(h apikey.HolderCredential) (call, error) {
	if _, err := h.KeyID(); err != nil {
		return call{}, err
	}
	what, own := call{own: true}, h.Own
	switch {
	case !h.Token.IsZero():
		what.header = map[string]string{"Authorization": "Bearer " + h.Token.Reveal()}
	case own.Method == apikey.PrivateKeyJWT:
		what.form = url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {own.Assertion.Reveal()}}
	case own.Method == apikey.ClientSecretPost:
		what.form = url.Values{"client_id": {own.ID}, "client_secret": {own.Secret.Reveal()}}
	default:
		pair := url.QueryEscape(own.ID) + ":" + url.QueryEscape(own.Secret.Reveal()) // RFC 6749 section 2.3.1
		what.header = map[string]string{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}
	}
	return what, nil
}
