package handlers

import (
	"context"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/apikey"
)

// Visit is what is known of a request that is not the API's, and what the pages
// have to say of it afterwards.
type Visit struct {
	RequestID string
	Address   string // the caller's, as far as it can be trusted
	Secure    bool   // came over TLS, as far as it can be trusted
	// Refused, if set, is why the request must not be answered otherwise:
	// [apikey.ErrHTTPSRequired], [apikey.ErrRateLimited].
	Refused error
	// Limit counts the request against the caller's own limit, as a request to the
	// API. Fails with [apikey.ErrRateLimited].
	Limit func(principal string) error

	// For the log and the metrics; the pages set them. Route is a template without
	// anything that a caller made up, "" for a path that is none.
	Route, Principal string
	Err              error // why it failed
}

// apiPaths are the API's own, with all that lies below those that end in "/".
// A test holds them against the routes.
var apiPaths = []string{"/v1", "/v1/", "/openapi.json", "/health/", "/status/"}

func isAPI(path string) bool {
	for _, p := range apiPaths {
		if path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// pages hands over what is not the API's. The rules for addresses and for HTTPS
// are the same; the words in which a refusal is told are the pages' own.
func (s *server) pages(c *gin.Context) {
	if s.Pages == nil || isAPI(c.Request.URL.Path) {
		return
	}
	ctx := c.Request.Context()
	x := exchangeFrom(ctx)
	v := &Visit{RequestID: x.id, Address: x.address, Secure: x.secure, Limit: func(principal string) error { return s.limitPerson(ctx, principal) }}
	switch {
	case !s.welcome(c.Request):
		v.Refused = apikey.ErrHTTPSRequired
		c.Header("Connection", "close")
	default:
		v.Refused = s.spend(ctx, s.limits.address, addressKey(x.address))
	}
	c.Status(http.StatusOK) // Gin's own is 404 where it has no route
	s.Pages(c.Writer, c.Request, v)
	x.err, x.principal, x.route = v.Err, v.Principal, v.Route
	c.Abort()
}

func (s *server) limitPerson(ctx context.Context, principal string) error {
	exchangeFrom(ctx).principal = principal // for the log of a refusal
	return s.spend(ctx, s.limits.caller, principal)
}
