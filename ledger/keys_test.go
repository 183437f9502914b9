package ledger_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/ledger"
)

// seeded fills db with more keys than a list gathers, of every kind and status.
func seeded(t *testing.T, db *ledger.DB) []apikey.Record {
	t.Helper()
	var all []apikey.Record
	for i := range 5000 {
		r := ledgertest.Key(i)
		if i%7 == 0 { // many at the same second, so that ids must break ties
			r.CreatedAt, r.UpdatedAt = ledgertest.Epoch, ledgertest.Epoch.Add(time.Duration(i%3)*time.Hour)
		}
		switch {
		case i%11 == 0:
			r.Kind, r.Environment, r.AuthMethod = apikey.KindManagement, apikey.Test, apikey.PrivateKeyJWT
		case i%50 == 7 && i%100 == 7:
			until := now.Add(time.Duration(i-2500) * time.Hour)
			r.DisabledUntil = &until
		case i%50 == 9:
			end := now.Add(time.Duration(i-2500) * time.Minute)
			r.EndsAt = &end
		case i%50 == 11:
			r.Name, r.ExpiresAt = "Ärger Über_"+r.Name, &now
		}
		all = append(all, r)
	}
	if err := db.Import(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	use(t, db, all)
	return all
}

var now = ledgertest.Epoch.Add(365 * 24 * time.Hour)

// selects says whether a query selects a key found by terms, in the plainest way.
func selects(q apikey.Query, d apikey.Record, terms []string) bool {
	for _, w := range q.Words {
		if !slices.ContainsFunc(terms, func(t string) bool { return strings.HasPrefix(t, w) }) {
			return false
		}
	}
	label, labelled := d.Labels[q.LabelKey]
	return (len(q.Owners) == 0 || slices.Contains(q.Owners, d.Owner)) && (q.Owner == "" || q.Owner == d.Owner) && (q.Kind == "" || q.Kind == d.Kind) &&
		(q.Status == "" || q.Status == d.StatusAt(q.Now)) && (q.Environment == "" || q.Environment == d.Environment) &&
		(q.AuthMethod == "" || q.AuthMethod == d.AuthMethod) && (q.Scope == "" || slices.Contains(d.Scopes, q.Scope)) &&
		(q.LabelKey == "" || labelled && label == q.LabelValue) && (q.RootID == "" || q.RootID == d.RootID) && strings.HasPrefix(d.ID, q.IDPrefix) &&
		(q.ExpiresBefore.IsZero() || d.ExpiresAt != nil && d.ExpiresAt.Before(q.ExpiresBefore)) &&
		(q.UnusedSince.IsZero() || d.LastUsedAt.Before(q.UnusedSince) && d.CreatedAt.Before(q.UnusedSince)) &&
		(q.ScopeUnusedSince.IsZero() || d.CreatedAt.Before(q.ScopeUnusedSince) && slices.ContainsFunc(d.Scopes, func(s string) bool {
			at, asked := askedIn(d, s)
			return !asked || at.Before(q.ScopeUnusedSince)
		}))
}

// listed is the whole list that a query should give.
func listed(q apikey.Query, all []apikey.Record, terms [][]string) (ids []string) {
	var found []apikey.Record
	for i, d := range all {
		if selects(q, d, terms[i]) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b apikey.Record) int {
		p, o := apikey.PositionOf(a, q.Sort), apikey.PositionOf(b, q.Sort)
		c := cmp.Or(cmp.Compare(p.Number, o.Number), strings.Compare(p.Text, o.Text), strings.Compare(p.ID, o.ID))
		if q.Descending {
			return -c
		}
		return c
	})
	for _, d := range found {
		ids = append(ids, d.ID)
	}
	return ids
}

// pages reads a whole list page by page.
func pages(t *testing.T, db *ledger.DB, q apikey.Query) (ids []string, count int) {
	t.Helper()
	for first := true; ; first = false {
		q.Count = first
		records, n, err := db.Keys(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if first {
			count = n
		} else if n != -1 {
			t.Errorf("count that nobody asked for: got %d, want -1", n)
		}
		for _, r := range records {
			ids = append(ids, r.ID)
		}
		if len(records) < q.Limit {
			return ids, count
		}
		after := apikey.PositionOf(records[len(records)-1], q.Sort)
		q.After = &after
	}
}

// Every list holds exactly the keys that its query selects, each once, in its
// order over all its pages, and counts them; whichever way it is read.
func TestKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		all := seeded(t, db)
		var terms [][]string
		for _, d := range all {
			terms = append(terms, apikey.SearchTerms(d.Definition))
		}
		queries := []apikey.Query{{}, {Kind: ""}, {Owner: "acme"}, {Owners: []string{"owner-1", "owner-2", "no'body"}}, {Owners: []string{"acme", "owner-2"}},
			{Owner: "acme", Owners: []string{"owner-1"}}, {Words: []string{"billing"}}, {Words: []string{"bil", "17"}}, {Words: []string{"acme", "b", "wor"}},
			{Words: []string{"zebra"}}, {Words: []string{"ärger", "übe"}}, {Owner: "owner-9", Words: []string{"re"}}, {Scope: "users:read"}, {Scope: "users"},
			{LabelKey: "rare", LabelValue: "yes"}, {LabelKey: "rare"}, {LabelKey: "team", LabelValue: "data"}, {RootID: all[77].ID},
			{IDPrefix: "key_live_000000"}, {IDPrefix: all[40].ID[:16]}, {IDPrefix: "key_live_"}, {Environment: apikey.Test, Kind: apikey.KindManagement},
			{AuthMethod: apikey.PrivateKeyJWT, Kind: apikey.KindManagement}, {ExpiresBefore: now.Add(time.Second)}, {Owner: "' OR 1=1 --"}, {Scope: `\' ?`}}
		for _, s := range []apikey.Status{apikey.StatusActive, apikey.StatusDisabled, apikey.StatusExpired, apikey.StatusRevoked} {
			queries = append(queries, apikey.Query{Status: s}, apikey.Query{Status: s, Owner: "owner-3"}, apikey.Query{Status: s, Words: []string{"worker"}})
		}
		queries = append(queries, unusedQueries()...)
		sorts := []apikey.SortField{apikey.SortCreatedAt, apikey.SortUpdatedAt, apikey.SortExpiresAt, apikey.SortName, apikey.SortLastUsedAt}
		for i, q := range queries {
			if i != 1 {
				q.Kind = cmp.Or(q.Kind, apikey.KindAPI)
			}
			for _, q.Sort = range sorts {
				q.Now, q.Descending, q.Limit = now, rand.IntN(2) == 0, 400+rand.IntN(300)
				ids, count := pages(t, db, q)
				want := listed(q, all, terms)
				if diff := gocmp.Diff(want, ids); diff != "" || count != len(want) {
					t.Fatalf("query %+v: count %d, want %d; ids differ: %.600s", q, count, len(want), diff)
				}
			}
		}
	})
}

// A key is found by what it is called now, no longer by what it was called.
func TestKeysAfterUpdate(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		d := created(t, db, nil)
		d.Name, d.Owner, d.Labels, d.Scopes = "quick fox", "zeta", nil, []string{"fox:hunt"}
		apply(t, db, apikey.ActionUpdate, d)
		for want, queries := range [][]apikey.Query{
			{{Words: []string{"billing"}}, {Owner: "acme"}, {Scope: "orders:read"}, {LabelKey: "team", LabelValue: "payments"}},
			{{Words: []string{"qui", "fox"}}, {Owner: "zeta"}, {Scope: "fox:hunt"}},
		} {
			for _, q := range queries {
				q.Kind, q.Limit = apikey.KindAPI, 10
				if found, _, err := db.Keys(t.Context(), q); err != nil || len(found) != want {
					t.Errorf("%+v: got %d keys, %v; want %d", q, len(found), err, want)
				}
			}
		}
	})
}

// A list tells what is under way for each of its keys.
func TestKeysPending(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		idle, busy := created(t, db, nil), created(t, db, nil)
		op := begin(t, db, asking(apikey.ActionRevoke, busy)).Change.Op
		found, _, err := db.Keys(t.Context(), apikey.Query{Kind: apikey.KindAPI, Limit: 10})
		if err != nil || len(found) != 2 {
			t.Fatalf("got %d keys, %v", len(found), err)
		}
		got := map[string]string{}
		for _, r := range found {
			got[r.ID] = fmt.Sprint(r.Pending)
		}
		want := map[string]string{idle.ID: "[]", busy.ID: fmt.Sprint([]apikey.PendingChange{{Op: op, Action: apikey.ActionRevoke, State: apikey.ChangeBegun}})}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// Names are those of today, for the keys within the view. What an event is called
// by is no part of the record.
func TestKeyNames(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ours := created(t, db, func(d *apikey.Definition) { d.Name = `"quoted" <b>` })
		theirs := created(t, db, func(d *apikey.Definition) { d.Name, d.Owner = "theirs", "globex" })
		for _, c := range []struct {
			owners []string
			want   map[string]string
		}{
			{nil, map[string]string{ours.ID: ours.Name, theirs.ID: "theirs"}},
			{[]string{"acme"}, map[string]string{ours.ID: ours.Name}},
			{[]string{"other", "globex"}, map[string]string{theirs.ID: "theirs"}},
		} {
			got, err := db.KeyNames(t.Context(), []string{ours.ID, "key_live_none", theirs.ID}, apikey.View{Owners: c.owners})
			if err != nil || !maps.Equal(got, c.want) {
				t.Errorf("for %v: %v, %v; want %v", c.owners, got, err, c.want)
			}
		}
		if got, err := db.KeyNames(t.Context(), nil, apikey.View{}); err != nil || len(got) > 0 {
			t.Errorf("of none: %v, %v", got, err)
		}
		begun := begin(t, db, asking(apikey.ActionUpdate, ours))
		f := finishing(begun.Change)
		f.Event.KeyName = "must not be stored"
		if err := db.Finish(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		events, err := db.Events(t.Context(), apikey.EventQuery{Descending: true, Limit: 1})
		if err != nil || len(events) != 1 || events[0].KeyName != "" {
			t.Errorf("stored: %+v, %v", events, err)
		}
	})
}
