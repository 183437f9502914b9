package bench

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydradev"
)

// raw calls Hydra's admin API as a program without us would, and faster than
// its SDK: bodies are put together ahead of time where they can be, and answers
// are read once. It calls us in the same way where both are asked the same.
type raw struct {
	admin  string
	bearer string // sent as access token; "": none
	http   *http.Client
	dsn    string // of Hydra's database
	dir    string // of its SQLite file
}

func newRaw(admin string, c hydradev.Config) raw {
	return raw{admin: admin, http: keptAlive(), dsn: c.DSN, dir: c.Dir}
}

// oauthClient is a client such as our projection writes, without its marker.
type oauthClient struct {
	ID         string         `json:"client_id"`
	Name       string         `json:"client_name"`
	Secret     string         `json:"client_secret,omitempty"`
	Owner      string         `json:"owner"`
	GrantTypes []string       `json:"grant_types"`
	Responses  []string       `json:"response_types"`
	Scope      string         `json:"scope"`
	Audience   []string       `json:"audience"`
	Method     string         `json:"token_endpoint_auth_method"`
	Strategy   string         `json:"access_token_strategy"`
	Lifespan   string         `json:"client_credentials_grant_access_token_lifespan"`
	Metadata   map[string]any `json:"metadata"`
}

func newOAuthClient(id string) oauthClient {
	return oauthClient{ID: id, Name: "billing worker", Owner: "bench", GrantTypes: []string{"client_credentials"}, Responses: []string{},
		Scope: "orders:read status:read", Audience: []string{"https://api.example.com"}, Method: "client_secret_basic", Strategy: "opaque", Lifespan: "15m",
		Metadata: map[string]any{"description": "calls the billing API for the growth team", "team": "growth", "environment": "live", "created_by": "user:bench"}}
}

// do makes one call, expects status, and reads the answer into out (nil: only
// to its end).
func (r raw) do(method, path string, body any, status int, out any) error {
	var send io.Reader
	kind := "application/json"
	switch body := body.(type) {
	case nil:
	case url.Values:
		send, kind = strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, r.admin+path, send) //nolint:noctx // a benchmark's own Hydra
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	if r.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+r.bearer)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusInternalServerError {
		return fmt.Errorf("%s %s: %w: %s", method, path, errBroken, answer)
	}
	if resp.StatusCode != status {
		return fmt.Errorf("%s %s: answer %d %s", method, path, resp.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// create makes a client with a secret of ours.
func (r raw) create(id string) error {
	c := newOAuthClient(id)
	c.Secret = apikey.GenerateSecret().Reveal()
	var made oauthClient
	return r.do(http.MethodPost, "/admin/clients", c, http.StatusCreated, &made)
}

func (r raw) get(id string) error {
	var got oauthClient
	return r.do(http.MethodGet, "/admin/clients/"+id, nil, http.StatusOK, &got)
}

// put writes a whole client. Hydra on SQLite answers 500 to some of several PUTs
// at the same time ("database is locked"); anybody has to repeat those.
func (r raw) put(c oauthClient) error {
	var got oauthClient
	err := r.do(http.MethodPut, "/admin/clients/"+c.ID, c, http.StatusOK, &got)
	for again := 0; again < 3 && errors.Is(err, errBroken); again++ {
		err = r.do(http.MethodPut, "/admin/clients/"+c.ID, c, http.StatusOK, &got)
	}
	return err
}

// errBroken is an answer of 500.
var errBroken = errors.New("hydra answered 500")

func (r raw) revokeTokens(id string) error {
	return r.do(http.MethodDelete, "/admin/oauth2/tokens?client_id="+id, nil, http.StatusNoContent, nil)
}

// introspect asks at a path whether a token is active (RFC 7662).
func (r raw) introspect(path, token string) error {
	var got struct{ Active bool }
	err := r.do(http.MethodPost, path, url.Values{"token": {token}}, http.StatusOK, &got)
	if err == nil && !got.Active {
		err = errors.New("introspect: the token is not active")
	}
	return err
}

// pageOf is the path of one page of clients.
func pageOf(filter url.Values) string {
	return fmt.Sprintf("/admin/clients?page_size=%d&%s", page, filter.Encode())
}

// list reads one page and expects this many clients.
func (r raw) list(path string, want int) error {
	var got []oauthClient
	if err := r.do(http.MethodGet, path, nil, http.StatusOK, &got); err != nil {
		return err
	}
	if len(got) != want {
		return fmt.Errorf("%s: got %d clients, want %d", path, len(got), want)
	}
	return nil
}

// from is Hydra v2.3.0's token for the page that begins at an offset.
func from(offset int) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"offset":"%d","v":2}`, offset))
}
