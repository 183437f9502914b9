package apikey_test

import (
	"context"
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// lossy is the way to Hydra on which the next requests are lost: each arrives
// when the test says so, and its answer never.
type lossy struct {
	apikey.Clients
	posts, puts int                   // to lose
	late        []func()              // what was lost, to arrive
	told        func(context.Context) // runs after the next read of a client
}

func (l *lossy) lose(left *int, send func(context.Context) error) error {
	if *left == 0 {
		return nil
	}
	*left--
	l.late = append(l.late, func() { _ = send(context.Background()) })
	return &apikey.Error{Kind: apikey.ErrUnavailable, Cause: apikey.ErrOutcomeUnknown}
}

func (l *lossy) Create(ctx context.Context, w apikey.ClientWrite) error {
	send := func(ctx context.Context) error { return l.Clients.Create(ctx, w) }
	if err := l.lose(&l.posts, send); err != nil {
		return err
	}
	return send(ctx)
}

func (l *lossy) Put(ctx context.Context, w apikey.ClientWrite) error {
	send := func(ctx context.Context) error { return l.Clients.Put(ctx, w) }
	if err := l.lose(&l.puts, send); err != nil {
		return err
	}
	return send(ctx)
}

func (l *lossy) State(ctx context.Context, id string) (apikey.ClientState, error) {
	state, err := l.Clients.State(ctx, id)
	if told := l.told; told != nil {
		l.told = nil
		told(context.WithoutCancel(ctx))
	}
	return state, err
}

func lossyWorld(t *testing.T) (*apikeytest.World, *lossy) {
	l := &lossy{}
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Config: func(c *apikey.Config) { l.Clients, c.Clients = c.Clients, l }})
	return w, l
}

// lookAgain does the background work; a second look that finds another change
// under way comes again.
func lookAgain(ctx context.Context, t *testing.T, w *apikeytest.World) {
	t.Helper()
	for range 3 {
		if err := w.Service.Turn(ctx); err != nil {
			t.Error(err)
		}
	}
}

// unknown reports whether the key says that nobody knows its secret.
func unknown(t *testing.T, w *apikeytest.World, id string) bool {
	t.Helper()
	k, err := w.Service.Get(as(t), id)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(k.Flags, apikey.FlagCredentialUnknown)
}

// lostInPlace is a key whose rotation in place was lost and given up.
func lostInPlace(ctx context.Context, t *testing.T, w *apikeytest.World, l *lossy, p apikey.RotateParams) string {
	t.Helper()
	id := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID
	l.puts, l.late = 1, nil
	_, err := w.Service.Rotate(ctx, id, p)
	wantUnavailable(t, err)
	return id
}

// A rotation in place that arrives late kills the secret that was answered
// since; the key says so, although another change has written the client before
// anybody looked.
func TestLateRotationBehindAnotherChange(t *testing.T) {
	w, l := lossyWorld(t)
	ctx := as(t)
	for name, change := range map[string]func(id string) error{
		"update": func(id string) error {
			_, err := w.Service.Update(ctx, id, apikey.UpdateParams{Description: ptr("x")})
			return err
		},
		"disable": func(id string) error {
			_, err := w.Service.Disable(ctx, id, apikey.DisableParams{})
			return err
		},
		"second sweep": func(string) error {
			w.Clock.Advance(16 * time.Second)
			return w.Service.Turn(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := lostInPlace(ctx, t, w, l, apikey.RotateParams{GracePeriod: period(0)})
			r, err := w.Service.Rotate(ctx, id, apikey.RotateParams{GracePeriod: period(0)})
			if err != nil {
				t.Fatal(err)
			}
			l.late[0]()
			if w.Fixture().Works(t, r.Key, r.Secret, nil) {
				t.Fatal("the late rotation changed nothing")
			}
			if err := change(id); err != nil {
				t.Fatal(err)
			}
			w.Clock.Advance(time.Minute)
			lookAgain(ctx, t, w)
			if !unknown(t, w, id) || happened(ctx, t, w.Service, id, apikey.ActionLoseCredential) != 1 {
				t.Error("the answered secret is dead without a sign")
			}
		})
	}
}

// A rotation in place is repeated with its Idempotency-Key and answered; then
// the request that was given up arrives. It has the same secret: all is well.
func TestLateRotationOfSameSecret(t *testing.T) {
	w, l := lossyWorld(t)
	ctx := as(t)
	p := apikey.RotateParams{GracePeriod: period(0), IdempotencyKey: "same-secret-" + rand.Text()}
	id := lostInPlace(ctx, t, w, l, p)
	w.Clock.Advance(2 * time.Second)
	r, err := w.Service.Rotate(ctx, id, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Update(ctx, id, apikey.UpdateParams{Scopes: &[]string{"b"}}); err != nil {
		t.Fatal(err)
	}
	l.late[0]()
	w.Clock.Advance(time.Minute)
	lookAgain(ctx, t, w)
	if unknown(t, w, id) {
		t.Error("the key says that nobody knows a secret that was answered and works")
	}
	if again, err := w.Service.Rotate(ctx, id, p); err != nil || again.Secret.Reveal() != r.Secret.Reveal() {
		t.Errorf("repeated: %v", err)
	}
	k := r.Key
	k.Scopes = []string{"b"}
	if !w.Fixture().Works(t, k, r.Secret, nil) {
		t.Error("the key has not what it was given since")
	}
}

// A rotation from a public key to a secret that arrives late is undone: the
// public key is as good as before.
func TestLateRotationFromPublicKey(t *testing.T) {
	w, l := lossyWorld(t)
	ctx := as(t)
	pair := apikeytest.NewPair(t, "ES256")
	issued := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: pair.Public}}})
	l.puts = 1
	_, err := w.Service.Rotate(ctx, issued.Key.ID, apikey.RotateParams{GracePeriod: period(0), AuthMethod: apikey.ClientSecretBasic})
	wantUnavailable(t, err)
	l.late[0]()
	w.Clock.Advance(time.Minute)
	lookAgain(ctx, t, w)
	if unknown(t, w, issued.Key.ID) || !w.Fixture().Works(t, issued.Key, apikey.Secret{}, pair) {
		t.Error("a rotation that was answered with \"nothing was changed\" took the public key")
	}
}

// A key is rotated just when a late rotation of it is found: the new secret is
// not said to be unknown.
func TestRotationBesideLateOne(t *testing.T) {
	w, l := lossyWorld(t)
	ctx := as(t)
	id := lostInPlace(ctx, t, w, l, apikey.RotateParams{GracePeriod: period(0)})
	l.late[0]()
	w.Clock.Advance(time.Minute)
	var r apikey.Rotation
	l.told = func(ctx context.Context) {
		var err error
		if r, err = w.Service.Rotate(as(t), id, apikey.RotateParams{GracePeriod: period(0)}); err != nil {
			t.Error(err)
		}
	}
	lookAgain(ctx, t, w)
	if !w.Fixture().Works(t, r.Key, r.Secret, nil) {
		t.Fatal("the answered secret does not work")
	}
	if unknown(t, w, id) {
		t.Error("the key says that nobody knows the secret that was answered")
	}
}

// A key that a repetition made is not undone, nor changed back, by the late
// request of an attempt that had been given up.
func TestLateWriteOfKeyMadeSince(t *testing.T) {
	w, l := lossyWorld(t)
	ctx, f := as(t), w.Fixture()
	for name, make := range map[string]func(old, header string) (apikey.Issued, error){
		"successor": func(old, header string) (apikey.Issued, error) {
			r, err := w.Service.Rotate(ctx, old, apikey.RotateParams{IdempotencyKey: header})
			return apikey.Issued{Key: r.Key, Secret: r.Secret}, err
		},
		"create": func(_, header string) (apikey.Issued, error) {
			return w.Service.Create(ctx, apikey.CreateParams{Name: "n", Owner: "late writes", Scopes: []string{"a"}, IdempotencyKey: header})
		},
	} {
		t.Run(name, func(t *testing.T) {
			old, header := create(ctx, t, w.Service, apikey.CreateParams{}).Key.ID, "made-since-"+rand.Text()
			l.posts, l.puts, l.late = 1, 1, nil
			_, err := make(old, header)
			wantUnavailable(t, err)
			l.late[0]()
			_, err = make(old, header)
			wantUnavailable(t, err)
			made, err := make(old, header)
			if err != nil || len(l.late) != 2 {
				t.Fatal(err)
			}
			l.late[1]()
			w.Clock.Advance(time.Minute)
			lookAgain(ctx, t, w)
			if !f.Works(t, made.Key, made.Secret, nil) {
				t.Error("the answered key does not work any more")
			}
		})
	}
}

// A key that was disabled since stays closed when the late request of a create
// arrives that a repetition had made good.
func TestLateWriteDoesNotOpen(t *testing.T) {
	w, l := lossyWorld(t)
	ctx, f := as(t), w.Fixture()
	p := apikey.CreateParams{Name: "n", Owner: "late writes", Scopes: []string{"a"}, IdempotencyKey: "not-open-" + rand.Text()}
	l.posts, l.puts = 1, 1
	_, err := w.Service.Create(ctx, p)
	wantUnavailable(t, err)
	l.late[0]()
	_, err = w.Service.Create(ctx, p)
	wantUnavailable(t, err)
	made, err := w.Service.Create(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Disable(ctx, made.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(16 * time.Second) // the second sweep is over
	lookAgain(ctx, t, w)
	l.late[1]()
	if !f.Works(t, made.Key, made.Secret, nil) {
		t.Fatal("the late write changed nothing")
	}
	w.Clock.Advance(time.Minute)
	lookAgain(ctx, t, w)
	if f.Works(t, made.Key, made.Secret, nil) {
		t.Error("a disabled key buys tokens")
	}
}

// The late request of a create does not bring back a key that was revoked since.
func TestLateCreateOfRevokedKey(t *testing.T) {
	w, l := lossyWorld(t)
	ctx, f := as(t), w.Fixture()
	p := apikey.CreateParams{Name: "n", Owner: "late writes", Scopes: []string{"a"}, IdempotencyKey: "not-revived-" + rand.Text()}
	l.posts = 1
	_, err := w.Service.Create(ctx, p)
	wantUnavailable(t, err)
	made, err := w.Service.Create(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Revoke(ctx, made.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	l.late[0]()
	if !f.Works(t, made.Key, made.Secret, nil) {
		t.Fatal("the late request made nothing")
	}
	w.Clock.Advance(time.Minute)
	lookAgain(ctx, t, w)
	if f.Works(t, made.Key, made.Secret, nil) {
		t.Error("a revoked key buys tokens")
	}
}
