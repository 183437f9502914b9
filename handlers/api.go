package handlers

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"github.com/tokenos/tokenos/apikey"
)

// setGlobals sets what Gin and huma keep in package variables. It is done here
// and nowhere else, once and before the first route, because both read them
// without a lock. Nothing set depends on a Config.
var setGlobals = sync.OnceFunc(func() {
	gin.SetMode(gin.ReleaseMode) // debug mode prints routes, and requests on a panic
	huma.DefaultArrayNullable = false
	// decode reads bodies, not huma; this is for a route that forgets to use it.
	huma.ValidateStrictCasing = true
	huma.NewError = func(int, string, ...error) huma.StatusError { return newProblem(apikey.ErrInternal) }
	huma.NewErrorWithContext = humaProblem
})

// humaProblem is how huma's own failures, and those that handlers return, come
// to be problems. It drops huma's words and values.
func humaProblem(ctx huma.Context, status int, _ string, errs ...error) huma.StatusError {
	err := explain(status, errs)
	x := exchangeFrom(ctx.Context())
	x.err = err
	p := problemFor(err, x.id)
	p.headers(err, ctx.SetHeader)
	return p
}

// explain finds the error behind a failure in huma: what a handler returned,
// or parameters that do not parse.
func explain(status int, errs []error) error {
	invalid := &apikey.InvalidError{}
	for _, err := range errs {
		d, ok := errors.AsType[*huma.ErrorDetail](err)
		if !ok {
			return err
		}
		if name, ok := strings.CutPrefix(d.Location, "query."); ok {
			invalid.Fields = append(invalid.Fields, apikey.FieldError{Pointer: "?" + name, Code: "invalid", Detail: expected(d.Message)})
		}
	}
	switch {
	case len(invalid.Fields) > 0:
		return invalid
	case status == http.StatusBadRequest && len(errs) == 0:
		return errNoBody // the one case in which huma says 400 by itself
	case status < http.StatusInternalServerError:
		return &malformed{detail: "the request cannot be read"}
	}
	return errUnexplained
}

var errUnexplained = errors.New("unexplained failure in huma")

// expected turns huma's messages about parameters into ours. They never hold
// the value.
func expected(message string) string {
	switch {
	case strings.Contains(message, "integer"):
		return "must be a whole number"
	case strings.Contains(message, "boolean"):
		return "must be true or false"
	case strings.Contains(message, "date/time"):
		return "must be a time such as 2027-01-31T12:00:00Z (RFC 3339)"
	case strings.HasPrefix(message, "expected number"):
		return "is out of bounds: " + message
	}
	return "is not valid"
}

// newHuma puts an API on the engine that answers nothing but what is
// registered: no docs page (it loads from elsewhere), no schema links.
func newHuma(e *gin.Engine, c Config) huma.API {
	cfg := huma.DefaultConfig("TokenOS keys", c.Version)
	cfg.CreateHooks = nil
	cfg.DocsPath, cfg.SchemasPath, cfg.OpenAPIPath = "", "", ""
	format := huma.Format{
		Marshal:   func(w io.Writer, v any) error { return json.MarshalWrite(w, v) },
		Unmarshal: func(b []byte, v any) error { return json.Unmarshal(b, v, json.RejectUnknownMembers(true)) },
	}
	// "json" is what huma looks up for application/problem+json.
	cfg.Formats = map[string]huma.Format{"application/json": format, "json": format}
	describe(cfg.OpenAPI, c)
	api := humagin.New(e, cfg)
	api.UseMiddleware(checkRequest)
	return api
}

// route is one line of routes.go: method and path, the operation's id, what it
// does in a line, and the errors beside those that every route has.
type route struct {
	at      string
	id      string
	summary string
	right   apikey.Right // "" for open routes
	status  int          // of success; zero: 200
	errors  []int
	body    reflect.Type // what the body holds; nil: no body
	needed  bool         // the body may not be empty
	patch   bool         // the body is a merge patch
	also    int          // another status of success; zero: none
}

// add registers a handler for a route.
func add[I, O any](s *server, api huma.API, r route, handle func(context.Context, *I) (*O, error)) {
	op := operationOf(r)
	huma.Register(api, op, handle)
	switch r.also {
	case http.StatusAccepted:
		pending := *op.Responses["200"]
		pending.Description = "Accepted and counting; Hydra follows as soon as it can"
		if strings.HasPrefix(op.Path, "/v1/owners/") {
			pending.Description = "Accepted; the operation goes on by itself"
			op.Responses["200"].Description = "What it would do (dry_run)"
		}
		if r.id == "verify-events" {
			pending.Description = "It is under way: GET tells how far it has come"
			op.Responses["200"].Description = "What was found a moment ago"
		}
		op.Responses["202"] = &pending
	case http.StatusOK:
		preview := *op.Responses[strconv.Itoa(r.status)]
		preview.Description = "What it would do (dry_run); nothing was changed"
		op.Responses["200"] = &preview
	}
	if r.body == nil {
		return
	}
	// huma describes RawBody as bytes; what is in them stands here instead.
	schema := api.OpenAPI().Components.Schemas.Schema(r.body, true, r.id)
	clear(op.RequestBody.Content)
	op.RequestBody.Content["application/json"] = &huma.MediaType{Schema: schema}
	if r.patch {
		op.RequestBody.Content["application/merge-patch+json"] = &huma.MediaType{Schema: schema}
	}
	op.RequestBody.Required = r.needed
	s.bodies[r.body] = shape{schema: schema, registry: api.OpenAPI().Components.Schemas, needed: r.needed, patch: r.patch}
}

// operationOf describes a route to huma.
func operationOf(r route) huma.Operation {
	method, path, _ := strings.Cut(r.at, " ")
	op := huma.Operation{
		Method: method, Path: path, OperationID: r.id, Summary: r.summary, DefaultStatus: r.status,
		Errors: allErrors(r), Security: securityFor(r.right), SkipValidateBody: true,
		RequestBody: &huma.RequestBody{}, Responses: map[string]*huma.Response{},
	}
	if r.body == nil {
		op.RequestBody = nil
	}
	return op
}

// allErrors are the statuses a route may answer.
func allErrors(r route) []int {
	out := append([]int{http.StatusBadRequest, http.StatusForbidden, http.StatusServiceUnavailable}, r.errors...)
	if r.right != "" {
		out = append(out, http.StatusUnauthorized)
	}
	if limited(r.at) {
		out = append(out, http.StatusTooManyRequests)
	}
	if strings.Contains(r.at, "{") {
		out = append(out, http.StatusNotFound)
	}
	if r.body != nil {
		out = append(out, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
