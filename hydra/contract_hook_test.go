package hydra_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// scripted is a token hook that answers as the test says and keeps what it got.
type scripted struct {
	mu     sync.Mutex
	status int
	body   string
	calls  int
	got    []byte
	header http.Header
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.got, s.header = s.calls+1, body, r.Header.Clone()
	w.WriteHeader(s.status)
	_, _ = io.WriteString(w, s.body)
}

// answer sets the next answers and forgets the calls.
func (s *scripted) answer(status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body, s.calls = status, body, 0
}

func (s *scripted) called() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// TestHookContract: Hydra asks its token hook, and treats each of our answers, as
// we rely on (facts 5.2 to 5.9).
func TestHookContract(t *testing.T) {
	script := &scripted{status: http.StatusNoContent}
	server := httptest.NewServer(script)
	t.Cleanup(server.Close)
	own := hydratest.New(t, hydradev.Config{TokenHook: &hydradev.TokenHook{URL: server.URL, Header: "Tokenos-Hook-Secret", Value: "contract-secret"}})
	h, err := hydra.New(hydra.Config{AdminURL: own.AdminURL(), PublicURL: own.PublicURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	open, closed := newWrite(), newWrite()
	closed.Open = false
	create(t, h, open)
	create(t, h, closed)
	buy := func(w apikey.ClientWrite, extra ...string) reply {
		return form(t, own.TokenURL(), w.Definition.ID, w.Secret.Reveal(), grant(extra...))
	}
	introspected := func(r reply) object {
		return form(t, own.AdminURL()+"/admin/oauth2/introspect", "", "", url.Values{"token": {bought(t, r)}}).want(t, 200).body
	}

	t.Run("5.3 the request has the client, the scopes and the secret", func(t *testing.T) {
		script.answer(http.StatusNoContent, "")
		buy(open, "scope", "orders:read", "client_id", "another", "assertion", "x").want(t, 200)
		var asked apikey.TokenRequest
		status, _ := hydra.Hook{Decide: decideInto(&asked)}.Answer(t.Context(), script.got)
		if status != 204 || asked.ClientID != open.Definition.ID || len(asked.Requested) != 1 || asked.Requested[0] != "orders:read" || len(asked.Granted) != 1 {
			t.Errorf("status %d, read %+v from %s", status, asked, script.got)
		}
		if script.header.Get("Tokenos-Hook-Secret") != "contract-secret" {
			t.Errorf("shown %q", script.header.Get("Tokenos-Hook-Secret"))
		}
	})
	t.Run("5.7 204 changes nothing", func(t *testing.T) {
		script.answer(http.StatusNoContent, "")
		if ext := introspected(buy(open))["ext"]; ext != nil || script.called() != 1 {
			t.Errorf("ext %v after %d calls", ext, script.called())
		}
	})
	t.Run("5.9 claims come back as ext", func(t *testing.T) {
		script.answer(http.StatusOK, `{"session":{"access_token":{"root_id":"r","key_expires_at":"2027-02-21T00:00:00Z"}}}`)
		ext, _ := introspected(buy(open))["ext"].(map[string]any)
		if ext["root_id"] != "r" || ext["key_expires_at"] != "2027-02-21T00:00:00Z" {
			t.Errorf("ext %v", ext)
		}
	})
	t.Run("5.7 403 refuses", func(t *testing.T) {
		script.answer(http.StatusForbidden, "a reason")
		buy(open).want(t, 403, "access_denied", "token hook")
		wantTry(t, h, open, apikey.HookRefuses)
	})
	t.Run("5.2 the hook is asked about closed clients and its 403 wins", func(t *testing.T) {
		script.answer(http.StatusForbidden, "")
		buy(closed).want(t, 403, "access_denied")
		script.answer(http.StatusNoContent, "")
		buy(closed).want(t, 400, "unauthorized_client")
		if script.called() != 1 {
			t.Errorf("%d calls", script.called())
		}
		wantTry(t, h, closed, apikey.HookNotAsked)
	})
	t.Run("5.7 400 fails at once", func(t *testing.T) {
		script.answer(http.StatusBadRequest, "")
		start := time.Now()
		buy(open).want(t, 500, "token hook")
		if script.called() != 1 || time.Since(start) > time.Second {
			t.Errorf("%d calls in %v", script.called(), time.Since(start))
		}
		wantTry(t, h, open, apikey.HookFails)
	})
	t.Run("5.2 a wrong secret does not get to the hook", func(t *testing.T) {
		script.answer(http.StatusNoContent, "")
		form(t, own.TokenURL(), open.Definition.ID, "wrong", grant()).want(t, 401, "invalid_client")
		if script.called() != 0 {
			t.Errorf("%d calls", script.called())
		}
		wrong := open
		wrong.Secret = apikey.GenerateSecret()
		if _, err := h.Try(t.Context(), credentialOf(wrong), ""); err == nil {
			t.Error("tried with a wrong secret: no error")
		}
	})
	t.Run("5.7 a hook that is gone fails", func(t *testing.T) {
		server.Close()
		wantTry(t, h, closed, apikey.HookFails)
	})
}

func credentialOf(w apikey.ClientWrite) apikey.Credential {
	return apikey.Credential{Method: apikey.ClientSecretBasic, ID: w.Definition.ID, Secret: w.Secret}
}

func wantTry(t *testing.T, h *hydra.Hydra, w apikey.ClientWrite, want apikey.HookAnswer) {
	t.Helper()
	if got, err := h.Try(deadline(t), credentialOf(w), ""); err != nil || got != want {
		t.Errorf("tried: %q, %v; want %q", got, err, want)
	}
}
