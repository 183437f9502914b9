package apikey_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// quota lets each owner have so many live keys.
func quota(most int) func(*apikey.Config) {
	return func(c *apikey.Config) { c.Policies = apikey.Policies{Live: apikey.Policy{MaxKeys: &most}} }
}

// full reports whether the error says that the owner has no room, and only that.
func full(err error, most int) bool {
	invalid, ok := errors.AsType[*apikey.InvalidError](err)
	if !ok || len(invalid.Fields) != 1 {
		return false
	}
	f := invalid.Fields[0]
	return f.Pointer == "#/owner" && f.Code == "policy" && f.Rule == "max_keys" && f.Limit == fmt.Sprint(most) && f.Fix != ""
}

// Two hundred creates at once, on one process and on two replicas, make exactly
// as many keys as the quota allows; the others are told why.
func TestQuotaRace(t *testing.T) {
	const most, asked = 100, 200
	pg := pgtest.URL(t)
	for name, urls := range map[string][]string{"SQLite": {apikeytest.SQLiteURL(t)}, "two replicas on Postgres": {pg, pg}} {
		t.Run(name, func(t *testing.T) {
			var services []*apikey.Service
			for _, url := range urls {
				services = append(services, apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Config: quota(most)}).Service)
			}
			ctx := as(t)
			var made, refused atomic.Int64
			var wg sync.WaitGroup
			for i := range asked {
				wg.Go(func() {
					_, err := services[i%len(services)].Create(ctx, apikey.CreateParams{Name: "n", Owner: "race", Scopes: []string{"a"}})
					for errors.Is(err, apikey.ErrUnavailable) { // too many at once for Hydra: come again, as callers do
						_, err = services[i%len(services)].Create(ctx, apikey.CreateParams{Name: "n", Owner: "race", Scopes: []string{"a"}})
					}
					switch {
					case err == nil:
						made.Add(1)
					case full(err, most):
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			page, err := services[0].List(ctx, apikey.ListParams{Owner: "race", Count: true, Limit: 1})
			if err != nil || made.Load() != most || refused.Load() != asked-most || *page.Count != most {
				t.Errorf("made %d, refused %d, in the ledger %v, %v; want %d keys", made.Load(), refused.Load(), page.Count, err, most)
			}
		})
	}
}

// A place is taken by what is neither revoked nor given away: disabled and
// expired keys hold theirs, test keys and other owners' do not count, and a
// revoked key gives its place back at once.
func TestQuotaPlaces(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: quota(2)})
	admin := apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.Admin}))
	p := apikey.CreateParams{Name: "n", Owner: "places", Scopes: []string{"a"}}
	first, second := create(admin, t, w.Service, p).Key, create(admin, t, w.Service, p).Key
	if _, err := w.Service.Disable(admin, second.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	wantFull := func(what string) {
		t.Helper()
		if _, err := w.Service.Create(admin, p); !full(err, 2) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantFull("two keys, one disabled")
	test := p
	test.Environment = apikey.Test
	create(admin, t, w.Service, test)
	other := p
	other.Owner = "elsewhere"
	create(admin, t, w.Service, other)
	moved := create(admin, t, w.Service, other).Key
	if _, err := w.Service.Update(admin, moved.ID, apikey.UpdateParams{Owner: &p.Owner}); !full(err, 2) {
		t.Errorf("given to an owner without room: %v", err)
	}
	if k, err := w.Service.Update(admin, first.ID, apikey.UpdateParams{Owner: &p.Owner, Name: new("m")}); err != nil || k.Name != "m" {
		t.Errorf("patched with the owner it has: %v", err)
	}
	if _, err := w.Service.Revoke(admin, first.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Update(admin, moved.ID, apikey.UpdateParams{Owner: &p.Owner}); err != nil {
		t.Errorf("given to an owner with room: %v", err)
	}
	wantFull("after the gift")
	create(admin, t, w.Service, other) // whose place is free again
}

// The same request with its Idempotency-Key gets its key although the owner has
// no room any more.
func TestQuotaAndReplay(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: quota(1)})
	ctx := as(t)
	p := apikey.CreateParams{Name: "n", Owner: "replay", Scopes: []string{"a"}, IdempotencyKey: "quota-and-replay-0001"}
	first := create(ctx, t, w.Service, p)
	again, err := w.Service.Create(ctx, p)
	if diff := cmp.Diff(first.Key, again.Key); diff != "" || err != nil || !again.Secret.Equal(first.Secret) {
		t.Errorf("%v (-first +again):\n%s", err, diff)
	}
	p.IdempotencyKey = "quota-and-replay-0002"
	for range 2 { // a refusal is not remembered
		if _, err := w.Service.Create(ctx, p); !full(err, 1) {
			t.Errorf("another: %v", err)
		}
	}
	if _, err := w.Service.Revoke(ctx, first.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Create(ctx, p); err != nil {
		t.Errorf("once there is room: %v", err)
	}
}

// A create that Hydra did not take gives its place back, and one that is still
// under way holds it.
func TestQuotaOfWhatIsNotMade(t *testing.T) {
	h := hydratest.Shared(t)
	proxy := hydratest.NewProxy(t, h.AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Hydra: h, AdminURL: proxy.URL(), Config: quota(1)})
	ctx := as(t)
	p := apikey.CreateParams{Name: "n", Owner: "unmade", Scopes: []string{"a"}}
	proxy.Inject(hydratest.Reset().On("POST", "/admin/clients").Times(1))
	if _, err := w.Service.Create(ctx, p); !errors.Is(err, apikey.ErrUnavailable) {
		t.Fatalf("while Hydra resets: %v", err)
	}
	slow := proxy.Inject(hydratest.DelayAnswer(time.Second).On("POST", "/admin/clients").Times(1))
	first := make(chan error, 1)
	go func() {
		_, err := w.Service.Create(ctx, p)
		first <- err
	}()
	apikeytest.Eventually(t, "the create is at Hydra", func() bool { return slow.Struck() == 1 })
	if _, err := w.Service.Create(ctx, p); !full(err, 1) {
		t.Errorf("beside one under way: %v", err)
	}
	if err := <-first; err != nil {
		t.Errorf("with the place that was given back: %v", err)
	}
}

// A key that is rotated again, because its successor was revoked, takes a place:
// the one before may be another key's by now.
func TestQuotaOfAnotherSuccessor(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: quota(1)})
	ctx, owner := as(t), "again "+rand.Text()
	key := create(ctx, t, w.Service, apikey.CreateParams{Owner: owner}).Key
	revoked := func() {
		t.Helper()
		r, err := w.Service.Rotate(ctx, key.ID, apikey.RotateParams{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Service.Revoke(ctx, r.Key.ID, apikey.RevokeParams{}); err != nil {
			t.Fatal(err)
		}
	}
	revoked() // a rotation
	revoked() // another, into the place that is free
	create(ctx, t, w.Service, apikey.CreateParams{Owner: owner})
	if _, err := w.Service.Rotate(ctx, key.ID, apikey.RotateParams{}); !full(err, 1) {
		t.Errorf("rotated beyond the quota: %v", err)
	}
	if after, err := w.Service.Get(ctx, key.ID); err != nil || slices.Contains(after.Flags, apikey.FlagChanging) {
		t.Errorf("the refused rotation left something: %+v, %v", after, err)
	}
}
