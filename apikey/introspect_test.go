package apikey_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/internal/apikeytest"
	"github.com/tokenos/tokenos/internal/hydratest"
	"github.com/tokenos/tokenos/internal/pgtest"
)

// asAPI is the context of an API that looks tokens up.
func asAPI(t testing.TB) context.Context {
	return apikey.WithCaller(t.Context(), apikeytest.Caller([]apikey.Right{apikey.TokensIntrospect}))
}

func introspect(t *testing.T, s apikey.Introspector, token string) apikey.Introspection {
	t.Helper()
	got, err := s.Introspect(asAPI(t), apikey.NewSecret(token))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// hydraSays is what Hydra itself answers about a token.
func hydraSays(t *testing.T, w *apikeytest.World, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Hydra.AdminURL()+"/admin/oauth2/introspect", strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A token is for the audiences that its key is registered for, and for paths
// below them, whatever Hydra was talked into.
func TestIntrospectAudiences(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	ctx := as(t)
	for _, c := range []struct {
		registered, asked string // asked: separated by spaces
		want              []string
		smuggled          string // Hydra shows it
	}{
		{"https://a.example", "https://a.example", []string{"https://a.example"}, ""},
		{"https://a.example", "https://a.example/orders/7", []string{"https://a.example/orders/7"}, ""},
		{"https://a.example/api/", "https://a.example/api https://a.example/api/v1", []string{"https://a.example/api", "https://a.example/api/v1"}, ""},
		{"https://a.example", "https://a.example/|https://pay.example", []string{"https://a.example/"}, "https://pay.example"},
		{"https://a.example", "https://a.example|https://a.example/x|tokenos", nil, ""},
		{"https://a.example", "https://a.example/x|tokenos", []string{"https://a.example/x"}, `"tokenos"`},
		{"https://a.example/api", "https://a.example/api/|https://a.example/admin", []string{"https://a.example/api/"}, "https://a.example/admin"},
		{"https://a.example/api", "https://a.example/api/../admin", []string{}, "/api/../admin"},
		{"https://a.example/api", "https://a.example/api/%2e%2e/admin", []string{}, "%2e%2e"},
		{"https://a.example", "https://a.example/x?y=z", []string{}, "?y=z"},
		{"https://a.example", "HTTPS://a.example/x", []string{}, "HTTPS:"},
		{"https://a.example", "https://a.example/|https://a.example.evil/|https://a.example@evil/", []string{"https://a.example/"}, "https://a.example.evil/"},
	} {
		k := create(ctx, t, w.Service, apikey.CreateParams{Audiences: []string{c.registered}})
		token, err := hydratest.Buy(t.Context(), hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: k.Key.ID, Secret: k.Secret.Reveal(), Audiences: strings.Fields(c.asked)})
		if c.want == nil {
			if err == nil {
				t.Errorf("%s: Hydra granted it", c.asked)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", c.asked, err)
		}
		if says := hydraSays(t, w, token); !strings.Contains(strings.ReplaceAll(says, `\u0026`, "&"), c.smuggled) {
			t.Errorf("%s: Hydra says %s; nothing was smuggled", c.asked, says)
		}
		got := introspect(t, w.Service, token)
		if diff := cmp.Diff(c.want, got.Audiences); diff != "" || !got.Active {
			t.Errorf("%s (-want +got):\n%s", c.asked, diff)
		}
	}
}

// A client that is in Hydra and not in our ledger is nobody, and so is one of
// another ledger.
func TestIntrospectStrangers(t *testing.T) {
	w, other := apikeytest.NewWorld(t, apikeytest.Options{}), apikeytest.NewWorld(t, apikeytest.Options{})
	hydratest.Register(t, w.Hydra.AdminURL(), map[string]any{"client_id": "introspect-stranger", "client_secret": "not-ours-not-ours-not-ours-not-ours",
		"grant_types": []string{"client_credentials"}, "scope": "a", "token_endpoint_auth_method": "client_secret_basic"})
	k := create(as(t), t, other.Service, apikey.CreateParams{})
	for id, secret := range map[string]string{"introspect-stranger": "not-ours-not-ours-not-ours-not-ours", k.Key.ID: k.Secret.Reveal()} {
		token := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: id, Secret: secret, Scopes: []string{"a"}})
		if !hydratest.Introspect(t, w.Hydra.AdminURL(), token) {
			t.Fatal("Hydra does not know the token")
		}
		if got := introspect(t, w.Service, token); got.Active {
			t.Errorf("%s: active", id)
		}
	}
}

// lying is a Hydra that answers what a test wants, as Hydra never does.
type lying struct{ info apikey.TokenInfo }

func (l lying) Introspect(context.Context, string) (apikey.TokenInfo, error)    { return l.info, nil }
func (l lying) IntrospectNow(context.Context, string) (apikey.TokenInfo, error) { return l.info, nil }

// A token of a person, or one that Hydra remembers scopes for that the key
// never had, gives no more than its key may.
func TestIntrospectLies(t *testing.T) {
	w := apikeytest.NewWorld(t, apikeytest.Options{})
	k := create(as(t), t, w.Service, apikey.CreateParams{Scopes: []string{"a", "b"}}).Key
	info := apikey.TokenInfo{ClientID: k.ID, Subject: k.ID, Scopes: []string{"admin", "b", "a", "b:x", ""}, Audiences: []string{"tokenos", "https://a.example"}, ExpiresAt: w.Clock.Now().Add(time.Hour)}
	with := func(edit func(*apikey.TokenInfo)) apikey.Introspection {
		said := info
		edit(&said)
		s := second(t, w, func(c *apikey.Config) { c.Tokens = lying{said} })
		return introspect(t, s, "token")
	}
	got := with(func(*apikey.TokenInfo) {})
	if !got.Active || got.Scope != "b a" || len(got.Audiences) != 0 || got.IssuedAt != 0 || got.NotBefore != 0 {
		t.Errorf("got %+v", got)
	}
	for name, edit := range map[string]func(*apikey.TokenInfo){
		"a person's token": func(i *apikey.TokenInfo) { i.Subject = "ana@acme.test" },
		"no client":        func(i *apikey.TokenInfo) { i.ClientID, i.Subject = "", "" },
		"another case":     func(i *apikey.TokenInfo) { i.ClientID = strings.ToUpper(k.ID) },
	} {
		if got := with(edit); got.Active {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A disable that is accepted in one process ends every token in all others,
// those that were being made at that moment too, and while Hydra cannot follow.
func TestIntrospectElsewhere(t *testing.T) {
	url := pgtest.URL(t)
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	here := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, AdminURL: proxy.URL()})
	there := apikeytest.NewWorld(t, apikeytest.Options{LedgerURL: url, Idle: true})
	ctx := as(t)
	for round := range 3 {
		k := create(ctx, t, here.Service, apikey.CreateParams{Owner: fmt.Sprint("elsewhere-", round)})
		var mu sync.Mutex
		var tokens []string
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					token, err := here.Fixture().Buy(t, k.Key, k.Secret, nil)
					if err != nil {
						continue
					}
					_, _ = there.Service.Introspect(asAPI(t), apikey.NewSecret(token)) // so that it is remembered there
					mu.Lock()
					tokens = append(tokens, token)
					mu.Unlock()
				}
			})
		}
		apikeytest.Eventually(t, "tokens are bought", func() bool { mu.Lock(); defer mu.Unlock(); return len(tokens) > 10 })
		if round == 2 { // Hydra's admin API cannot be reached: the disable waits, and counts
			proxy.Refuse()
		}
		if _, err := here.Service.Disable(ctx, k.Key.ID, apikey.DisableParams{}); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		until := len(tokens)
		for i, token := range tokens {
			if introspect(t, there.Service, token).Active {
				t.Errorf("round %d: token %d of %d is active after the disable", round, i, until)
			}
		}
		mu.Unlock()
		close(stop)
		wg.Wait()
		active := 0
		for _, token := range tokens {
			if introspect(t, there.Service, token).Active {
				t.Error("a token that was being made is active")
			}
			if round == 2 && hydratest.Introspect(t, here.Hydra.AdminURL(), token) {
				active++
			}
		}
		if round == 2 && active == 0 {
			t.Error("Hydra had followed: nothing is proven")
		}
	}
}

// What Hydra said of a token is believed for a moment, but not for longer when
// it does not answer, and a ledger that does not answer is no no.
func TestIntrospectOutages(t *testing.T) {
	proxy := hydratest.NewProxy(t, hydratest.Shared(t).AdminURL())
	tick := &apikeytest.Clock{}
	w := apikeytest.NewWorld(t, apikeytest.Options{AdminURL: proxy.URL(), HydraWith: func(c *hydra.Config) { c.Now = tick.Now }})
	k := create(as(t), t, w.Service, apikey.CreateParams{})
	token := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: w.Hydra.TokenURL(), ID: k.Key.ID, Secret: k.Secret.Reveal()})
	if !introspect(t, w.Service, token).Active {
		t.Fatal("not active")
	}
	ask := func(token string) error {
		got, err := w.Service.Introspect(asAPI(t), apikey.NewSecret(token))
		if err != nil && got.Active {
			t.Error("active, and an error")
		}
		return err
	}
	for name, fault := range map[string]hydratest.Fault{"500": hydratest.StatusBefore(500, 0), "garbage": hydratest.GarbageHTML(), "reset": hydratest.Reset()} {
		proxy.Inject(fault)
		tick.Advance(6 * time.Second)
		for _, token := range []string{token, "unseen"} {
			if err := ask(token); err == nil {
				t.Errorf("%s: a no", name)
			} else {
				wantUnavailable(t, err)
			}
		}
		proxy.Clear()
	}
	apikeytest.Eventually(t, "Hydra answers again", func() bool { return ask(token) == nil })
	if !introspect(t, w.Service, token).Active {
		t.Error("not active after the outage")
	}
	if err := w.Ledger.Close(); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, ask(token))
}
