package hydratest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// NewSlowHook starts a token hook that lets every token pass after a while, and
// returns its URL: it keeps token requests in flight for as long.
func NewSlowHook(t testing.TB, wait time.Duration) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
