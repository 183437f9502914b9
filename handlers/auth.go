package handlers

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/apikey"
)

// maxToken bounds what is handed on as a token, in bytes. Hydra's opaque
// tokens have about 90, its JWTs some hundred and a list of scopes.
const maxToken = 8 << 10

// bearer is RFC 6750 section 2.1; the scheme's case does not matter (RFC 9110
// section 11.1).
var bearer = regexp.MustCompile(`^(?i:bearer) +([A-Za-z0-9._~+/-]+=*)$`)

// guarded reports whether a path needs a caller: everything under /v1 does,
// also what does not exist, so that nobody can feel the routes out. Health and
// the OpenAPI document are open: the first tells only yes or no, the second is
// the same for every installation and is in the source.
func guarded(path string) bool { return path == "/v1" || strings.HasPrefix(path, "/v1/") }

// authenticate finds out who calls. The token is read from the one header and
// nowhere else: addresses and bodies end up in logs (RFC 6750 section 5.3).
func (s *server) authenticate(c *gin.Context) {
	if !guarded(c.Request.URL.Path) || s.holderPath(c.Request.URL.Path) {
		return
	}
	token, err := tokenOf(c.Request)
	if err != nil {
		fail(c, err)
		return
	}
	ctx := apikey.WithGlance(c.Request.Context())
	caller, err := s.authenticated(ctx, token)
	if err != nil {
		if errors.Is(err, apikey.ErrUnauthenticated) {
			err = &rejectedToken{err}
		}
		fail(c, err)
		return
	}
	x := exchangeFrom(ctx)
	caller.Address, caller.RequestID = x.address, x.id
	caller.UserAgent = printable(c.Request.UserAgent(), 200)
	c.Request = c.Request.WithContext(apikey.WithCaller(ctx, caller))
}

func tokenOf(r *http.Request) (string, error) {
	sent := r.Header.Values("Authorization")
	if len(sent) == 0 {
		return "", &apikey.Error{Kind: apikey.ErrUnauthenticated, Detail: "the request carries no access token; send Authorization: Bearer"}
	}
	if len(sent) > 1 {
		return "", &rejectedToken{&apikey.Error{Kind: apikey.ErrUnauthenticated, Detail: "send exactly one Authorization header"}}
	}
	m := bearer.FindStringSubmatch(sent[0])
	if m == nil || len(m[1]) > maxToken {
		err := &apikey.Error{Kind: apikey.ErrUnauthenticated, Detail: "the Authorization header holds no bearer token"}
		if len(sent[0]) >= 6 && strings.EqualFold(sent[0][:6], "bearer") {
			return "", &rejectedToken{err}
		}
		return "", err
	}
	return m[1], nil
}

// rejectedToken marks a failure for which a token was sent. RFC 6750 section
// 3.1 wants that told apart from none at all.
type rejectedToken struct{ error }

func (e *rejectedToken) Unwrap() error { return e.error }

// challengeFor is the WWW-Authenticate of a problem, "" for none.
func challengeFor(code string, err error) string {
	const realm = `Bearer realm="tokenos"`
	switch apikey.ErrorKind(code) {
	case apikey.ErrUnauthenticated:
		if _, sent := errors.AsType[*rejectedToken](err); sent {
			return realm + `, error="invalid_token"`
		}
		return realm
	case apikey.ErrForbidden:
		return realm + `, error="insufficient_scope"`
	}
	return ""
}

// printable keeps at most n characters of s, of printable ASCII only.
func printable(s string, n int) string {
	out := make([]byte, 0, min(len(s), n))
	for i := 0; i < len(s) && len(out) < n; i++ {
		if s[i] >= ' ' && s[i] <= '~' {
			out = append(out, s[i])
		}
	}
	return string(out)
}
