package keyauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/tokenos/tokenos/keyauth"
)

// An API that accepts both formats. Here a request comes without a token.
func Example() {
	v, err := keyauth.New(keyauth.Config{
		Audiences: []string{"https://api.example.com"},
		Issuer:    "https://auth.example.com",
		Introspection: keyauth.Introspection{
			URL: "https://keys.example.com/v1/introspect",
			// In earnest: an oauth2.TokenSource that buys one with a management key.
			Token: func(context.Context) (string, error) { return "token-of-this-api", nil },
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer v.Close() //nolint:errcheck // always nil

	mux := http.NewServeMux()
	mux.Handle("GET /orders", v.Require("orders:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := keyauth.FromContext(r.Context())
		fmt.Fprintln(w, "orders of", who.Owner)
	})))

	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.example.com/orders", nil))
	fmt.Println(rec.Code, rec.Header().Get("WWW-Authenticate"))
	fmt.Println(rec.Body)
	// Output:
	// 401 Bearer realm="https://api.example.com"
	// {"type":"about:blank","title":"Unauthorized","status":401,"detail":"Send an access token: Authorization: Bearer.","code":"no_token"}
}

// A handler behind Require knows who calls.
func ExampleFromContext() {
	tokenos := exampleTokenOS()
	defer tokenos.Close()
	v, err := keyauth.New(keyauth.Config{
		Audiences:        []string{"https://api.example.com"},
		Introspection:    keyauth.Introspection{URL: tokenos.URL + "/v1/introspect", Token: func(context.Context) (string, error) { return "token-of-this-api", nil }},
		InsecureLoopback: true, // for this example; never in production
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer v.Close() //nolint:errcheck // always nil

	orders := v.Require("orders:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := keyauth.FromContext(r.Context())
		fmt.Fprintf(w, "%s of %s may %v", who.RootID, who.Owner, who.Scopes)
	}))
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.example.com/orders", nil)
	r.Header.Set("Authorization", "Bearer ory_at_example.token")
	rec := httptest.NewRecorder()
	orders.ServeHTTP(rec, r)
	body, _ := io.ReadAll(rec.Body)
	fmt.Println(rec.Code, string(body))
	// Output:
	// 200 key_live_01k9x2 of acme may [orders:read orders:write]
}

// Where there is no HTTP, Verify checks a token by itself. The kind of its error
// says what to do.
func ExampleVerifier_Verify() {
	v, err := keyauth.New(keyauth.Config{Audiences: []string{"https://api.example.com"}, Issuer: "https://auth.example.com", StatusList: keyauth.StatusList{URL: "https://keys.example.com/status/"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer v.Close() //nolint:errcheck // always nil

	who, err := v.Verify(context.Background(), "eyJhbGciOiJub25lIn0.e30.")
	switch {
	case errors.Is(err, keyauth.ErrUnavailable):
		fmt.Println("try again later with the same token")
	case err != nil:
		fmt.Println("refused:", err)
	case !who.Allows("orders:read"):
		fmt.Println("may not read orders")
	default:
		fmt.Println("welcome", who.KeyID)
	}
	// Output:
	// refused: keyauth: invalid token: malformed
}

// Metrics: all words of an Observation are fit for labels.
func ExampleConfig_observe() {
	counts := expvar.NewMap("keyauth")
	v, err := keyauth.New(keyauth.Config{
		Audiences: []string{"https://api.example.com"}, Issuer: "https://auth.example.com", StatusList: keyauth.StatusList{Off: true},
		Observe: func(o keyauth.Observation) {
			counts.Add(string(o.Operation)+" "+string(o.Format)+" "+string(o.Reason), 1)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer v.Close() //nolint:errcheck // always nil
	for range 3 {
		_, _ = v.Verify(context.Background(), "a.b.c")
	}
	fmt.Println(counts)
	// Output:
	// {"verify jwt malformed": 3}
}

// exampleTokenOS knows one token.
func exampleTokenOS() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"active": r.PostFormValue("token") == "ory_at_example.token", "client_id": "key_live_01k9x7", "sub": "key_live_01k9x7", "root_id": "key_live_01k9x2", "owner": "acme", "env": "live",
			"scope": "orders:read orders:write", "aud": []string{"https://api.example.com"}, "exp": time.Now().Add(time.Hour).Unix(), "token_type": "Bearer",
		})
	}))
}
