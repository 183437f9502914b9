package handlers

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tokenos/tokenos/apikey"
)

const (
	statusListType = "application/statuslist+jwt"
	// keysMaxAge is how long a copy of the keys may be used, in seconds. A key is
	// there an epoch before it signs; only a new server secret is sooner.
	keysMaxAge = 300
)

// statusRoutes are for verifiers of JWTs. They are open to everybody: a list
// tells the states of keys and nothing of whose they are.
func (s *server) statusRoutes(api huma.API) {
	addStatus(api, route{at: "GET /status/{n}", id: "get-status-list", summary: "The states of a million keys, signed (draft-ietf-oauth-status-list)"}, statusListType, s.statusList)
	addStatus(api, route{at: "GET /status/jwks.json", id: "get-status-list-keys", summary: "The public keys that status lists are signed with (RFC 7517)"}, "application/json", s.statusListKeys)
}

// addStatus registers a route whose answer is not a JSON value of ours.
func addStatus[I any](api huma.API, r route, media string, handle func(context.Context, *I) (*documentOutput, error)) {
	op := operationOf(r)
	op.Responses["200"] = &huma.Response{Description: "OK", Content: map[string]*huma.MediaType{media: {Schema: &huma.Schema{Type: huma.TypeString}}}}
	if media != statusListType {
		op.Responses["200"].Content[media].Schema = &huma.Schema{Type: huma.TypeObject}
	}
	op.Responses["304"] = &huma.Response{Description: "It says what the caller has"}
	huma.Register(api, op, handle)
}

// documentOutput is a document as it stands, or 304 without it.
type documentOutput struct {
	Status       int
	ContentType  string `header:"Content-Type"`
	CacheControl string `header:"Cache-Control"`
	ETag         string `header:"ETag"`
	Body         []byte
}

// conditional leaves out what the caller has already (RFC 9110 section 13.1.2).
func conditional(ifNoneMatch string, out documentOutput) *documentOutput {
	out.Status = http.StatusOK
	if matchesAny(ifNoneMatch, out.ETag) {
		out.Status, out.ContentType, out.Body = http.StatusNotModified, "", nil
	}
	return &out
}

// matchesAny compares weakly: what says the same is the same.
func matchesAny(ifNoneMatch, etag string) bool {
	for tag := range strings.SplitSeq(ifNoneMatch, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

type statusListInput struct {
	N           string `path:"n" doc:"the list, from 0 on; a token's status claim has the whole address" example:"0"`
	IfNoneMatch string `header:"If-None-Match" doc:"the ETag of the list that the caller has"`
}

// listNumber is a number in its only form.
var listNumber = regexp.MustCompile(`^(?:0|[1-9][0-9]{0,11})$`)

func (s *server) statusList(ctx context.Context, in *statusListInput) (*documentOutput, error) {
	n, err := strconv.ParseInt(in.N, 10, 64)
	if err != nil || !listNumber.MatchString(in.N) {
		return nil, apikey.ErrNotFound
	}
	list, err := s.StatusLists.StatusList(ctx, n)
	if err != nil {
		return nil, err
	}
	return conditional(in.IfNoneMatch, documentOutput{ContentType: statusListType, CacheControl: fmt.Sprintf("public, max-age=%d", int(list.TTL.Seconds())),
		ETag: list.ETag, Body: []byte(list.JWT)}), nil
}

type statusKeysInput struct {
	IfNoneMatch string `header:"If-None-Match" doc:"the ETag of the keys that the caller has"`
}

func (s *server) statusListKeys(ctx context.Context, in *statusKeysInput) (*documentOutput, error) {
	keys, err := s.StatusLists.StatusListKeys(ctx)
	if err != nil {
		return nil, err
	}
	return conditional(in.IfNoneMatch, documentOutput{ContentType: "application/json", CacheControl: fmt.Sprintf("public, max-age=%d", keysMaxAge),
		ETag: keys.ETag, Body: keys.JWKS}), nil
}
