package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/internal/hydratest"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(m)) }

const audience = "https://api.example.com"

// start runs the program until the test ends and returns its address.
func start(t *testing.T, env map[string]string, args ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, append([]string{"-listen", "127.0.0.1:0"}, args...), func(name string) string { return env[name] }, in, t.Output())
		_ = in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the program ended: %v, %v", err, <-ended)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the program ended with %v", err)
		}
	})
	_, address, _ := strings.Cut(strings.TrimSpace(line), "listening on ")
	return address
}

func send(t *testing.T, method, address, token, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// The API works with real tokens of both formats, on net/http and on Gin alike: a
// key reads and writes what its scopes allow and sees its own orders only.
func TestAPI(t *testing.T) {
	s := hydratest.Shared(t)
	for _, framework := range []string{"-gin=false", "-gin=true"} {
		address := start(t, nil, framework, "-issuer", s.PublicURL(), "-hydra-admin", s.AdminURL())
		for _, strategy := range []string{"jwt", "opaque"} {
			t.Run(framework+" "+strategy, func(t *testing.T) {
				id, secret := "key_live_"+strings.ToLower(rand.Text()), rand.Text()
				hydratest.Register(t, s.AdminURL(), map[string]any{"client_id": id, "client_secret": secret, "scope": "orders:read orders:write", "audience": []string{audience},
					"grant_types": []string{"client_credentials"}, "response_types": []string{}, "access_token_strategy": strategy})
				buy := func(scopes ...string) string {
					return hydratest.MustBuy(t, hydratest.Purchase{TokenURL: s.TokenURL(), ID: id, Secret: secret, Scopes: scopes, Audiences: []string{audience}})
				}
				read, write := buy("orders:read"), buy("orders:write")
				for _, tt := range []struct {
					method, path, token, body string
					status                    int
					says                      string
				}{
					{"GET", "/health", "", "", 204, ""},
					{"GET", "/orders", "", "", 401, "no_token"},
					{"GET", "/orders", read + "x", "", 401, "invalid_token"},
					{"GET", "/orders", write, "", 403, "orders:read"},
					{"POST", "/orders", read, `{"item":"tea"}`, 403, "orders:write"},
					{"GET", "/orders", read, "", 200, "[]"},
					{"POST", "/orders", write, `{"item":"tea"}`, 201, id},
					{"POST", "/orders", write, `{}`, 400, "item"},
					{"GET", "/orders", read, "", 200, `"tea"`},
					{"GET", "/whoami", write, "", 200, `"orders:write"`},
				} {
					if status, text := send(t, tt.method, address+tt.path, tt.token, tt.body); status != tt.status || !strings.Contains(text, tt.says) {
						t.Errorf("%s %s: got %d %s, want %d with %q", tt.method, tt.path, status, text, tt.status, tt.says)
					}
				}
			})
		}
	}
}

// With -tokenos the API asks TokenOS, with a token that it buys once.
func TestAPIAsksTokenOS(t *testing.T) {
	s := hydratest.Shared(t)
	id, secret := "key_live_"+strings.ToLower(rand.Text()), rand.Text()
	hydratest.Register(t, s.AdminURL(), map[string]any{"client_id": id, "client_secret": secret, "scope": "tokens:introspect", "audience": []string{"tokenos"}, "grant_types": []string{"client_credentials"}, "response_types": []string{}})
	var callers []string
	tokenos := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if caller, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && hydratest.Introspect(t, s.AdminURL(), caller) {
			callers = append(callers, caller)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"active": r.URL.Path == "/v1/introspect" && r.PostFormValue("token") == "good", "client_id": "k", "sub": "k", "exp": 9999999999, "aud": []string{audience}, "scope": "orders:read", "owner": "acme"})
	}))
	defer tokenos.Close()
	address := start(t, map[string]string{"TOKENOS_CLIENT_ID": id, "TOKENOS_CLIENT_SECRET": secret}, "-issuer", s.PublicURL(), "-tokenos", tokenos.URL)
	for token, want := range map[string]int{"good": 200, "bad": 401} {
		if status, text := send(t, "GET", address+"/orders", token, ""); status != want {
			t.Errorf("%s: got %d %s", token, status, text)
		}
	}
	if slices.Sort(callers); len(slices.Compact(callers)) != 1 {
		t.Errorf("%d tokens of our own", len(callers))
	}
}

// Settings that cannot work stop the program at once.
func TestSettingsRefused(t *testing.T) {
	for name, args := range map[string][]string{
		"in clear":   {"-issuer", "http://auth.example.com"},
		"no name":    {"-audience", ""},
		"no network": {"-trusted-proxy", "10.0.0.0"},
		"no port":    {"-listen", "127.0.0.1:999999"},
		"no flag":    {"-what"},
	} {
		if err := run(t.Context(), args, func(string) string { return "" }, io.Discard, io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A key sees its own orders only, and no more are kept than fit.
func TestOrders(t *testing.T) {
	all := &orders{}
	for range maxOrders {
		all.add(order{Item: "tea", Owner: "acme"})
	}
	all.add(order{Item: "coffee", Owner: "other"})
	if n := len(all.of("acme")); n != maxOrders-1 {
		t.Errorf("%d orders", n)
	}
	if diff := cmp.Diff([]order{{Item: "coffee", Owner: "other"}}, all.of("other")); diff != "" {
		t.Error(diff)
	}
}
