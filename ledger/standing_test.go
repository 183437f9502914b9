package ledger_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/pgtest"
	"github.com/tokenos/tokenos/ledger"
)

// What is remembered of keys is what the ledger holds, after whatever may happen
// to one, by this process or on Postgres by another.
func TestStanding(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, url string) {
		other := db
		if url[:8] == "postgres" {
			other = open(t, ledger.Config{URL: url})
		}
		ctx := t.Context()
		var keys []apikey.Definition
		for range 3 {
			keys = append(keys, created(t, other, nil))
		}
		check := func(what string) {
			t.Helper()
			for i, k := range keys {
				for _, v := range []apikey.View{{}, {Owners: []string{"acme"}}, {Owners: []string{"b", "acme"}}, {Owners: []string{"b"}}} {
					r, wanted := db.Key(ctx, k.ID, v)
					want := apikey.Standing{}
					if wanted == nil {
						want = r.Standing()
					}
					got, err := db.Standing(ctx, k.ID, v, start)
					if diff := cmp.Diff(want, got); diff != "" || errors.Is(err, apikey.ErrNotFound) != errors.Is(wanted, apikey.ErrNotFound) {
						t.Errorf("%s: key %d for %v (-want +got):\n%s%v", what, i, v, diff, err)
					}
				}
			}
		}
		check("new")
		check("new, again")
		for i, k := range keys {
			k.Scopes = []string{"orders:write"}
			apply(t, other, apikey.ActionUpdate, k)
			keys[i] = k
			check("updated")
		}
		b := asking(apikey.ActionDisable, keys[0])
		begun := begin(t, other, b)
		check("a disable is begun")
		in := asking(apikey.ActionRevoke, keys[0])
		in.Wait, in.Plan = true, nil
		waits := begin(t, other, in)
		check("a revoke is in line")
		if err := other.Abandon(ctx, waits.Change.Op, 0, time.Time{}); err != nil {
			t.Fatal(err)
		}
		check("the revoke was given up")
		begun.Change.Target.DisabledAt = &start
		if err := other.Finish(ctx, finishing(begun.Change)); err != nil {
			t.Fatal(err)
		}
		check("the disable is done")
		apply(t, other, apikey.ActionEnable, keys[0])
		check("enabled")
		alone := begin(t, other, asking(apikey.ActionDisable, keys[1]))
		check("another is begun")
		if err := other.Abandon(ctx, alone.Change.Op, 0, time.Time{}); err != nil {
			t.Fatal(err)
		}
		check("and given up")
		ended := begin(t, other, asking(apikey.ActionRevokeTokens, keys[2]))
		f := finishing(ended.Change)
		f.Upkeep.TokensEndedAt, f.Upkeep.DueAt = start, start.Add(15*time.Second)
		if err := other.Finish(ctx, f); err != nil {
			t.Fatal(err)
		}
		check("tokens were ended, and something is due")
		// By the clock, without an event.
		swept := begin(t, other, asking(apikey.ActionConverge, keys[2]))
		f = finishing(swept.Change)
		f.Event, f.Upkeep.TokensEndedAt = nil, start.Add(15*time.Second)
		if err := other.Finish(ctx, f); err != nil {
			t.Fatal(err)
		}
		if s, err := db.Standing(ctx, keys[2].ID, apikey.View{}, start.Add(5*time.Second)); err != nil || !s.TokensEndedAt.Equal(f.Upkeep.TokensEndedAt) {
			t.Errorf("when the clock had something to do: %v, %v", s.TokensEndedAt, err)
		}
		apply(t, other, apikey.ActionRevoke, keys[1])
		apply(t, other, apikey.ActionDelete, keys[1])
		check("deleted")

		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err := db.Standing(ctx, keys[0].ID, apikey.View{}, start); !errors.Is(err, apikey.ErrUnavailable) {
			t.Errorf("a closed ledger says %+v, %v", s, err)
		}
	})
}

// Many more events than a look reads, and a ledger that goes back, make it
// forget all.
func TestStandingForgetsAll(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		k := created(t, db, nil)
		for _, events := range []int64{1_000, -900} {
			if _, err := db.Standing(t.Context(), k.ID, apikey.View{}, start); err != nil {
				t.Fatal(err)
			}
			k.Name += "x"
			apply(t, db, apikey.ActionUpdate, k)
			// As if the events had been others'.
			if err := db.Exec(t.Context(), "UPDATE events SET key_id = 'another'"); err != nil {
				t.Fatal(err)
			}
			if err := db.Exec(t.Context(), "UPDATE chain SET event_id = event_id + $1", events); err != nil {
				t.Fatal(err)
			}
			if s, err := db.Standing(t.Context(), k.ID, apikey.View{}, start); err != nil || s.Name != k.Name {
				t.Errorf("%d events: got %q, %v", events, s.Name, err)
			}
		}
	})
}

// A read-only ledger beside the process that writes it believes no memory that
// only that process could keep.
func TestStandingReadOnly(t *testing.T) {
	url := sqliteURL(t)
	db := open(t, ledger.Config{URL: url})
	k := created(t, db, nil)
	reader, err := ledger.Open(t.Context(), ledger.Config{URL: url, ReadOnly: true, ServerSecrets: serverSecrets})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	for range 3 {
		if s, err := reader.Standing(t.Context(), k.ID, apikey.View{}, start); err != nil || s.Name != k.Name {
			t.Errorf("got %q, %v, want %q", s.Name, err, k.Name)
		}
		k.Name += "x"
		apply(t, db, apikey.ActionUpdate, k)
	}
}

// Beyond some hundred accepted changes nothing is remembered, and afterwards what
// was remembered before holds only if nothing happened to the key.
func TestStandingCrowded(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		keys := []apikey.Definition{created(t, db, nil), created(t, db, nil)}
		check := func(what string) {
			t.Helper()
			for i, k := range keys {
				r, err := db.Key(t.Context(), k.ID, apikey.View{})
				if err != nil {
					t.Fatal(err)
				}
				got, err := db.Standing(t.Context(), k.ID, apikey.View{}, start)
				if diff := cmp.Diff(r.Standing(), got); diff != "" || err != nil {
					t.Errorf("%s: key %d (-want +got):\n%s%v", what, i, diff, err)
				}
			}
		}
		check("new")
		for i := range 501 {
			err := db.Exec(t.Context(), `INSERT INTO changes (op, key_id, action, state, wanted, target, successor, at, actor, attempt, lease_until, recheck_at, operation, touched, created_at)
				VALUES ($1, $1, 'key.disabled', 'queued', '', '', '', 0, '{}', 0, 0, 1152921504606846976, '', 1, 0)`, fmt.Sprintf("crowd-%d", i))
			if err != nil {
				t.Fatal(err)
			}
		}
		begun := begin(t, db, asking(apikey.ActionDisable, keys[0]))
		check("a disable is begun in a crowd")
		begun.Change.Target.DisabledAt = &start
		if err := db.Finish(t.Context(), finishing(begun.Change)); err != nil {
			t.Fatal(err)
		}
		check("it is done")
		if err := db.Exec(t.Context(), "DELETE FROM changes WHERE op LIKE 'crowd-%'"); err != nil {
			t.Fatal(err)
		}
		apply(t, db, apikey.ActionUpdate, keys[1])
		check("the crowd is gone")
	})
}

// What another process has committed counts for every call that begins then, also
// among many that share their looks.
func TestStandingInACrowd(t *testing.T) {
	url := pgtest.URL(t)
	db, other := open(t, ledger.Config{URL: url}), open(t, ledger.Config{URL: url})
	k := created(t, other, nil)
	stop := make(chan struct{})
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := db.Standing(t.Context(), k.ID, apikey.View{}, start); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 60 {
		k.Description = fmt.Sprint(i)
		apply(t, other, apikey.ActionUpdate, k)
		if s, err := db.Standing(t.Context(), k.ID, apikey.View{}, start); err != nil || s.Description != k.Description {
			t.Errorf("change %d: got %q, %v", i, s.Description, err)
		}
	}
	close(stop)
	crowd.Wait()
}
