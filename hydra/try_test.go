package hydra_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
)

// What is no answer of Hydra's to a token request says nothing of its hook.
func TestTryBelievesHydraAlone(t *testing.T) {
	for _, c := range []struct {
		name, kind, body string
		status           int
	}{
		{"a proxy's 403", "text/html", "<html>denied</html>", 403},
		{"another 403", "application/json", `{"error":"forbidden"}`, 403},
		{"another 400", "application/json", `{"error":"invalid_request"}`, 400},
		{"another 500", "application/json", `{"error":"error","error_description":"The error is unrecognizable"}`, 500},
		{"502", "text/html", "bad gateway", 502},
		{"404", "application/json", `{"error":"Unable to locate the resource"}`, 404},
		{"a redirect", "text/plain", "", 302},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.body))
		}))
		h, err := hydra.New(hydra.Config{AdminURL: server.URL, PublicURL: server.URL, Retries: -1})
		if err != nil {
			t.Fatal(err)
		}
		got, err := h.Try(t.Context(), credentialOf(newWrite()), "")
		if got != apikey.HookUnknown {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if !errors.Is(err, apikey.ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", c.name, err)
		}
		h.Close()
		server.Close()
	}
}

// The two transports share no TLS settings: net/http writes to those of each when
// it is first used, and both are first used at the same time.
func TestTransportsShareNoTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(server.Close)
	shared := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	h, err := hydra.New(hydra.Config{AdminURL: server.URL, PublicURL: server.URL, TLS: shared, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	var both sync.WaitGroup
	both.Go(func() { _ = h.Ready(t.Context()) })
	both.Go(func() { _, _ = h.Try(t.Context(), credentialOf(newWrite()), "") })
	both.Wait()
	if len(shared.NextProtos) != 0 {
		t.Errorf("the caller's settings were written to: %v", shared.NextProtos)
	}
}
