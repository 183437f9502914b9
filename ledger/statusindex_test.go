package ledger_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/ledger"
)

// A key has one place in the status lists from its making on, whatever is done
// to it, and nobody has it after it.
func TestStatusIndexOfAKey(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		first, second := created(t, db, nil), created(t, db, nil)
		if one, two := record(t, db, first.ID).StatusIndex, record(t, db, second.ID).StatusIndex; one != 1 || two != 2 {
			t.Errorf("got %d and %d, want 1 and 2", one, two)
		}
		second.Name, second.Revision = "renamed", 2
		apply(t, db, apikey.ActionUpdate, second)
		if got := record(t, db, second.ID).StatusIndex; got != 2 {
			t.Errorf("after a change: got %d, want 2", got)
		}
		apply(t, db, apikey.ActionDelete, second)
		third := created(t, db, nil)
		if got := record(t, db, third.ID).StatusIndex; got != 3 {
			t.Errorf("after a delete: got %d, want 3", got)
		}

		next := definition(func(d *apikey.Definition) { d.RootID, d.Replaces = third.ID, &third.ID })
		rotate := asking(apikey.ActionRotate, third)
		rotate.Plan = func(apikey.Record, bool) (apikey.Planned, error) {
			return apikey.Planned{Target: third, Successor: &next}, nil
		}
		f := finishing(begin(t, db, rotate).Change)
		f.Successor = &apikey.Born{Target: next, Event: *f.Event}
		if err := db.Finish(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		if old, young := record(t, db, third.ID).StatusIndex, record(t, db, next.ID).StatusIndex; old != 3 || young != 4 {
			t.Errorf("after a rotation: got %d and %d, want 3 and 4", old, young)
		}
	})
}

// Keys that are made at the same time have each a place of their own, one after
// the other without a gap.
func TestStatusIndexTogether(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		const makers, each = 8, 5
		var wg sync.WaitGroup
		for range makers {
			wg.Go(func() {
				for range each {
					b, err := db.Begin(t.Context(), asking(apikey.ActionCreate, definition(nil)))
					if err == nil {
						err = db.Finish(t.Context(), finishing(b.Change))
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		records, _, err := db.Keys(t.Context(), apikey.Query{Kind: apikey.KindAPI, Limit: makers*each + 1})
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, r := range records {
			got = append(got, r.StatusIndex)
		}
		slices.Sort(got)
		for i, n := range got {
			if n != int64(i+1) {
				t.Fatalf("got %v, want 1 to %d", got, makers*each)
			}
		}
		if len(got) != makers*each {
			t.Errorf("got %d keys", len(got))
		}
	})
}

// An import keeps the places that records have and gives the others the next
// ones; a place that is taken is refused.
func TestStatusIndexOfImports(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		placed, plain := ledgertest.Key(0), ledgertest.Key(1)
		placed.StatusIndex = 41
		records := []apikey.Record{plain, placed}
		if err := db.Import(t.Context(), records); err != nil {
			t.Fatal(err)
		}
		if a, b := record(t, db, placed.ID).StatusIndex, record(t, db, plain.ID).StatusIndex; a != 41 || b != 42 || records[0].StatusIndex != 0 {
			t.Errorf("got %d and %d, want 41 and 42, and the caller's records as they were", a, b)
		}
		if got := record(t, db, created(t, db, nil).ID).StatusIndex; got != 43 {
			t.Errorf("a key made after the import: got %d, want 43", got)
		}
		twin := ledgertest.Key(2)
		twin.StatusIndex = 41
		if err := db.Import(t.Context(), []apikey.Record{twin}); err == nil {
			t.Error("two keys have one place")
		}
	})
}

// The keys of a ledger from before the status lists get their places in the
// order in which they were made.
func TestStatusIndexMigration(t *testing.T) {
	for name, url := range databases {
		t.Run(name, func(t *testing.T) {
			cfg := ledger.Config{URL: url(t), ServerSecrets: serverSecrets}
			db := open(t, cfg)
			var ids []string
			for i := range 5 {
				at := start.Add(time.Duration(5-i) * time.Hour)
				ids = append(ids, created(t, db, func(d *apikey.Definition) { d.ID, d.CreatedAt = fmt.Sprint("key", i), at }).ID)
			}
			twin := created(t, db, func(d *apikey.Definition) { d.ID, d.CreatedAt = "kez", start.Add(time.Hour) }).ID
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if err := ledger.MigrateTo(t.Context(), cfg, 4); err != nil {
				t.Fatal(err)
			}
			db = open(t, cfg)
			for place, id := range []string{ids[4], twin, ids[3], ids[2], ids[1], ids[0]} {
				if got := record(t, db, id).StatusIndex; got != int64(place+1) {
					t.Errorf("%s: got %d, want %d", id, got, place+1)
				}
			}
			if got := record(t, db, created(t, db, nil).ID).StatusIndex; got != 7 {
				t.Errorf("the next key: got %d, want 7", got)
			}
		})
	}
}
