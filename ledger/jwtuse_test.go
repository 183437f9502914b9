package ledger_test

import (
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// Keys that buy JWTs are counted, revoked ones and texts that look alike are not.
func TestJWTUse(t *testing.T) {
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		want := func(w ledger.JWTUse) {
			t.Helper()
			if got, err := db.JWTUse(t.Context()); err != nil || got != w {
				t.Errorf("got %+v, %v; want %+v", got, err, w)
			}
		}
		created(t, db, func(d *apikey.Definition) { d.Description = `"format":"jwt"` })
		want(ledger.JWTUse{})
		var last apikey.Definition
		for _, hours := range []int{1, 3, 2} {
			last = created(t, db, func(d *apikey.Definition) {
				d.Token = apikey.TokenSettings{Format: apikey.JWT, Lifetime: apikey.Duration(time.Duration(hours) * time.Hour)}
			})
		}
		want(ledger.JWTUse{Keys: 3, Longest: apikey.Duration(3 * time.Hour)})
		last.RevokedAt, last.Revision = &start, 2
		apply(t, db, apikey.ActionRevoke, last)
		want(ledger.JWTUse{Keys: 2, Longest: apikey.Duration(3 * time.Hour)})
	})
}
