package handlers

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/apikey"
)

// ownersAt is where the one segment stands that is text: an owner.
const ownersAt = "/v1/owners/"

// checkPath ends requests whose path is written in a way that no route here
// needs: routes, ids and kids are made of unreserved characters, so a percent
// sign can only be there to slip something past somebody ("%2e%2e", "%2F").
// Only an owner may hold any.
func (s *server) checkPath(c *gin.Context) {
	path := c.Request.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, ownersAt); ok {
		_, path, _ = strings.Cut(rest, "/")
	}
	if strings.ContainsRune(path, '%') {
		fail(c, apikey.ErrNotFound)
	}
}

// pathOwner reads the owner of a path and puts it where huma looks.
func pathOwner(c *gin.Context) error {
	for i, p := range c.Params {
		if p.Key != "owner" {
			continue
		}
		owner, err := url.PathUnescape(p.Value)
		if err != nil || owner == "" || !utf8.ValidString(owner) {
			return apikey.ErrNotFound
		}
		if !apikey.OwnerInPath(owner) {
			return &malformed{detail: "an owner with . or .. between slashes cannot stand in a path"}
		}
		c.Params[i].Value = owner
	}
	return nil
}

// checkRequest looks at what the operation takes before huma reads it: ids in
// the path, the query and the headers that change what a request means.
func checkRequest(ctx huma.Context, next func(huma.Context)) {
	c := humagin.Unwrap(ctx)
	op := ctx.Operation()
	// Everything is answered in JSON; with the header left in, huma would look
	// for other formats and label the answer with what the caller wrote.
	c.Request.Header.Del("Accept")
	for _, check := range []func(*http.Request, *huma.Operation) error{
		func(_ *http.Request, op *huma.Operation) error { return checkIDs(c, op) },
		checkQuery,
		checkHeaders,
	} {
		if err := check(c.Request, op); err != nil {
			fail(c, err)
			return
		}
	}
	next(ctx)
}

func checkIDs(c *gin.Context, op *huma.Operation) error {
	for _, p := range op.Parameters {
		if p.In == "path" && p.Name != "owner" && !apikey.ValidID(c.Param(p.Name)) {
			return apikey.ErrNotFound
		}
	}
	return pathOwner(c)
}

// checkQuery refuses what would otherwise be dropped in silence: a filter that
// is misspelt or given twice answers another question than the one asked.
func checkQuery(r *http.Request, op *huma.Operation) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &malformed{detail: "the query cannot be read"}
	}
	bad := &malformed{detail: "the query has parameters that do not belong there"}
	for name, values := range query {
		pointer := "?"
		if safeName.MatchString(name) {
			pointer += name
		}
		known := slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "query" && p.Name == name })
		switch {
		case !known:
			bad.fields = append(bad.fields, apikey.FieldError{Pointer: pointer, Code: "unknown_parameter", Detail: "there is no such parameter here"})
		case len(values) > 1:
			bad.fields = append(bad.fields, apikey.FieldError{Pointer: pointer, Code: "repeated_parameter", Detail: "is given more than once"})
		case !utf8.ValidString(values[0]) || strings.ContainsFunc(values[0], unicode.IsControl):
			bad.fields = append(bad.fields, apikey.FieldError{Pointer: pointer, Code: "invalid_text", Detail: "has characters that no text has", Fix: "send UTF-8 without control characters"})
		}
	}
	if len(bad.fields) == 0 {
		return nil
	}
	slices.SortFunc(bad.fields, func(a, b apikey.FieldError) int { return strings.Compare(a.Pointer, b.Pointer) })
	return bad
}

const (
	idempotencyKey = "Idempotency-Key"
	ifMatch        = "If-Match"
)

// checkHeaders checks Idempotency-Key where it counts, and refuses If-Match
// where it would not be honoured: to go on would break the caller's guard. For
// the same reason an empty If-Match is not none at all, and all of its lines
// count, of which huma would read the first alone.
func checkHeaders(r *http.Request, op *huma.Operation) error {
	takes := func(name string) bool {
		return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "header" && p.Name == name })
	}
	if sent := r.Header.Values(idempotencyKey); len(sent) > 0 && takes(idempotencyKey) {
		if len(sent) > 1 || !validIdempotencyKey(sent[0]) {
			return &malformed{detail: "Idempotency-Key must have 16 to 255 printable ASCII characters without space; a random UUID will do"}
		}
	}
	tags := r.Header.Values(ifMatch)
	switch {
	case len(tags) == 0 || r.Method == http.MethodGet:
		return nil
	case !takes(ifMatch):
		return &malformed{detail: "If-Match is honoured by PATCH /v1/keys/{id} only"}
	case !slices.ContainsFunc(tags, func(s string) bool { return s != "" }):
		return &apikey.Error{Kind: apikey.ErrPrecondition, Detail: "If-Match is empty; send the ETag of the key you have seen"}
	}
	r.Header.Set(ifMatch, strings.Join(tags, ", "))
	return nil
}

func validIdempotencyKey(s string) bool {
	return len(s) >= 16 && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
}

func (s *server) noRoute(c *gin.Context) { fail(c, apikey.ErrNotFound) }

// noMethod answers 405. Gin has set Allow from its routes, which know no HEAD.
func (s *server) noMethod(c *gin.Context) {
	h := c.Writer.Header()
	allowed := strings.Split(h.Get("Allow"), ", ")
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	slices.Sort(allowed)
	h.Set("Allow", strings.Join(allowed, ", "))
	fail(c, apikey.ErrMethodNotAllowed)
}
