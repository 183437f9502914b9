package hydradev

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Hydra asks the token hook, with the secret in its header, and refuses the token
// when the hook does.
func TestTokenHook(t *testing.T) {
	var asked atomic.Bool
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Header.Get("X-Hook") == "the-hook-secret")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer hook.Close()
	denier := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	defer denier.Close()
	for hookURL, want := range map[string]int{hook.URL: 200, denier.URL: 403} {
		s := start(t, Config{TokenHook: &TokenHook{URL: hookURL, Header: "X-Hook", Value: "the-hook-secret"}})
		if got := buy(t, s, "orders:read"); got != want {
			t.Errorf("a token under a hook that answers %d: got %d", want, got)
		}
	}
	if !asked.Load() {
		t.Error("the hook was not asked with its secret")
	}
}

// buy registers a client with the scopes given and returns the status of buying a
// token with the first of them.
func buy(t *testing.T, s *Server, scopes string) int {
	t.Helper()
	status, body := call(t, "POST", s.AdminURL()+"/admin/clients",
		`{"client_id":"k","client_secret":"a-secret-of-tests","grant_types":["client_credentials"],"scope":"`+scopes+`"}`)
	if status != 201 {
		t.Fatalf("create a client: got %d %s", status, body)
	}
	return token(t, s, strings.Fields(scopes)[0])
}

// token returns the status of buying a token for one scope as the client k.
func token(t *testing.T, s *Server, scope string) int {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.TokenURL(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("k", "a-secret-of-tests")
	resp, err := prober.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// Hydra obeys the settings we rely on: scopes are compared exactly.
func TestSettings(t *testing.T) {
	s := start(t, Config{})
	if got := buy(t, s, "orders.*"); got != 200 {
		t.Errorf("the scope that was registered: got %d", got)
	}
	if got := token(t, s, "orders.read"); got != 400 {
		t.Errorf("a scope under a registered wildcard: got %d, want 400", got)
	}
}

// A dotted setting replaces ours or joins it, and cannot go through a value.
func TestDottedSettings(t *testing.T) {
	doc := tree{}
	for _, s := range []struct {
		name  string
		value any
	}{{"a.b", 1}, {"a.c.d", 2}, {"a.b", 3}, {"e", []string{"x"}}} {
		if err := doc.set(s.name, s.value); err != nil {
			t.Fatal(err)
		}
	}
	want := tree{"a": map[string]any{"b": 3, "c": map[string]any{"d": 2}}, "e": []string{"x"}}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Errorf("the document (-want +got):\n%s", diff)
	}
	if err := doc.set("a.b.c", 4); err == nil || !strings.Contains(err.Error(), `"b" is not an object`) {
		t.Errorf("through a value: got %v", err)
	}
}

// The password of a DSN and the hook's value count as secrets, also as they are
// written in a URL; words too short to be secrets do not.
func TestConfigNamesItsSecrets(t *testing.T) {
	c := Config{DSN: "postgres://hydra:pass%20word%2F1@127.0.0.1/hydra", TokenHook: &TokenHook{Value: "short"}}
	log := &record{}
	out := newOutput(log, c.secrets("the-system-secret"))
	line := "pass word/1 pass%20word%2F1 pass+word%2F1 the-system-secret short\n"
	if _, err := out.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("[secret] [secret] [secret] [secret] short\n", log.String()); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
}

// The budgets nest: what waits for something outlasts it.
func TestBudgetsNest(t *testing.T) {
	budgets := []time.Duration{readyPoll, probeTime, callTime, startTime}
	for i := range budgets[1:] {
		if budgets[i] >= budgets[i+1] {
			t.Errorf("budget %d (%s) is not below the next (%s)", i, budgets[i], budgets[i+1])
		}
	}
	if trustTime >= startTime || firstPause >= longestWait || longestWait > healthy {
		t.Error("a start on trust, or the pauses between restarts, are too long")
	}
}
