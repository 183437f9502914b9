package apikey_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// A public key ends on time although a notice comes due with its end.
func TestPublicKeyEndsBesideNotice(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
	ctx, now := as(t), w.Clock.Now()
	first, second := apikeytest.NewPair(t, "ES256"), apikeytest.NewPair(t, "ES256")
	issued := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, ExpiresAt: apikey.SetTo(now.Add(15 * 24 * time.Hour)),
		PublicKeys: []apikey.PublicKeyInput{{JWK: first.Public}, {JWK: second.Public, ExpiresAt: new(now.Add(25 * time.Hour))}}})
	w.Clock.Advance(26 * time.Hour) // the notice of 14 days has come, too
	for range 3 {
		if err := w.Service.Turn(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if happened(ctx, t, w.Service, issued.Key.ID, apikey.ActionExpiring) != 1 || happened(ctx, t, w.Service, issued.Key.ID, apikey.ActionExpirePublicKey) != 1 {
		t.Error("not told of both, once each")
	}
	if w.Fixture().Works(t, issued.Key, apikey.Secret{}, second) || !w.Fixture().Works(t, issued.Key, apikey.Secret{}, first) {
		t.Error("the public key that ended works, or the other does not")
	}
}

// A deadline that passes while its PATCH is interrupted is told of all the same.
func TestDeadlinePassesInterrupted(t *testing.T) {
	w, m := mortalWorld(t, apikeytest.Options{})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{})
	p := apikey.UpdateParams{ExpiresAt: apikey.SetTo(w.Clock.Now().Add(time.Hour))}
	if answered, err := m.die(beforeT2, func() error { _, err := w.Service.Update(ctx, issued.Key.ID, p); return err }); answered {
		t.Fatalf("answered %v", err)
	}
	w.Clock.Advance(2 * time.Hour)
	apikeytest.Eventually(t, "it is told to have expired", func() bool {
		_ = w.Service.Turn(ctx)
		return happened(ctx, t, w.Service, issued.Key.ID, apikey.ActionExpire) == 1
	})
	if w.Fixture().Works(t, issued.Key, issued.Secret, nil) {
		t.Error("the expired key works")
	}
}

// unheard is a ledger that does T1 and does not answer, or does not give up.
type unheard struct {
	apikey.Ledger
	t1, abandon bool
}

var errUnheard = &apikey.Error{Kind: apikey.ErrUnavailable, RetryAfter: time.Second, Cause: apikey.ErrOutcomeUnknown}

func (u *unheard) Begin(ctx context.Context, b apikey.Begin) (apikey.Begun, error) {
	begun, err := u.Ledger.Begin(ctx, b)
	if err == nil && u.t1 {
		err = errUnheard
	}
	return begun, err
}

func (u *unheard) Abandon(ctx context.Context, op string, attempt int, recheck time.Time) error {
	if u.abandon {
		return &apikey.Error{Kind: apikey.ErrUnavailable, RetryAfter: time.Second}
	}
	return u.Ledger.Abandon(ctx, op, attempt, recheck)
}

// Whoever is told that nothing was changed can rely on it: a change that another
// process may still take up, because the ledger did not answer this one before
// it died, says that it may take effect.
func TestUnheardChangeIsPending(t *testing.T) {
	for _, lost := range []string{"T1", "giving up"} {
		t.Run(lost, func(t *testing.T) {
			u := &unheard{}
			var cfg apikey.Config
			proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
			w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: proxy.URL(), Config: func(c *apikey.Config) {
				shortLease(c)
				u.Ledger = c.Ledger
				c.Ledger = u
				cfg = *c
			}})
			ctx, after := as(t), "after"
			issued := create(ctx, t, w.Service, apikey.CreateParams{})
			u.t1, u.abandon = lost == "T1", true
			proxy.Inject(hydratest.StatusBefore(503, 0).On("PUT", "/admin/clients"))
			_, err := w.Service.Update(ctx, issued.Key.ID, apikey.UpdateParams{Name: &after})
			e, ok := errors.AsType[*apikey.Error](err)
			if !ok || !errors.Is(err, apikey.ErrUnavailable) || !e.Pending {
				t.Errorf("answered %v, want unavailable and that it may take effect", err)
			}
			proxy.Clear()
			u.t1, u.abandon = false, false
			next, err := apikey.New(cfg) // the process has died
			if err != nil {
				t.Fatal(err)
			}
			apikeytest.Eventually(t, "the next process takes it up", func() bool {
				_ = next.Turn(ctx)
				k, err := next.Get(ctx, issued.Key.ID)
				return err == nil && k.Name == after
			})
		})
	}
}

// A dry run of a forced rotation answers what it would do, although the older
// one is not over.
func TestForcedRotationDryRun(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{})
	first, err := w.Service.Rotate(ctx, issued.Key.ID, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	p := apikey.RotateParams{Force: true, DryRun: true}
	dry, err := w.Service.Rotate(ctx, first.Key.ID, p)
	if err != nil || !dry.DryRun || dry.Mode != apikey.RotationSuccessor {
		t.Errorf("dry run: %+v, %v", dry, err)
	}
	if !w.Fixture().Works(t, issued.Key, issued.Secret, nil) {
		t.Error("the dry run ended the older key")
	}
	p.DryRun = false
	if real, err := w.Service.Rotate(ctx, first.Key.ID, p); err != nil || real.Mode != dry.Mode {
		t.Errorf("forced: %+v, %v", real, err)
	}
}

// A completion that has nothing to complete, in line behind an interrupted
// change, does not close the key when that is taken up.
func TestVoidCompletionInLine(t *testing.T) {
	w, m := mortalWorld(t, apikeytest.Options{})
	ctx, name := as(t), "after"
	issued := create(ctx, t, w.Service, apikey.CreateParams{})
	if answered, err := m.die(afterT1, func() error {
		_, err := w.Service.Update(ctx, issued.Key.ID, apikey.UpdateParams{Name: &name})
		return err
	}); answered {
		t.Fatalf("answered %v", err)
	}
	brief, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	if res, err := w.Service.CompleteRotation(brief, issued.Key.ID, apikey.ActionParams{}); err != nil || !res.Pending {
		t.Fatalf("in line: %+v, %v", res, err)
	}
	apikeytest.Eventually(t, "the interrupted change is taken up", func() bool {
		_ = w.Service.Turn(ctx)
		k, err := w.Service.Get(ctx, issued.Key.ID)
		return err == nil && k.Name == name
	})
	if !w.Fixture().Works(t, issued.Key, issued.Secret, nil) {
		t.Error("the key does not work")
	}
}

// overtaking is a ledger that says of a change in line that it is in line no
// more, and then does not answer.
type overtaking struct {
	apikey.Ledger
	on bool
}

func (o *overtaking) Promote(ctx context.Context, op string, lease time.Duration, p apikey.Plan) (apikey.Begun, error) {
	if o.on {
		return apikey.Begun{}, &apikey.Error{Kind: apikey.ErrNotFound}
	}
	return o.Ledger.Promote(ctx, op, lease, p)
}

func (o *overtaking) Key(ctx context.Context, id string, v apikey.View) (apikey.Record, error) {
	if o.on && len(v.Owners) == 0 {
		return apikey.Record{}, errUnheard
	}
	return o.Ledger.Key(ctx, id, v)
}

// A disable that was accepted is answered as pending, also when nobody can say
// what became of it.
func TestAcceptedAndLostSight(t *testing.T) {
	m, o := &mortal{}, &overtaking{}
	m.fatal.Store("")
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) {
		shortLease(c)
		o.Ledger, m.Ledger = c.Ledger, o
		c.Ledger = m
	}})
	ctx, name := apikey.WithCaller(t.Context(), apikeytest.Caller(apikeytest.All, "sight")), "x"
	issued := create(ctx, t, w.Service, apikey.CreateParams{Owner: "sight"})
	if answered, err := m.die(afterT1, func() error {
		_, err := w.Service.Update(ctx, issued.Key.ID, apikey.UpdateParams{Name: &name})
		return err
	}); answered {
		t.Fatalf("answered %v", err)
	}
	o.on = true
	res, err := w.Service.Disable(ctx, issued.Key.ID, apikey.DisableParams{})
	o.on = false
	if err != nil || !res.Pending {
		t.Errorf("answered %+v, %v; want pending", res, err)
	}
	apikeytest.Eventually(t, "it is disabled", func() bool {
		_ = w.Service.Turn(ctx)
		return !w.Fixture().Works(t, issued.Key, issued.Secret, nil)
	})
}
