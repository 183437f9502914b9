package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// Events are numbered from one without gaps, in the order of the commits, and a
// reader gets those within its bounds, forward or backward.
func TestEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		acme := created(t, db, nil)
		created(t, db, func(d *apikey.Definition) { d.Owner = "zeta" })
		created(t, db, func(d *apikey.Definition) { d.Kind = apikey.KindManagement })
		apply(t, db, apikey.ActionUpdate, acme)
		for _, c := range []struct {
			query apikey.EventQuery
			want  []int64
		}{
			{apikey.EventQuery{}, []int64{1, 2, 3, 4}},
			{apikey.EventQuery{After: 2}, []int64{3, 4}},
			{apikey.EventQuery{Descending: true}, []int64{4, 3, 2, 1}},
			{apikey.EventQuery{Descending: true, Before: 4, KeyID: acme.ID}, []int64{1}},
			{apikey.EventQuery{Owners: []string{"zeta", "x"}}, []int64{2}},
			{apikey.EventQuery{Kind: apikey.KindAPI}, []int64{1, 2, 4}},
			{apikey.EventQuery{Kind: apikey.KindAPI, Limit: 2}, []int64{1, 2}},
		} {
			if c.query.Limit == 0 {
				c.query.Limit = 10
			}
			events, err := db.Events(t.Context(), c.query)
			var got []int64
			for _, e := range events {
				got = append(got, e.ID)
			}
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%+v: %v %s", c.query, err, diff)
			}
		}
	})
}

// changed makes a key and changes it n times, which is n+1 events.
func changed(t *testing.T, db *ledger.DB, n int) apikey.Definition {
	t.Helper()
	d := created(t, db, nil)
	for i := range n {
		d.Description = fmt.Sprint(i)
		apply(t, db, apikey.ActionUpdate, d)
	}
	return d
}

func head(t *testing.T, db *ledger.DB) apikey.Head {
	t.Helper()
	id, mac, err := db.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return apikey.Head{ID: id, MAC: mac}
}

// Whoever alters, removes, moves or adds an event without the server secret is
// found out, at the event where it begins.
func TestChainTampering(t *testing.T) {
	const renumber = "UPDATE events SET id = id - 1 WHERE id > 3"
	cases := map[string]struct {
		statements []string
		bad        int64
		reason     string
	}{
		"nothing":           {nil, 0, ""},
		"payload":           {[]string{"UPDATE events SET payload = replace(payload, 'acme', 'evil') WHERE id = 3"}, 3, "altered"},
		"spaces":            {[]string{"UPDATE events SET payload = payload || ' ' WHERE id = 5"}, 5, "altered"},
		"owner column":      {[]string{"UPDATE events SET owner = 'evil' WHERE id = 2"}, 2, "columns"},
		"time column":       {[]string{"UPDATE events SET at = at + 1 WHERE id = 2"}, 2, "columns"},
		"denial column":     {[]string{"UPDATE events SET denial = 1 WHERE id = 2"}, 2, "columns"},
		"mac":               {[]string{"UPDATE events SET mac = '00' WHERE id = 4"}, 4, "altered"},
		"mac key":           {[]string{"UPDATE events SET mac_key = 'other' WHERE id = 4"}, 4, "not configured"},
		"removed":           {[]string{"DELETE FROM events WHERE id = 3"}, 3, "missing"},
		"first removed":     {[]string{"DELETE FROM events WHERE id = 1"}, 1, "missing"},
		"removed, closed":   {[]string{"DELETE FROM events WHERE id = 3", renumber}, 3, "altered"},
		"swapped":           {[]string{"UPDATE events SET id = -2 WHERE id = 2", "UPDATE events SET id = 2 WHERE id = 3", "UPDATE events SET id = 3 WHERE id = -2"}, 2, "altered"},
		"end cut off":       {[]string{"DELETE FROM events WHERE id > 4"}, 5, "cut off"},
		"end and head cut":  {[]string{"DELETE FROM events WHERE id > 4", "UPDATE chain SET event_id = 4, mac = (SELECT mac FROM events WHERE id = 4)"}, 5, "cut off"}, // seen by the noted head alone
		"head moved back":   {[]string{"UPDATE chain SET event_id = 3"}, 6, "head"},
		"all removed":       {[]string{"DELETE FROM events"}, 1, "cut off"},
		"one of ours added": {[]string{"INSERT INTO events SELECT 7, payload, mac, mac_key, key_id, owner, kind, at, denial FROM events WHERE id = 6"}, 7, "altered"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
				changed(t, db, 5)
				noted := head(t, db)
				for _, s := range c.statements {
					if err := db.Exec(t.Context(), s); err != nil {
						t.Fatal(err)
					}
				}
				v, err := db.VerifyChain(t.Context(), noted, nil)
				if err != nil || v.FirstBad != c.bad || v.Intact() != (c.bad == 0) || !strings.Contains(v.Reason, c.reason) {
					t.Errorf("got %+v, %v; want event %d %q", v, err, c.bad, c.reason)
				}
			})
		})
	}
}

// A chain that was written anew by somebody who has the secret is intact in
// itself, but not the one whose head was noted.
func TestChainWrittenAnew(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, url string) {
		changed(t, db, 2)
		noted := head(t, db)
		for _, s := range []string{"UPDATE chain SET event_id = 1, mac = (SELECT mac FROM events WHERE id = 1)", "DELETE FROM events WHERE id > 1"} {
			if err := db.Exec(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		changed(t, db, 5)
		if v, err := db.VerifyChain(t.Context(), apikey.Head{}, nil); err != nil || !v.Intact() || v.Events != 7 || v.Head != head(t, db) {
			t.Errorf("by itself: got %+v, %v", v, err)
		}
		if v, err := db.VerifyChain(t.Context(), noted, nil); err != nil || v.FirstBad != 3 {
			t.Errorf("with the noted head: got %+v, %v; want event 3", v, err)
		}
	})
}

// The chain goes on under a new server secret as long as the old one is known,
// and a check tells how far it is.
func TestChainSecretChange(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, url string) {
		changed(t, db, 600)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		fresh := apikey.NewSecret("another-server-secret-0123456789abcdefgh")
		db = open(t, ledger.Config{URL: url, ServerSecrets: append([]apikey.Secret{fresh}, serverSecrets...)})
		changed(t, db, 1)
		var heard []int64
		v, err := db.VerifyChain(t.Context(), apikey.Head{}, func(n int64) { heard = append(heard, n) })
		if err != nil || !v.Intact() || v.Events != 603 || heard[0] != 500 || heard[len(heard)-1] != 603 {
			t.Errorf("got %+v, %v, progress %v", v, err, heard)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, ledger.Config{URL: url, ServerSecrets: []apikey.Secret{fresh}})
		if v, err := db.VerifyChain(t.Context(), apikey.Head{}, nil); err != nil || v.FirstBad != 1 || !strings.Contains(v.Reason, "not configured") {
			t.Errorf("without the old secret: got %+v, %v", v, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		refuses(t, ledger.Config{URL: url}, "another server secret", "previous") // an old configuration would write what the others cannot prove
		db = open(t, ledger.Config{URL: url, ReadOnly: true})                    // but it can be looked at
		if _, _, err := db.Head(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
