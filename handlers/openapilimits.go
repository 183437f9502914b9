package handlers

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// limitHeaders are the headers that tell of rate limits, for the OpenAPI
// document.
var limitHeaders = map[string]*huma.Header{
	"RateLimit-Policy": {
		Description: "the limit that leaves least: q requests in w seconds (draft-ietf-httpapi-ratelimit-headers); absent where nothing is limited",
		Schema:      &huma.Schema{Type: huma.TypeString}, Example: `"caller";q=100;w=2`,
	},
	"RateLimit": {
		Description: "what of it is left: r requests, and no more within t seconds",
		Schema:      &huma.Schema{Type: huma.TypeString}, Example: `"caller";r=42;t=1`,
	},
	"Retry-After": {
		Description: "when to ask again, in whole seconds",
		Schema:      &huma.Schema{Type: huma.TypeInteger, Minimum: new(1.0)}, Example: 1,
	},
}

// limited reports whether a route counts for rate limits: "GET /v1/keys".
func limited(at string) bool {
	_, path, _ := strings.Cut(at, " ")
	return !strings.HasPrefix(path, "/health/")
}

// describeLimits adds the headers to the answers of an operation.
func describeLimits(op *huma.Operation) {
	for status, response := range op.Responses {
		var names []string
		if limited(op.Method + " " + op.Path) {
			names = append(names, "RateLimit-Policy", "RateLimit")
		}
		if status == strconv.Itoa(http.StatusTooManyRequests) || status == strconv.Itoa(http.StatusServiceUnavailable) {
			names = append(names, "Retry-After")
		}
		headers := map[string]*huma.Header{} // of its own: 200 and 202 share theirs
		for name, header := range response.Headers {
			headers[name] = header
		}
		for _, name := range names {
			headers[name] = &huma.Header{Ref: "#/components/headers/" + name}
		}
		response.Headers = headers
	}
}
