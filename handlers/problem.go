package handlers

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"github.com/tokenos/tokenos/apikey"
)

// problem is a failure as callers see it (RFC 9457).
type problem struct {
	Type      string              `json:"type" doc:"leads to a heading of docs/problems.md" example:"/problems/not-found"`
	Title     string              `json:"title" example:"Not found"`
	Status    int                 `json:"status" example:"404"`
	Detail    string              `json:"detail,omitzero" doc:"a sentence for people"`
	Instance  string              `json:"instance" example:"urn:tokenos:request:req_2NXG7PZQ5JY3OW4KT6IEB7DLAM"`
	Code      string              `json:"code" doc:"stable, for programs" example:"not_found"`
	RequestID string              `json:"request_id" doc:"also in X-Request-Id, and in the server's log"`
	Pending   bool                `json:"pending,omitzero" doc:"the change may still take effect"`
	Errors    []apikey.FieldError `json:"errors,omitzero" doc:"everything that is wrong with the input"`
	Checks    map[string]string   `json:"checks,omitzero" doc:"/health/ready only"`

	retryAfter time.Duration
}

// GetStatus, Error and ContentType are what huma asks of an error.
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) Error() string             { return p.Code }
func (p *problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// shown is one row of the table below.
type shown struct {
	kind   apikey.ErrorKind
	status int
	title  string
	detail string // where the error brings none
}

// problems maps every kind of error to the wire. docs/problems.md has a
// heading for each; a test compares.
var problems = []shown{
	{apikey.ErrMalformed, 400, "Malformed request", "the request cannot be read"},
	{apikey.ErrUnauthenticated, 401, "Not authenticated", "send a valid access token: Authorization: Bearer"},
	{apikey.ErrForbidden, 403, "Not allowed", "a right is missing"},
	{apikey.ErrHTTPSRequired, 403, "HTTPS required", "this API answers over HTTPS only; what was sent in clear must be taken for known to others"},
	{apikey.ErrNotFound, 404, "Not found", "there is nothing here, or it is not yours"},
	{apikey.ErrMethodNotAllowed, 405, "Method not allowed", "see the header Allow"},
	{apikey.ErrBusy, 409, "Busy", "another change of this key is under way"},
	{apikey.ErrExpired, 409, "Expired", "the key has expired; change expires_at first"},
	{apikey.ErrRevoked, 409, "Revoked", "the key has been revoked; it can only be deleted"},
	{apikey.ErrNotRevoked, 409, "Not revoked", "only a revoked key can be deleted"},
	{apikey.ErrLastCredential, 409, "Last credential", "a key needs at least one public key"},
	{apikey.ErrPublicKeyInUse, 409, "Public key in use", "another key has this public key"},
	{apikey.ErrDrifted, 409, "Drifted", "Hydra no longer has this key's client"},
	{apikey.ErrReplaced, 409, "Replaced", "the key has a successor; that is the one to change"},
	{apikey.ErrRotationPending, 409, "Rotation pending", "the credential before this one still works; complete that rotation first, or send force"},
	{apikey.ErrIdempotencyRunning, 409, "First request still running", "a request with this Idempotency-Key is still running"},
	{apikey.ErrReplayExpired, 409, "Replay expired", "the first answer can no longer be repeated"},
	{apikey.ErrPrecondition, 412, "Precondition failed", "the key is not at the revision that If-Match names"},
	{apikey.ErrTooLarge, 413, "Too large", "the body is larger than this server takes"},
	{apikey.ErrUnsupportedMediaType, 415, "Unsupported media type", "send application/json in UTF-8, without Content-Encoding"},
	{apikey.ErrInvalid, 422, "Invalid input", "see errors"},
	{apikey.ErrIdempotencyMismatch, 422, "Another request", "this Idempotency-Key was used for another request"},
	{apikey.ErrPreconditionRequired, 428, "Precondition required", "send If-Match with the ETag of the key you have seen"},
	{apikey.ErrRateLimited, 429, "Too many requests", "ask again later; see Retry-After"},
	{apikey.ErrInternal, 500, "Internal error", ""},
	{apikey.ErrUnavailable, 503, "Unavailable", "something this needs does not answer; try again"},
	{apikey.ErrTimeout, 503, "Timed out", "the request took too long"},
}

// retryAfterDefault goes with every 429 and 503 that does not say better.
const retryAfterDefault = 2 * time.Second

// malformed is a request that cannot be read, with what is wrong in it.
type malformed struct {
	detail string
	fields []apikey.FieldError
}

func (m *malformed) Error() string { return "malformed: " + m.detail }
func (m *malformed) Unwrap() error { return apikey.ErrMalformed }

// problemFor describes err to a caller. What it does not know becomes a bare
// 500: the words of an unknown error may hold a secret.
func problemFor(err error, requestID string) *problem {
	kind, ok := errors.AsType[apikey.ErrorKind](err)
	if !ok {
		kind = apikey.ErrInternal
		if errors.Is(err, context.DeadlineExceeded) {
			kind = apikey.ErrTimeout
		}
	}
	p := newProblem(kind)
	if invalid, ok := errors.AsType[*apikey.InvalidError](err); ok {
		p.Errors = safeFields(invalid.Fields)
	} else if unread, ok := errors.AsType[*malformed](err); ok {
		p.Detail, p.Errors = unread.detail, safeFields(unread.fields)
	} else if e, ok := errors.AsType[*apikey.Error](err); ok && e.Kind == kind && p.Status != http.StatusInternalServerError {
		if e.Detail != "" {
			p.Detail = e.Detail
		}
		p.Pending, p.retryAfter = e.Pending, e.RetryAfter
	}
	if n, ok := errors.AsType[*notReady](err); ok {
		p.Checks = n.checks
	}
	if p.retryAfter == 0 && (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests) {
		p.retryAfter = retryAfterDefault
	}
	p.RequestID, p.Instance = requestID, "urn:tokenos:request:"+requestID
	return p
}

// newProblem finds the kind's row; a kind without one is an internal error.
func newProblem(kind apikey.ErrorKind) *problem {
	for _, row := range problems {
		if row.kind == kind {
			return &problem{Type: typeOf(kind), Title: row.title, Status: row.status, Detail: row.detail, Code: string(kind)}
		}
	}
	return newProblem(apikey.ErrInternal)
}

func typeOf(kind apikey.ErrorKind) string {
	return "/problems/" + strings.ReplaceAll(string(kind), "_", "-")
}

// headers calls set for each header that goes with the problem.
func (p *problem) headers(err error, set func(name, value string)) {
	if p.retryAfter > 0 {
		set("Retry-After", strconv.Itoa(seconds(p.retryAfter)))
	}
	if challenge := challengeFor(p.Code, err); challenge != "" {
		set("WWW-Authenticate", challenge)
	}
}

// seconds rounds up to whole seconds, at least one.
func seconds(d time.Duration) int {
	return max(int((d+time.Second-1)/time.Second), 1)
}

// fail ends the request with err's problem.
func fail(c *gin.Context, err error) {
	x := exchangeFrom(c.Request.Context())
	x.err = err
	p := problemFor(err, x.id)
	h := c.Writer.Header()
	if p.Status != http.StatusMethodNotAllowed {
		h.Del("Allow") // Gin sets it before it is known who asks
	}
	p.headers(err, h.Set)
	body, jsonErr := json.Marshal(p)
	if jsonErr != nil {
		body = []byte(`{}`)
	}
	c.Data(p.Status, problemType, body)
	c.Abort()
}

var (
	safeName  = regexp.MustCompile(`^[A-Za-z_]{1,32}$`)
	safeIndex = regexp.MustCompile(`^[0-9]{1,3}$`)
)

// safeFields cuts each pointer where it would repeat what the caller made up.
func safeFields(in []apikey.FieldError) []apikey.FieldError {
	const most = 50 // a body has room for thousands of mistakes
	var out []apikey.FieldError
	for _, f := range in[:min(len(in), most)] {
		f.Pointer = safePointer(f.Pointer)
		out = append(out, f)
	}
	return out
}

func safePointer(pointer string) string {
	tokens := strings.Split(pointer, "/")
	for i, token := range tokens[1:] {
		if !safeName.MatchString(token) && !safeIndex.MatchString(token) {
			return strings.Join(tokens[:i+1], "/")
		}
	}
	return pointer
}
