package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// accept is the API that clients call with their tokens: it wants an active token
// of the key, with exactly the scope and the audience that were asked for.
func accept(t testing.TB, w *apikeytest.World, k apikey.Key, token string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Hydra.AdminURL()+"/admin/oauth2/introspect",
		strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Active   bool     `json:"active"`
		ClientID string   `json:"client_id"`
		Scope    string   `json:"scope"`
		Aud      []string `json:"aud"`
	}
	if err := json.Unmarshal(text, &said); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("introspection answers %d, %v", resp.StatusCode, err)
	}
	if !said.Active || said.ClientID != k.ID || said.Scope != scope || !slices.Equal(said.Aud, []string{audience}) {
		t.Errorf("the token is %+v, want an active one of %s with scope %s for %s", said, k.ID, scope, audience)
	}
}
