package ledger_test

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// Keys of a ledger from before there were notices are looked at once, those that
// end; but not for what was told by then, such as a public key that has ended.
func TestUpgradeFromFirstSchema(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, url string) {
		ctx := t.Context()
		told, end := start.Add(24*time.Hour), start.Add(60*24*time.Hour)
		record := func(expires *time.Time, due time.Time) apikey.Record {
			d := definition(nil)
			d.AuthMethod, d.ExpiresAt, d.UpdatedAt = apikey.PrivateKeyJWT, expires, told
			d.PublicKeys = []apikey.PublicKey{{KID: d.ID, ExpiresAt: &told}}
			return apikey.Record{Definition: d, Upkeep: apikey.Upkeep{Op: d.ID, DueAt: due}}
		}
		late := told.Add(-time.Minute)
		ending, endless, overdue := record(&end, end), record(nil, time.Time{}), record(&end, late)
		if err := db.Import(ctx, []apikey.Record{ending, endless, overdue}); err != nil {
			t.Fatal(err)
		}
		if err := db.DownTo(ctx, 1); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, ledger.Config{URL: url})
		due, err := db.Due(ctx, told.Add(time.Hour), 10)
		slices.Sort(due)
		want := []string{ending.ID, overdue.ID}
		slices.Sort(want)
		if err != nil || !slices.Equal(due, want) {
			t.Errorf("due: %v, %v; want %v", due, err, want)
		}
		for id, latest := range map[string]time.Time{ending.ID: told.Add(time.Second), overdue.ID: late} {
			r, err := db.Key(ctx, id, apikey.View{})
			if err != nil || !r.DueAt.Equal(latest) || !r.ToldUntil.Equal(told) {
				t.Errorf("due at %v, told until %v, %v; want %v, %v", r.DueAt, r.ToldUntil, err, latest, told)
			}
		}
	})
}
