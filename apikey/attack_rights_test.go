package apikey_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// A repeated request does not give out a management key's secret to a caller
// who may no longer make management keys.
func TestReplayNeedsTheRights(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
	c := apikeytest.Caller([]apikey.Right{apikey.Admin})
	p := apikey.CreateParams{Name: "m", Owner: "m", Kind: apikey.KindManagement, Scopes: []string{"admin"}, IdempotencyKey: "replay-needs-the-rights"}
	if _, err := w.Service.Create(apikey.WithCaller(t.Context(), c), p); err != nil {
		t.Fatal(err)
	}
	for name, less := range map[string]apikey.Caller{
		"no admin any more": {Principal: c.Principal, Rights: []apikey.Right{apikey.KeysWrite}},
		"bound to an owner": {Principal: c.Principal, Rights: []apikey.Right{apikey.Admin}, Owners: []string{"m"}},
	} {
		got, err := w.Service.Create(apikey.WithCaller(t.Context(), less), p)
		if err == nil || !got.Secret.IsZero() {
			t.Errorf("%s: got the key and its secret again", name)
		}
	}
	if got, err := w.Service.Create(apikey.WithCaller(t.Context(), c), p); err != nil || got.Secret.IsZero() {
		t.Errorf("the same caller: %v", err)
	}
}

// A management key that reaches further than a bound admin does not exist for
// that admin: not by its id, in lists, in counts or in events.
func TestManagementKeysOutOfReach(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
	all := apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.Admin}))
	bound := apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.Admin}, "acme"))
	make := func(owners ...string) string {
		return create(all, t, w.Service, apikey.CreateParams{Owner: "acme", Kind: apikey.KindManagement, Scopes: []string{"keys:read"}, Owners: owners}).Key.ID
	}
	var seen []string
	for range 3 {
		make()
		seen = append(seen, make("acme"))
		make("acme", "other")
	}
	for _, limit := range []int{1, 2, 200} {
		var got []string
		p := apikey.ListParams{Kind: apikey.KindManagement, Limit: limit, Count: true, Sort: "created_at"}
		for {
			page, err := w.Service.List(bound, p)
			if err != nil {
				t.Fatal(err)
			}
			if *page.Count != len(seen) {
				t.Errorf("counts %d, want %d", *page.Count, len(seen))
			}
			for _, k := range page.Data {
				got = append(got, k.ID)
			}
			if p.Cursor = page.NextCursor; p.Cursor == "" {
				break
			}
		}
		slices.Sort(got)
		slices.Sort(seen)
		if !slices.Equal(got, seen) {
			t.Errorf("pages of %d: lists %v, want %v", limit, got, seen)
		}
	}
	events, err := w.Service.Events(bound, apikey.FeedParams{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Data {
		if !slices.Contains(seen, e.KeyID) {
			t.Errorf("sees the event %s of %s", e.Action, e.KeyID)
		}
	}
	page, err := w.Service.KeyEvents(bound, seen[0], apikey.PageParams{})
	if err != nil || len(page.Data) != 1 {
		t.Errorf("events of a key within reach: %d, %v", len(page.Data), err)
	}
}

// slowBegin is the ledger of a process that is stopped right after T1.
type slowBegin struct {
	apikey.Ledger
	stopped chan struct{} // closed when it stops
	resume  chan struct{}
	once    sync.Once
	armed   bool
}

func (l *slowBegin) Begin(ctx context.Context, b apikey.Begin) (apikey.Begun, error) {
	begun, err := l.Ledger.Begin(ctx, b)
	if l.armed {
		l.once.Do(func() { close(l.stopped); <-l.resume })
	}
	return begun, err
}

// second is another process on the world's ledger and Hydra.
func second(t *testing.T, w *apikeytest.World, adapt func(*apikey.Config)) *apikey.Service {
	t.Helper()
	cfg := apikey.Config{Ledger: w.Ledger, Clients: w.Clients, Tokens: w.Clients, Now: w.Clock.Now,
		ServerSecrets: []apikey.Secret{apikey.NewSecret(apikeytest.ServerSecret)}}
	shortLease(&cfg)
	adapt(&cfg)
	s, err := apikey.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
