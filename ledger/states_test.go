package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// states reads what changed since an event.
func states(t *testing.T, db *ledger.DB, since int64) map[int64]apikey.KeyState {
	t.Helper()
	out := map[int64]apikey.KeyState{}
	if _, err := db.KeyStates(t.Context(), since, func(k apikey.KeyState) { out[k.StatusIndex] = k }); err != nil {
		t.Fatal(err)
	}
	return out
}

// The mark differs after whatever may change a key's state, and states are those
// of the keys that the events since are of.
func TestStates(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		mark := func() apikey.StateMark {
			t.Helper()
			m, err := db.StateMark(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		seen := map[apikey.StateMark]string{mark(): "an empty ledger"}
		differs := func(what string) apikey.StateMark {
			t.Helper()
			m := mark()
			if as, old := seen[m]; old {
				t.Errorf("%s has the mark of %s", what, as)
			}
			seen[m] = what
			return m
		}
		end := start.Add(time.Hour)
		first := created(t, db, nil)
		one := differs("a new key")
		second := created(t, db, func(d *apikey.Definition) { d.ExpiresAt = &end })
		two := differs("another new key")
		if two.LastIndex != 2 || two.Event != one.Event+1 || two.Narrowing != 0 {
			t.Errorf("got %+v after %+v", two, one)
		}
		never := int64(apikey.NoExpiry)
		want := map[int64]apikey.KeyState{2: {StatusIndex: 2, RevokedAt: never, DisabledAt: never, DisabledUntil: never, ExpiresAt: end.Unix(), EndsAt: never}}
		if diff := cmp.Diff(want, states(t, db, one.Event)); diff != "" || len(states(t, db, two.Event)) != 0 || len(states(t, db, -1)) != 2 {
			t.Errorf("states (-want +got):\n%s", diff)
		}

		update := begin(t, db, asking(apikey.ActionUpdate, first))
		if m := mark(); m != two {
			t.Errorf("a begun change that narrows nothing: %+v", m)
		}
		queue := func(a apikey.Action) apikey.Begun {
			b := asking(a, first)
			b.Wait, b.Plan = true, nil
			return begin(t, db, b)
		}
		queue(apikey.ActionDisable)
		differs("a disable in line")
		revoke := queue(apikey.ActionRevoke)
		differs("a revoke in line")
		begun := begin(t, db, asking(apikey.ActionDisable, second))
		differs("a disable that is begun")
		narrowed, err := db.Narrowed(t.Context())
		got := map[apikey.NarrowedState]int{}
		for _, n := range narrowed {
			got[n]++
		}
		if diff := cmp.Diff(map[apikey.NarrowedState]int{{StatusIndex: 1, Action: apikey.ActionDisable}: 1, {StatusIndex: 1, Action: apikey.ActionRevoke}: 1, {StatusIndex: 2, Action: apikey.ActionDisable}: 1}, got); diff != "" || err != nil {
			t.Errorf("narrowed (-want +got):\n%s%v", diff, err)
		}
		if err := db.Abandon(t.Context(), revoke.Change.Op, 0, time.Time{}); err != nil {
			t.Fatal(err)
		}
		differs("a revoke that was given up")
		begun.Change.Target.DisabledAt = &start
		if err := db.Finish(t.Context(), finishing(begun.Change)); err != nil {
			t.Fatal(err)
		}
		three := differs("a disable that is done")
		if s := states(t, db, two.Event)[2]; s.DisabledAt != start.Unix() || three.Narrowing != 1 {
			t.Errorf("got %+v, %+v", s, three)
		}
		if err := db.Finish(t.Context(), finishing(update.Change)); err != nil {
			t.Fatal(err)
		}
		differs("an update that is done")
	})
}

// What ended and was deleted since has no place to tell; what was only deleted
// since had ended before.
func TestStatesOfTheGone(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		k := created(t, db, nil)
		other := created(t, db, nil)
		var marks []int64
		mark := func() {
			t.Helper()
			m, err := db.StateMark(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			marks = append(marks, m.Event)
		}
		mark()
		k.RevokedAt = &start
		apply(t, db, apikey.ActionRevoke, k)
		apply(t, db, apikey.ActionUpdate, other)
		mark()
		apply(t, db, apikey.ActionDelete, k)
		mark()
		for i, want := range []bool{false, true, true} {
			var told []int64
			all, err := db.KeyStates(t.Context(), marks[i], func(k apikey.KeyState) { told = append(told, k.StatusIndex) })
			if err != nil || all != want || i == 0 && len(told) != 1 || i > 0 && len(told) != 0 {
				t.Errorf("since mark %d: all %v of %v, %v", i, all, told, err)
			}
		}
		if all, err := db.KeyStates(t.Context(), -1, func(apikey.KeyState) {}); !all || err != nil {
			t.Errorf("every key: %v, %v", all, err)
		}
	})
}

// A completion in line counts for a key that a rotation has given an end, and for
// no other.
func TestStatesOfCompletion(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		end := start.Add(time.Hour)
		for _, k := range []apikey.Definition{created(t, db, nil), created(t, db, func(d *apikey.Definition) { d.EndsAt = &end })} {
			begin(t, db, asking(apikey.ActionUpdate, k))
			b := asking(apikey.ActionCompleteRotation, k)
			b.Wait, b.Plan = true, nil
			begin(t, db, b)
			want, many := apikey.Action(""), 0
			if k.EndsAt != nil {
				want, many = apikey.ActionCompleteRotation, 1
			}
			facts, err := db.FactsOf(t.Context(), []string{k.ID})
			if err != nil || len(facts) != 1 || facts[0].Narrowed != want {
				t.Errorf("ends %v: facts %+v, %v", k.EndsAt, facts, err)
			}
			if narrowed, err := db.Narrowed(t.Context()); err != nil || len(narrowed) != many {
				t.Errorf("ends %v: %+v, %v", k.EndsAt, narrowed, err)
			}
		}
	})
}
