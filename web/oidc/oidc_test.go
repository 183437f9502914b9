package oidc_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenos/tokenos/web/oidc"
)

// A provider that does not answer is asked by one sign-in for all, and whoever
// leaves does not wait for the others.
func TestBeginDoesNotQueue(t *testing.T) {
	asked, answer := make(chan struct{}, 10), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(answer) })
	p, err := oidc.New(oidc.Config{Issuer: s.URL, ClientID: "c", RedirectURL: "https://keys.example.com/sign-in/callback", Claims: oidc.Claims{Role: "role"}})
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() {
		_, _, err := p.Begin(t.Context())
		first <- err
	}()
	<-asked
	gone, leave := context.WithCancel(t.Context())
	leave()
	left := make(chan error, 1)
	go func() {
		_, _, err := p.Begin(gone)
		left <- err
	}()
	select {
	case err := <-left:
		if !errors.Is(err, oidc.ErrUnavailable) {
			t.Errorf("whoever left is told %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("whoever left still waits")
	}
	answer <- struct{}{}
	if err := <-first; !errors.Is(err, oidc.ErrUnavailable) {
		t.Errorf("the first is told %v", err)
	}
	select {
	case <-asked:
		t.Error("is asked again, for nobody")
	default:
	}
}
