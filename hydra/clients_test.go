package hydra_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/internal/hydratest"
)

func TestCreatePutState(t *testing.T) {
	// State tells which write landed last, and a created key buys a token.
	h, w, ctx := newHydra(t), newWrite(), deadline(t)
	id := w.Definition.ID
	if _, err := h.State(ctx, id); !errors.Is(err, apikey.ErrNotFound) {
		t.Fatalf("before: got %v, want not found", err)
	}
	create(t, h, w)
	token := bought(t, buy(t, id, w.Secret.Reveal(), "scope", "orders:read", "audience", "https://api.example.com"))
	wantActive(t, token, true)
	for _, write := range []apikey.ClientWrite{w, next(w), next(next(w))} {
		if write.Op != w.Op {
			put(t, h, write)
		}
		got, err := h.State(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		want := apikey.ClientState{Ledger: installation, Op: write.Op, Revision: write.Definition.Revision}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestPutSecret(t *testing.T) {
	// A put with a secret replaces it at once, one without keeps it.
	h, w := newHydra(t), newWrite()
	create(t, h, w)
	rotated := next(w)
	rotated.Secret = apikey.GenerateSecret()
	put(t, h, rotated)
	buy(t, w.Definition.ID, w.Secret.Reveal()).want(t, 401)
	put(t, h, next(rotated))
	buy(t, w.Definition.ID, rotated.Secret.Reveal()).want(t, 200)
}

func TestCreateTwice(t *testing.T) {
	// Of many creates of one id one succeeds and the others say that it exists.
	h, w, ctx := newHydra(t), newWrite(), deadline(t)
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() { errs[i] = h.Create(ctx, w) })
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, apikey.ErrClientExists):
			t.Errorf("got %v, want client exists", err)
		}
	}
	if made != 1 {
		t.Errorf("%d creates succeeded, want 1", made)
	}
}

func TestCreateNeedsSecret(t *testing.T) {
	// A secret that nobody knows is never made: the create is refused unsent.
	w := newWrite()
	w.Secret = apikey.Secret{}
	err := newHydra(t).Create(deadline(t), w)
	if !errors.Is(err, apikey.ErrInternal) || !errors.Is(err, apikey.ErrNotSent) {
		t.Fatalf("got %v, want internal and not sent", err)
	}
	admin(t, http.MethodGet, "/admin/clients/"+w.Definition.ID, nil).want(t, 404)
}

func TestPutUnknown(t *testing.T) {
	// A put of a client that Hydra does not have is not found and makes none.
	w := newWrite()
	if err := newHydra(t).Put(deadline(t), w); !errors.Is(err, apikey.ErrNotFound) {
		t.Fatalf("got %v, want not found", err)
	}
	admin(t, http.MethodGet, "/admin/clients/"+w.Definition.ID, nil).want(t, 404)
}

func TestPrivateKeyJWT(t *testing.T) {
	// A private_key_jwt key buys a token with every algorithm we accept, and
	// Hydra never gets to choose it a secret.
	h := newHydra(t)
	for _, alg := range apikey.Algorithms {
		p, w := newPair(t, alg), newWrite()
		w = withKeys(t, w, p)
		create(t, h, w)
		wantActive(t, bought(t, present(t, p.assertion(t, w.Definition.ID, nil), "scope", "orders:read")), true)
	}
}

func TestDelete(t *testing.T) {
	// Deleting ends tokens and credential; doing it again is success.
	h, w, ctx := newHydra(t), newWrite(), deadline(t)
	create(t, h, w)
	token := bought(t, buy(t, w.Definition.ID, w.Secret.Reveal()))
	for range 2 {
		if err := h.Delete(ctx, w.Definition.ID); err != nil {
			t.Fatal(err)
		}
	}
	wantActive(t, token, false)
	buy(t, w.Definition.ID, w.Secret.Reveal()).want(t, 401)
}

func TestRevokeTokens(t *testing.T) {
	// Tokens end, other clients' do not, and the key buys new ones.
	h, w, other, ctx := newHydra(t), newWrite(), newWrite(), deadline(t)
	create(t, h, w)
	create(t, h, other)
	mine, theirs := bought(t, buy(t, w.Definition.ID, w.Secret.Reveal())), bought(t, buy(t, other.Definition.ID, other.Secret.Reveal()))
	if err := h.RevokeTokens(ctx, w.Definition.ID); err != nil {
		t.Fatal(err)
	}
	wantActive(t, mine, false)
	wantActive(t, theirs, true)
	wantActive(t, bought(t, buy(t, w.Definition.ID, w.Secret.Reveal())), true)
}

func TestUnaddressableID(t *testing.T) {
	// An id that would leave its place in the path causes no call.
	calls := 0
	h, ctx := newHydra(t, func(c *hydra.Config) { c.Observe = func(hydra.Observation) { calls++ } }), deadline(t)
	for _, id := range []string{"", ".", "..", "a/b", "a%2Fb", "a?b", "a b", strings.Repeat("a", 129)} {
		w := newWrite()
		w.Definition.ID = id
		if _, err := h.State(ctx, id); !errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("state %q: got %v, want not found", id, err)
		}
		for name, err := range map[string]error{
			"create": h.Create(ctx, w), "put": h.Put(ctx, w), "delete": h.Delete(ctx, id), "revoke": h.RevokeTokens(ctx, id),
		} {
			if !errors.Is(err, apikey.ErrNotSent) {
				t.Errorf("%s %q: got %v, want not sent", name, id, err)
			}
		}
	}
	if calls != 0 {
		t.Errorf("%d calls were made", calls)
	}
}

func TestForeignClient(t *testing.T) {
	// A client that we did not write has the zero state.
	c, id, _ := rawClient(object{"metadata": []any{"theirs"}})
	admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
	got, err := newHydra(t).State(deadline(t), id)
	if err != nil || got != (apikey.ClientState{}) {
		t.Fatalf("got %+v, %v, want the zero state", got, err)
	}
}

func TestRefused(t *testing.T) {
	// What Hydra refuses is a definite failure in its own words.
	w := newWrite()
	w.Definition.Token.Format = "paper"
	err := newHydra(t).Create(deadline(t), w)
	if !errors.Is(err, apikey.ErrInternal) || !errors.Is(err, apikey.ErrNotSent) || !strings.Contains(err.Error(), "invalid_client_metadata") {
		t.Fatalf("got %v, want internal, not sent, and hydra's reason", err)
	}
}

func TestCapabilities(t *testing.T) {
	// The version, the probe and the discovery are asked once a minute.
	tick := newClock()
	var calls atomic.Int32
	h := newHydra(t, func(c *hydra.Config) {
		c.Now, c.Observe = tick.now, func(hydra.Observation) { calls.Add(1) }
	})
	for range 3 {
		got, err := h.Capabilities(deadline(t))
		if err != nil || got.Version == "" || got.Issuer+"/oauth2/token" != h.TokenURL() {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if calls.Load() != 3 {
		t.Errorf("%d calls within a minute, want 3", calls.Load())
	}
	tick.add(hydraMinute)
	if _, err := h.Capabilities(deadline(t)); err != nil || calls.Load() != 6 {
		t.Errorf("got %v and %d calls after a minute, want 6", err, calls.Load())
	}
}

// An issuer that is not known is none, keeps nobody from the rest, and is asked for
// again soon.
func TestIssuerNotKnown(t *testing.T) {
	proxy, tick := hydratest.NewProxy(t, running(t).PublicURL()), newClock()
	h := newHydra(t, func(c *hydra.Config) { c.Now, c.PublicURL, c.CallTimeout = tick.now, proxy.URL(), 2*time.Second })
	for _, fault := range []hydratest.Fault{hydratest.GarbageHTML(), hydratest.GarbageJSON(), hydratest.StatusBefore(http.StatusBadGateway, 0), hydratest.Hang()} {
		struck := proxy.Inject(fault.On(http.MethodGet, "/.well-known/openid-configuration"))
		if got, err := h.Capabilities(deadline(t)); err != nil || got.Version == "" || got.Issuer != "" || struck.Struck() != 1 {
			t.Errorf("got %+v, %v, after %d questions", got, err, struck.Struck())
		}
		proxy.Clear()
		tick.add(10 * time.Second)
	}
	var got apikey.HydraCapabilities
	for range 20 { // the question that hangs is given up meanwhile
		var err error
		if got, err = h.Capabilities(deadline(t)); err != nil || got.Issuer != "" {
			break
		}
		tick.add(10 * time.Second)
	}
	if got.Issuer != running(t).PublicURL() {
		t.Errorf("soon after: %+v", got)
	}
	none := newHydra(t, func(c *hydra.Config) { c.PublicURL = "" })
	if got, err := none.Capabilities(deadline(t)); err != nil || got.Version == "" || got.Issuer != "" {
		t.Errorf("without a public url: %+v, %v", got, err)
	}
}

func TestNew(t *testing.T) {
	// A base URL with credentials, a query or no host is refused unrepeated.
	for _, bad := range []string{"", "hydra:4445", "ftp://hydra", "http://", "http://u:hunter2@hydra", "http://hydra?a=b", "http://hydra#x", "http://[::1"} {
		_, err := hydra.New(hydra.Config{AdminURL: bad})
		if err == nil {
			t.Errorf("%q was accepted", bad)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Error("the error repeats the password")
		}
	}
	h, err := hydra.New(hydra.Config{AdminURL: "https://hydra/x/", PublicURL: "https://login.example/"})
	if err != nil || h.TokenURL() != "https://login.example/oauth2/token" {
		t.Errorf("got %v, %q", err, h.TokenURL())
	}
}
