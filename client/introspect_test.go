package client_test

import (
	"net/http"
	"testing"

	"github.com/tokenos/tokenos/apikey"
)

// An answer that does not say yes or no is an error; a no says nothing more.
func TestIntrospectAnswers(t *testing.T) {
	for body, fails := range map[string]bool{
		`{}`: true, `null`: true, `[]`: true, `{"active":null}`: true, `{"active":"true"}`: true, `{"active":1}`: true, `<html>`: true, ``: true,
		`{"active":false}`: false, `{"active":false,"scope":"admin","client_id":"x"}`: false,
	} {
		c := of(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		}), nil)
		got, err := c.Introspect(t.Context(), apikey.NewSecret("token"))
		if (err != nil) != fails || got.Active || got.Scope != "" {
			t.Errorf("%s: got %+v, %v", body, got, err)
		}
	}
}
