package ledger_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/ledgertest"
	"github.com/tokenos/tokenos/ledger"
)

// follower reads the stream of touches as the memory of keys does.
type follower struct {
	db   *ledger.DB
	mark apikey.Mark
}

func follow(t testing.TB, db *ledger.DB) *follower {
	t.Helper()
	mark, err := db.Mark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &follower{db, mark}
}

// news are the keys that were touched since the last call, read some at a time.
func (f *follower) news(t testing.TB, some int) []string {
	t.Helper()
	ids := []string{}
	for more := true; more; {
		var touches []apikey.Touch
		var err error
		if touches, f.mark, more, err = f.db.Touches(t.Context(), f.mark, some); err != nil {
			t.Fatal(err)
		}
		if len(touches) > 2*some {
			t.Errorf("%d touches at once, want at most %d", len(touches), 2*some)
		}
		for _, touch := range touches {
			ids = append(ids, touch.KeyID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func want(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if d := cmp.Diff(append([]string{}, want...), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// narrowing is T1 of a disable that may wait in line.
func narrowing(d apikey.Definition) apikey.Begin {
	b := asking(apikey.ActionDisable, d)
	b.Wait = true
	return b
}

func fact(t testing.TB, db *ledger.DB, id string) apikey.KeyFacts {
	t.Helper()
	facts, err := db.FactsOf(t.Context(), []string{id, "key_live_absent"})
	if err != nil || len(facts) != 1 {
		t.Fatalf("facts %+v, %v", facts, err)
	}
	return facts[0]
}

// Every step that changes what counts of a key is told: that it was made, that
// something narrows it, queued or begun, that this was given up or had nothing
// to do, that it is done, that it is gone. What changes nothing is not told.
func TestTouches(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		f := follow(t, db)
		want(t, "at first", f.news(t, 10))
		d := created(t, db, nil)
		want(t, "made", f.news(t, 10), d.ID)
		want(t, "nothing since", f.news(t, 10))

		renaming := begin(t, db, asking(apikey.ActionUpdate, d))
		want(t, "a change that does not narrow is begun", f.news(t, 10))
		queued := begin(t, db, narrowing(d))
		if queued.Change.State != apikey.ChangeQueued || fact(t, db, d.ID).Narrowed != apikey.ActionDisable {
			t.Errorf("%s, facts %+v", queued.Change.State, fact(t, db, d.ID))
		}
		want(t, "queued", f.news(t, 10), d.ID)
		if err := db.Finish(t.Context(), finishing(renaming.Change)); err != nil {
			t.Fatal(err)
		}
		want(t, "renamed", f.news(t, 10), d.ID)
		if _, err := db.Promote(t.Context(), queued.Change.Op, time.Minute, func(apikey.Record, bool) (apikey.Planned, error) {
			return apikey.Planned{Unchanged: true}, nil
		}); err != nil || fact(t, db, d.ID).Narrowed != "" {
			t.Fatalf("%v, facts %+v", err, fact(t, db, d.ID))
		}
		want(t, "had nothing to do", f.news(t, 10), d.ID)

		refused := errors.New("refused")
		b := narrowing(d)
		b.Plan = func(apikey.Record, bool) (apikey.Planned, error) { return apikey.Planned{}, refused }
		if _, err := db.Begin(t.Context(), b); !errors.Is(err, refused) {
			t.Fatal(err)
		}
		want(t, "refused", f.news(t, 10))

		begun := begin(t, db, narrowing(d))
		want(t, "begun", f.news(t, 10), d.ID)
		if err := db.Abandon(t.Context(), begun.Change.Op, 0, time.Time{}); err != nil || fact(t, db, d.ID).Narrowed != "" {
			t.Fatalf("%v, facts %+v", err, fact(t, db, d.ID))
		}
		want(t, "given up", f.news(t, 10), d.ID)
		apply(t, db, apikey.ActionDelete, d)
		want(t, "deleted", f.news(t, 10), d.ID)
		if facts, err := db.FactsOf(t.Context(), []string{d.ID}); err != nil || len(facts) != 0 {
			t.Errorf("a deleted key: %+v, %v", facts, err)
		}
	})
}

// A change that is written early and committed late is told once it is
// committed, although later ones were told before it.
func TestLateCommitIsTold(t *testing.T) {
	db := open(t, ledger.Config{URL: databases["Postgres"](t)})
	early, late := created(t, db, nil), created(t, db, func(d *apikey.Definition) { d.ID = apikey.NewID(apikey.Live, start.Add(time.Second)) })
	f := follow(t, db)
	written, commit, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	b := narrowing(early)
	b.Plan = func(apikey.Record, bool) (apikey.Planned, error) { // within the transaction
		close(written)
		<-commit
		return apikey.Planned{Target: early}, nil
	}
	go func() {
		_, err := db.Begin(t.Context(), b)
		done <- err
	}()
	<-written
	begin(t, db, narrowing(late))
	for range 3 { // told again as long as the other is open
		want(t, "while it is open", f.news(t, 10), late.ID)
	}
	close(commit)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want(t, "committed", f.news(t, 10), early.ID, late.ID)
	want(t, "nothing since", f.news(t, 10))
}

// However many keys are narrowed at once, and however few are read at a time,
// each is told, and none again once it was.
func TestTouchesInPages(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		var ids []string
		for i := range 25 {
			d := created(t, db, func(d *apikey.Definition) { d.ID = apikey.NewID(apikey.Live, start.Add(time.Duration(i)*time.Second)) })
			ids = append(ids, d.ID)
		}
		f := follow(t, db)
		for _, id := range ids {
			begin(t, db, narrowing(definition(func(d *apikey.Definition) { d.ID = id })))
		}
		want(t, "narrowed", f.news(t, 4), ids...)
		want(t, "nothing since", f.news(t, 4))
	})
}

// Facts are what the record says, in order of ids, page by page.
func TestFacts(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		if err := ledgertest.Seed(t.Context(), db, 300); err != nil {
			t.Fatal(err)
		}
		soon, later := start.Add(time.Hour), start.Add(2*time.Hour)
		signing := func(ends ...*time.Time) func(*apikey.Definition) {
			return func(d *apikey.Definition) {
				d.AuthMethod = apikey.PrivateKeyJWT
				for _, at := range ends {
					d.PublicKeys = append(d.PublicKeys, apikey.PublicKey{KID: rand.Text(), ExpiresAt: at})
				}
			}
		}
		some, last, none := created(t, db, signing(&later, &soon)), created(t, db, signing(&soon, nil, &later)), created(t, db, signing())
		for id, check := range map[string]func(apikey.KeyFacts) bool{
			some.ID: func(f apikey.KeyFacts) bool { return f.CredentialEndsAt.Equal(later) && !f.NoCredential },
			last.ID: func(f apikey.KeyFacts) bool { return f.CredentialEndsAt.IsZero() && !f.NoCredential },
			none.ID: func(f apikey.KeyFacts) bool { return f.NoCredential },
		} {
			if f := fact(t, db, id); !check(f) {
				t.Errorf("public keys: %+v", f)
			}
		}
		seen, after := 0, ""
		for {
			page, err := db.Facts(t.Context(), after, 50)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range page {
				r, err := db.Key(t.Context(), f.ID, apikey.View{})
				if err != nil || f.ID <= after {
					t.Fatalf("%s after %s: %v", f.ID, after, err)
				}
				after = f.ID
				seen++
				if f.RootID != r.RootID || f.Owner != r.Owner || f.Environment != r.Environment || f.Revoked != (r.RevokedAt != nil) ||
					f.Disabled != (r.DisabledAt != nil) || f.ExpiresAt.IsZero() != (r.ExpiresAt == nil) {
					t.Errorf("facts %+v of %+v", f, r.Definition)
				}
			}
			if len(page) < 50 {
				break
			}
		}
		if seen != 303 {
			t.Errorf("%d keys, want 303", seen)
		}
	})
}
