package hydra

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	client "github.com/ory/hydra-client-go/v2"

	"github.com/tokenos/tokenos/apikey"
)

// grantDisabled is a grant type that does not exist: Hydra then refuses token
// requests with unauthorized_client and keeps the secret. An empty list would
// mean authorization_code.
const grantDisabled = "disabled"

// markerName is our member of the client's metadata.
const markerName = "tokenos"

// marker is metadata.tokenos: who wrote the client, for which change, and the
// part of the definition that has no field of its own in a client. Decoders
// that read numbers as float64 get all of them right.
type marker struct {
	Version  int    `json:"v"`
	Ledger   string `json:"ledger"`
	Revision int64  `json:"rev"`
	Op       string `json:"op"`

	RootID        string             `json:"root_id"`
	Kind          apikey.Kind        `json:"kind"`
	Description   string             `json:"description,omitempty"`
	Environment   apikey.Environment `json:"environment"`
	Labels        map[string]string  `json:"labels,omitempty"`
	Owners        []string           `json:"owners,omitempty"`
	Secret        *apikey.SecretInfo `json:"secret,omitempty"`
	PublicKeys    []markedKey        `json:"public_keys,omitempty"`
	ExpiresAt     *time.Time         `json:"expires_at,omitempty"`
	DisabledAt    *time.Time         `json:"disabled_at,omitempty"`
	DisabledUntil *time.Time         `json:"disabled_until,omitempty"`
	WithOwner     bool               `json:"disabled_with_owner,omitempty"`
	OwnUntil      *time.Time         `json:"own_disabled_until,omitempty"`
	EndsAt        *time.Time         `json:"ends_at,omitempty"`
	Replaces      *string            `json:"replaces,omitempty"`
	ReplacedBy    *string            `json:"replaced_by,omitempty"`
	CreatedAt     time.Time          `json:"created_at"`
	CreatedBy     string             `json:"created_by"`
	UpdatedAt     time.Time          `json:"updated_at"`
}

// markedKey is what a JWK in the client's jwks does not tell of a public key.
type markedKey struct {
	KID       string     `json:"kid"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	// ReplacedAt is set by a rotation.
	ReplacedAt *time.Time `json:"replaced_at,omitempty"`
}

// check refuses what Hydra would take and then not do as meant.
func check(w apikey.ClientWrite) error {
	d := w.Definition
	switch {
	case !apikey.ValidID(d.ID):
		return errors.New("the id cannot be addressed")
	case len(d.Scopes) == 0:
		return errors.New("without a scope hydra would grant openid and offline")
	case len(w.Secret.Reveal()) > 72:
		return errors.New("the secret is longer than the 72 bytes that bcrypt reads")
	case w.Ledger == "" || w.Op == "":
		return errors.New("the write does not say whose it is")
	}
	for _, p := range w.PublicKeys {
		if p.Alg != w.PublicKeys[0].Alg {
			return errors.New("the public keys differ in algorithm and a client has one")
		}
	}
	return nil
}

// project turns a write into the whole client, so that a PUT leaves nothing
// behind of what was there. The fields we do not set take Hydra's defaults,
// none of which lets a client do more.
func project(w apikey.ClientWrite) client.OAuth2Client {
	d := w.Definition
	grant := grantDisabled
	if w.Open {
		grant = "client_credentials" // RFC 6749 section 4.4
	}
	out := client.OAuth2Client{
		ClientId:                &d.ID,
		ClientName:              &d.Name,
		Owner:                   &d.Owner,
		GrantTypes:              []string{grant},
		ResponseTypes:           []string{},
		Scope:                   ptr(strings.Join(d.Scopes, " ")),
		Audience:                append([]string{}, d.Audiences...),
		TokenEndpointAuthMethod: ptr(string(d.AuthMethod)),
		AccessTokenStrategy:     ptr(string(d.Token.Format)),
		ClientCredentialsGrantAccessTokenLifespan: ptr(time.Duration(d.Token.Lifetime).String()),
		Metadata: map[string]any{markerName: markerOf(w)},
	}
	if d.AuthMethod == apikey.PrivateKeyJWT {
		out.Jwks = keySet(w.PublicKeys)
		if alg := algorithm(w); alg != "" {
			out.TokenEndpointAuthSigningAlg = &alg
		}
	}
	if !w.Secret.IsZero() {
		out.ClientSecret = ptr(w.Secret.Reveal())
	}
	return out
}

// algorithm is the one of the first public key. Hydra would enforce RS256 if
// it were unset, so a key whose public keys have all ended keeps its own.
func algorithm(w apikey.ClientWrite) string {
	if len(w.PublicKeys) > 0 {
		return w.PublicKeys[0].Alg
	}
	if len(w.Definition.PublicKeys) > 0 {
		return w.Definition.PublicKeys[0].Alg
	}
	return ""
}

// publicMembers are the members of a public JWK (RFC 7518 section 6). Only
// these go out, whatever the ledger holds: Hydra stores a private member in
// plain text and shows it to everybody.
var publicMembers = []string{"kty", "crv", "x", "y", "n", "e"}

// keySet writes kid, use and alg itself: without use "sig" Hydra accepts the
// key and then refuses each token request.
func keySet(keys []apikey.PublicKey) map[string]any {
	set := make([]any, 0, len(keys))
	for _, p := range keys {
		jwk := map[string]any{"kid": p.KID, "use": "sig", "alg": p.Alg}
		for _, m := range publicMembers {
			if v, found := p.JWK[m]; found {
				jwk[m] = v
			}
		}
		set = append(set, jwk)
	}
	return map[string]any{"keys": set}
}

func markerOf(w apikey.ClientWrite) marker {
	d := w.Definition
	m := marker{
		Version: 1, Ledger: w.Ledger, Revision: d.Revision, Op: w.Op,
		RootID: d.RootID, Kind: d.Kind, Description: d.Description, Environment: d.Environment,
		Labels: d.Labels, Owners: d.Owners, Secret: d.Secret,
		ExpiresAt: d.ExpiresAt, DisabledAt: d.DisabledAt, DisabledUntil: d.DisabledUntil, EndsAt: d.EndsAt,
		WithOwner: d.DisabledWithOwner, OwnUntil: d.OwnDisabledUntil, Replaces: d.Replaces, ReplacedBy: d.ReplacedBy,
		CreatedAt: d.CreatedAt, CreatedBy: d.CreatedBy, UpdatedAt: d.UpdatedAt,
	}
	for _, p := range d.PublicKeys {
		m.PublicKeys = append(m.PublicKeys, markedKey{KID: p.KID, CreatedAt: p.CreatedAt, ExpiresAt: p.ExpiresAt, ReplacedAt: p.ReplacedAt})
	}
	return m
}

// hasID reports whether body is the client with that id.
func hasID(body []byte, id string) bool {
	var c struct {
		ID string `json:"client_id"`
	}
	return json.Unmarshal(body, &c) == nil && c.ID == id
}

// stateFrom reads the marker out of a client as Hydra sent it. A client of
// somebody else, whose metadata may be any JSON, has the zero state.
func stateFrom(body []byte) apikey.ClientState {
	var c struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	var all map[string]json.RawMessage
	var m struct {
		Ledger   string `json:"ledger"`
		Op       string `json:"op"`
		Revision int64  `json:"rev"`
	}
	if json.Unmarshal(body, &c) != nil || json.Unmarshal(c.Metadata, &all) != nil || json.Unmarshal(all[markerName], &m) != nil {
		return apikey.ClientState{}
	}
	return apikey.ClientState{Ledger: m.Ledger, Op: m.Op, Revision: m.Revision}
}

func ptr[T any](v T) *T { return &v }
