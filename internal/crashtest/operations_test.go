package crashtest

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// Killed in the midst of operations on an owner, on SQLite: each key is as it
// should be, at Hydra too, with one event for each operation.
func TestCrashOperationsSQLite(t *testing.T) {
	crashOperations(t, "sqlite://"+filepath.Join(t.TempDir(), "ledger.db"), 4)
}

// The same on Postgres, where the next process waits for the lease to end.
func TestCrashOperationsPostgres(t *testing.T) {
	crashOperations(t, pgtest.URL(t), 1)
}

func crashOperations(t *testing.T, ledger string, kills int) {
	p := newProduct(t, ledger)
	p.start()
	ids := p.makeKeys(150)
	for _, step := range []struct {
		action apikey.Action
		status apikey.Status // afterwards
		begin  func(context.Context, apikey.API, string) (apikey.Operation, error)
	}{
		{apikey.ActionDisable, apikey.StatusDisabled, func(ctx context.Context, a apikey.API, key string) (apikey.Operation, error) {
			return a.DisableOwner(ctx, p.owner, apikey.DisableOwnerParams{IdempotencyKey: key})
		}},
		{apikey.ActionEnable, apikey.StatusActive, func(ctx context.Context, a apikey.API, key string) (apikey.Operation, error) {
			return a.EnableOwner(ctx, p.owner, apikey.EnableOwnerParams{IdempotencyKey: key})
		}},
		{apikey.ActionRevokeTokens, apikey.StatusActive, func(ctx context.Context, a apikey.API, key string) (apikey.Operation, error) {
			return a.RevokeOwnerTokens(ctx, p.owner, apikey.OwnerActionParams{IdempotencyKey: key})
		}},
		{apikey.ActionRevoke, apikey.StatusRevoked, func(ctx context.Context, a apikey.API, key string) (apikey.Operation, error) {
			return a.RevokeOwner(ctx, p.owner, apikey.RevokeOwnerParams{IdempotencyKey: key})
		}},
	} {
		begin := func(api apikey.API) (apikey.Operation, error) {
			return step.begin(t.Context(), api, "crash-operation-"+string(step.action))
		}
		hit := 0 // kills while it ran
		for range kills {
			before, err := begin(p.api()) // a request without an answer is asked again
			if err == nil && before.State == apikey.OperationRunning {
				hit++
			}
			time.Sleep(time.Duration(100+rand.IntN(500)) * time.Millisecond) // the random point
			p.kill()
			p.start()
		}
		o := p.ended(begin)
		if o.Changed != len(ids) || o.Total != len(ids) || hit == 0 {
			t.Errorf("%s, killed %d times: %+v", step.action, hit, o)
		}
		p.quiesce()
		p.wantEach(ids, step.action, step.status)
		p.noOrphans()
	}
	p.kill()
	p.verifyChain()
}

func (p *product) makeKeys(n int) (ids []string) {
	p.t.Helper()
	api, out := p.api(), make([]string, n)
	var wg sync.WaitGroup
	for from := range 4 {
		wg.Go(func() {
			for i := from; i < n; i += 4 {
				issued, err := api.Create(p.t.Context(), apikey.CreateParams{Name: "n", Owner: p.owner, Scopes: []string{"a"}})
				if err != nil {
					p.t.Error(err)
					return
				}
				out[i] = issued.Key.ID
			}
		})
	}
	wg.Wait()
	if p.t.Failed() {
		p.t.FailNow()
	}
	return out
}

// ended asks for the operation until it has ended.
func (p *product) ended(begin func(apikey.API) (apikey.Operation, error)) apikey.Operation {
	p.t.Helper()
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		o, err := begin(p.api())
		if err == nil && o.State != apikey.OperationRunning {
			return o
		}
		if time.Now().After(until) {
			p.t.Fatalf("still %+v, %v", o, err)
		}
	}
}

func (p *product) wantEach(ids []string, a apikey.Action, status apikey.Status) {
	p.t.Helper()
	keys, err := p.everyKey(p.t.Context(), p.api())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, id := range ids {
		if keys[id].Status != status {
			p.t.Errorf("after %s: a key is %s", a, keys[id].Status)
		}
		page, err := p.api().KeyEvents(p.t.Context(), id, apikey.PageParams{Limit: 200})
		if err != nil {
			p.t.Fatal(err)
		}
		n := 0
		for _, e := range page.Data {
			if e.Action == a {
				n++
			}
		}
		if n != 1 {
			p.t.Errorf("%d events %s of one key", n, a)
		}
	}
}
