package handlers

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tokenos/tokenos/apikey"
)

const (
	formType      = "application/x-www-form-urlencoded"
	maxForm       = 16 << 10                                                 // bytes; an assertion has at most 8 KiB, of characters that need no encoding
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
)

// selfForm are the parameters of a credential in a body (RFC 6749 section 2.3.1,
// RFC 7523 section 2.2).
type selfForm struct {
	ClientID            string `json:"client_id,omitempty"`
	ClientSecret        string `json:"client_secret,omitempty"`
	ClientAssertionType string `json:"client_assertion_type,omitempty" enum:"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"`
	ClientAssertion     string `json:"client_assertion,omitempty" doc:"meant for Hydra's token endpoint, at most 8 KiB"`
}

type selfRevokeForm struct {
	ClientID            string                  `json:"client_id,omitempty"`
	ClientSecret        string                  `json:"client_secret,omitempty"`
	ClientAssertionType string                  `json:"client_assertion_type,omitempty" enum:"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"`
	ClientAssertion     string                  `json:"client_assertion,omitempty" doc:"meant for Hydra's token endpoint, at most 8 KiB"`
	Reason              apikey.RevocationReason `json:"reason,omitempty" enum:"key_compromise,superseded,cessation_of_operation,privilege_withdrawn,unspecified" doc:"default unspecified"`
}

// presentedBy reads what a holder shows: a bearer token, Basic, or parameters of
// the body. Two at once are malformed: one of them would go unchecked.
func presentedBy(r *http.Request) (presented, error) {
	form, err := formOf(r)
	if err != nil {
		return presented{}, err
	}
	p := presented{reason: apikey.RevocationReason(form["reason"])}
	inBody, err := credentialIn(form)
	if err != nil {
		return p, err
	}
	sent := r.Header.Values("Authorization")
	switch {
	case len(sent) == 0 && inBody == (apikey.Credential{}):
		return p, &apikey.Error{Kind: apikey.ErrUnauthenticated, Detail: "the request carries no credential; send a token of the key, its id and secret, or a client assertion"}
	case len(sent) == 0:
		p.credential.Own = inBody
		return p, nil
	case inBody != (apikey.Credential{}):
		return p, &malformed{detail: "send one credential: the Authorization header or parameters of the body"}
	case len(sent) == 1 && isBasic(sent[0]):
		p.credential.Own, err = basicOf(sent[0])
		return p, err
	}
	token, err := tokenOf(r)
	p.credential.Token = apikey.NewSecret(token)
	return p, err
}

// formOf reads the body, each parameter at most once, none unknown and none empty.
func formOf(r *http.Request) (map[string]string, error) {
	if r.Method != http.MethodPost {
		return nil, nil
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1)) // from memory: readBody has read it
	if err != nil {
		return nil, unread(err)
	}
	if len(raw) > maxForm {
		return nil, apikey.ErrTooLarge
	}
	values, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, &malformed{detail: "the form cannot be read"}
	}
	known := []string{"client_id", "client_secret", "client_assertion_type", "client_assertion"}
	if r.URL.Path == selfRevokePath {
		known = append(known, "reason")
	}
	form := map[string]string{}
	for name, list := range values {
		if !slices.Contains(known, name) {
			return nil, &malformed{detail: "the form has parameters that do not belong there"}
		}
		if len(list) != 1 || list[0] == "" || !utf8.ValidString(list[0]) {
			return nil, &malformed{detail: "each parameter of the form has one value, in UTF-8"}
		}
		form[name] = list[0]
	}
	return form, nil
}

// credentialIn is the credential in a form, zero if there is none.
func credentialIn(form map[string]string) (apikey.Credential, error) {
	id, secret, kind, assertion := form["client_id"], form["client_secret"], form["client_assertion_type"], form["client_assertion"]
	c := apikey.Credential{ID: id}
	switch {
	case secret != "" && assertion+kind != "":
		return c, &malformed{detail: "send one credential: client_secret or client_assertion"}
	case secret != "" && id != "":
		c.Method, c.Secret = apikey.ClientSecretPost, apikey.NewSecret(secret)
	case assertion != "" && kind == assertionType:
		c.Method, c.Assertion = apikey.PrivateKeyJWT, apikey.NewSecret(assertion)
	case id+secret+kind+assertion != "":
		return c, &malformed{detail: "a credential is client_id with client_secret, or client_assertion with client_assertion_type " + assertionType}
	}
	return c, nil
}

func isBasic(header string) bool {
	return len(header) >= 6 && strings.EqualFold(header[:6], "basic ")
}

// basicOf reads id and secret, which RFC 6749 section 2.3.1 wants form-encoded.
func basicOf(header string) (apikey.Credential, error) {
	unreadable := &apikey.Error{Kind: apikey.ErrUnauthenticated, Detail: "the Authorization header holds no id and secret, each form-encoded (RFC 6749 section 2.3.1)"}
	if len(header) > maxToken {
		return apikey.Credential{}, unreadable
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimLeft(header[6:], " "))
	if err != nil {
		return apikey.Credential{}, unreadable
	}
	first, second, found := strings.Cut(string(raw), ":")
	id, err := url.QueryUnescape(first)
	if err != nil || !found {
		return apikey.Credential{}, unreadable
	}
	secret, err := url.QueryUnescape(second)
	if err != nil || secret == "" {
		return apikey.Credential{}, unreadable
	}
	return apikey.Credential{Method: apikey.ClientSecretBasic, ID: id, Secret: apikey.NewSecret(secret)}, nil
}
