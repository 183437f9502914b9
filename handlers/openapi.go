package handlers

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tokenos/tokenos/apikey"
)

const about = `Keys are OAuth 2.0 clients in Ory Hydra that may only use the client credentials grant. A program buys an access token with its key at Hydra's token endpoint and calls your APIs with it.

Authenticate with an access token of a management key. Errors are problem documents (RFC 9457); ` + "`code`" + ` is stable. Send an Idempotency-Key with each POST: repeating it within 24 hours gets the same answer, including the same secret. Times are RFC 3339 in UTC, whole seconds.`

// describe fills in what routes cannot tell.
func describe(doc *huma.OpenAPI, c Config) {
	doc.Info.Description = about
	// On the wire a member that may be null is the value or null.
	doc.Components.Schemas.RegisterTypeAlias(reflect.TypeFor[apikey.Nullable[time.Time]](), reflect.TypeFor[*time.Time]())
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "an access token of a management key, audience tokenos"},
	}
	doc.Components.Headers = limitHeaders
	if c.Holder != nil {
		describeHolder(doc.Components.SecuritySchemes)
	}
	if c.TokenURL == "" {
		return
	}
	scopes := map[string]string{}
	for _, r := range apikey.ManagementRights {
		scopes[string(r)] = rightsSay[r]
	}
	doc.Components.SecuritySchemes["oauth2"] = &huma.SecurityScheme{
		Type:        "oauth2",
		Description: "ask Hydra for audience tokenos",
		Flows:       &huma.OAuthFlows{ClientCredentials: &huma.OAuthFlow{TokenURL: c.TokenURL, Scopes: scopes}},
	}
}

var rightsSay = map[apikey.Right]string{
	apikey.KeysRead:         "read keys",
	apikey.KeysWrite:        "create and change keys",
	apikey.AuditRead:        "read what happened to keys",
	apikey.TokensIntrospect: "look up access tokens",
	apikey.Admin:            "all of these, and management keys",
}

// securityFor documents the right a route needs; apikey enforces it.
func securityFor(right apikey.Right) []map[string][]string {
	if right == "" {
		return []map[string][]string{}
	}
	return []map[string][]string{{"bearer": {string(right)}}}
}

// nullable are the members that are an object or null. huma cannot say that of
// a type that stands in the document by reference.
var nullable = map[string][]string{"Key": {"secret"}, "Capabilities": {"hydra"}}

func markNullable(schemas map[string]*huma.Schema) {
	for of, members := range nullable {
		for _, name := range members {
			member := schemas[of].Properties[name]
			schemas[of].Properties[name] = &huma.Schema{
				Description: member.Description,
				AnyOf:       []*huma.Schema{{Ref: member.Ref}, {Type: "null"}},
			}
		}
	}
}

// document writes the OpenAPI document once all routes are registered.
func document(doc *huma.OpenAPI) ([]byte, error) {
	markNullable(doc.Components.Schemas.Map())
	_, oauth := doc.Components.SecuritySchemes["oauth2"]
	for _, item := range doc.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			if oauth && len(op.Security) == 1 {
				op.Security = append(op.Security, map[string][]string{"oauth2": op.Security[0]["bearer"]})
			}
			op.Tags = []string{tagOf(op.Path)}
			describeLimits(op)
		}
	}
	return json.Marshal(doc)
}

// tagOf groups operations: keys, events, capabilities, health.
func tagOf(path string) string {
	return strings.Split(strings.TrimPrefix(strings.TrimPrefix(path, "/v1"), "/"), "/")[0]
}
