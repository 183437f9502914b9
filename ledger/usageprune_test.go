package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

func prune(t testing.TB, db *ledger.DB, hoursBefore, daysBefore time.Time) {
	t.Helper()
	if err := db.PruneUsage(t.Context(), hoursBefore, daysBefore, start.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
}

// Old hours become days, exactly, also when more is counted for them afterwards;
// hours from the moment on stay, and days before theirs go.
func TestPruneUsage(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		id := created(t, db, nil).ID
		midnight := start.Truncate(24 * time.Hour)
		number := int64(0)
		count := func(n int64, at time.Time) {
			number++
			add(t, db, batch("w", number, issued(id, n, at)))
		}
		count(1, midnight.Add(-24*time.Hour-time.Second)) // the day before yesterday's last hour
		count(2, midnight.Add(-24*time.Hour))
		count(4, midnight.Add(-time.Second))
		count(8, midnight)
		count(16, midnight.Add(23*time.Hour+59*time.Minute))
		count(32, midnight.Add(24*time.Hour))
		day := func(n int) time.Time { return midnight.Add(time.Duration(n) * 24 * time.Hour) }
		days := []apikey.PeriodCounts{counted(day(-2), 1, nil), counted(day(-1), 6, nil), counted(day(0), 24, nil), counted(day(1), 32, nil)}
		want := func(when string, hours int, days ...apikey.PeriodCounts) {
			t.Helper()
			if diff := cmp.Diff(days, usage(t, db, id, apikey.ByDay).Periods); diff != "" {
				t.Errorf("%s: by day (-want +got):\n%s", when, diff)
			}
			if n := len(usage(t, db, id, apikey.ByHour).Periods); n != hours {
				t.Errorf("%s: %d hours, want %d", when, n, hours)
			}
		}
		want("before", 6, days...)
		prune(t, db, midnight, time.Time{})
		want("yesterday's hours are moved", 3, days...)
		prune(t, db, midnight, time.Time{})
		want("again", 3, days...)
		count(64, midnight.Add(-time.Second))
		days[1] = counted(day(-1), 70, nil)
		want("more of yesterday", 4, days...)
		prune(t, db, midnight, day(-1))
		want("it is moved too, and the day before is over", 3, days[1:]...)
		prune(t, db, day(2), day(1))
		want("all is moved", 0, days[3])
		prune(t, db, day(2), day(2))
		want("all is over", 0)
		if r := record(t, db, id); !r.LastUsedAt.Equal(midnight.Add(24 * time.Hour)) {
			t.Errorf("last used %v", r.LastUsedAt)
		}
	})
}

// Counts of keys that there no longer are, as an older program left them, go
// with the hours; writers not heard of go as well, and others stay.
func TestPruneLeftUsage(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		id := created(t, db, nil).ID
		for i := range 200 {
			if err := db.Exec(t.Context(), "INSERT INTO usage_hours (key_id, hour, outcome, tokens) VALUES ($1, 0, '', 1)", fmt.Sprint("gone-", i)); err != nil {
				t.Fatal(err)
			}
		}
		old := batch("old", 5, issued(id, 1, start))
		old.At = start.Add(-2 * time.Hour)
		add(t, db, old)
		add(t, db, batch("new", 5, issued(id, 1, start)))
		prune(t, db, start.Truncate(24*time.Hour), time.Time{})
		hours, err1 := db.Number(t.Context(), "SELECT COUNT(*) FROM usage_hours")
		days, err2 := db.Number(t.Context(), "SELECT COUNT(*) FROM usage_days")
		if err1 != nil || err2 != nil || hours != 1 || days != 0 {
			t.Errorf("%d hours, %d days, %v, %v; want the key's one", hours, days, err1, err2)
		}
		add(t, db, batch("new", 5, issued(id, 1, start)))
		if got := usage(t, db, id, apikey.ByDay).Periods[0].Issued; got != 2 {
			t.Errorf("%d tokens after a repeated batch, want 2", got)
		}
	})
}
