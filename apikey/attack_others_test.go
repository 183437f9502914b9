package apikey_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// heldCreate is the way to Hydra of a process that stops at a POST while armed.
type heldCreate struct {
	apikey.Clients
	armed         bool
	stopped, goOn chan struct{}
}

func (c *heldCreate) Create(ctx context.Context, w apikey.ClientWrite) error {
	if c.armed {
		c.armed = false
		close(c.stopped)
		<-c.goOn
	}
	return c.Clients.Create(ctx, w)
}

// rotating is a world in which a rotation of a key of the owner has begun, and
// what lets it go on.
func rotating(t *testing.T, w *apikeytest.World, c *heldCreate, id string) (goOn func() apikey.Rotation) {
	t.Helper()
	c.stopped, c.goOn, c.armed = make(chan struct{}), make(chan struct{}), true
	made := make(chan apikey.Rotation, 1)
	go func() {
		r, err := w.Service.Rotate(as(t), id, apikey.RotateParams{})
		if err != nil {
			t.Error(err)
		}
		made <- r
	}()
	<-c.stopped
	return func() apikey.Rotation {
		close(c.goOn)
		return <-made
	}
}

func heldCreateWorld(t *testing.T) (*apikeytest.World, *heldCreate) {
	c := &heldCreate{}
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: func(cfg *apikey.Config) { c.Clients, cfg.Clients = cfg.Clients, c }})
	return w, c
}

// Who ends a key while a rotation of it is under way is told of the successor
// that goes on.
func TestOthersOfRotationUnderWay(t *testing.T) {
	w, c := heldCreateWorld(t)
	ctx := as(t)
	id := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
	goOn := rotating(t, w, c, id)
	revoked := make(chan apikey.Result, 1)
	p := apikey.RevokeParams{IdempotencyKey: "others-under-way-1"}
	go func() {
		res, err := w.Service.Revoke(ctx, id, p)
		if err != nil {
			t.Error(err)
		}
		revoked <- res
	}()
	apikeytest.Eventually(t, "the revoke stands in line", func() bool {
		r, err := w.Ledger.Key(ctx, id, apikey.View{})
		return err == nil && len(r.Pending) == 2
	})
	r, res := goOn(), <-revoked
	again, err := w.Service.Revoke(ctx, id, p)
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string]apikey.Result{"revoke": res, "repeated": again} {
		if len(got.Others) != 1 || got.Others[0].ID != r.Key.ID {
			t.Errorf("%s: others %+v; %s goes on", what, got.Others, r.Key.ID)
		}
	}
}

// An operation on an owner reaches a successor that a rotation was making when
// it came to the key before it.
func TestOwnerOperationReachesSuccessorUnderWay(t *testing.T) {
	for name, wait := range map[string]time.Duration{"soon": 0, "later": 7 * time.Second} {
		t.Run(name, func(t *testing.T) {
			w, c := heldCreateWorld(t)
			ctx := as(t)
			owner := "under way " + rand.Text()
			first := create(ctx, t, w.Service, apikey.CreateParams{Owner: owner})
			id := first.Key.ID
			goOn := rotating(t, w, c, id)
			o, err := w.Service.DisableOwner(ctx, owner, apikey.DisableOwnerParams{})
			if err != nil {
				t.Fatal(err)
			}
			apikeytest.Eventually(t, "the disable stands in line", func() bool {
				r, err := w.Ledger.Key(ctx, id, apikey.View{})
				return err == nil && len(r.Pending) == 2
			})
			from := time.Now()
			apikeytest.Eventually(t, "the time has passed", func() bool { return time.Since(from) >= wait })
			r := goOn()
			done := until(ctx, t, w, o.ID, "it is done", func(o apikey.Operation) bool { return o.State == apikey.OperationDone })
			if done.Changed != 2 || done.Done != 2 || done.Total != 2 {
				t.Errorf("operation: %+v; want both keys", done)
			}
			wantKeys(ctx, t, w, []apikey.Issued{first, {Key: r.Key, Secret: r.Secret}}, apikey.ActionDisable, false)
		})
	}
}
