package apikey_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// asked begins a verification.
func asked(ctx context.Context, t *testing.T, s *apikey.Service) {
	t.Helper()
	v, err := s.VerifyEvents(ctx)
	if err != nil || v.State != apikey.VerificationRunning {
		t.Fatalf("begun: %+v, %v", v, err)
	}
}

// An event that was altered in the database is found and told in the words of
// `tokenos audit verify`; what is right again after that is found, too. A record that
// was intact here and has been cut off since is not intact, whatever head it keeps.
func TestVerifyAltered(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(testing.TB) string{"SQLite": apikeytest.SQLiteURL, "Postgres": pgtest.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := url(t)
			w := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Idle: true})
			ctx := as(t)
			for range 3 {
				create(ctx, t, w.Service, apikey.CreateParams{Owner: "acme"})
			}
			admin := apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.Admin}))
			look := func() apikey.Verification {
				asked(admin, t, w.Service)
				if err := w.Service.Turn(t.Context()); err != nil {
					t.Fatal(err)
				}
				v, err := w.Service.Verification(admin)
				if err != nil {
					t.Fatal(err)
				}
				w.Clock.Advance(5 * time.Second)
				return v
			}
			if v := look(); v.State != apikey.VerificationIntact || v.Checked != 3 || v.Total != 3 || !strings.HasPrefix(v.Head, "3:") {
				t.Errorf("at first: %+v", v)
			}
			apikeytest.Alter(t, url, `UPDATE events SET payload = REPLACE(payload, 'acme', 'evil') WHERE id = 2`)
			if v := look(); v.State != apikey.VerificationBroken || v.FirstWrong != 2 || v.Checked != 1 || v.Total != 3 || v.Head != "" ||
				v.Reason != "it was altered, put elsewhere, or made by somebody without the server secret" {
				t.Errorf("altered: %+v", v)
			}
			apikeytest.Alter(t, url, `UPDATE events SET payload = REPLACE(payload, 'evil', 'acme') WHERE id = 2`)
			if v := look(); v.State != apikey.VerificationIntact {
				t.Errorf("as before: %+v", v)
			}
			apikeytest.Alter(t, url, `DELETE FROM events WHERE id = 3`)
			apikeytest.Alter(t, url, `UPDATE chain SET event_id = 2, mac = (SELECT mac FROM events WHERE id = 2)`)
			if v := look(); v.State != apikey.VerificationBroken || v.FirstWrong != 3 || v.Checked != 2 || !strings.Contains(v.Reason, "cut off") {
				t.Errorf("cut off, and the ledger's head set back: %+v", v)
			}
		})
	}
}

// watchedChain is a ledger whose checks of the chain do what the test says.
type watchedChain struct {
	apikey.Ledger
	check func(ctx context.Context, progress func(int64)) error
}

func (l *watchedChain) VerifyChain(ctx context.Context, noted apikey.Head, progress func(int64)) (apikey.ChainCheck, error) {
	if err := l.check(ctx, progress); err != nil {
		return apikey.ChainCheck{}, err
	}
	return l.Ledger.VerifyChain(ctx, noted, progress)
}

// A verification tells how far it has come, is joined while it runs, ends with
// the server, and never calls a record intact that it could not read.
func TestVerifyStopped(t *testing.T) {
	t.Parallel()
	began := make(chan context.Context, 1)
	l := &watchedChain{check: func(ctx context.Context, progress func(int64)) error {
		progress(2)
		began <- ctx
		<-ctx.Done()
		return ctx.Err()
	}}
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: func(c *apikey.Config) { l.Ledger, c.Ledger = c.Ledger, l }})
	admin := apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.Admin}))
	if v, err := w.Service.Verification(admin); err != nil || v.State != apikey.VerificationNone || v.BegunAt != nil {
		t.Errorf("before any: %+v, %v", v, err)
	}
	asked(admin, t, w.Service)
	within := <-began
	if end, ok := within.Deadline(); !ok || time.Until(end) > time.Hour {
		t.Errorf("the check has the deadline %v, %v", end, ok)
	}
	asked(admin, t, w.Service) // joined: a second would wait for room in began
	if v, err := w.Service.Verification(admin); err != nil || v.State != apikey.VerificationRunning || v.Checked != 2 {
		t.Errorf("under way: %+v, %v", v, err)
	}
	w.Close()
	if v, err := w.Service.Verification(admin); err != nil || v.State != apikey.VerificationFailed || v.Reason != "the server was stopped" || v.EndedAt == nil || v.Head != "" {
		t.Errorf("stopped: %+v, %v", v, err)
	}
}

// A verification that failed says so without the database's words, and another
// may begin at once.
func TestVerifyFailed(t *testing.T) {
	t.Parallel()
	l := &watchedChain{check: func(context.Context, func(int64)) error { return errors.New("password of the database") }}
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) { l.Ledger, c.Ledger = c.Ledger, l }})
	admin := apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.Admin}))
	for _, want := range []apikey.Verification{{State: apikey.VerificationFailed, Reason: "the ledger could not be read"}, {State: apikey.VerificationIntact}} {
		asked(admin, t, w.Service)
		if err := w.Service.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v, err := w.Service.Verification(admin); err != nil || v.State != want.State || v.Reason != want.Reason {
			t.Errorf("got %+v, %v; want %s", v, err, want.State)
		}
		l.check = func(context.Context, func(int64)) error { return nil }
	}
}
