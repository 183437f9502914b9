package handlers

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/apikey"
)

const (
	selfPath       = "/v1/self"
	selfRevokePath = "/v1/self/revoke"
)

// selfRoutes are for the holder of a key, who shows a token of it or its own
// credential instead of a management key's token.
func (s *server) selfRoutes(api huma.API) {
	addSelf(api, route{at: "GET " + selfPath, id: "get-self", summary: "Read the state of the key that is presented"}, s.self)
	addSelf(api, route{at: "POST " + selfPath, id: "post-self", summary: "The same, for a credential that fits a body only", body: reflect.TypeFor[selfForm]()}, s.self)
	addSelf(api, route{at: "POST " + selfRevokePath, id: "revoke-self", summary: "End the key that is presented, for good", errors: []int{422}, body: reflect.TypeFor[selfRevokeForm]()}, s.revokeSelf)
}

// addSelf registers a route of [server.selfRoutes].
func addSelf[I, O any](api huma.API, r route, handle func(context.Context, *I) (*O, error)) {
	op := operationOf(r)
	op.Errors = append(op.Errors, http.StatusUnauthorized)
	op.Security = []map[string][]string{{"holderBearer": {}}, {"holderBasic": {}}}
	if r.body != nil {
		op.Security = append(op.Security, map[string][]string{}) // or the body
	}
	huma.Register(api, op, handle)
	if r.body != nil {
		schema := api.OpenAPI().Components.Schemas.Schema(r.body, true, r.id)
		op.RequestBody.Content = map[string]*huma.MediaType{formType: {Schema: schema}}
	}
}

// describeHolder fills in how holders authenticate.
func describeHolder(schemes map[string]*huma.SecurityScheme) {
	schemes["holderBearer"] = &huma.SecurityScheme{Type: "http", Scheme: "bearer", Description: "an access token of the key, for any audience"}
	schemes["holderBasic"] = &huma.SecurityScheme{Type: "http", Scheme: "basic", Description: "the key's id and secret, each form-encoded (RFC 6749 section 2.3.1), whichever of the two methods with a secret the key is registered with"}
}

// holderPath reports whether a path is of [server.selfRoutes].
func (s *server) holderPath(path string) bool {
	return s.Holder != nil && (path == selfPath || path == selfRevokePath)
}

// presented is what a holder sent.
type presented struct {
	credential apikey.HolderCredential
	reason     apikey.RevocationReason
}

type presentedKey struct{}

func presentedIn(ctx context.Context) presented {
	p, _ := ctx.Value(presentedKey{}).(presented)
	return p
}

// readCredential takes a holder's credential from the request. Nothing of it is
// checked yet: the routes ask apikey.
func (s *server) readCredential(c *gin.Context) {
	r := c.Request
	if !s.holderPath(r.URL.Path) {
		return
	}
	p, err := presentedBy(r)
	if err == nil {
		err = s.admit(r.Context(), p.credential)
	}
	if err != nil {
		fail(c, rejected(p, err))
		return
	}
	x := exchangeFrom(r.Context())
	from := apikey.Caller{Address: x.address, RequestID: x.id, UserAgent: printable(r.UserAgent(), 200)}
	c.Request = r.WithContext(context.WithValue(apikey.WithCaller(r.Context(), from), presentedKey{}, p))
}

// admit decides, before anybody is asked about it, whether a credential is
// looked at: by whose it claims to be ("" for a token) and, in the exchange,
// where it comes from.
func (s *server) admit(ctx context.Context, c apikey.HolderCredential) error {
	id, err := c.KeyID()
	if !c.Token.IsZero() { // limited by its address alone: it does not say whose it is
		return err
	}
	if limited := s.limitSelf(ctx, id); limited != nil {
		return limited
	}
	return err
}

type selfOutput struct{ Body apikey.Self }

func (s *server) self(ctx context.Context, _ *struct{}) (*selfOutput, error) {
	p := presentedIn(ctx)
	out, err := s.Holder.Self(ctx, p.credential)
	if err != nil {
		return nil, rejected(p, err)
	}
	exchangeFrom(ctx).principal = "key:" + out.RootID
	return &selfOutput{out}, nil
}

// revokedSelf tells nothing of the key: who found a secret needs to know only
// that it is over.
type revokedSelf struct {
	Status apikey.Status `json:"status" enum:"revoked"`
}

type revokedSelfOutput struct{ Body revokedSelf }

// revokeSelf answers the same whether or not Hydra has followed already.
func (s *server) revokeSelf(ctx context.Context, _ *struct{}) (*revokedSelfOutput, error) {
	p := presentedIn(ctx)
	if err := s.Holder.RevokeSelf(ctx, p.credential, apikey.RevokeSelfParams{Reason: p.reason}); err != nil {
		return nil, rejected(p, err)
	}
	return &revokedSelfOutput{revokedSelf{apikey.StatusRevoked}}, nil
}

// rejected marks the refusal of a token, which RFC 6750 section 3.1 wants told
// apart. No answer ever asks for Basic: a browser would then ask people for a
// secret, and send it along with what any page asks of us.
func rejected(p presented, err error) error {
	if errors.Is(err, apikey.ErrUnauthenticated) && !p.credential.Token.IsZero() {
		return &rejectedToken{err}
	}
	return err
}
