package hydra_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
)

func TestIntrospect(t *testing.T) {
	// A real token tells its client, scopes, audiences and end, in both formats.
	h := newHydra(t)
	for _, format := range []apikey.TokenFormat{apikey.Opaque, apikey.JWT} {
		w := newWrite()
		w.Definition.Token.Format = format
		create(t, h, w)
		token := bought(t, buy(t, w.Definition.ID, w.Secret.Reveal(), "scope", "orders:write orders:read", "audience", "https://api.example.com"))
		got, err := h.Introspect(deadline(t), token)
		if err != nil {
			t.Fatal(err)
		}
		want := apikey.TokenInfo{
			ClientID: w.Definition.ID, Subject: w.Definition.ID, Scopes: []string{"orders:write", "orders:read"},
			Audiences: []string{"https://api.example.com"}, Issuer: got.Issuer, TokenType: "Bearer",
			IssuedAt: got.IssuedAt, NotBefore: got.IssuedAt, ExpiresAt: got.IssuedAt.Add(15 * time.Minute), Age: got.Age,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if age := time.Since(got.IssuedAt); age < 0 || got.Age < 0 || got.Age > time.Minute || age > time.Minute || !strings.HasPrefix(got.Issuer, "http://") {
			t.Errorf("issued %v ago by %q", age, got.Issuer)
		}
	}
}

func TestIntrospectRevoked(t *testing.T) {
	// A token that has ended is refused as soon as it is no longer fresh.
	tick := newClock()
	h, w, ctx := newHydra(t, func(c *hydra.Config) { c.Now = tick.now }), newWrite(), deadline(t)
	create(t, h, w)
	token := bought(t, buy(t, w.Definition.ID, w.Secret.Reveal()))
	if _, err := h.Introspect(ctx, token); err != nil {
		t.Fatal(err)
	}
	if err := h.RevokeTokens(ctx, w.Definition.ID); err != nil {
		t.Fatal(err)
	}
	tick.add(5 * time.Second)
	if _, err := h.Introspect(ctx, token); !errors.Is(err, apikey.ErrUnauthenticated) {
		t.Fatalf("got %v, want unauthenticated", err)
	}
}

// desk is a Hydra whose answers to introspection and readiness are set by hand.
type desk struct {
	*teeth
	mu       sync.Mutex
	answers  []string // to introspection; the last one stays; "" is E500
	unready  bool
	asked    int
	readied  int
	arrivals chan struct{} // if set, an introspection says here that it has come
	leave    chan struct{} // and waits here
}

func active(id string, end time.Time) string {
	return fmt.Sprintf(`{"active":true,"client_id":%q,"token_use":"access_token","exp":%d,"scope":"keys:read","aud":["tokenos"]}`, id, end.Unix())
}

const no = `{"active":false}`

func newDesk(t *testing.T, answers ...string) *desk {
	d := &desk{answers: answers}
	d.teeth = bite(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health/ready" {
			d.mu.Lock()
			d.readied++
			down := d.unready
			d.mu.Unlock()
			if down {
				say(w, 503, mediaJSON, `{}`)
			} else {
				say(w, 200, mediaJSON, `{"status":"ok"}`)
			}
			return
		}
		if d.arrivals != nil {
			d.arrivals <- struct{}{}
			<-d.leave
		}
		if a := d.next(); a != "" {
			say(w, 200, mediaJSON, a)
		} else {
			say(w, 500, mediaJSON, e500)
		}
	})
	return d
}

func (d *desk) next() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	a := d.answers[0]
	if len(d.answers) > 1 {
		d.answers = d.answers[1:]
	}
	return a
}

func (d *desk) set(unready bool, answers ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unready, d.answers, d.asked = unready, answers, 0
}

func (d *desk) questions() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked
}

func TestIntrospectRemembersYes(t *testing.T) {
	// A yes is fresh for five seconds; a no is asked for twice and never
	// remembered.
	tick := newClock()
	d := newDesk(t, active("key_test_1", tick.now().Add(time.Hour)))
	h, ctx := d.against(t, func(c *hydra.Config) { c.Now = tick.now }), deadline(t)
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{0, 1}, {4 * time.Second, 1}, {time.Second, 2}, {4 * time.Second, 2}} {
		tick.add(step.wait)
		if _, err := h.Introspect(ctx, "token"); err != nil || d.questions() != step.want {
			t.Fatalf("%+v: got %v after %d questions", step, err, d.questions())
		}
	}
	d.set(false, no)
	for i := 1; i <= 3; i++ {
		if _, err := h.Introspect(ctx, "another"); !errors.Is(err, apikey.ErrUnauthenticated) || d.questions() != 2*i {
			t.Fatalf("got %v after %d questions, want unauthenticated after %d", err, d.questions(), 2*i)
		}
	}
}

func TestIntrospectCopies(t *testing.T) {
	// What one caller does to its answer the next one does not see.
	d := newDesk(t, active("key_test_1", time.Now().Add(time.Hour)))
	h := d.against(t)
	first, err := h.Introspect(deadline(t), "token")
	if err != nil {
		t.Fatal(err)
	}
	first.Scopes[0], first.Audiences[0] = "admin", "https://other.example"
	second, err := h.Introspect(deadline(t), "token")
	if err != nil || second.Scopes[0] != "keys:read" || second.Audiences[0] != "tokenos" {
		t.Fatalf("got %+v, %v", second, err)
	}
}

func TestIntrospectOutage(t *testing.T) {
	// While Hydra is not ready, or does not answer, a token seen before is
	// honoured until it expires and any other is neither good nor bad.
	for name, outage := range map[string]func(d *desk){
		"calls every token inactive": func(d *desk) { d.set(true, no) },
		"answers E500":               func(d *desk) { d.set(true, "") },
		"answers garbage":            func(d *desk) { d.set(false, `[]`) },
		"has gone":                   func(d *desk) { d.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tick := newClock()
			d := newDesk(t, active("key_test_1", tick.now().Add(time.Hour)))
			h, ctx := d.against(t, func(c *hydra.Config) { c.Now = tick.now }), deadline(t)
			if _, err := h.Introspect(ctx, "seen"); err != nil {
				t.Fatal(err)
			}
			outage(d)
			tick.add(time.Minute)
			if got, err := h.Introspect(ctx, "seen"); err != nil || got.ClientID != "key_test_1" || !got.Remembered {
				t.Errorf("seen before: got %+v, %v", got, err)
			}
			if _, err := h.Introspect(ctx, "unseen"); !errors.Is(err, apikey.ErrUnavailable) || errors.Is(err, apikey.ErrUnauthenticated) {
				t.Errorf("unseen: got %v, want unavailable", err)
			}
			tick.add(time.Hour)
			if _, err := h.Introspect(ctx, "seen"); !errors.Is(err, apikey.ErrUnavailable) {
				t.Errorf("expired meanwhile: got %v, want unavailable", err)
			}
		})
	}
}

func TestIntrospectAsksReadinessAfterwards(t *testing.T) {
	// A readiness remembered from before the answer does not make a no
	// believed: the database may have gone since.
	tick := newClock()
	d := newDesk(t, active("key_test_1", tick.now().Add(time.Hour)))
	h, ctx := d.against(t, func(c *hydra.Config) { c.Now = tick.now }), deadline(t)
	if _, err := h.Introspect(ctx, "seen"); err != nil {
		t.Fatal(err)
	}
	if err := h.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	d.set(true, no)
	if _, err := h.Introspect(ctx, "unseen"); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestIntrospectBlip(t *testing.T) {
	// A database that was away for one answer does not end a good token;
	// a no that is repeated does, and the token is forgotten.
	tick := newClock()
	good := active("key_test_1", tick.now().Add(time.Hour))
	d := newDesk(t, good)
	h, ctx := d.against(t, func(c *hydra.Config) { c.Now = tick.now }), deadline(t)
	if _, err := h.Introspect(ctx, "token"); err != nil {
		t.Fatal(err)
	}
	d.set(false, no, good)
	tick.add(5 * time.Second)
	if _, err := h.Introspect(ctx, "token"); err != nil {
		t.Fatalf("after a blip: got %v", err)
	}
	d.set(false, no, good)
	if _, err := h.Introspect(ctx, "unseen"); err != nil {
		t.Fatalf("unseen, after a blip: got %v", err)
	}
	d.set(false, no)
	tick.add(5 * time.Second)
	if _, err := h.Introspect(ctx, "token"); !errors.Is(err, apikey.ErrUnauthenticated) {
		t.Fatalf("got %v, want unauthenticated", err)
	}
	d.set(true, no)
	if _, err := h.Introspect(ctx, "token"); !errors.Is(err, apikey.ErrUnavailable) {
		t.Fatalf("forgotten: got %v, want unavailable", err)
	}
}

func TestIntrospectStrict(t *testing.T) {
	// Only a JSON answer that says active true of an access token is a yes;
	// what is not an answer at all is no reason to call a token bad.
	end := time.Now().Add(time.Hour).Unix()
	for _, c := range []struct {
		name, media, body string
		want              error
	}{
		{"refresh token", mediaJSON, fmt.Sprintf(`{"active":true,"client_id":"a","token_use":"refresh_token","exp":%d}`, end), apikey.ErrUnauthenticated},
		{"inactive", mediaJSON, no, apikey.ErrUnauthenticated},
		{"active as text", mediaJSON, fmt.Sprintf(`{"active":"true","client_id":"a","token_use":"access_token","exp":%d}`, end), apikey.ErrUnavailable},
		{"active as number", mediaJSON, fmt.Sprintf(`{"active":1,"client_id":"a","token_use":"access_token","exp":%d}`, end), apikey.ErrUnavailable},
		{"active null", mediaJSON, `{"active":null}`, apikey.ErrUnavailable},
		{"another case", mediaJSON, fmt.Sprintf(`{"Active":true,"client_id":"a","token_use":"access_token","exp":%d}`, end), apikey.ErrUnavailable},
		{"case variant beside a no", mediaJSON, fmt.Sprintf(`{"active":false,"ACTIVE":true,"client_id":"a","token_use":"access_token","exp":%d}`, end), apikey.ErrUnauthenticated},
		{"no token_use", mediaJSON, fmt.Sprintf(`{"active":true,"client_id":"a","exp":%d}`, end), apikey.ErrUnavailable},
		{"no client", mediaJSON, fmt.Sprintf(`{"active":true,"token_use":"access_token","exp":%d}`, end), apikey.ErrUnavailable},
		{"no end", mediaJSON, `{"active":true,"client_id":"a","token_use":"access_token"}`, apikey.ErrUnavailable},
		{"scope as list", mediaJSON, fmt.Sprintf(`{"active":true,"client_id":"a","token_use":"access_token","exp":%d,"scope":["admin"]}`, end), apikey.ErrUnavailable},
		{"aud as text", mediaJSON, fmt.Sprintf(`{"active":true,"client_id":"a","token_use":"access_token","exp":%d,"aud":"tokenos"}`, end), apikey.ErrUnavailable},
		{"iat as text", mediaJSON, fmt.Sprintf(`{"active":true,"client_id":"a","token_use":"access_token","exp":%d,"iat":"1"}`, end), apikey.ErrUnavailable},
		{"iss as list", mediaJSON, fmt.Sprintf(`{"active":true,"client_id":"a","token_use":"access_token","exp":%d,"iss":["a"]}`, end), apikey.ErrUnavailable},
		{"client twice", mediaJSON, fmt.Sprintf(`{"active":true,"client_id":"a","client_id":"b","token_use":"access_token","exp":%d}`, end), apikey.ErrUnavailable},
		{"end as fraction", mediaJSON, `{"active":true,"client_id":"a","token_use":"access_token","exp":1.9e9}`, apikey.ErrUnavailable},
		{"html", mediaHTML, active("a", time.Unix(end, 0)), apikey.ErrUnavailable},
		{"xml", "application/xml", `<x><Active>true</Active></x>`, apikey.ErrUnavailable},
		{"no media type", "", active("a", time.Unix(end, 0)), apikey.ErrUnavailable},
		{"two values", mediaJSON, no + active("a", time.Unix(end, 0)), apikey.ErrUnavailable},
		{"too large", mediaJSON, `{"active":true,"x":"` + strings.Repeat("a", 2<<20) + `"}`, apikey.ErrUnavailable},
	} {
		b := bite(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health/ready" {
				say(w, 200, mediaJSON, `{"status":"ok"}`)
				return
			}
			say(w, 200, c.media, c.body)
		})
		got, err := b.against(t).Introspect(deadline(t), "token")
		var e *apikey.Error
		if !errors.As(err, &e) || !errors.Is(err, c.want) || got.ClientID != "" {
			t.Errorf("%s: got %+v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestIntrospectForm(t *testing.T) {
	// What cannot be an access token causes no call.
	d := newDesk(t, active("key_test_1", time.Now().Add(time.Hour)))
	h := d.against(t)
	for _, bad := range []string{"", "a b", "a\nb", "a&token=b", "tökén", "a\x00", strings.Repeat("a", 4097), "=", "a=b"} {
		if _, err := h.Introspect(deadline(t), bad); !errors.Is(err, apikey.ErrUnauthenticated) {
			t.Errorf("%.20q: got %v, want unauthenticated", bad, err)
		}
	}
	if d.requests.Load() != 0 {
		t.Errorf("%d requests", d.requests.Load())
	}
	if _, err := h.Introspect(deadline(t), strings.Repeat("a", 4096)); err != nil {
		t.Errorf("4096 characters: got %v", err)
	}
}

func TestIntrospectOnce(t *testing.T) {
	// Callers with one token share one question, and one who goes away does
	// not end it.
	d := newDesk(t, active("key_test_1", time.Now().Add(time.Hour)))
	d.arrivals, d.leave = make(chan struct{}), make(chan struct{})
	h := d.against(t, func(c *hydra.Config) { c.CallTimeout = 20 * time.Second })
	first, cancel := context.WithCancel(deadline(t))
	var gone error
	var wg, others sync.WaitGroup
	wg.Go(func() { _, gone = h.Introspect(first, "token") })
	<-d.arrivals
	cancel()
	wg.Wait()
	if !errors.Is(gone, apikey.ErrUnavailable) {
		t.Errorf("the one who went: got %v", gone)
	}
	errs := make([]error, 32)
	for i := range errs {
		others.Go(func() { _, errs[i] = h.Introspect(deadline(t), "token") })
	}
	close(d.leave)
	others.Wait()
	if err := errors.Join(errs...); err != nil || d.questions() != 1 {
		t.Errorf("got %v after %d questions, want one", err, d.questions())
	}
}

func TestIntrospectBounded(t *testing.T) {
	// The memory for tokens has an end, and refusals take none of it.
	tick := newClock()
	d := newDesk(t, active("key_test_1", tick.now().Add(time.Hour)))
	h, ctx := d.against(t, func(c *hydra.Config) { c.Now, c.TokenCache = tick.now, 10 }), deadline(t)
	for i := range 200 {
		if _, err := h.Introspect(ctx, fmt.Sprintf("token%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	d.set(true, no)
	tick.add(time.Minute)
	honoured := func() (n int) {
		for i := range 200 {
			if _, err := h.Introspect(ctx, fmt.Sprintf("token%d", i)); err == nil {
				n++
			}
		}
		return n
	}
	eventually(t, "at most 10 tokens are remembered", func() bool { n := honoured(); return n > 0 && n <= 10 })
}

func TestCrowdingKeepsNoTokenAlive(t *testing.T) {
	// A token that cannot be asked for because too many others are is not
	// honoured from memory: its holder may be the crowd.
	tick := newClock()
	d := newDesk(t, active("key_test_1", tick.now().Add(time.Hour)))
	h, ctx := d.against(t, func(c *hydra.Config) {
		c.Now, c.MaxConcurrent, c.CallTimeout = tick.now, 1, 20*time.Second
	}), deadline(t)
	if _, err := h.Introspect(ctx, "token"); err != nil {
		t.Fatal(err)
	}
	tick.add(time.Minute)
	d.arrivals, d.leave = make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = h.Introspect(ctx, "crowd") })
	<-d.arrivals
	if _, err := h.Introspect(ctx, "token"); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	close(d.leave)
	wg.Wait()
}
