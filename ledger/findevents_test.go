package ledger_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// Events are found by what they say, from either end; whoever goes on where a call
// ended misses none and sees none twice, however rare they are, and a call looks
// at no more than it may.
func TestFindEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		db.SetStretch(3, 2)
		d := changed(t, db, 30) // 1 created, 2 to 31 updated
		apply(t, db, apikey.ActionDisable, d)
		late := created(t, db, func(d *apikey.Definition) { d.Name = `","action":"key.disabled","` })
		made, err := db.Events(t.Context(), apikey.EventQuery{After: 32, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			query apikey.EventQuery
			want  []int64
			most  int // calls
		}{
			{apikey.EventQuery{Limit: 50, Action: apikey.ActionDisable}, []int64{32}, 7},
			{apikey.EventQuery{Limit: 1, Action: apikey.ActionCreate}, []int64{1, 33}, 8},
			{apikey.EventQuery{Limit: 50, After: 30, Principal: made[0].Principal}, []int64{31, 32, 33}, 2},
			{apikey.EventQuery{Limit: 50, Before: 3}, []int64{1, 2}, 1},
			{apikey.EventQuery{Limit: 1, KeyID: late.ID}, []int64{33}, 2},
			{apikey.EventQuery{Limit: 50, Since: start.Add(24 * time.Hour)}, nil, 1},
			{apikey.EventQuery{Limit: 50, After: 40}, nil, 1},
		} {
			for _, c.query.Descending = range []bool{false, true} {
				got, calls := findAll(t, db, c.query)
				if slices.Sort(got); !slices.Equal(got, c.want) || calls > c.most {
					t.Errorf("%+v: got %v in %d calls, want %v in at most %d", c.query, got, calls, c.want, c.most)
				}
			}
		}
	})
}

// findAll asks until there is no more.
func findAll(t *testing.T, db *ledger.DB, q apikey.EventQuery) (ids []int64, calls int) {
	t.Helper()
	for calls = 1; calls < 50; calls++ {
		found, err := db.FindEvents(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found.Events {
			ids = append(ids, e.ID)
		}
		if !found.More {
			break
		}
		if q.Descending {
			q.Before = found.Seen
		} else {
			q.After = found.Seen
		}
	}
	return ids, calls
}
