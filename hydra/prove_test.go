package hydra_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

func secretOf(w apikey.ClientWrite) apikey.Credential {
	return apikey.Credential{Method: w.Definition.AuthMethod, ID: w.Definition.ID, Secret: w.Secret}
}

func assertionOf(w apikey.ClientWrite, assertion string) apikey.Credential {
	return apikey.Credential{Method: apikey.PrivateKeyJWT, ID: w.Definition.ID, Assertion: apikey.NewSecret(assertion)}
}

func wantProof(t *testing.T, h *hydra.Hydra, name string, c apikey.Credential, want error) {
	t.Helper()
	err := h.Prove(deadline(t), c)
	if want == nil && err != nil || !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", name, err, want)
	}
	if errors.Is(want, apikey.ErrUnavailable) && errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("%s: got a no beside: %v", name, err)
	}
}

func TestProve(t *testing.T) {
	// A right credential is proved by each method, also while the client may buy
	// nothing; a wrong one and one of another method are not.
	h, basic, post, jwt, p := newHydra(t), newWrite(), newWrite(), newWrite(), newPair(t, "ES256")
	post.Definition.AuthMethod = apikey.ClientSecretPost
	jwt = withKeys(t, jwt, p)
	for _, open := range []bool{true, false} {
		for _, w := range []*apikey.ClientWrite{&basic, &post, &jwt} {
			w.Open = open
			if open {
				create(t, h, *w)
			} else {
				put(t, h, *w)
			}
		}
		for _, w := range []apikey.ClientWrite{basic, post} {
			name := fmt.Sprint(w.Definition.AuthMethod, " open ", open)
			wantProof(t, h, name, secretOf(w), nil)
			wrong := secretOf(w)
			wrong.Secret = apikey.GenerateSecret()
			wantProof(t, h, name+" wrong", wrong, apikey.ErrUnauthenticated)
			other := secretOf(w)
			other.Method = map[apikey.AuthMethod]apikey.AuthMethod{
				apikey.ClientSecretBasic: apikey.ClientSecretPost, apikey.ClientSecretPost: apikey.ClientSecretBasic,
			}[other.Method]
			wantProof(t, h, name+" other method", other, apikey.ErrUnauthenticated)
		}
		id := jwt.Definition.ID
		signed := p.assertion(t, id, nil)
		wantProof(t, h, "assertion", assertionOf(jwt, signed), nil)
		wantProof(t, h, "replayed assertion", assertionOf(jwt, signed), apikey.ErrUnauthenticated)
		wantProof(t, h, "stranger's assertion", assertionOf(jwt, newPair(t, "ES256").assertion(t, id, nil)), apikey.ErrUnauthenticated)
		wantProof(t, h, "another audience", assertionOf(jwt, p.assertion(t, id, object{"aud": "https://x.example"})), apikey.ErrUnauthenticated)
		wantProof(t, h, "another's id", assertionOf(basic, p.assertion(t, id, nil)), apikey.ErrUnauthenticated)
		wantProof(t, h, "no assertion", assertionOf(jwt, "x.y.z"), apikey.ErrUnauthenticated)
	}
	unknown := secretOf(basic)
	unknown.ID = apikey.NewID(apikey.Test, time.Now())
	wantProof(t, h, "unknown id", unknown, apikey.ErrUnauthenticated)
}

func TestProveEncodes(t *testing.T) {
	// A secret of any characters is proved by basic and post.
	h, secret := newHydra(t), "ab+cd %41&=:ü"
	for _, method := range []apikey.AuthMethod{apikey.ClientSecretBasic, apikey.ClientSecretPost} {
		c, id, _ := rawClient(object{"client_secret": secret, "token_endpoint_auth_method": method})
		admin(t, http.MethodPost, "/admin/clients", c).want(t, 201)
		wantProof(t, h, string(method), apikey.Credential{Method: method, ID: id, Secret: apikey.NewSecret(secret)}, nil)
		wantProof(t, h, string(method), apikey.Credential{Method: method, ID: id, Secret: apikey.NewSecret(secret + " ")}, apikey.ErrUnauthenticated)
	}
}

func TestProveAsksNoHook(t *testing.T) {
	// A proof issues no token and calls no token hook.
	var calls atomic.Int64
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(hook.Close)
	s := hydratest.New(t, hydradev.Config{TokenHook: &hydradev.TokenHook{URL: hook.URL}})
	h := newHydra(t, func(c *hydra.Config) { c.AdminURL, c.PublicURL = s.AdminURL(), s.PublicURL() })
	w := newWrite()
	create(t, h, w)
	wantProof(t, h, "right", secretOf(w), nil)
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls of the hook", n)
	}
	bought(t, form(t, s.PublicURL()+"/oauth2/token", w.Definition.ID, w.Secret.Reveal(), grant()))
	if calls.Load() != 1 {
		t.Error("the hook is not called for a token: the test shows nothing")
	}
}

func TestProveAsksNothing(t *testing.T) {
	// What cannot be a credential is a no without a question, and without a
	// public URL nothing can be known.
	b := bite(t, func(_ int64, w http.ResponseWriter, _ *http.Request) { say(w, 200, mediaJSON, `{}`) })
	h := newHydra(t, func(c *hydra.Config) { c.AdminURL, c.PublicURL = b.URL, b.URL })
	w := newWrite()
	long := apikey.NewSecret(strings.Repeat("a", 8<<10+1))
	for name, c := range map[string]apikey.Credential{
		"nothing":        {},
		"no secret":      {Method: apikey.ClientSecretBasic, ID: w.Definition.ID},
		"no assertion":   {Method: apikey.PrivateKeyJWT, ID: w.Definition.ID, Secret: w.Secret},
		"no method":      {ID: w.Definition.ID, Secret: w.Secret},
		"no client":      {Method: apikey.ClientSecretPost, Secret: w.Secret},
		"bad id":         {Method: apikey.ClientSecretPost, ID: "..", Secret: w.Secret},
		"NUL in id":      {Method: apikey.ClientSecretPost, ID: "a\x00", Secret: w.Secret},
		"long secret":    {Method: apikey.ClientSecretPost, ID: w.Definition.ID, Secret: long},
		"long assertion": {Method: apikey.PrivateKeyJWT, ID: w.Definition.ID, Assertion: long},
	} {
		wantProof(t, h, name, c, apikey.ErrUnauthenticated)
	}
	if n := b.requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
	none := newHydra(t, func(c *hydra.Config) { c.PublicURL = "" })
	wantProof(t, none, "no public url", secretOf(w), apikey.ErrUnavailable)
}

// door is a token endpoint and a readiness whose answers are set by hand, in
// turn; the last of each stays.
type door struct {
	*teeth
	answers []string // status and body
	ready   []bool
	asked   atomic.Int64
	probed  atomic.Int64
}

const (
	yesAnswer    = `400 {"error":"unauthorized_client","error_description":"x"}`
	noAnswer     = `401 {"error":"invalid_client","error_description":"Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method)."}`
	reasonAnswer = `401 {"error":"invalid_client","error_description":"Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method). The kid is a stranger's."}`
	kidAnswer    = `400 {"error":"invalid_request","error_description":"The JSON Web Token uses signing key with kid 'zz', which could not be found."}`
	knownAnswer  = `400 {"error":"jti_known","error_description":"The jti was already used."}`
)

func newDoor(t *testing.T, ready []bool, answers ...string) *door {
	d := &door{answers: answers, ready: ready}
	d.teeth = bite(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health/ready" {
			n := d.probed.Add(1)
			if d.ready[min(int(n), len(d.ready))-1] {
				say(w, 200, mediaJSON, `{"status":"ok"}`)
			} else {
				say(w, 503, mediaJSON, `{}`)
			}
			return
		}
		n := d.asked.Add(1)
		status, body, _ := strings.Cut(d.answers[min(int(n), len(d.answers))-1], " ")
		var code int
		_, _ = fmt.Sscan(status, &code)
		say(w, code, mediaJSON, body)
	})
	return d
}

func (d *door) hydra(t *testing.T, options ...func(*hydra.Config)) *hydra.Hydra {
	return d.against(t, append(options, func(c *hydra.Config) { c.PublicURL = d.URL })...)
}

func TestProveBelieves(t *testing.T) {
	// A no counts only after a readiness probe begun after it, and without a
	// reason only if it is said again; an assertion is never used up by us and
	// then called wrong.
	yes, down := []bool{true}, []bool{false}
	secret, signed := secretOf(newWrite()), assertionOf(newWrite(), "a.b.c")
	for _, c := range []struct {
		name          string
		credential    apikey.Credential
		ready         []bool
		answers       []string
		want          error
		asked, probed int64
	}{
		{"yes", secret, down, []string{yesAnswer}, nil, 1, 0},
		{"no", secret, yes, []string{noAnswer}, apikey.ErrUnauthenticated, 2, 1},
		{"no, with a reason", secret, yes, []string{reasonAnswer}, apikey.ErrUnauthenticated, 1, 1},
		{"no, not ready", secret, down, []string{noAnswer}, apikey.ErrUnavailable, 1, 1},
		{"reason, not ready", secret, down, []string{reasonAnswer}, apikey.ErrUnavailable, 1, 1},
		{"no for a moment", secret, yes, []string{noAnswer, yesAnswer}, nil, 2, 1},
		{"no, then no answer", secret, yes, []string{noAnswer, "500 " + e500}, apikey.ErrUnavailable, 3, 1},
		{"a secret is no form", secret, yes, []string{kidAnswer}, apikey.ErrUnavailable, 1, 0},
		{"a secret has no jti", secret, yes, []string{knownAnswer}, apikey.ErrUnavailable, 1, 0},
		{"assertion yes", signed, down, []string{yesAnswer}, nil, 1, 0},
		{"assertion no", signed, yes, []string{noAnswer}, apikey.ErrUnauthenticated, 2, 1},
		{"unknown kid", signed, yes, []string{kidAnswer}, apikey.ErrUnauthenticated, 1, 1},
		{"unknown kid, not ready", signed, down, []string{kidAnswer}, apikey.ErrUnavailable, 1, 1},
		{"refused with a reason, which uses it up", signed, yes, []string{reasonAnswer, knownAnswer}, apikey.ErrUnauthenticated, 1, 1},
		{"replayed", signed, yes, []string{knownAnswer}, apikey.ErrUnauthenticated, 2, 1},
		{"jti could not be read for a moment", signed, yes, []string{knownAnswer, yesAnswer}, nil, 2, 1},
		{"used up by the first question", signed, yes, []string{noAnswer, knownAnswer}, apikey.ErrUnavailable, 2, 1},
		{"assertion, E500", signed, yes, []string{"500 " + e500, yesAnswer}, apikey.ErrUnavailable, 1, 0},
		{"secret, E500 once", secret, yes, []string{"500 " + e500, yesAnswer}, nil, 2, 0},
	} {
		d := newDoor(t, c.ready, c.answers...)
		wantProof(t, d.hydra(t), c.name, c.credential, c.want)
		if d.asked.Load() != c.asked || d.probed.Load() != c.probed {
			t.Errorf("%s: asked %d times and probed %d, want %d and %d", c.name, d.asked.Load(), d.probed.Load(), c.asked, c.probed)
		}
	}
}

func TestProveBelievesOnlyHydra(t *testing.T) {
	// What is not Hydra's answer, in Hydra's words, is neither yes nor no.
	for _, answer := range []string{
		"200 ", "200 {}", `200 {"access_token":"x"}`, "204 ", "302 {}", "400 {}", `400 {"error":"invalid_grant"}`,
		"401 {}", "401 ", `401 {"error":"access_denied"}`, `403 {"error":"unauthorized_client"}`, `401 {"error":"unauthorized_client"}`,
		`400 {"error":"invalid_client"}`, "404 " + e404, "429 {}", "503 {}", `200 {"error":"unauthorized_client"}`, `400 ["unauthorized_client"]`,
	} {
		for _, c := range []apikey.Credential{secretOf(newWrite()), assertionOf(newWrite(), "a.b.c")} {
			d := newDoor(t, []bool{true}, answer)
			wantProof(t, d.hydra(t, func(c *hydra.Config) { c.Retries = -1 }), answer, c, apikey.ErrUnavailable)
		}
	}
	html := bite(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		say(w, 400, mediaHTML, `{"error":"unauthorized_client"}`)
	})
	h := html.against(t, func(c *hydra.Config) { c.PublicURL = html.URL })
	wantProof(t, h, "html", secretOf(newWrite()), apikey.ErrUnavailable)
}

func TestProveFaults(t *testing.T) {
	// Whatever happens on the way, a right credential is proved or nothing is
	// known; the admin API is not called unready for it.
	proxy := hydratest.NewProxy(t, running(t).PublicURL())
	h := newHydra(t, func(c *hydra.Config) { c.PublicURL, c.CallTimeout = proxy.URL(), 500*time.Millisecond })
	w, jwt, p := newWrite(), newWrite(), newPair(t, "ES256")
	jwt = withKeys(t, jwt, p)
	create(t, h, w)
	create(t, h, jwt)
	signed := func() apikey.Credential { return assertionOf(jwt, p.assertion(t, jwt.Definition.ID, nil)) }
	for name, f := range map[string]hydratest.Fault{
		"reset": hydratest.Reset(), "hang": hydratest.Hang(), "dropped answer": hydratest.DropAnswer(), "503": hydratest.StatusBefore(503, 0),
		"500 after": hydratest.StatusAfter(500), "html": hydratest.GarbageHTML(), "json": hydratest.GarbageJSON(), "huge": hydratest.GarbageHuge(),
		"401": hydratest.StatusBefore(401, 0),
	} {
		proxy.Inject(f)
		wantProof(t, h, name, secretOf(w), apikey.ErrUnavailable)
		wantProof(t, h, name+", assertion", signed(), apikey.ErrUnavailable)
		proxy.Clear()
		wantProof(t, h, "after "+name, secretOf(w), nil)
	}
	proxy.Inject(hydratest.DropAnswer().Times(1))
	wantProof(t, h, "one dropped answer", secretOf(w), nil)
	proxy.Inject(hydratest.DropAnswer().Times(1))
	wantProof(t, h, "one dropped answer, assertion", signed(), apikey.ErrUnavailable)
	proxy.Refuse()
	wantProof(t, h, "refused", secretOf(w), apikey.ErrUnavailable)
	if err := h.Ready(deadline(t)); err != nil {
		t.Errorf("ready: got %v", err)
	}
}

func TestProveEnds(t *testing.T) {
	// A caller who goes away is told that nothing is known.
	var b *teeth
	b = bite(t, func(_ int64, _ http.ResponseWriter, r *http.Request) { b.hang(r) })
	h := newHydra(t, func(c *hydra.Config) { c.AdminURL, c.PublicURL, c.CallTimeout = b.URL, b.URL, 20*time.Second })
	ctx, cancel := context.WithCancel(deadline(t))
	done := make(chan error)
	go func() { done <- h.Prove(ctx, secretOf(newWrite())) }()
	eventually(t, "the question arrives", func() bool { return b.requests.Load() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, apikey.ErrUnavailable) || errors.Is(err, apikey.ErrUnauthenticated) {
		t.Errorf("got %v, want unavailable", err)
	}
}

func TestProveKeepsSecrets(t *testing.T) {
	// Neither errors nor the log tell a credential, not even one that the answer
	// repeats, and a plain no is not worth a warning.
	var log bytes.Buffer
	level := slog.HandlerOptions{Level: slog.LevelDebug}
	w := newWrite()
	signed := newPair(t, "ES256").assertion(t, w.Definition.ID, nil)
	for _, c := range []apikey.Credential{secretOf(w), assertionOf(w, signed)} {
		text := c.Secret.Reveal() + c.Assertion.Reveal()
		for _, status := range []int{200, 302, 400, 401, 403, 500} {
			d := newDoor(t, []bool{true}, fmt.Sprintf(`%d {"error":"%s","error_description":"%s"}`, status, text, text))
			err := d.hydra(t, func(c *hydra.Config) { c.Log = slog.New(slog.NewTextHandler(&log, &level)) }).Prove(deadline(t), c)
			if err == nil || strings.Contains(fmt.Sprintf("%+v %#v", err, err)+log.String(), text) {
				t.Errorf("%d: %v\n%s", status, err, &log)
			}
		}
	}
	log.Reset()
	h := newHydra(t, func(c *hydra.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	wantProof(t, h, "unknown", secretOf(w), apikey.ErrUnauthenticated)
	if log.Len() > 0 {
		t.Errorf("log: %s", &log)
	}
}
