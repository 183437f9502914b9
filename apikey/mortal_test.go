package apikey_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// The steps of a change after which a process can be made to die.
const (
	afterT1  = "after T1, before Hydra was called"
	beforeT2 = "after Hydra was called, before T2"
	afterT2  = "after T2, before the answer"
)

// mortal is the ledger of a process that can die: a goroutine that comes to the
// fatal step ends there and does nothing more, as if it had been killed.
type mortal struct {
	apikey.Ledger
	fatal    atomic.Value // string; "" for none
	promoted atomic.Int64 // queued changes that were begun
}

func (m *mortal) dieAt(step string) {
	if m.fatal.Load() == step {
		runtime.Goexit()
	}
}

func (m *mortal) Begin(ctx context.Context, b apikey.Begin) (apikey.Begun, error) {
	begun, err := m.Ledger.Begin(ctx, b)
	m.dieAt(afterT1)
	return begun, err
}

func (m *mortal) Finish(ctx context.Context, f apikey.Finish) error {
	m.dieAt(beforeT2)
	err := m.Ledger.Finish(ctx, f)
	m.dieAt(afterT2)
	return err
}

func (m *mortal) Promote(ctx context.Context, op string, lease time.Duration, plan apikey.Plan) (apikey.Begun, error) {
	begun, err := m.Ledger.Promote(ctx, op, lease, plan)
	if err == nil {
		m.promoted.Add(1)
	}
	return begun, err
}

// die runs act as a process that dies at the step. It reports what act answered
// if it came to its end.
func (m *mortal) die(step string, act func() error) (answered bool, err error) {
	m.fatal.Store(step)
	defer m.fatal.Store("")
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = act()
		answered = true
	}()
	<-done
	return answered, err
}

// mortalWorld is a world without background work whose process can die. Leases
// are short, because Postgres has no other sign of a death.
func mortalWorld(t *testing.T, o apikeytest.Options) (*apikeytest.World, *mortal) {
	m := &mortal{}
	m.fatal.Store("")
	o.Idle = true
	more := o.Config
	o.Config = func(c *apikey.Config) {
		if more != nil {
			more(c)
		}
		shortLease(c)
		m.Ledger = c.Ledger
		c.Ledger = m
	}
	return apikeytest.NewWorld(t, o), m
}

func shortLease(c *apikey.Config) { c.ChangeTimeout, c.Lease = 1500*time.Millisecond, 2*time.Second }

// happened counts the key's events of an action.
func happened(ctx context.Context, t *testing.T, s apikey.API, id string, a apikey.Action) int {
	t.Helper()
	page, err := s.KeyEvents(ctx, id, apikey.PageParams{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range page.Data {
		if e.Action == a {
			n++
		}
	}
	return n
}

// deed is a change during which a process dies.
type deed struct {
	action apikey.Action
	pair   bool                                             // of a private_key_jwt key with two public keys, the second of which ends
	before func(context.Context, apikey.API, string) error  // makes ready; may be nil
	do     func(context.Context, apikey.API, *victim) error // nil: the clock does it
	status apikey.Status                                    // afterwards
	works  bool                                             // the credential, afterwards
}

// victim is a key with a deed.
type victim struct {
	deed
	apikey.Issued
	first, second, third *apikeytest.Pair
	token                string
}

var deeds = map[string]deed{
	"update": {action: apikey.ActionUpdate, do: func(ctx context.Context, a apikey.API, v *victim) error {
		_, err := a.Update(ctx, v.Key.ID, apikey.UpdateParams{Description: &v.Key.ID})
		return err
	}, status: apikey.StatusActive, works: true},
	"disable": {action: apikey.ActionDisable, do: func(ctx context.Context, a apikey.API, v *victim) error {
		_, err := a.Disable(ctx, v.Key.ID, apikey.DisableParams{})
		return err
	}, status: apikey.StatusDisabled},
	"enable": {action: apikey.ActionEnable, before: func(ctx context.Context, a apikey.API, id string) error {
		_, err := a.Disable(ctx, id, apikey.DisableParams{})
		return err
	}, do: func(ctx context.Context, a apikey.API, v *victim) error {
		_, err := a.Enable(ctx, v.Key.ID, apikey.ActionParams{})
		return err
	}, status: apikey.StatusActive, works: true},
	"revoke": {action: apikey.ActionRevoke, do: func(ctx context.Context, a apikey.API, v *victim) error {
		_, err := a.Revoke(ctx, v.Key.ID, apikey.RevokeParams{})
		return err
	}, status: apikey.StatusRevoked},
	"complete": {action: apikey.ActionCompleteRotation, before: func(ctx context.Context, a apikey.API, id string) error {
		_, err := a.Rotate(ctx, id, apikey.RotateParams{})
		return err
	}, do: func(ctx context.Context, a apikey.API, v *victim) error {
		_, err := a.CompleteRotation(ctx, v.Key.ID, apikey.ActionParams{})
		return err
	}, status: apikey.StatusExpired},
	"delete": {action: apikey.ActionDelete, before: func(ctx context.Context, a apikey.API, id string) error {
		_, err := a.Revoke(ctx, id, apikey.RevokeParams{})
		return err
	}, do: func(ctx context.Context, a apikey.API, v *victim) error { return a.Delete(ctx, v.Key.ID) }},
	"tokens": {action: apikey.ActionRevokeTokens, do: func(ctx context.Context, a apikey.API, v *victim) error {
		_, err := a.RevokeTokens(ctx, v.Key.ID, apikey.ActionParams{})
		return err
	}, status: apikey.StatusActive, works: true},
	"add public key": {action: apikey.ActionAddPublicKey, pair: true, do: func(ctx context.Context, a apikey.API, v *victim) error {
		_, err := a.AddPublicKey(ctx, v.Key.ID, apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: v.third.Public}})
		return err
	}, status: apikey.StatusActive, works: true},
	"remove public key": {action: apikey.ActionRemovePublicKey, pair: true, do: func(ctx context.Context, a apikey.API, v *victim) error {
		return a.RemovePublicKey(ctx, v.Key.ID, v.Key.PublicKeys[1].KID)
	}, status: apikey.StatusActive, works: true},
	"expiry": {action: apikey.ActionExpire, status: apikey.StatusExpired},
	"end of a pause": {action: apikey.ActionEnable, before: func(ctx context.Context, a apikey.API, id string) error {
		until := time.Now().Add(time.Hour)
		_, err := a.Disable(ctx, id, apikey.DisableParams{Until: &until})
		return err
	}, status: apikey.StatusActive, works: true},
	"end of a public key": {action: apikey.ActionExpirePublicKey, pair: true, status: apikey.StatusActive, works: true},
}

// prepare makes the key for a deed.
func prepare(ctx context.Context, t *testing.T, w *apikeytest.World, d deed) *victim {
	t.Helper()
	v := &victim{deed: d}
	p, hour := apikey.CreateParams{Owner: "victims"}, time.Now().Add(time.Hour)
	if d.pair {
		v.first, v.second, v.third = apikeytest.NewPair(t, "ES256"), apikeytest.NewPair(t, "ES256"), apikeytest.NewPair(t, "ES256")
		p.AuthMethod, p.PublicKeys = apikey.PrivateKeyJWT, []apikey.PublicKeyInput{{JWK: v.first.Public}, {JWK: v.second.Public}}
	}
	switch d.action {
	case apikey.ActionExpire:
		p.ExpiresAt = apikey.SetTo(hour)
	case apikey.ActionExpirePublicKey:
		p.PublicKeys[1].ExpiresAt = &hour
	}
	v.Issued = create(ctx, t, w.Service, p)
	var err error
	if v.token, err = w.Fixture().Buy(t, v.Key, v.Secret, v.first); err != nil {
		t.Fatal(err)
	}
	if d.before != nil {
		if err := d.before(ctx, w.Service, v.Key.ID); err != nil {
			t.Fatal(err)
		}
	}
	return v
}
