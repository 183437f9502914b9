package web

import (
	"context"
	"net/http"

	"github.com/tokenos/tokenos/apikey"
)

// Visit is what the server in front knows of a request, and what it is told of it
// afterwards. It has the members of handlers.Visit, which explains them.
type Visit struct {
	RequestID string
	Address   string
	Secure    bool
	Refused   error
	Limit     func(principal string) error

	Route, Principal string
	Err              error
}

// exchange is one request with what we learn of it. It travels in the context.
type exchange struct {
	*Visit
	person *Person        // nil: not signed in
	open   bool           // the page is for people who are not signed in, too
	loaded string         // hash of the session that the cookie names; "" for none
	kept   apikey.Session // that session, as the ledger had it

	userAgent string
	section   string // of the navigation, once a page has said so
}

type exchangeKey struct{}

// exchangeFrom returns the exchange in ctx; outside of a request an empty one.
func exchangeFrom(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{Visit: &Visit{}}
}

// caller is the signed-in person as the API knows callers.
func (x *exchange) caller(r *http.Request) apikey.Caller {
	return apikey.Caller{Principal: x.person.Principal(), Rights: x.person.Role.Rights(), Owners: x.person.Owners,
		Address: x.Address, UserAgent: ascii(r.UserAgent(), maxUserAgent), RequestID: x.RequestID}
}

const maxUserAgent = 200

// ascii keeps at most n characters of s, of printable ASCII only.
func ascii(s string, n int) string {
	out := make([]byte, 0, min(len(s), n))
	for i := 0; i < len(s) && len(out) < n; i++ {
		if s[i] >= ' ' && s[i] <= '~' {
			out = append(out, s[i])
		}
	}
	return string(out)
}

// partial reports whether htmx asks for a part of a page, to swap it in.
func partial(r *http.Request) bool {
	return r.Header.Get("HX-Request") == "true" && r.Header.Get("HX-Request-Type") == "partial"
}

// byScript reports whether htmx sent the request.
func byScript(r *http.Request) bool { return r.Header.Get("HX-Request") == "true" }
