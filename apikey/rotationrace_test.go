package apikey_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

const atOnce = 16 // rotations of one key

// Sixteen rotations of one key at once, five hundred rounds: every answered
// secret works, so does the one before it until its end, and none is dead.
func TestRotationRace(t *testing.T) {
	url := pgtest.URL(t)
	for name, c := range map[string]struct {
		worlds []*apikeytest.World
		rounds int
	}{
		"one process":  {[]*apikeytest.World{apikeytest.NewWorld(t, apikeytest.Options{})}, 400},
		"two replicas": {[]*apikeytest.World{apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url}), apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url})}, 100},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, f := as(t), c.worlds[0].Fixture()
			now := create(ctx, t, c.worlds[0].Service, apikey.CreateParams{})
			for round := range c.rounds {
				p := apikey.RotateParams{GracePeriod: period(time.Hour)}
				if round%4 == 3 {
					p.GracePeriod = period(0)
				}
				won := rotateAtOnce(ctx, t, c.worlds, now.Key.ID, p)
				if f.Works(t, now.Key, now.Secret, nil) != (round%4 != 3) {
					t.Fatalf("round %d: the secret before works: %v", round, round%4 == 3)
				}
				if !f.Works(t, won.Key, won.Secret, nil) {
					t.Fatalf("round %d: the answered secret is dead", round)
				}
				if _, err := c.worlds[0].Service.CompleteRotation(ctx, won.Key.ID, apikey.ActionParams{}); err != nil {
					t.Fatal(err)
				}
				now = apikey.Issued{Key: won.Key, Secret: won.Secret}
			}
		})
	}
}

// rotateAtOnce returns the one rotation that is answered. The others are told
// that one is pending, that the key has been replaced, or to come again.
func rotateAtOnce(ctx context.Context, t *testing.T, worlds []*apikeytest.World, id string, p apikey.RotateParams) apikey.Rotation {
	t.Helper()
	type answer struct {
		apikey.Rotation
		began, ended time.Time
	}
	var mu sync.Mutex
	var answers []answer
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range atOnce {
		wg.Go(func() {
			<-start
			began := time.Now()
			r, err := worlds[i%len(worlds)].Service.Rotate(ctx, id, p)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				answers = append(answers, answer{r, began, time.Now()})
			case !errors.Is(err, apikey.ErrRotationPending) && !errors.Is(err, apikey.ErrReplaced) && !errors.Is(err, apikey.ErrBusy):
				t.Errorf("rotate: %v", err)
			}
		})
	}
	close(start)
	wg.Wait()
	slices.SortFunc(answers, func(a, b answer) int { return a.ended.Compare(b.ended) })
	if len(answers) == 0 {
		t.Fatal("no rotation was answered")
	}
	for i, a := range answers[1:] { // only one that came after the answer may follow it
		if a.began.Before(answers[i].ended) {
			t.Errorf("two rotations that overlapped were answered: %s and %s", answers[i].Key.ID, a.Key.ID)
		}
	}
	return answers[len(answers)-1].Rotation
}
