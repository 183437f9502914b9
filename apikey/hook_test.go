package apikey_test

import (
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// hooked is a Hydra that asks its hook, and the first world that answers there.
func hooked(t testing.TB, o apikeytest.Options) (*apikeytest.Hook, *apikeytest.World) {
	t.Helper()
	hook := apikeytest.NewHook(t)
	if o.Hydra == nil {
		o.Hydra = hydratest.New(t, hydradev.Config{TokenHook: hook.Setting()})
	}
	more := o.Config
	o.Config = func(c *apikey.Config) {
		apikeytest.Hooked(c)
		if more != nil {
			more(c)
		}
	}
	w := apikeytest.NewWorld(t, o)
	hook.For(t, w)
	return hook, w
}

// What the hook promises holds on Postgres, too, and through REST.
func TestHookOnPostgres(t *testing.T) {
	_, w := hooked(t, apikeytest.Options{LedgerURL: pgtest.URL(t)})
	apikeytest.RunHooked(t, w.RESTFixture(t))
}

// The service keeps the promises of apikey.API when Hydra asks it before each
// token as well.
func TestServiceWithHook(t *testing.T) {
	hook, w := hooked(t, apikeytest.Options{})
	apikeytest.Run(t, w.Fixture())
	apikeytest.RunHooked(t, w.Fixture())
	if hook.Calls.Load() == 0 {
		t.Error("Hydra has not asked")
	}
}
