package client_test

import (
	"context"
	"encoding/base64"
	"os"
	"sync"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(m)) }

// The promises of apikey.API hold through the client, HTTP and the handlers as
// they do on the service itself.
func TestConformance(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	f := w.Fixture()
	direct := f.As
	callers := &callers{byToken: map[string]apikey.Caller{}}
	f.As = func(t *testing.T, rights []apikey.Right, owners ...string) (apikey.API, context.Context) {
		t.Helper()
		api, ctx := direct(t, rights, owners...)
		h, err := handlers.New(handlers.Config{API: api, Authenticate: callers.authenticate, Holder: w.Service, Introspector: w.Service})
		if err != nil {
			t.Fatal(err)
		}
		return of(t, h, func(c *client.Config) { c.Token = callers.token }), ctx
	}
	apikeytest.Run(t, f)
}

// callers carries the suite's caller, which is in the context, over HTTP: as a
// token that names its principal, which no two callers of the suite share.
type callers struct {
	mu      sync.Mutex
	byToken map[string]apikey.Caller
}

func (c *callers) token(ctx context.Context) (string, error) {
	who, err := apikey.CallerFrom(ctx)
	if err != nil {
		return "nobody", nil // the server says what that means
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	token := base64.RawURLEncoding.EncodeToString([]byte(who.Principal))
	c.byToken[token] = who
	return token, nil
}

func (c *callers) authenticate(_ context.Context, token string) (apikey.Caller, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	who, ok := c.byToken[token]
	if !ok {
		return apikey.Caller{}, apikey.ErrUnauthenticated
	}
	return who, nil
}
