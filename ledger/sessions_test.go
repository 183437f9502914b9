package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/ledger"
)

// A session is there until it is ended or its time is over, and what came too
// late does not bring it back.
func TestSessions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db *ledger.DB, _ string) {
		session := func(hash, who string, age time.Duration) apikey.Session {
			at := start.Add(-age)
			return apikey.Session{Hash: hash, Principal: who, Data: []byte(`{"n":1}`), Address: "192.0.2.1", UserAgent: "a browser", CreatedAt: at, SeenAt: at, ExpiresAt: at.Add(30 * time.Minute)}
		}
		old, mine, other, hers := session("old", "user:ana", time.Hour), session("mine", "user:ana", time.Minute), session("other", "user:ana", 0), session("hers", "user:bo", 0)
		for _, s := range []apikey.Session{old, mine, other, hers} {
			if err := db.StartSession(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := db.Session(t.Context(), "old", start); err == nil {
			t.Error("a session whose time is over is there")
		}
		wantSessions(t, db, "user:ana", other, mine)

		mine.Data, mine.SeenAt, mine.ExpiresAt = []byte(`{"n":2}`), start, start.Add(time.Hour)
		if err := db.KeepSession(t.Context(), "mine", mine.Data, mine.SeenAt, mine.ExpiresAt); err != nil {
			t.Fatal(err)
		}
		got, err := db.Session(t.Context(), "mine", start)
		if diff := cmp.Diff(mine, got); diff != "" || err != nil {
			t.Errorf("got %v (-want +got):\n%s", err, diff)
		}

		if n, err := db.EndSessionsOf(t.Context(), "user:ana", "mine"); n != 1 || err != nil {
			t.Errorf("ended %d sessions, %v; want 1", n, err)
		}
		if err := db.EndSession(t.Context(), "mine"); err != nil {
			t.Fatal(err)
		}
		if err := db.KeepSession(t.Context(), "mine", mine.Data, start, start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		_, err = db.Session(t.Context(), "mine", start)
		wantError(t, "a session that has ended", err, apikey.ErrNotFound)
		wantSessions(t, db, "user:ana")
		wantSessions(t, db, "user:bo", hers)
	})
}

func wantSessions(t *testing.T, db *ledger.DB, who string, want ...apikey.Session) {
	t.Helper()
	got, err := db.SessionsOf(t.Context(), who, start)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]apikey.Session{}, want...), got); diff != "" {
		t.Errorf("sessions of %s (-want +got):\n%s", who, diff)
	}
}
