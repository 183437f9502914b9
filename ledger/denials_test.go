package ledger_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// deniedTo is what a key was denied for a reason, in the hours that begin so long
// after start.
func deniedTo(id string, why apikey.Denial, n int64, hours ...time.Duration) apikey.KeyUsage {
	u := apikey.KeyUsage{ID: id}
	for _, h := range hours {
		at := start.Add(h)
		u.Hours = append(u.Hours, counted(at, 0, map[apikey.Denial]int64{why: n}))
		u.LastDenial = &apikey.LastDenial{Reason: why, At: at}
	}
	return u
}

// denialEvents are the events that tell of a key's refused tokens, as "reason n".
func denialEvents(t *testing.T, db *ledger.DB, id string) (out []string) {
	t.Helper()
	events, err := db.Events(t.Context(), apikey.EventQuery{KeyID: id, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Action == apikey.ActionDeny {
			out = append(out, fmt.Sprint(e.After["reason"], " ", e.After["denied"]))
		}
	}
	return out
}

// intact checks the chain of events.
func intact(t *testing.T, db *ledger.DB) {
	t.Helper()
	if v, err := db.VerifyChain(t.Context(), apikey.Head{}, nil); err != nil || !v.Intact() {
		t.Errorf("the chain: %+v, %v", v, err)
	}
}

// The first denial for a reason in an hour is told, with what came after the one
// told before, and no other; nobody's is.
func TestDenialEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		d := created(t, db, func(d *apikey.Definition) { d.Kind, d.Owner = apikey.KindManagement, "zeta" })
		other := created(t, db, nil).ID
		first := deniedTo(d.ID, apikey.DeniedDisabled, 2, 0)
		first.Hours[0].Add("", 7)
		number := int64(0)
		var want []string
		for what, c := range []struct {
			use  apikey.KeyUsage
			want []string
		}{
			{first, []string{"disabled 2"}},
			{deniedTo(d.ID, apikey.DeniedDisabled, 30, 0), nil},
			{issued(d.ID, 4, start.Add(time.Hour)), nil},
			{deniedTo(d.ID, apikey.DeniedExpired, 1, 0), []string{"expired 1"}},
			{deniedTo(d.ID, apikey.DeniedDisabled, 1, time.Hour), []string{"disabled 31"}},
			{deniedTo(d.ID, apikey.DeniedDisabled, 10, time.Hour, 2*time.Hour, 3*time.Hour, 4*time.Hour), []string{"disabled 40"}},
			{deniedTo(d.ID, apikey.DeniedDisabled, 5, 3*time.Hour), nil},
			{deniedTo("key_live_nobody", apikey.DeniedUnknown, 5, 3*time.Hour), nil},
			{deniedTo(d.ID, apikey.DeniedDisabled, 5, -time.Hour), []string{"disabled 10"}}, // counted late
		} {
			number++
			b := batch("w", number, c.use, deniedTo(other, apikey.DeniedRevoked, 1, 0))
			add(t, db, b)
			add(t, db, b)
			want = append(want, c.want...)
			if diff := cmp.Diff(want, denialEvents(t, db, d.ID)); diff != "" {
				t.Errorf("batch %d (-want +got):\n%s", what, diff)
			}
		}
		if diff := cmp.Diff([]string{"revoked 1"}, denialEvents(t, db, other)); diff != "" {
			t.Errorf("the other key (-want +got):\n%s", diff)
		}
		events, err := db.Events(t.Context(), apikey.EventQuery{KeyID: d.ID, Owners: []string{"zeta"}, Kind: apikey.KindManagement, After: 1, Limit: 2})
		if err != nil || len(events) != 2 {
			t.Fatalf("%d events, %v", len(events), err)
		}
		told := apikey.Event{ID: events[0].ID, At: start, Action: apikey.ActionDeny, KeyID: d.ID, RootID: d.ID, Owner: "zeta", Kind: apikey.KindManagement, Revision: 1,
			Principal: "system:hook", Before: map[string]any{}, After: map[string]any{"reason": "disabled", "denied": 2.0}}
		if diff := cmp.Diff(told, events[0]); diff != "" {
			t.Errorf("the event (-want +got):\n%s", diff)
		}
		intact(t, db)
	})
}

// Whoever follows the changes hears nothing of denials, neither alone nor beside a
// change, and misses no change for them.
func TestDenialsAreNoChanges(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx := t.Context()
		denied, changes := created(t, db, nil), created(t, db, nil)
		mark, err1 := db.Mark(ctx)
		states, err2 := db.StateMark(ctx)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		deny := func(hour int) {
			t.Helper()
			add(t, db, batch(fmt.Sprint("w", hour), 1, deniedTo(denied.ID, apikey.DeniedDisabled, 1, time.Duration(hour)*time.Hour)))
			if n := len(denialEvents(t, db, denied.ID)); n != hour {
				t.Fatalf("%d events of denials, want %d", n, hour)
			}
		}
		looks := func(what string, want ...string) {
			t.Helper()
			touches, next, _, err := db.Touches(ctx, mark, 100)
			var got []string
			for _, touched := range touches {
				if touched.Op == "" {
					got = append(got, touched.KeyID)
				}
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%s: touched %v (-want +got):\n%s", what, err, diff)
			}
			var seen int
			all, err3 := db.KeyStates(ctx, states.Event, func(apikey.KeyState) { seen++ })
			now, err4 := db.StateMark(ctx)
			if err3 != nil || err4 != nil || !all || seen != len(want) || (now.Event == states.Event) != (len(want) == 0) || next.Event != now.Event {
				t.Errorf("%s: %d states, all %v, %v; mark %+v after %+v, %v; touches go on from %+v", what, seen, all, err3, now, states, err4, next)
			}
			mark, states = next, now
		}
		deny(1)
		looks("a denial")
		apply(t, db, apikey.ActionUpdate, changes)
		deny(2)
		deny(3)
		looks("a change before denials", changes.ID)
		deny(4)
		apply(t, db, apikey.ActionUpdate, changes)
		looks("a change after one", changes.ID)
		found, err := db.Events(ctx, apikey.EventQuery{KeyID: denied.ID, Changes: true, Limit: 10})
		if err != nil || len(found) != 1 || found[0].Action != apikey.ActionCreate {
			t.Errorf("the changes of the denied key: %+v, %v", found, err)
		}
	})
}

// However many count the same denials at once, one event tells of an hour, and
// none is told twice.
func TestDenialEventsTogether(t *testing.T) {
	together(t, func(t *testing.T, ledgers []*ledger.DB) {
		const keys, hours = 5, 6
		var ids []string
		for range keys {
			ids = append(ids, created(t, ledgers[0], nil).ID)
		}
		var writers atomic.Int64
		crowd(4, ledgers, func(db *ledger.DB, _ int) {
			writer := fmt.Sprint("w", writers.Add(1))
			for h := range hours {
				var all []apikey.KeyUsage
				for _, id := range ids {
					all = append(all, deniedTo(id, apikey.DeniedExpired, 1, time.Duration(h)*time.Hour))
				}
				if err := db.AddUsage(t.Context(), batch(writer, int64(h+1), all...)); err != nil {
					t.Error(err)
				}
			}
		})
		for _, id := range ids {
			add(t, ledgers[0], batch("last"+id, 1, deniedTo(id, apikey.DeniedExpired, 1, hours*time.Hour)))
			events, total := denialEvents(t, ledgers[0], id), int64(0)
			for _, e := range events {
				var n int64
				if _, err := fmt.Sscanf(e, "expired %d", &n); err != nil || n < 1 {
					t.Errorf("%q: %v", e, err)
				}
				total += n
			}
			if want := writers.Load()*hours + 1; len(events) != hours+1 || total != want {
				t.Errorf("%d events tell of %d denials; want %d of %d", len(events), total, hours+1, want)
			}
		}
		intact(t, ledgers[0])
	})
}

// What was denied before there were such events is not told, and no more what has
// been moved to its day.
func TestDenialsBefore(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, url string) {
		id := created(t, db, nil).ID
		add(t, db, batch("w", 1, deniedTo(id, apikey.DeniedDisabled, 50, 0)))
		if err := db.DownTo(t.Context(), 10); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, ledger.Config{URL: url})
		add(t, db, batch("w", 2, deniedTo(id, apikey.DeniedDisabled, 3, 0)))
		add(t, db, batch("w", 3, deniedTo(id, apikey.DeniedDisabled, 1, time.Hour)))
		add(t, db, batch("w", 4, deniedTo(id, apikey.DeniedDisabled, 9, time.Hour)))
		prune(t, db, start.Truncate(24*time.Hour).Add(24*time.Hour), time.Time{})
		add(t, db, batch("w", 5, deniedTo(id, apikey.DeniedDisabled, 2, 20*time.Hour)))
		if diff := cmp.Diff([]string{"disabled 50", "disabled 4", "disabled 2"}, denialEvents(t, db, id)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
