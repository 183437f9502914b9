package apikey_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// Counts move from hours to days and end as the clock goes on, and the totals
// stay what they are until they end.
func TestUsageThroughTime(t *testing.T) {
	w, _ := booklessWorld(t, apikeytest.Options{})
	ctx := as(t)
	id := keyOf(t, w, "time")
	now := w.Clock.Now()
	w.Clock.Advance(now.Truncate(24 * time.Hour).Add(48*time.Hour - time.Second).Sub(now)) // the last second of a day
	first := w.Clock.Now().Truncate(24 * time.Hour)
	for _, step := range []time.Duration{0, time.Second, time.Hour} { // one of the last hour, two of the next day
		w.Clock.Advance(step)
		noted(w, id, 1)
	}
	look := func(by apikey.UsagePeriod, from time.Time) string {
		t.Helper()
		if err := errors.Join(w.Service.Turn(ctx), w.Service.Prune(ctx)); err != nil {
			t.Fatal(err)
		}
		u, err := w.Service.Usage(ctx, id, apikey.UsageParams{By: by, From: &from})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range u.Data {
			out = append(out, fmt.Sprintf("%s %d", d.From.Sub(first), d.Issued))
		}
		return strings.Join(out, ", ")
	}
	for _, c := range []struct {
		after       time.Duration // on the clock, since the first day's beginning
		hours, days string
	}{
		{26 * time.Hour, "23h0m0s 1, 24h0m0s 1, 25h0m0s 1", "0s 1, 24h0m0s 2"},
		{15*24*time.Hour - time.Second, "23h0m0s 1, 24h0m0s 1, 25h0m0s 1", "0s 1, 24h0m0s 2"},
		{15 * 24 * time.Hour, "24h0m0s 1, 25h0m0s 1", "0s 1, 24h0m0s 2"},
		{16 * 24 * time.Hour, "", "0s 1, 24h0m0s 2"},
		{401*24*time.Hour - time.Second, "", "0s 1, 24h0m0s 2"},
		{401 * 24 * time.Hour, "", "24h0m0s 2"},
		{402 * 24 * time.Hour, "", ""},
	} {
		w.Clock.Advance(first.Add(c.after).Sub(w.Clock.Now()))
		if got := look(apikey.ByHour, first); got != c.hours {
			t.Errorf("after %v, by hour: %q, want %q", c.after, got, c.hours)
		}
		if got := look(apikey.ByDay, first); got != c.days {
			t.Errorf("after %v, by day: %q, want %q", c.after, got, c.days)
		}
	}
	if k, err := w.Service.Get(ctx, id); err != nil || k.LastUsedAt == nil || !k.LastUsedAt.Equal(first.Add(25*time.Hour)) {
		t.Errorf("last used %v, %v", k.LastUsedAt, err)
	}
}

// A change under way while the key is used, and every answer about the key,
// tell when it was used.
func TestChangesRaceWithUse(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"SQLite": apikeytest.SQLiteURL, "Postgres": pgtest.URL} {
		t.Run(name, func(t *testing.T) {
			w, _ := booklessWorld(t, apikeytest.Options{LedgerURL: url(t)})
			ctx := as(t)
			id := keyOf(t, w, "race")
			stop := make(chan struct{})
			var user sync.WaitGroup
			user.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					noted(w, id, 1)
					if err := w.Service.Flush(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			})
			var last time.Time
			for n := range 30 {
				w.Clock.Advance(time.Second)
				label := fmt.Sprint(n)
				if _, err := w.Service.Update(ctx, id, apikey.UpdateParams{Labels: map[string]*string{"n": &label}}); err != nil {
					t.Fatal(err)
				}
				k, err := w.Service.Get(ctx, id)
				if err != nil || k.Revision != int64(n+2) {
					t.Fatalf("revision %d, %v; want %d: use is no change", k.Revision, err, n+2)
				}
				if k.LastUsedAt != nil {
					if k.LastUsedAt.Before(last) {
						t.Fatalf("last used %v, after it was %v", k.LastUsedAt, last)
					}
					last = *k.LastUsedAt
				}
			}
			close(stop)
			user.Wait()
			if u, err := w.Service.Usage(ctx, id, apikey.UsageParams{}); err != nil || last.IsZero() || u.LastUsedAt == nil || u.LastUsedAt.Before(last) {
				t.Errorf("last used %v, %v", u.LastUsedAt, err)
			}
		})
	}
}

// A service keeps counts for as long as it is told, within bounds.
func TestUsageKept(t *testing.T) {
	w, l := booklessWorld(t, apikeytest.Options{})
	const day = 24 * time.Hour
	for _, c := range []struct {
		hours, days time.Duration
		ok          bool
	}{{0, 0, true}, {day, day, true}, {31 * day, 1100 * day, true}, {day - 1, 0, false}, {32 * day, 0, false}, {0, 13 * day, false}, {day, 1101 * day, false}, {-day, 0, false}} {
		_, err := apikey.New(apikey.Config{Ledger: l, Clients: w.Clients, ServerSecrets: []apikey.Secret{apikey.NewSecret(apikeytest.ServerSecret)}, HoursKept: c.hours, DaysKept: c.days})
		if (err == nil) != c.ok {
			t.Errorf("%v and %v: %v", c.hours, c.days, err)
		}
	}
}
