package hydratest

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/tokenos/tokenos/hydradev"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// All tests of a package share one Hydra, which works.
func TestSharedIsOne(t *testing.T) {
	if a, b := Shared(t), Shared(t); a != b || a.PID() == 0 {
		t.Errorf("got two: %d, %d", a.PID(), b.PID())
	}
}

// A Hydra of a test's own knows nothing of the shared one, has the settings asked
// for, and is gone when its test ends.
func TestNewIsApart(t *testing.T) {
	id := unique("apart")
	Register(t, Shared(t).AdminURL(), map[string]any{"client_id": id})
	var own *hydradev.Server
	t.Run("own", func(t *testing.T) {
		began := time.Now()
		own = New(t, hydradev.Config{Settings: map[string]any{"strategies.access_token": "jwt"}})
		t.Logf("ready in %s", time.Since(began))
		Register(t, own.AdminURL(), map[string]any{"client_id": id, "client_secret": "a-secret-of-tests", "scope": "r", "grant_types": []string{"client_credentials"}})
		token := MustBuy(t, Purchase{TokenURL: own.TokenURL(), ID: id, Secret: "a-secret-of-tests"})
		if len(token) < 200 {
			t.Errorf("the setting has no effect: got an opaque token of %d characters", len(token))
		}
	})
	if own.PID() != 0 {
		t.Errorf("process %d outlives its test", own.PID())
	}
}

// Servers start with the template's keys, so that nobody waits for RSA.
func TestTemplateHasKeys(t *testing.T) {
	began := time.Now()
	if err := readKeys(t.Context(), Shared(t)); err != nil {
		t.Fatal(err)
	}
	t.Logf("jwks.json in %s", time.Since(began))
	status, _ := send(t, http.MethodGet, Shared(t).AdminURL()+"/admin/keys/hydra.openid.id-token", "", nil)
	if status != http.StatusOK {
		t.Errorf("the key for OpenID Connect: got %d", status)
	}
}
