package handlers_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
)

type schemaDoc struct {
	MaxLength, MaxItems, MaxProperties, Maximum *int
	Properties                                  map[string]schemaDoc
	AnyOf                                       []struct{ Type any }
}

type content struct{ Content map[string]any }

type openAPI struct {
	OpenAPI string
	Paths   map[string]map[string]struct {
		Security   []map[string][]string
		Responses  map[string]any
		Parameters []struct {
			Name   string
			Schema schemaDoc
		}
		RequestBody *content
	}
	Components struct {
		Schemas         map[string]schemaDoc
		SecuritySchemes map[string]any
	}
}

// published reads the document as anybody may, without a token.
func published(t *testing.T) openAPI {
	t.Helper()
	b := newBench(t, func(c *handlers.Config) {
		c.TokenURL, c.Holder = "https://auth.test/oauth2/token", &fakeHolder{}
		c.Introspector, c.StatusLists = &fakeIntrospector{}, &fakeStatusLists{}
	})
	r := request("GET", "/openapi.json", "")
	r.Header.Del("Authorization")
	res, body := b.do(r)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	var doc openAPI
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// The OpenAPI document names every route with its rights and errors.
func TestOpenAPIRoutes(t *testing.T) {
	doc := published(t)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || doc.Components.SecuritySchemes["oauth2"] == nil || doc.Components.SecuritySchemes["bearer"] == nil {
		t.Errorf("OpenAPI %s, security %v", doc.OpenAPI, doc.Components.SecuritySchemes)
	}
	var got []string
	for path, ops := range doc.Paths {
		for method, op := range ops {
			at := strings.ToUpper(method) + " " + path
			got = append(got, at)
			if strings.HasPrefix(path, "/v1/self") {
				selfOperation(t, at, op.Security, op.Responses, op.RequestBody)
				continue
			}
			if strings.HasPrefix(path, "/v1/") && (len(op.Security) != 2 || op.Responses["401"] == nil || op.Responses["503"] == nil) {
				t.Errorf("%s: security %v, responses %v", at, op.Security, op.Responses)
			}
			if path == "/v1/introspect" {
				if op.RequestBody == nil || len(op.RequestBody.Content) != 1 || op.RequestBody.Content["application/x-www-form-urlencoded"] == nil {
					t.Errorf("%s: the body is described as %v", at, op.RequestBody)
				}
				continue
			}
			if op.RequestBody != nil && (op.RequestBody.Content["application/json"] == nil || op.RequestBody.Content["application/octet-stream"] != nil) {
				t.Errorf("%s: the body is described as %v", at, op.RequestBody.Content)
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"DELETE /v1/keys/{id}", "DELETE /v1/keys/{id}/public-keys/{kid}", "GET /health/alive", "GET /health/ready", "GET /status/jwks.json", "GET /status/{n}", "GET /v1/capabilities", "GET /v1/doctor", "GET /v1/events", "GET /v1/events/verification",
		"GET /v1/keys", "GET /v1/keys/{id}", "GET /v1/keys/{id}/events", "GET /v1/keys/{id}/public-keys", "GET /v1/keys/{id}/usage", "GET /v1/operations/{id}", "GET /v1/policies", "GET /v1/policies/violations", "GET /v1/self", "GET /v1/signing-keys", "PATCH /v1/keys/{id}", "POST /v1/events/verification", "POST /v1/introspect", "POST /v1/keys",
		"POST /v1/keys/{id}/disable", "POST /v1/keys/{id}/enable", "POST /v1/keys/{id}/public-keys", "POST /v1/keys/{id}/revoke",
		"POST /v1/keys/{id}/rotations", "POST /v1/keys/{id}/rotations/complete", "POST /v1/keys/{id}/tokens/revoke",
		"POST /v1/owners/{owner}/disable", "POST /v1/owners/{owner}/enable", "POST /v1/owners/{owner}/revoke", "POST /v1/owners/{owner}/tokens/revoke",
		"POST /v1/self", "POST /v1/self/revoke",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// selfOperation: the routes of holders take a token, Basic, or where there is a
// body a form.
func selfOperation(t *testing.T, at string, security []map[string][]string, responses map[string]any, body *content) {
	t.Helper()
	want := []map[string][]string{{"holderBearer": {}}, {"holderBasic": {}}}
	if strings.HasPrefix(at, "POST") {
		want = append(want, map[string][]string{})
		if body == nil || len(body.Content) != 1 || body.Content["application/x-www-form-urlencoded"] == nil {
			t.Errorf("%s: the body is described as %v", at, body)
		}
	}
	if diff := cmp.Diff(want, security); diff != "" || responses["401"] == nil || responses["503"] == nil {
		t.Errorf("%s: security %v, responses %v", at, security, responses)
	}
}

// Objects that may be null are said to be.
func TestOpenAPINulls(t *testing.T) {
	doc := published(t)
	for of, member := range map[string]string{"Key": "secret", "Capabilities": "hydra"} {
		if any := doc.Components.Schemas[of].Properties[member].AnyOf; len(any) != 2 || any[1].Type != "null" {
			t.Errorf("%s.%s: %v", of, member, any)
		}
	}
}

// The limits in the document are those that apikey enforces.
func TestOpenAPILimits(t *testing.T) {
	doc, limits := published(t), apikey.DefaultLimits()
	same := func(what string, documented *int, enforced int) {
		t.Helper()
		if documented == nil || *documented != enforced {
			t.Errorf("%s: the document does not say %d", what, enforced)
		}
	}
	for _, of := range []string{"CreateParams", "UpdateParams"} {
		m := doc.Components.Schemas[of].Properties
		same(of+".name", m["name"].MaxLength, limits.NameLength)
		same(of+".description", m["description"].MaxLength, limits.DescriptionLength)
		same(of+".owner", m["owner"].MaxLength, limits.OwnerLength)
		same(of+".scopes", m["scopes"].MaxItems, limits.Scopes)
		same(of+".audiences", m["audiences"].MaxItems, limits.Audiences)
	}
	m := doc.Components.Schemas["CreateParams"].Properties
	same("labels", m["labels"].MaxProperties, limits.Labels)
	same("public_keys", m["public_keys"].MaxItems, limits.PublicKeys)
	same("owners", m["owners"].MaxItems, limits.Owners)
	same("revoke's description", doc.Components.Schemas["RevokeParams"].Properties["description"].MaxLength, limits.DescriptionLength)
	lists := 0
	for path, ops := range doc.Paths {
		for _, p := range ops["get"].Parameters {
			if p.Name == "limit" {
				lists++
				same(path+" limit", p.Schema.Maximum, limits.PageSize)
			}
		}
	}
	if lists != 4 {
		t.Errorf("%d lists have a limit, want 4", lists)
	}
}
