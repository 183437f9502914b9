package crashtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/internal/apikeytest"
)

// mostKeys bounds a worker's keys: all of them are looked at in the end.
const mostKeys = 150

// lifetime is how long some of the keys live.
const lifetime = 5 * time.Second

// worker makes keys and changes them, one request at a time, and remembers what
// it was told.
type worker struct {
	t    *testing.T
	p    *product
	api  apikey.API
	n    int
	rand *rand.Rand
	mine []*tracked

	rotations            int
	answered, unanswered int
}

// tracked is what a worker knows about one of its keys.
type tracked struct {
	params apikey.CreateParams
	pair   *apikeytest.Pair // private_key_jwt
	issued *apikey.Issued   // nil: not answered yet
	names  []string         // possible names: the last answered one and unanswered later ones
	states []apikey.Status  // likewise
	ends   bool             // expires during the test
	second *apikeytest.Pair // a public key being added

	rotation *apikey.RotateParams // asked for and not answered yet
	fresh    *apikeytest.Pair     // its key pair, if it has one
	past     []apikey.Issued      // the keys before, replaced by successors
}

func newWorker(t *testing.T, p *product, n int, r *rand.Rand) *worker {
	return &worker{t: t, p: p, api: p.api(), n: n, rand: r}
}

func (w *worker) work(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			w.step()
			time.Sleep(time.Duration(w.rand.IntN(12)) * time.Millisecond)
		}
	}
}

func (w *worker) step() {
	if len(w.mine) == 0 || len(w.mine) < mostKeys && w.rand.IntN(5) == 0 {
		w.mine = append(w.mine, w.newKey())
		w.create(w.mine[len(w.mine)-1])
		return
	}
	k := w.mine[w.rand.IntN(len(w.mine))]
	if k.issued == nil { // a caller without an answer asks again, with the same Idempotency-Key
		w.create(k)
		return
	}
	if k.rotation != nil { // likewise
		w.rotate(k)
		return
	}
	w.change(k)
}

func (w *worker) newKey() *tracked {
	n := len(w.mine)
	k := &tracked{params: apikey.CreateParams{Name: "n0", Owner: w.p.owner, Scopes: []string{"a"},
		Labels:         map[string]string{"job": fmt.Sprintf("%d-%d", w.n, n)},
		IdempotencyKey: fmt.Sprintf("crash-test-%d-%d-%d", *seed, w.n, n)}, names: []string{"n0"}, states: []apikey.Status{apikey.StatusActive}}
	switch w.rand.IntN(4) {
	case 0:
		k.pair = apikeytest.NewPair(w.t, "ES256")
		k.params.AuthMethod = apikey.PrivateKeyJWT
		k.params.PublicKeys = []apikey.PublicKeyInput{{JWK: k.pair.Public}}
	case 1:
		k.ends = true
		end := time.Now().Add(lifetime)
		k.params.ExpiresAt = apikey.SetTo(end)
	}
	return k
}

// do counts what came back. It reports whether the request was answered 2xx.
func (w *worker) do(call func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := call(ctx)
	if err == nil {
		w.answered++
		return true
	}
	w.unanswered++
	return false
}

func (w *worker) create(k *tracked) {
	w.do(func(ctx context.Context) error {
		issued, err := w.api.Create(ctx, k.params)
		if err == nil {
			k.issued = &issued
		}
		if errors.Is(err, apikey.ErrInvalid) { // its expires_at has passed without an answer
			k.params.ExpiresAt, k.ends = apikey.Nullable[time.Time]{}, false
			k.params.IdempotencyKey += "-again"
		}
		return err
	})
}

// change asks for a random change. An answered one is the truth from then on;
// without an answer the old and the new are both possible.
func (w *worker) change(k *tracked) {
	id := k.issued.Key.ID
	switch c := w.rand.IntN(12); {
	case c < 4:
		name := "n" + strconv.Itoa(w.rand.IntN(1000))
		ok := w.do(func(ctx context.Context) error {
			_, err := w.api.Update(ctx, id, apikey.UpdateParams{Name: &name})
			return err
		})
		k.names = learn(k.names, name, ok)
	case c < 6:
		w.turn(k, apikey.StatusDisabled, func(ctx context.Context) error {
			_, err := w.api.Disable(ctx, id, apikey.DisableParams{})
			return err
		})
	case c < 8:
		w.turn(k, apikey.StatusActive, func(ctx context.Context) error {
			_, err := w.api.Enable(ctx, id, apikey.ActionParams{})
			return err
		})
	case c < 9 && k.pair != nil && k.second == nil:
		pair := apikeytest.NewPair(w.t, "ES256")
		if w.do(func(ctx context.Context) error {
			_, err := w.api.AddPublicKey(ctx, id, apikey.PublicKeyParams{PublicKeyInput: apikey.PublicKeyInput{JWK: pair.Public}})
			return err
		}) {
			k.second = pair
		}
	case c >= 10:
		k.rotation = w.newRotation(k)
		w.rotate(k)
	case c == 9 && w.rand.IntN(4) == 0:
		w.turn(k, apikey.StatusRevoked, func(ctx context.Context) error {
			_, err := w.api.Revoke(ctx, id, apikey.RevokeParams{})
			return err
		})
	}
}

// newRotation chooses how a key is rotated: in place, or with a successor whose
// predecessor ends during the test.
func (w *worker) newRotation(k *tracked) *apikey.RotateParams {
	grace := apikey.Duration(time.Duration(w.rand.IntN(3)) * 2 * time.Second)
	p := &apikey.RotateParams{Force: w.rand.IntN(2) == 0, GracePeriod: &grace, IdempotencyKey: fmt.Sprintf("crash-rotate-%d-%d-%d", *seed, w.n, w.rotations)}
	w.rotations++
	if k.fresh = nil; k.pair != nil {
		grace = 0
		k.fresh = apikeytest.NewPair(w.t, "ES256")
		p.PublicKeys = []apikey.PublicKeyInput{{JWK: k.fresh.Public}}
	}
	return p
}

// rotate asks for the rotation, again if it was not answered before.
func (w *worker) rotate(k *tracked) {
	w.do(func(ctx context.Context) error {
		r, err := w.api.Rotate(ctx, k.issued.Key.ID, *k.rotation)
		switch {
		case err == nil:
			if r.Mode == apikey.RotationSuccessor {
				k.past = append(k.past, *k.issued)
			}
			k.issued = &apikey.Issued{Key: r.Key, Secret: r.Secret}
			if k.fresh != nil {
				k.pair, k.second = k.fresh, nil
			}
			k.rotation = nil
		case errors.Is(err, apikey.ErrExpired), errors.Is(err, apikey.ErrRevoked), errors.Is(err, apikey.ErrRotationPending):
			k.rotation = nil
		}
		return err
	})
}

// turn asks for a change of status. A pending answer (202) promises it too.
func (w *worker) turn(k *tracked, to apikey.Status, call func(context.Context) error) {
	if slices.Contains(k.states, apikey.StatusRevoked) && to != apikey.StatusRevoked {
		return
	}
	var refused bool
	ok := w.do(func(ctx context.Context) error {
		err := call(ctx)
		refused = errors.Is(err, apikey.ErrExpired) || errors.Is(err, apikey.ErrRevoked) || errors.Is(err, apikey.ErrBusy)
		return err
	})
	if !refused {
		k.states = learn(k.states, to, ok)
	}
}

func learn[T comparable](possible []T, next T, certain bool) []T {
	if certain {
		return []T{next}
	}
	return append(possible, next)
}

// settle asks again for everything that was not answered, now that nothing is
// killed any more.
func (w *worker) settle() {
	w.t.Helper()
	for _, k := range w.mine {
		for until := time.Now().Add(60 * time.Second); k.issued == nil; time.Sleep(50 * time.Millisecond) {
			w.create(k)
			if time.Now().After(until) {
				w.t.Fatalf("create with Idempotency-Key %s is never answered", k.params.IdempotencyKey)
			}
		}
		for until := time.Now().Add(60 * time.Second); k.rotation != nil; time.Sleep(50 * time.Millisecond) {
			w.rotate(k)
			if time.Now().After(until) {
				w.t.Fatalf("rotation with Idempotency-Key %s is never answered", k.rotation.IdempotencyKey)
			}
		}
	}
}

// pairs are the key's credentials beside its secret; nil is the secret itself.
func (k *tracked) pairs() []*apikeytest.Pair {
	if k.second != nil {
		return []*apikeytest.Pair{k.pair, k.second}
	}
	return []*apikeytest.Pair{k.pair}
}

// check compares what the worker was told with what is.
func (w *worker) check() {
	w.t.Helper()
	f := apikeytest.Fixture{TokenURL: w.p.hydra.TokenURL(), AdminURL: w.p.hydra.AdminURL()}
	for _, k := range w.mine {
		page, err := w.api.List(w.t.Context(), apikey.ListParams{Owner: w.p.owner, Label: "job:" + k.params.Labels["job"]})
		if err != nil || len(page.Data) != 1+len(k.past) {
			w.t.Errorf("job %s made %d keys, want one and %d successors (%v)", k.params.Labels["job"], len(page.Data), len(k.past), err)
			continue
		}
		byID := map[string]apikey.Key{}
		for _, key := range page.Data {
			byID[key.ID] = key
		}
		got := byID[k.issued.Key.ID]
		if got.ID != k.issued.Key.ID {
			w.t.Errorf("key %s was answered and does not exist", k.issued.Key.ID)
		}
		for _, past := range k.past {
			was := byID[past.Key.ID]
			if works := f.Works(w.t, past.Key, past.Secret, nil); was.ReplacedBy == nil || works != (was.Status == apikey.StatusActive) {
				w.t.Errorf("replaced key %s is %s, its credential works: %v", past.Key.ID, was.Status, works)
			}
		}
		if !slices.Contains(k.names, got.Name) {
			w.t.Errorf("%s: name %s, told %v", got.ID, got.Name, k.names)
		}
		expired := k.ends && got.Status == apikey.StatusExpired
		if !expired && !slices.Contains(k.states, got.Status) {
			w.t.Errorf("%s: status %s, told %v", got.ID, got.Status, k.states)
		}
		for _, pair := range k.pairs() {
			if works := f.Works(w.t, got, k.issued.Secret, pair); works != (got.Status == apikey.StatusActive) {
				w.t.Errorf("%s is %s, its credential works: %v", got.ID, got.Status, works)
			}
		}
	}
}
