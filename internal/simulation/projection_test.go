package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// client is a client as Hydra's admin API shows it, as far as we set it.
type client struct {
	ID        string   `json:"client_id"`
	Name      string   `json:"client_name"`
	Owner     string   `json:"owner"`
	Grants    []string `json:"grant_types"`
	Responses []string `json:"response_types"`
	Scope     string   `json:"scope"`
	Audience  []string `json:"audience"`
	Method    string   `json:"token_endpoint_auth_method"`
	Strategy  string   `json:"access_token_strategy"`
	Lifespan  string   `json:"client_credentials_grant_access_token_lifespan"`
	JWKSURI   string   `json:"jwks_uri"`
	Redirects []string `json:"redirect_uris"`
	JWKS      struct {
		Keys []struct {
			KID string `json:"kid"`
			Use string `json:"use"`
			Alg string `json:"alg"`
		} `json:"keys"`
	} `json:"jwks"`
	Metadata struct {
		TokenOS marker `json:"tokenos"`
	} `json:"metadata"`
}

// marker is metadata.tokenos.
type marker struct {
	Version       int                `json:"v"`
	Ledger        string             `json:"ledger"`
	Revision      int64              `json:"rev"`
	Op            string             `json:"op"`
	RootID        string             `json:"root_id"`
	Kind          apikey.Kind        `json:"kind"`
	Environment   apikey.Environment `json:"environment"`
	Labels        map[string]string  `json:"labels"`
	Secret        *apikey.SecretInfo `json:"secret"`
	PublicKeys    []markedKey        `json:"public_keys"`
	ExpiresAt     *time.Time         `json:"expires_at"`
	DisabledAt    *time.Time         `json:"disabled_at"`
	DisabledUntil *time.Time         `json:"disabled_until"`
	WithOwner     bool               `json:"disabled_with_owner"`
	OwnUntil      *time.Time         `json:"own_disabled_until"`
	EndsAt        *time.Time         `json:"ends_at"`
	Replaces      *string            `json:"replaces"`
	ReplacedBy    *string            `json:"replaced_by"`
	CreatedAt     time.Time          `json:"created_at"`
	CreatedBy     string             `json:"created_by"`
}

type markedKey struct {
	KID        string     `json:"kid"`
	ExpiresAt  *time.Time `json:"expires_at"`
	ReplacedAt *time.Time `json:"replaced_at"`
}

// checkClients compares Hydra's clients with the ledger's keys: the same ids, and
// each client what the key says it should be.
func (s *simulation) checkClients(ctx context.Context, at int64) {
	db := s.place.replicas[0].Ledger
	clients := map[string]client{}
	for _, owner := range s.owners {
		for _, c := range s.clients(ctx, owner) {
			clients[c.ID] = c
		}
	}
	for _, r := range s.records(ctx) {
		c, found := clients[r.ID]
		delete(clients, r.ID)
		if found != (r.RevokedAt == nil) {
			s.fail(s.byID[r.ID], "revoked: %v; Hydra has its client: %v", r.RevokedAt != nil, found)
		}
		if !found {
			continue
		}
		for _, wrong := range s.wrong(c, r, db.Installation(), at) {
			s.fail(s.byID[r.ID], "its client in Hydra: %s", wrong)
		}
	}
	for id := range clients {
		s.fail(s.byID[id], "the client %s in Hydra has no key", id)
	}
}

// clients lists an owner's clients in Hydra.
func (s *simulation) clients(ctx context.Context, owner string) (all []client) {
	next := s.place.hydra.AdminURL() + "/admin/clients?page_size=250&owner=" + url.QueryEscape(owner)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, next, nil)
	s.must(err)
	resp, err := http.DefaultClient.Do(req)
	s.must(err)
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil || resp.StatusCode != http.StatusOK || len(all) == 250 {
		s.t.Fatalf("list clients: %s, %d, %v", resp.Status, len(all), err)
	}
	return all
}

// wrong is what of a client is not as the record says. at is when the background
// work was last done: a moment that has come since is left open.
func (s *simulation) wrong(c client, r apikey.Record, installation string, at int64) (out []string) {
	d := r.Definition
	differ := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			out = append(out, fmt.Sprintf("%s is %v, want %v", what, got, want))
		}
	}
	then, now := time.Unix(at, 0), s.place.clock.Now()
	if open := d.OpenAt(then); open == d.OpenAt(now) {
		want := []string{"disabled"}
		if open {
			want = []string{"client_credentials"}
		}
		differ("grant_types", c.Grants, want)
	}
	differ("client_name", c.Name, d.Name)
	differ("owner", c.Owner, d.Owner)
	differ("response types", len(c.Responses), 0)
	differ("redirects", len(c.Redirects), 0)
	differ("jwks_uri", c.JWKSURI, "")
	differ("scope", c.Scope, strings.Join(d.Scopes, " "))
	differ("audience", append([]string{}, c.Audience...), append([]string{}, d.Audiences...))
	differ("method", c.Method, string(d.AuthMethod))
	differ("strategy", c.Strategy, string(d.Token.Format))
	lifespan, err := time.ParseDuration(c.Lifespan)
	differ("lifespan", lifespan, time.Duration(d.Token.Lifetime))
	differ("lifespan's form", err, error(nil))
	kids := func(keys []apikey.PublicKey) (out []string) {
		for _, p := range keys {
			out = append(out, p.KID)
		}
		return out
	}
	if want := kids(d.LivePublicKeys(then)); slices.Equal(want, kids(d.LivePublicKeys(now))) {
		var got []string
		for _, k := range c.JWKS.Keys {
			got = append(got, k.KID)
			differ("use", k.Use, "sig")
			differ("alg", k.Alg, "ES256")
		}
		differ("kids", got, want)
	}
	want := marker{Version: 1, Ledger: installation, Revision: d.Revision, Op: r.Op, RootID: d.RootID, Kind: d.Kind, Environment: d.Environment,
		Secret: d.Secret, ExpiresAt: d.ExpiresAt, DisabledAt: d.DisabledAt, DisabledUntil: d.DisabledUntil, EndsAt: d.EndsAt,
		WithOwner: d.DisabledWithOwner, OwnUntil: d.OwnDisabledUntil, Replaces: d.Replaces, ReplacedBy: d.ReplacedBy, CreatedAt: d.CreatedAt, CreatedBy: d.CreatedBy}
	if len(d.Labels) > 0 {
		want.Labels = d.Labels
	}
	for _, p := range d.PublicKeys {
		want.PublicKeys = append(want.PublicKeys, markedKey{p.KID, p.ExpiresAt, p.ReplacedAt})
	}
	differ("marker", jsonOf(c.Metadata.TokenOS), jsonOf(want))
	return out
}

func jsonOf(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}
