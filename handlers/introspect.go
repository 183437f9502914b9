package handlers

import (
	"context"
	"net/url"
	"reflect"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tokenos/tokenos/apikey"
)

const introspectPath = "/v1/introspect"

// introspectForm are the parameters of RFC 7662 section 2.1.
type introspectForm struct {
	Token string `json:"token" doc:"an access token, at most 4096 characters; anything else is not active"`
	Hint  string `json:"token_type_hint,omitempty" doc:"not heeded: there are only access tokens"`
}

type introspectOutput struct{ Body apikey.Introspection }

// introspectRoute is for APIs that are shown a token.
func (s *server) introspectRoute(api huma.API) {
	op := operationOf(route{at: "POST " + introspectPath, id: "introspect", summary: "Is a token active, and what may it do (RFC 7662)", right: apikey.TokensIntrospect, body: reflect.TypeFor[introspectForm]()})
	huma.Register(api, op, s.introspect)
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[introspectForm](), true, op.OperationID)
	op.RequestBody.Required = true
	op.RequestBody.Content = map[string]*huma.MediaType{formType: {Schema: schema}}
}

func (s *server) introspect(ctx context.Context, in *struct{ RawBody []byte }) (*introspectOutput, error) {
	token, err := introspected(in.RawBody)
	if err != nil {
		return nil, err
	}
	out, err := s.Introspector.Introspect(ctx, token)
	if err != nil {
		return nil, err
	}
	return &introspectOutput{out}, nil
}

// introspected reads the form. A parameter that is not heeded is refused: some
// servers take a scope here and answer for it alone, and who sends one must not
// believe that it was looked at.
func introspected(raw []byte) (apikey.Secret, error) {
	var none apikey.Secret
	if len(raw) > maxForm {
		return none, apikey.ErrTooLarge
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return none, &malformed{detail: "the form cannot be read"}
	}
	for name, values := range form {
		if name != "token" && name != "token_type_hint" {
			return none, &malformed{detail: "the form has parameters that do not belong there"}
		}
		if len(values) != 1 || !utf8.ValidString(values[0]) {
			return none, &malformed{detail: "each parameter of the form has one value, in UTF-8"}
		}
	}
	if form.Get("token") == "" {
		return none, &malformed{detail: "send the token in the form, as token (RFC 7662 section 2.1)"}
	}
	return apikey.NewSecret(form.Get("token")), nil
}
