package handlers

import (
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/apikey"
)

// routes is the whole REST API.
func (s *server) routes(e *gin.Engine) error {
	api := newHuma(e, s.Config)
	read, write, audit := apikey.KeysRead, apikey.KeysWrite, apikey.AuditRead
	change := []int{409, 422}
	s.bodies = shapes{}

	add(s, api, route{at: "GET /v1/keys", id: "list-keys", summary: "List, search and sort keys", right: read, errors: []int{422}}, s.list)
	add(s, api, route{at: "POST /v1/keys", id: "create-key", summary: "Create a key; its secret is shown once", right: write, status: 201, errors: change, body: reflect.TypeFor[apikey.CreateParams](), needed: true}, s.create)
	add(s, api, route{at: "GET /v1/keys/{id}", id: "get-key", summary: "Read a key", right: read}, s.get)
	add(s, api, route{at: "PATCH /v1/keys/{id}", id: "update-key", summary: "Change a key (JSON merge patch, RFC 7396)", right: write, errors: []int{409, 412, 422, 428}, body: reflect.TypeFor[apikey.UpdateParams](), needed: true, patch: true}, s.update)
	add(s, api, route{at: "DELETE /v1/keys/{id}", id: "delete-key", summary: "Delete the record of a revoked key; its events stay", right: write, status: 204, errors: []int{409}}, s.delete)

	add(s, api, route{at: "POST /v1/keys/{id}/disable", id: "disable-key", also: 202, summary: "Pause a key, for good or until a moment", right: write, errors: change, body: reflect.TypeFor[apikey.DisableParams]()}, s.disable)
	add(s, api, route{at: "POST /v1/keys/{id}/enable", id: "enable-key", also: 202, summary: "End a pause", right: write, errors: change, body: reflect.TypeFor[apikey.ActionParams]()}, s.enable)
	add(s, api, route{at: "POST /v1/keys/{id}/revoke", id: "revoke-key", also: 202, summary: "End a key for good; its record stays", right: write, errors: change, body: reflect.TypeFor[apikey.RevokeParams]()}, s.revoke)
	add(s, api, route{at: "POST /v1/keys/{id}/tokens/revoke", id: "revoke-tokens", also: 202, summary: "End outstanding tokens and keep the key", right: write, errors: change, body: reflect.TypeFor[apikey.ActionParams]()}, s.revokeTokens)

	add(s, api, route{at: "POST /v1/keys/{id}/rotations", id: "rotate-key", status: 201, also: 200, summary: "Change the credential, with or without a grace period; its secret is shown once", right: write, errors: change, body: reflect.TypeFor[apikey.RotateParams]()}, s.rotate)
	add(s, api, route{at: "POST /v1/keys/{id}/rotations/complete", id: "complete-rotation", also: 202, summary: "End the credential before a rotation now, by either key", right: write, errors: change, body: reflect.TypeFor[apikey.ActionParams]()}, s.completeRotation)

	add(s, api, route{at: "GET /v1/keys/{id}/public-keys", id: "list-public-keys", summary: "List the registered public keys, oldest first", right: read}, s.publicKeys)
	add(s, api, route{at: "POST /v1/keys/{id}/public-keys", id: "add-public-key", summary: "Register one more public key", right: write, status: 201, errors: change, body: reflect.TypeFor[apikey.PublicKeyParams](), needed: true}, s.addPublicKey)
	add(s, api, route{at: "DELETE /v1/keys/{id}/public-keys/{kid}", id: "remove-public-key", summary: "End one public key at once", right: write, status: 204, errors: []int{409}}, s.removePublicKey)

	add(s, api, route{at: "POST /v1/owners/{owner}/disable", id: "disable-owner", also: 202, summary: "Pause every key of an owner", right: write, errors: change, body: reflect.TypeFor[apikey.DisableOwnerParams]()}, s.disableOwner)
	add(s, api, route{at: "POST /v1/owners/{owner}/enable", id: "enable-owner", also: 202, summary: "End the pauses of an owner's keys that began with it", right: write, errors: change, body: reflect.TypeFor[apikey.EnableOwnerParams]()}, s.enableOwner)
	add(s, api, route{at: "POST /v1/owners/{owner}/revoke", id: "revoke-owner", also: 202, summary: "End every key of an owner for good", right: write, errors: change, body: reflect.TypeFor[apikey.RevokeOwnerParams]()}, s.revokeOwner)
	add(s, api, route{at: "POST /v1/owners/{owner}/tokens/revoke", id: "revoke-owner-tokens", also: 202, summary: "End the outstanding tokens of every key of an owner", right: write, errors: change, body: reflect.TypeFor[apikey.OwnerActionParams]()}, s.revokeOwnerTokens)
	add(s, api, route{at: "GET /v1/operations/{id}", id: "get-operation", summary: "How far an operation has come", right: read}, s.operation)

	add(s, api, route{at: "GET /v1/keys/{id}/events", id: "list-key-events", summary: "What happened to a key, newest first", right: audit, errors: []int{422}}, s.keyEvents)
	add(s, api, route{at: "GET /v1/keys/{id}/usage", id: "get-key-usage", summary: "Count the tokens that a key asked for, by hour or day", right: read, errors: []int{422}}, s.usage)
	add(s, api, route{at: "GET /v1/events", id: "list-events", summary: "Everything that happened, oldest first, as a feed", right: audit, errors: []int{422}}, s.events)
	add(s, api, route{at: "POST /v1/events/verification", id: "verify-events", also: 202, summary: "Begin to check that no event was altered, removed or added, or join the check under way", right: apikey.Admin}, s.verifyEvents)
	add(s, api, route{at: "GET /v1/events/verification", id: "get-verification", summary: "How far the check of the events has come, or what it found", right: apikey.Admin}, s.verification)
	add(s, api, route{at: "GET /v1/capabilities", id: "get-capabilities", summary: "What this installation can do", right: read}, s.capabilities)
	add(s, api, route{at: "GET /v1/doctor", id: "get-diagnosis", summary: "What is wrong with this installation, and what to do", right: apikey.Admin}, s.doctor)
	add(s, api, route{at: "GET /v1/signing-keys", id: "list-signing-keys", summary: "The keys with which Hydra signs JWT access tokens, newest first", right: apikey.Admin}, s.signingKeys)
	add(s, api, route{at: "GET /v1/policies", id: "get-policies", summary: "The rules for keys, and the catalogue of scopes", right: read, errors: []int{422}}, s.policies)
	add(s, api, route{at: "GET /v1/policies/violations", id: "list-policy-violations", summary: "Keys that the rules of today would refuse, oldest first", right: read, errors: []int{422}}, s.policyViolations)

	if s.Holder != nil {
		s.selfRoutes(api)
	}
	if s.Introspector != nil {
		s.introspectRoute(api)
	}
	if s.StatusLists != nil {
		s.statusRoutes(api)
	}
	s.healthRoutes(api)
	return s.openapiRoute(e, api)
}

// healthRoutes are for orchestrators; they need no token and tell no detail.
func (s *server) healthRoutes(api huma.API) {
	add(s, api, route{at: "GET /health/alive", id: "alive", summary: "Does the process run"}, s.alive)
	add(s, api, route{at: "GET /health/ready", id: "ready", summary: "Can it do its work"}, s.ready)
}

// openapiRoute serves the document that describes the routes registered.
func (s *server) openapiRoute(e *gin.Engine, api huma.API) error {
	var err error
	if s.openapi, err = document(api.OpenAPI()); err != nil {
		return err
	}
	e.GET("/openapi.json", func(c *gin.Context) {
		if err := checkQuery(c.Request, &huma.Operation{}); err != nil {
			fail(c, err)
			return
		}
		c.Data(http.StatusOK, "application/json", s.openapi)
	})
	return nil
}
