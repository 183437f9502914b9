package apikey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/handlers"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

func own(id string, secret apikey.Secret) apikey.HolderCredential {
	return apikey.HolderCredential{Own: apikey.Credential{Method: apikey.ClientSecretBasic, ID: id, Secret: secret}}
}

// answered is what a finder sees of an answer: status, headers and body, but
// for what differs with each request.
type answered struct {
	Status int
	Header http.Header
	Body   map[string]any
}

func present(t *testing.T, s *httptest.Server, method, path string, basic bool, id, secret string) answered {
	t.Helper()
	form := url.Values{}
	if !basic {
		form = url.Values{"client_id": {id}, "client_secret": {secret}}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if basic {
		req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	} else {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answered{Status: res.StatusCode, Header: res.Header}
	if err := json.Unmarshal(raw, &a.Body); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	for _, name := range []string{"X-Request-Id", "Date", "Content-Length"} {
		a.Header.Del(name)
	}
	delete(a.Body, "request_id")
	delete(a.Body, "instance")
	return a
}

// A wrong secret of a key, active, disabled or with a public key, an unknown id
// and a revoked key are answered alike: status, headers and body.
func TestSelfTellsNothing(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx, s := as(t), w.Serve(t)
	active, disabled, revoked := create(ctx, t, w.Service, apikey.CreateParams{}), create(ctx, t, w.Service, apikey.CreateParams{}), create(ctx, t, w.Service, apikey.CreateParams{})
	signing := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: apikeytest.NewPair(t, "ES256").Public}}})
	if _, err := w.Service.Disable(ctx, disabled.Key.ID, apikey.DisableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Service.Revoke(ctx, revoked.Key.ID, apikey.RevokeParams{}); err != nil {
		t.Fatal(err)
	}
	wrong := apikey.GenerateSecret().Reveal()
	for _, basic := range []bool{true, false} {
		for _, path := range []string{"/v1/self", "/v1/self/revoke"} {
			want := present(t, s, http.MethodPost, path, basic, apikey.NewID(apikey.Live, w.Clock.Now()), wrong)
			if want.Status != http.StatusUnauthorized {
				t.Fatalf("unknown id: %+v", want)
			}
			for name, c := range map[string][2]string{
				"active": {active.Key.ID, wrong}, "disabled": {disabled.Key.ID, wrong}, "private_key_jwt": {signing.Key.ID, wrong}, "revoked": {revoked.Key.ID, wrong},
				"revoked, right secret": {revoked.Key.ID, revoked.Secret.Reveal()}, "not ours": {"nobody", wrong}, "short": {active.Key.ID, "x"},
			} {
				if d := cmp.Diff(want, present(t, s, http.MethodPost, path, basic, c[0], c[1])); d != "" {
					t.Errorf("%s, basic %v at %s (-unknown id +got):\n%s", name, basic, path, d)
				}
			}
		}
	}
	for _, k := range []apikey.Issued{active, disabled} {
		if got, err := w.Service.Get(ctx, k.Key.ID); err != nil || got.Status == apikey.StatusRevoked {
			t.Errorf("%s, %v", got.Status, err)
		}
	}
}

// A client in Hydra that the ledger does not know proves nothing here.
func TestSelfOfStranger(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
	id, secret := apikey.NewID(apikey.Live, w.Clock.Now()), apikey.GenerateSecret()
	hydratest.Register(t, w.Hydra.AdminURL(), map[string]any{"client_id": id, "client_secret": secret.Reveal(), "grant_types": []string{"client_credentials"}, "scope": "a"})
	if err := w.Clients.Prove(t.Context(), own(id, secret).Own); err != nil {
		t.Fatalf("the credential is right: %v", err)
	}
	_, err := w.Service.Self(t.Context(), own(id, secret))
	if !errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("read: %v", err)
	}
	token := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: id, Secret: secret.Reveal()})
	if err := w.Service.RevokeSelf(t.Context(), apikey.HolderCredential{Token: apikey.NewSecret(token)}, apikey.RevokeSelfParams{}); !errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("revoke: %v", err)
	}
}

// While Hydra's public port is away every credential, right or wrong, known or
// not, is 503 and never 401, and ends nothing.
func TestSelfWithoutHydra(t *testing.T) {
	public := hydratest.NewProxy(t, hydratest.Shared(t).PublicURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, HydraWith: func(c *hydra.Config) { c.PublicURL = public.URL() }})
	ctx, s := as(t), w.Serve(t)
	k := create(ctx, t, w.Service, apikey.CreateParams{})
	credentials := map[string][2]string{
		"right": {k.Key.ID, k.Secret.Reveal()}, "wrong": {k.Key.ID, apikey.GenerateSecret().Reveal()}, "unknown": {apikey.NewID(apikey.Live, w.Clock.Now()), k.Secret.Reveal()},
	}
	public.Refuse()
	var first answered
	for name, c := range credentials {
		got := present(t, s, http.MethodPost, "/v1/self/revoke", true, c[0], c[1])
		if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %+v", name, got)
		}
		if first.Status == 0 {
			first = got
		}
		if d := cmp.Diff(first, got); d != "" {
			t.Errorf("%s is told apart:\n%s", name, d)
		}
	}
	if err := public.Accept(); err != nil {
		t.Fatal(err)
	}
	if got := present(t, s, http.MethodGet, "/v1/self", true, k.Key.ID, k.Secret.Reveal()); got.Status != http.StatusOK || got.Body["status"] != "active" {
		t.Errorf("afterwards: %+v", got)
	}
}

// While Hydra's database is away, when Hydra itself refuses every credential,
// none is right and none is wrong.
func TestSelfWithoutHydrasDatabase(t *testing.T) {
	pg := pgtest.New(t, pgtest.Config{})
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, Hydra: hydratest.New(t, hydradev.Config{DSN: pg.URL(t)})})
	ctx := as(t)
	k := create(ctx, t, w.Service, apikey.CreateParams{})
	pair := apikeytest.NewPair(t, "ES256")
	signing := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: pair.Public}}})
	token := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: k.Key.ID, Secret: k.Secret.Reveal()})
	if err := pg.Kill(); err != nil {
		t.Fatal(err)
	}
	f := w.Fixture()
	for name, c := range map[string]apikey.HolderCredential{
		"right": own(k.Key.ID, k.Secret), "wrong": own(k.Key.ID, apikey.GenerateSecret()), "unknown": own(apikey.NewID(apikey.Live, w.Clock.Now()), k.Secret),
		"assertion": f.By(t, signing.Key, apikey.Secret{}, pair)["assertion"](), "token": {Token: apikey.NewSecret(token)}, "no token": {Token: apikey.NewSecret("ory_at_x.y")},
	} {
		_, err := w.Service.Self(t.Context(), c)
		if !errors.Is(err, apikey.ErrUnavailable) || errors.Is(err, apikey.ErrUnauthenticated) {
			t.Errorf("%s, read: %v", name, err)
		}
		err = w.Service.RevokeSelf(t.Context(), c, apikey.RevokeSelfParams{})
		if !errors.Is(err, apikey.ErrUnavailable) || errors.Is(err, apikey.ErrUnauthenticated) {
			t.Errorf("%s, revoke: %v", name, err)
		}
	}
	if got, err := w.Service.Get(ctx, k.Key.ID); err != nil || got.Status != apikey.StatusActive || len(got.Flags) > 0 {
		t.Errorf("%s %v, %v", got.Status, got.Flags, err)
	}
}

// When Hydra goes away after the proof, the end counts, is answered as any
// other, and takes effect when Hydra is back.
func TestRevokeSelfPending(t *testing.T) {
	admin := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true, AdminURL: admin.URL()})
	ctx, s := as(t), w.Serve(t)
	k, other := create(ctx, t, w.Service, apikey.CreateParams{}), create(ctx, t, w.Service, apikey.CreateParams{})
	want := present(t, s, http.MethodPost, "/v1/self/revoke", true, other.Key.ID, other.Secret.Reveal())
	if want.Status != http.StatusOK || len(want.Body) != 1 || want.Body["status"] != "revoked" {
		t.Fatalf("got %+v", want)
	}
	admin.Refuse()
	if d := cmp.Diff(want, present(t, s, http.MethodPost, "/v1/self/revoke", true, k.Key.ID, k.Secret.Reveal())); d != "" {
		t.Errorf("pending is told apart (-done +pending):\n%s", d)
	}
	got, err := w.Service.Self(t.Context(), own(k.Key.ID, k.Secret))
	if err != nil || got.Status != apikey.StatusActive || fmt.Sprint(got.Flags) != "[changing revoking]" {
		t.Errorf("meanwhile: %+v, %v", got, err)
	}
	if d := cmp.Diff(want, present(t, s, http.MethodPost, "/v1/self/revoke", true, k.Key.ID, k.Secret.Reveal())); d != "" {
		t.Errorf("again:\n%s", d)
	}
	if err := admin.Accept(); err != nil {
		t.Fatal(err)
	}
	apikeytest.Eventually(t, "the key has ended", func() bool {
		if err := w.Service.Turn(ctx); err != nil {
			t.Log(err) // the connection that was refused may still be remembered
		}
		k, err := w.Service.Get(ctx, k.Key.ID)
		return err == nil && k.Status == apikey.StatusRevoked
	})
	if n := happened(ctx, t, w.Service, k.Key.ID, apikey.ActionRevoke); n != 1 {
		t.Errorf("revoked %d times", n)
	}
	if w.Fixture().Works(t, k.Key, k.Secret, nil) {
		t.Error("its secret still works")
	}
}

// Many holders of one secret end it once, and each is told that it is over, by
// a yes or because the secret is no more; 503 is nobody's fault and no end.
func TestRevokeSelfTogether(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx := as(t)
	k := create(ctx, t, w.Service, apikey.CreateParams{})
	errs := make([]error, 16)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			errs[i] = w.Service.RevokeSelf(t.Context(), own(k.Key.ID, k.Secret), apikey.RevokeSelfParams{})
		})
	}
	all.Wait()
	yes := 0
	for _, err := range errs {
		switch {
		case err == nil:
			yes++
		case !errors.Is(err, apikey.ErrUnauthenticated) && !errors.Is(err, apikey.ErrUnavailable):
			t.Error(err)
		}
	}
	if n := happened(ctx, t, w.Service, k.Key.ID, apikey.ActionRevoke); yes == 0 || n != 1 {
		t.Errorf("%d were told yes, revoked %d times", yes, n)
	}
}

// A credential that is presented, right or wrong, while all is well or Hydra
// misbehaves, is in no log, error or event; the event says from where it came.
func TestSelfKeepsSecrets(t *testing.T) {
	public := hydratest.NewProxy(t, hydratest.Shared(t).PublicURL())
	log := &syncBuffer{}
	to := slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w := apikeytest.NewWorld(t, apikeytest.Options{Config: func(c *apikey.Config) { c.Log = to }, HydraWith: func(c *hydra.Config) { c.PublicURL, c.Log = public.URL(), to }})
	h, err := handlers.New(handlers.Config{API: w.Service, Authenticate: w.Service.Authenticate, Holder: w.Service, Log: to})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	ctx := as(t)
	pair := apikeytest.NewPair(t, "ES256")
	k := create(ctx, t, w.Service, apikey.CreateParams{})
	signing := create(ctx, t, w.Service, apikey.CreateParams{AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: pair.Public}}})
	f := w.Fixture()
	wrong := apikey.GenerateSecret().Reveal()
	token := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: k.Key.ID, Secret: k.Secret.Reveal()})
	canaries := []string{k.Secret.Reveal(), wrong, token}
	var said strings.Builder
	for _, fault := range []hydratest.Fault{hydratest.DropAnswer(), hydratest.StatusBefore(500, 0), hydratest.GarbageHTML(), hydratest.StatusBefore(401, 0), hydratest.Reset()} {
		public.Inject(fault)
		for _, secret := range []string{k.Secret.Reveal(), wrong} {
			for _, basic := range []bool{true, false} {
				fmt.Fprintln(&said, present(t, s, http.MethodPost, "/v1/self", basic, k.Key.ID, secret))
			}
		}
		c := f.By(t, signing.Key, apikey.Secret{}, pair)["assertion"]()
		canaries = append(canaries, c.Own.Assertion.Reveal())
		_, err := w.Service.Self(t.Context(), c)
		fmt.Fprintf(&said, "%v %+v %#v %v %+v\n", err, err, err, c, c)
		public.Clear()
	}
	_, err = w.Service.Self(t.Context(), apikey.HolderCredential{Token: apikey.NewSecret(token)})
	fmt.Fprintln(&said, err, present(t, s, http.MethodPost, "/v1/self", true, k.Key.ID, wrong), present(t, s, http.MethodPost, "/v1/self/revoke", false, k.Key.ID, k.Secret.Reveal()))
	events, err := w.Service.KeyEvents(ctx, k.Key.ID, apikey.PageParams{})
	if err != nil || events.Data[0].Action != apikey.ActionRevoke || events.Data[0].Address != "127.0.0.1" || events.Data[0].RequestID == "" || events.Data[0].UserAgent == "" {
		t.Errorf("events: %+v, %v", events.Data, err)
	}
	raw, _ := json.Marshal(events)
	all := said.String() + string(raw) + log.String()
	for _, c := range canaries {
		if strings.Contains(all, c) || strings.Contains(all, url.QueryEscape(c)) {
			t.Errorf("told: %.12s...", c)
		}
	}
	if !strings.Contains(all, "hydra call failed") {
		t.Error("no fault was met: the test shows nothing")
	}
}

// syncBuffer is a buffer that many may write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Without a ledger nothing is known: no no.
func TestSelfWithoutLedger(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{Idle: true})
	k := create(as(t), t, w.Service, apikey.CreateParams{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.Service.Self(ctx, own(k.Key.ID, k.Secret))
	if !errors.Is(err, apikey.ErrUnavailable) || errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("a caller who is gone: %v", err)
	}
	if err := w.Ledger.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = w.Service.Self(t.Context(), own(k.Key.ID, k.Secret))
	if !errors.Is(err, apikey.ErrUnavailable) || errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("closed: %v", err)
	}
}
