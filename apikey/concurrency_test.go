package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// as returns a context for a caller with every ordinary right.
func as(t *testing.T) context.Context {
	return apikey.WithCaller(t.Context(), apikeytest.Caller(apikeytest.All))
}

func create(ctx context.Context, t *testing.T, s apikey.API, p apikey.CreateParams) apikey.Issued {
	t.Helper()
	if p.Name == "" {
		p.Name = t.Name()
	}
	if p.Owner == "" {
		p.Owner = "test"
	}
	if p.Scopes == nil {
		p.Scopes = []string{"a"}
	}
	issued, err := s.Create(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// Thirty-two twins of one request with an Idempotency-Key make one key and get
// equal answers, secret included; on two replicas just the same.
func TestTwins(t *testing.T) {
	url := pgtest.URL(t)
	one, two := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url}), apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url})
	ctx := as(t)
	p := apikey.CreateParams{Name: "twin", Owner: "twins", Scopes: []string{"a"}, IdempotencyKey: "thirty-two-twins-0001"}
	answers := make([]apikey.Issued, 32)
	var wg sync.WaitGroup
	for i := range answers {
		service := one.Service
		if i%2 == 1 {
			service = two.Service
		}
		wg.Go(func() {
			var err error
			if answers[i], err = service.Create(ctx, p); err != nil {
				t.Errorf("twin %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i, a := range answers {
		if a.Key.ID != answers[0].Key.ID || !a.Secret.Equal(answers[0].Secret) || a.Secret.IsZero() {
			t.Errorf("twin %d got another answer", i)
		}
	}
	page, err := one.Service.List(ctx, apikey.ListParams{Owner: "twins"})
	if err != nil || len(page.Data) != 1 {
		t.Errorf("%d keys, want one (%v)", len(page.Data), err)
	}
	if !one.Fixture().Works(t, answers[0].Key, answers[0].Secret, nil) {
		t.Error("the secret does not work")
	}
}

// Eight writers patch different members of one key with If-Match, five hundred
// rounds: every accepted patch is there in the end.
func TestLostUpdates(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx := as(t)
	id := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
	const writers, rounds = 8, 500
	var wg sync.WaitGroup
	jobs := make(chan int, rounds)
	for i := range rounds {
		jobs <- i
	}
	close(jobs)
	last := make([]string, writers)
	for n := range writers {
		wg.Go(func() {
			label := fmt.Sprint("w", n)
			for i := range jobs {
				value := fmt.Sprint(i)
				if patchUntilAccepted(ctx, t, w.Service, id, label, value) {
					last[n] = value
				}
			}
		})
	}
	wg.Wait()
	k, err := w.Service.Get(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range last {
		if got := k.Labels[fmt.Sprint("w", n)]; got != want {
			t.Errorf("writer %d: label %q, want %q", n, got, want)
		}
	}
	if k.Revision != rounds+1 {
		t.Errorf("revision %d after %d accepted patches", k.Revision, rounds)
	}
}

// patchUntilAccepted is how a careful client writes: read, patch with If-Match,
// and again after 412.
func patchUntilAccepted(ctx context.Context, t *testing.T, s apikey.API, id, label, value string) bool {
	for {
		k, err := s.Get(ctx, id)
		if err != nil {
			t.Error(err)
			return false
		}
		_, err = s.Update(ctx, id, apikey.UpdateParams{Labels: map[string]*string{label: &value}, IfMatch: k.Revision})
		if err == nil {
			return true
		}
		if !errors.Is(err, apikey.ErrPrecondition) && !errors.Is(err, apikey.ErrBusy) {
			t.Error(err)
			return false
		}
	}
}

// Disable against enable on two replicas: the end is what the ledger says, and
// Hydra agrees; revoke beats everything.
func TestRaces(t *testing.T) {
	url := pgtest.URL(t)
	one, two := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url}), apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url})
	ctx := as(t)
	f := one.Fixture()
	for round := range 25 {
		issued := create(ctx, t, one.Service, apikey.CreateParams{})
		id := issued.Key.ID
		var wg sync.WaitGroup
		for _, w := range []*apikeytest.World{one, two} {
			wg.Go(func() { _, _ = w.Service.Disable(ctx, id, apikey.DisableParams{}) })
			wg.Go(func() { _, _ = w.Service.Enable(ctx, id, apikey.ActionParams{}) })
			if round%2 == 1 {
				wg.Go(func() {
					if _, err := w.Service.Revoke(ctx, id, apikey.RevokeParams{}); err != nil {
						t.Errorf("revoke: %v", err)
					}
				})
			}
		}
		wg.Wait()
		apikeytest.Eventually(t, "nothing is changing", func() bool { return quiet(ctx, t, two.Service, id) })
		k, err := two.Service.Get(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if round%2 == 1 && k.Status != apikey.StatusRevoked {
			t.Errorf("round %d: %s after revoke", round, k.Status)
		}
		if works := f.Works(t, issued.Key, issued.Secret, nil); works != (k.Status == apikey.StatusActive) {
			t.Errorf("round %d: the key is %s and its secret works: %v", round, k.Status, works)
		}
	}
}

func quiet(ctx context.Context, t *testing.T, s apikey.API, id string) bool {
	k, err := s.Get(ctx, id)
	if err != nil {
		t.Error(err)
		return true
	}
	for _, f := range k.Flags {
		if f == apikey.FlagChanging {
			return false
		}
	}
	return true
}
