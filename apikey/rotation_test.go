package apikey_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

func period(d time.Duration) *apikey.Duration { return new(apikey.Duration(d)) }

// A process may die anywhere in a rotation: a successor that nobody was told of
// is removed, a secret that Hydra took in place says that it is unknown, and a
// repetition with the Idempotency-Key gets a secret that works.
func TestRotationDies(t *testing.T) {
	for name, url := range map[string]func(testing.TB) string{"SQLite": apikeytest.SQLiteURL, "Postgres": pgtest.URL} {
		t.Run(name, func(t *testing.T) {
			ctx, o := as(t), apikeytest.Options{LedgerURL: url(t)}
			first, m := mortalWorld(t, o)
			type fallen struct {
				apikey.Issued
				step string
				p    apikey.RotateParams
			}
			var all []fallen
			for _, step := range []string{afterT1, beforeT2, afterT2} {
				for _, grace := range []time.Duration{0, time.Hour} {
					v := fallen{step: step, p: apikey.RotateParams{GracePeriod: period(grace), IdempotencyKey: "dies-" + rand.Text()}}
					v.Issued = create(ctx, t, first.Service, apikey.CreateParams{Owner: "dies " + rand.Text()})
					if answered, err := m.die(step, func() error {
						_, err := first.Service.Rotate(ctx, v.Key.ID, v.p)
						return err
					}); answered {
						t.Errorf("%s: answered %v", step, err)
					}
					all = append(all, v)
				}
			}
			first.Close()
			o.Config = shortLease
			heir := apikeytest.NewWorld(t, o)
			s, f := heir.Service, heir.Fixture()
			for _, v := range all {
				inPlace := *v.p.GracePeriod == 0
				apikeytest.Eventually(t, "it is brought to its end", func() bool { return quiet(ctx, t, s, v.Key.ID) })
				page, err := s.List(ctx, apikey.ListParams{RootID: v.Key.ID})
				if err != nil {
					t.Fatal(err)
				}
				made := 1
				if v.step == afterT2 && !inPlace {
					made = 2
				}
				if clients := clientsOf(t, heir, v.Key.Owner); len(page.Data) != made || clients != made {
					t.Errorf("%s, in place %v: %d keys, %d clients; want %d", v.step, inPlace, len(page.Data), clients, made)
				}
				took := inPlace && v.step != afterT1
				if works := f.Works(t, v.Key, v.Secret, nil); works == took {
					t.Errorf("%s, in place %v: the secret before works: %v", v.step, inPlace, works)
				}
				k, err := s.Get(ctx, v.Key.ID)
				if unknown := slices.Contains(k.Flags, apikey.FlagCredentialUnknown); err != nil || unknown != (inPlace && v.step == beforeT2) {
					t.Errorf("%s, in place %v: flags %v, %v", v.step, inPlace, k.Flags, err)
				}
				r, err := s.Rotate(ctx, v.Key.ID, v.p)
				if err != nil {
					t.Errorf("%s, in place %v: repeated: %v", v.step, inPlace, err)
					continue
				}
				if !f.Works(t, r.Key, r.Secret, nil) {
					t.Errorf("%s, in place %v: the repeated secret does not work", v.step, inPlace)
				}
				if k, err = s.Get(ctx, r.Key.ID); err != nil || slices.Contains(k.Flags, apikey.FlagCredentialUnknown) || slices.Contains(r.Key.Flags, apikey.FlagCredentialUnknown) {
					t.Errorf("%s, in place %v: still unknown: %v, %v", v.step, inPlace, k.Flags, err)
				}
				if n := happened(ctx, t, s, v.Key.ID, apikey.ActionRotate); n != 1 {
					t.Errorf("%s, in place %v: rotated %d times", v.step, inPlace, n)
				}
			}
			if v, err := heir.Ledger.VerifyChain(ctx, apikey.Head{}, nil); err != nil || !v.Intact() {
				t.Errorf("chain: %+v, %v", v, err)
			}
		})
	}
}

// Whatever Hydra or the way to it does to a rotation: the answer is a working
// secret or an honest error, the key never ends without a credential that
// somebody knows or that it says is unknown, and a retry with the same
// Idempotency-Key works.
func TestTeethOnRotation(t *testing.T) {
	w, proxy := toothed(t, apikeytest.Options{})
	f := w.Fixture()
	for _, c := range []struct {
		name  string
		fault hydratest.Fault
		ok    bool
	}{
		{"answer dropped", hydratest.DropAnswer(), true},
		{"reset before", hydratest.Reset(), false},
		{"reset after", hydratest.Reset().AfterWork(), true},
		{"hangs", hydratest.Hang(), false},
		{"500 before", hydratest.StatusBefore(500, 0), false},
		{"500 after", hydratest.StatusAfter(500), true},
		{"html", hydratest.GarbageHTML(), false},
		{"broken json after", hydratest.GarbageJSON().AfterWork(), true},
	} {
		for method, grace := range map[string]time.Duration{"POST": time.Hour, "PUT": 0} {
			t.Run(c.name+" "+method, func(t *testing.T) {
				ctx := as(t)
				proxy.Clear()
				issued := create(ctx, t, w.Service, apikey.CreateParams{Owner: "teeth " + rand.Text()})
				injected := proxy.Inject(c.fault.On(method, "/admin/clients"))
				p := apikey.RotateParams{GracePeriod: period(grace), IdempotencyKey: "teeth-" + rand.Text()}
				r, err := w.Service.Rotate(ctx, issued.Key.ID, p)
				if injected.Struck() == 0 {
					t.Fatal("the fault did not strike")
				}
				proxy.Clear()
				if c.ok != (err == nil) {
					t.Errorf("answered: %v, want ok %v", err, c.ok)
				}
				if err != nil {
					wantUnavailable(t, err)
					if !f.Works(t, issued.Key, issued.Secret, nil) {
						t.Error("an honest error, and the secret before is dead")
					}
					apikeytest.Eventually(t, "a retry is answered", func() bool {
						r, err = w.Service.Rotate(ctx, issued.Key.ID, p)
						return err == nil
					})
				}
				if !f.Works(t, r.Key, r.Secret, nil) {
					t.Error("the answered secret does not work")
				}
				want := 1
				if grace > 0 {
					want = 2
				}
				if n := clientsOf(t, w, issued.Key.Owner); n != want {
					t.Errorf("%d clients, want %d", n, want)
				}
			})
		}
	}
}

// A rotation in place that was given up and reaches Hydra all the same leaves a
// key that says its secret is unknown; a retry, or another rotation, mends it.
func TestLateRotation(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: proxy.URL(), Config: shortLease,
		HydraWith: func(c *hydra.Config) { c.CallTimeout = 200 * time.Millisecond }})
	ctx, f := as(t), w.Fixture()
	for name, again := range map[string]bool{"the same again": true, "another rotation": false} {
		issued := create(ctx, t, w.Service, apikey.CreateParams{})
		proxy.Inject(hydratest.Delay(900*time.Millisecond).On("PUT", "/admin/clients"))
		p := apikey.RotateParams{GracePeriod: period(0), IdempotencyKey: "late-" + rand.Text()}
		_, err := w.Service.Rotate(ctx, issued.Key.ID, p)
		wantUnavailable(t, err)
		proxy.Clear()
		apikeytest.Eventually(t, "the late request arrives, and all its repetitions", func() bool {
			return proxy.Forwarded("PUT", "/admin/clients") == proxy.Received("PUT", "/admin/clients") && !f.Works(t, issued.Key, issued.Secret, nil)
		})
		w.Clock.Advance(time.Minute)
		if err := w.Service.Turn(ctx); err != nil {
			t.Fatal(err)
		}
		k, err := w.Service.Get(ctx, issued.Key.ID)
		if err != nil || !slices.Contains(k.Flags, apikey.FlagCredentialUnknown) || happened(ctx, t, w.Service, k.ID, apikey.ActionLoseCredential) != 1 {
			t.Errorf("%s: %+v, %v", name, k, err)
		}
		if !again {
			p.IdempotencyKey = ""
		}
		r, err := w.Service.Rotate(ctx, issued.Key.ID, p)
		if err != nil || !f.Works(t, r.Key, r.Secret, nil) || slices.Contains(r.Key.Flags, apikey.FlagCredentialUnknown) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// A successor that was given up and arrives late at Hydra is removed.
func TestLateSuccessor(t *testing.T) {
	w, proxy := toothed(t, apikeytest.Options{})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{Owner: "late successor " + rand.Text()})
	proxy.Inject(hydratest.Delay(2*time.Second).On("POST", "/admin/clients").Times(1))
	_, err := w.Service.Rotate(ctx, issued.Key.ID, apikey.RotateParams{})
	wantUnavailable(t, err)
	apikeytest.Eventually(t, "the late request arrives", func() bool { return clientsOf(t, w, issued.Key.Owner) == 2 })
	w.Clock.Advance(time.Minute)
	apikeytest.Eventually(t, "it is undone", func() bool { return clientsOf(t, w, issued.Key.Owner) == 1 })
	if !w.Fixture().Works(t, issued.Key, issued.Secret, nil) {
		t.Error("the key does not work any more")
	}
}

// unproven gives the answer that is set when a credential is to be proven.
type unproven struct {
	apikey.Clients
	err error
}

func (u *unproven) Prove(ctx context.Context, c apikey.Credential) error {
	if u.err != nil {
		return u.err
	}
	return u.Clients.Prove(ctx, c)
}

// A successor that Hydra refuses is removed and nothing is changed; a secret in
// place that it refuses is answered with that word; what cannot be asked is said.
func TestProof(t *testing.T) {
	u := &unproven{}
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: func(c *apikey.Config) { u.Clients, c.Clients = c.Clients, u }})
	ctx, f := as(t), w.Fixture()
	issued := create(ctx, t, w.Service, apikey.CreateParams{Owner: "proof " + rand.Text()})
	u.err = &apikey.Error{Kind: apikey.ErrUnauthenticated}
	_, err := w.Service.Rotate(ctx, issued.Key.ID, apikey.RotateParams{})
	if !errors.Is(err, apikey.ErrInternal) || clientsOf(t, w, issued.Key.Owner) != 1 || !f.Works(t, issued.Key, issued.Secret, nil) {
		t.Errorf("refused successor: %v, %d clients", err, clientsOf(t, w, issued.Key.Owner))
	}
	r, err := w.Service.Rotate(ctx, issued.Key.ID, apikey.RotateParams{GracePeriod: period(0)})
	if err != nil || r.VerifiedAt != nil || r.Unverified == "" || r.Secret.IsZero() {
		t.Errorf("refused in place: %+v, %v", r, err)
	}
	u.err = &apikey.Error{Kind: apikey.ErrUnavailable}
	next, err := w.Service.Rotate(ctx, issued.Key.ID, apikey.RotateParams{})
	if err != nil || next.VerifiedAt != nil || next.Unverified == "" || !f.Works(t, next.Key, next.Secret, nil) {
		t.Errorf("successor that could not be proven: %+v, %v", next, err)
	}
}

// A policy bounds the grace period, its default too, and the method that a
// rotation changes to; a rotation takes no place of the owner's.
func TestPolicyOnRotation(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: func(c *apikey.Config) {
		c.Policies = apikey.Policies{Live: apikey.Policy{MaxGracePeriod: period(2 * time.Hour), MaxKeys: new(1),
			AuthMethods: []apikey.AuthMethod{apikey.ClientSecretBasic, apikey.ClientSecretPost}}}
	}})
	ctx := as(t)
	issued := create(ctx, t, w.Service, apikey.CreateParams{})
	for rule, p := range map[string]apikey.RotateParams{
		"max_grace_period": {GracePeriod: period(2*time.Hour + time.Second)},
		"auth_methods":     {AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: apikeytest.NewPair(t, "ES256").Public}}},
	} {
		_, err := w.Service.Rotate(ctx, issued.Key.ID, p)
		invalid, ok := errors.AsType[*apikey.InvalidError](err)
		if !ok || len(invalid.Fields) != 1 || invalid.Fields[0].Rule != rule || invalid.Fields[0].Limit == "" || invalid.Fields[0].Fix == "" {
			t.Errorf("%s: %v", rule, err)
		}
	}
	r, err := w.Service.Rotate(ctx, issued.Key.ID, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	if left := r.PreviousEndsAt.Sub(w.Clock.Now()); left > 2*time.Hour || left < time.Hour {
		t.Errorf("the default grace period is %v", left)
	}
	if _, err := w.Service.Create(ctx, apikey.CreateParams{Name: "one more", Owner: issued.Key.Owner, Scopes: []string{"a"}}); !errors.Is(err, apikey.ErrInvalid) {
		t.Errorf("a key beyond the quota: %v", err)
	}
}

// A key whose successor was revoked is rotated again only if its owner has room
// for the one it gets: the place of the first was given back.
func TestSecondSuccessorTakesPlace(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: func(c *apikey.Config) {
		c.Policies = apikey.Policies{Live: apikey.Policy{MaxKeys: new(1)}}
	}})
	ctx := as(t)
	first := create(ctx, t, w.Service, apikey.CreateParams{})
	r, err := w.Service.Rotate(ctx, first.Key.ID, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Revoke(ctx, r.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	other := create(ctx, t, w.Service, apikey.CreateParams{})
	if r, err = w.Service.Rotate(ctx, first.Key.ID, apikey.RotateParams{}); !errors.Is(err, apikey.ErrInvalid) {
		t.Errorf("made %s beyond the quota: %v", r.Key.ID, err)
	}
	if _, err := w.Service.Revoke(ctx, other.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	if r, err = w.Service.Rotate(ctx, first.Key.ID, apikey.RotateParams{}); err != nil {
		t.Errorf("with a free place: %v", err)
	}
}

// While Hydra is down a rotation is refused before anything is written; its
// completion is accepted and follows.
func TestRotationWhileHydraIsDown(t *testing.T) {
	w, proxy := toothed(t, apikeytest.Options{})
	ctx, f := as(t), w.Fixture()
	issued := create(ctx, t, w.Service, apikey.CreateParams{Owner: "down " + rand.Text()})
	r, err := w.Service.Rotate(ctx, issued.Key.ID, apikey.RotateParams{})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Refuse()
	apikeytest.Eventually(t, "the outage is noticed", func() bool { return w.Clients.Ready(ctx) != nil })
	_, err = w.Service.Rotate(ctx, r.Key.ID, apikey.RotateParams{GracePeriod: period(0), Force: true})
	if !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("rotate: %v", err)
	}
	before, err := w.Ledger.Key(ctx, issued.Key.ID, apikey.View{})
	if err != nil || slices.ContainsFunc(before.Pending, func(p apikey.PendingChange) bool { return p.Action == apikey.ActionCompleteRotation }) {
		t.Errorf("a forced rotation that was refused ends the older one: %+v, %v", before.Pending, err)
	}
	res, err := w.Service.CompleteRotation(ctx, r.Key.ID, apikey.ActionParams{IdempotencyKey: "complete-while-down-1"})
	if err != nil || !res.Pending {
		t.Errorf("complete: %+v, %v", res, err)
	}
	if err := proxy.Accept(); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "the old secret is refused", func() bool { return !f.Works(t, issued.Key, issued.Secret, nil) })
	apikeytest.Eventually(t, "it is completed", func() bool { return happened(ctx, t, w.Service, issued.Key.ID, apikey.ActionCompleteRotation) == 1 })
	if !f.Works(t, r.Key, r.Secret, nil) {
		t.Error("the successor does not work")
	}
}
