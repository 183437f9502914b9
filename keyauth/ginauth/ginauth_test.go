package ginauth_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tokenos/tokenos/keyauth"
	"github.com/tokenos/tokenos/keyauth/ginauth"
)

func verifier(t *testing.T) *keyauth.Verifier {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"active": r.PostFormValue("token") == "good", "client_id": "k", "sub": "k", "exp": time.Now().Unix() + 60, "aud": []string{"https://api.example.com"}, "scope": "read"})
	}))
	t.Cleanup(s.Close)
	v, err := keyauth.New(keyauth.Config{Audiences: []string{"https://api.example.com"}, InsecureLoopback: true,
		Introspection: keyauth.Introspection{URL: s.URL + "/v1/introspect", Token: func(context.Context) (string, error) { return "own", nil }}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

// Gin's handlers get the identity; who is refused reaches none of them, and the
// answer is keyauth's own, also within a group and before other middleware.
func TestRequire(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	v := verifier(t)
	r := gin.New()
	var reached []string
	note := func(name string) gin.HandlerFunc {
		return func(c *gin.Context) {
			who, ok := keyauth.FromContext(c.Request.Context())
			if !ok || who.KeyID != "k" {
				t.Errorf("%s: got %+v, %t", name, who, ok)
			}
			reached = append(reached, name)
		}
	}
	r.GET("/read", ginauth.Require(v, "read"), note("middle"), note("end"))
	r.GET("/write", ginauth.Require(v, "write"), note("write"))
	group := r.Group("/group", ginauth.Require(v))
	group.GET("/any", note("any"), func(c *gin.Context) { c.JSON(http.StatusTeapot, gin.H{}) })
	for _, tt := range []struct {
		path, token string
		status      int
		reached     string
		challenge   string
	}{
		{"/read", "good", 200, "middle end", ""},
		{"/read", "bad", 401, "", `error="invalid_token"`},
		{"/read", "", 401, "", "Bearer realm="},
		{"/write", "good", 403, "", `error="insufficient_scope", scope="write"`},
		{"/group/any", "good", 418, "any", ""},
		{"/group/any", "bad", 401, "", `error="invalid_token"`},
	} {
		reached = nil
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com"+tt.path, nil)
		if tt.token != "" {
			req.Header.Set("Authorization", "Bearer "+tt.token)
		}
		rec := httptest.NewRecorder()
		r.ServeHTTP(rec, req)
		if rec.Code != tt.status || strings.Join(reached, " ") != tt.reached || !strings.Contains(rec.Header().Get("WWW-Authenticate"), tt.challenge) {
			t.Errorf("%s with %q: got %d, reached %v, %v", tt.path, tt.token, rec.Code, reached, rec.Header())
		}
		if refused := tt.status == 401 || tt.status == 403; refused != (rec.Header().Get("Content-Type") == "application/problem+json") {
			t.Errorf("%s with %q: %v %s", tt.path, tt.token, rec.Header(), rec.Body)
		}
	}
}

// Gin's own trust in every proxy makes nobody's word about HTTPS count.
func TestProxiesAreKeyauths(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.GET("/", ginauth.Require(verifier(t)), func(*gin.Context) { t.Error("let in") })
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example.com/", nil)
	req.Header.Set("Authorization", "Bearer good")
	req.Header.Set("X-Forwarded-Proto", "https")
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, req)
	if rec.Code != http.StatusForbidden {
		t.Errorf("got %d", rec.Code)
	}
}
