package ledger_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// within asks for a change whose owner may have so many keys.
func within(most int, action apikey.Action, d apikey.Definition) apikey.Begin {
	b := asking(action, d)
	b.Plan = func(apikey.Record, bool) (apikey.Planned, error) {
		return apikey.Planned{Target: d, Quota: &apikey.Quota{Owner: d.Owner, Environment: d.Environment, Max: most}}, nil
	}
	return b
}

// owned makes a definition of an owner's key.
func owned(owner string) apikey.Definition {
	return definition(func(d *apikey.Definition) { d.Owner = owner })
}

// A place is taken from T1 on, by what is begun and by what is there, and is
// free again when the change is given up or the key revoked, replaced or
// deleted. Who finds none leaves nothing behind: neither lock nor public key.
func TestQuota(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		ctx := t.Context()
		wantFull := func(what string, b apikey.Begin) {
			t.Helper()
			_, err := db.Begin(ctx, b)
			if over, ok := errors.AsType[*apikey.QuotaError](err); !ok || over.Quota.Owner != "q" {
				t.Errorf("%s: %v", what, err)
			}
		}
		wantFull("none is allowed", within(0, apikey.ActionCreate, owned("q")))
		for _, beside := range []func(*apikey.Definition){ // none of them takes a place
			func(d *apikey.Definition) { d.Owner = "Q" },
			func(d *apikey.Definition) { d.Owner, d.Environment = "q", apikey.Test },
			func(d *apikey.Definition) { d.Owner, d.Kind = "q", apikey.KindManagement },
			func(d *apikey.Definition) { d.Owner, d.RevokedAt = "q", &start },
			func(d *apikey.Definition) { d.Owner, d.EndsAt = "q", &start },
		} {
			created(t, db, beside)
		}
		first := within(2, apikey.ActionCreate, owned("q"))
		one := begin(t, db, first)
		two := begin(t, db, within(2, apikey.ActionCreate, owned("q")))
		third := owned("q")
		third.PublicKeys = []apikey.PublicKey{{KID: "of-the-third"}}
		wantFull("two are begun", within(2, apikey.ActionCreate, third))
		if err := db.Finish(ctx, finishing(one.Change)); err != nil {
			t.Fatal(err)
		}
		wantFull("one is begun, one done", within(2, apikey.ActionCreate, third))
		if err := db.Abandon(ctx, two.Change.Op, 0, time.Time{}); err != nil {
			t.Fatal(err)
		}
		apply(t, db, apikey.ActionUpdate, one.Change.Target) // a change without a quota takes none
		begun := begin(t, db, within(2, apikey.ActionCreate, third))
		if err := db.Finish(ctx, finishing(begun.Change)); err != nil {
			t.Fatal(err)
		}
		given := created(t, db, func(d *apikey.Definition) { d.Owner = "giver" })
		given.Owner = "q"
		wantFull("given to an owner without room", within(2, apikey.ActionUpdate, given))
		mine := one.Change.Target
		if own, err := db.Begin(ctx, within(2, apikey.ActionUpdate, mine)); err != nil {
			t.Errorf("its own place counts against a key: %v", err)
		} else if err := db.Abandon(ctx, own.Change.Op, 0, time.Time{}); err != nil {
			t.Fatal(err)
		}
		third.RevokedAt = &start
		apply(t, db, apikey.ActionRevoke, third)
		if _, err := db.Begin(ctx, within(2, apikey.ActionUpdate, given)); err != nil {
			t.Errorf("after a revocation: %v", err)
		}
		wantFull("a key on its way to the owner takes a place", within(2, apikey.ActionCreate, owned("q")))
	})
}

// On two processes and many connections the last places are given once each.
func TestQuotaTogether(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, url string) {
		all := []*ledger.DB{db, db}
		if strings.HasPrefix(url, "postgres") {
			all[1] = open(t, ledger.Config{URL: url})
		}
		const most, asked = 20, 60
		var began atomic.Int64
		var wg sync.WaitGroup
		for i := range asked {
			wg.Go(func() {
				begun, err := all[i%2].Begin(t.Context(), within(most, apikey.ActionCreate, owned("together")))
				if err != nil {
					if _, ok := errors.AsType[*apikey.QuotaError](err); !ok {
						t.Error(err)
					}
					return
				}
				began.Add(1)
				if err := all[i%2].Finish(t.Context(), finishing(begun.Change)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if began.Load() != most {
			t.Errorf("%d places were given of %d", began.Load(), most)
		}
	})
}
