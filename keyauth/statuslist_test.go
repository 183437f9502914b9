package keyauth_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/keyauth"
)

func fastLists(c *keyauth.Config) { c.StatusList.Interval = 20 * time.Millisecond }

// A disabled key's JWT is refused within the poll interval, without introspection,
// also one that is remembered; an enabled one is accepted again; a revoked one is
// refused.
func TestDisabledKeyDies(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, fastLists)
	token, neighbour := w.jwt(w.listed(w.claims(), 7)), w.jwt(w.listed(w.claims(), 8))
	for _, step := range []struct {
		value int
		want  keyauth.Reason
	}{{0, ""}, {2, keyauth.KeyDisabled}, {0, ""}, {1, keyauth.KeyRevoked}, {3, keyauth.BadStatus}} {
		w.setStatus(7, step.value)
		eventually(t, "the status counts", func() bool { return reasonOf(t, v, token) == step.want })
		if got := reasonOf(t, v, neighbour); got != "" {
			t.Errorf("the key beside it: %q", got)
		}
	}
	if rec := ask(t, v, bearer(token)); rec.Code != http.StatusUnauthorized {
		t.Errorf("got %d", rec.Code)
	}
	if n := w.count("/v1/introspect"); n != 0 {
		t.Errorf("%d introspections", n)
	}
}

// The default interval is five seconds: a token sees the key's end after twice
// that at the latest even if polling stood still.
func TestStoppedPollingIsNoticed(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	token := w.jwt(w.listed(w.claims(), 7))
	if got := reasonOf(t, v, token); got != "" {
		t.Fatal(got)
	}
	w.setStatus(7, 2)
	w.advance(9 * time.Second)
	if got := reasonOf(t, v, token); got != "" {
		t.Errorf("fetched too early: %q", got)
	}
	w.advance(time.Second)
	if got := reasonOf(t, v, token); got != keyauth.KeyDisabled {
		t.Errorf("after ten seconds: %q", got)
	}
}

// While the list cannot be had, the last good one counts until its own end; then
// nobody can tell: 503. What is no list of ours is as good as none.
func TestStatusListFails(t *testing.T) {
	w := newWorld(t)
	ok := func() string { return w.statusList(nil, nil) }
	claims := func(edit func(map[string]any)) string { return w.statusList(edit, nil) }
	list := func(edit func(map[string]any)) string {
		return claims(func(c map[string]any) { edit(c["status_list"].(map[string]any)) })
	}
	packed := func(b []byte) string {
		return list(func(l map[string]any) { l["lst"] = base64.RawURLEncoding.EncodeToString(b) })
	}
	const media = "application/statuslist+jwt"
	parts := strings.Split(ok(), ".")
	for name, answer := range map[string]http.HandlerFunc{
		"500": status(500), "404": status(404), "304 unasked": status(304), "a page": says("text/html", ok()), "JSON": says("application/json", ok()), "nothing": says(media, ""), "half": says(media, ok()[:100]), "unsigned": says(media, b64(`{"alg":"none","kid":"list","typ":"statuslist+jwt"}`)+"."+parts[1]+"."),
		"typ JWT":         says(media, w.statusList(nil, func(o *jose.SignerOptions) { o.WithType("JWT") })),
		"unknown kid":     says(media, w.statusList(nil, func(o *jose.SignerOptions) { o.WithHeader("kid", "other") })),
		"foreign key":     says(media, es256(`{"alg":"ES256","kid":"list","typ":"statuslist+jwt"}`, string(must(base64.RawURLEncoding.DecodeString(parts[1]))), esOther)),
		"issuer's key":    says(media, es256(`{"alg":"ES256","kid":"es","typ":"statuslist+jwt"}`, string(must(base64.RawURLEncoding.DecodeString(parts[1]))), esKey)),
		"an access token": says(media, w.jwt(w.claims())),
		"another list":    says(media, claims(func(c map[string]any) { c["sub"] = w.URL + "/status/1" })),
		"no sub":          says(media, claims(func(c map[string]any) { delete(c, "sub") })),
		"no exp":          says(media, claims(func(c map[string]any) { delete(c, "exp") })),
		"past exp":        says(media, claims(func(c map[string]any) { c["exp"] = w.now().Unix() - 1 })),
		"no iat":          says(media, claims(func(c map[string]any) { delete(c, "iat") })),
		"from the future": says(media, claims(func(c map[string]any) { c["iat"] = w.now().Unix() + 100 })),
		"ttl of words":    says(media, claims(func(c map[string]any) { c["ttl"] = "5" })),
		"no list":         says(media, claims(func(c map[string]any) { delete(c, "status_list") })),
		"list is a list":  says(media, claims(func(c map[string]any) { c["status_list"] = []int{1} })),
		"bits 3":          says(media, list(func(l map[string]any) { l["bits"] = 3 })),
		"bits 0":          says(media, list(func(l map[string]any) { l["bits"] = 0 })),
		"bits 16":         says(media, list(func(l map[string]any) { l["bits"] = 16 })),
		"no lst":          says(media, list(func(l map[string]any) { delete(l, "lst") })),
		"lst padded":      says(media, list(func(l map[string]any) { l["lst"] = l["lst"].(string) + "=" })),
		"not compressed":  says(media, packed([]byte{0, 1, 2, 3})),
		"empty":           says(media, packed(deflated(nil))),
		"cut":             says(media, packed(deflated(make([]byte, 500))[:12])),
		"wrong checksum":  says(media, packed(append(deflated(make([]byte, 500))[:12], 0, 0, 0, 1))),
		"two streams":     says(media, packed(append(deflated(make([]byte, 500)), deflated(make([]byte, 500))...))),
		"a bomb":          says(media, packed(deflated(make([]byte, 64<<20)))),
		"three megabytes": says(media, strings.Repeat("a", 3<<20)),
		"redirect":        func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/status/1", http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			w.breaks("/status/0", answer)
			v := w.verifier(t)
			token := w.jwt(w.listed(w.claims(), 7))
			rec := ask(t, v, bearer(token))
			if got := reasonOf(t, v, token); rec.Code != http.StatusServiceUnavailable || got != keyauth.NoStatusList || rec.Header().Get("Retry-After") == "" {
				t.Errorf("got %d for %q", rec.Code, got)
			}
			w.breaks("/status/0", nil)
			w.advance(time.Second)
			if got := reasonOf(t, v, token); got != "" {
				t.Errorf("once the list is back: %q", got)
			}
			w.breaks("/status/0", answer)
			before := w.count("/status/0")
			w.advance(15 * time.Second) // so late that polling must have stood still
			if got := reasonOf(t, v, token); got != "" || w.count("/status/0") == before {
				t.Errorf("with the last good list: %q after %d fetches", got, w.count("/status/0")-before)
			}
			w.advance(46 * time.Second)
			if got := reasonOf(t, v, token); got != keyauth.NoStatusList {
				t.Errorf("after the list's own end: %q", got)
			}
		})
	}
}

// A key younger than the list that we have makes us fetch it, at most once a
// second; one beyond the end of the list is 503, not accepted.
func TestYoungKey(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	young := w.jwt(w.listed(w.claims(), 1500))
	if got := reasonOf(t, v, young); got != keyauth.NoStatusList {
		t.Fatalf("beyond the list: %q", got)
	}
	for range 100 {
		_ = reasonOf(t, v, young)
	}
	if n := w.count("/status/0"); n > 3 {
		t.Errorf("%d fetches", n)
	}
	w.mu.Lock()
	w.length = 2000
	w.status[1500] = 2
	w.mu.Unlock()
	w.advance(time.Second)
	if got := reasonOf(t, v, young); got != keyauth.KeyDisabled {
		t.Errorf("got %q", got)
	}
}

// A list that has not changed is not sent again, until it nears its end: then it is
// asked for whole, whatever the server holds for unchanged.
func TestStatusListIsConditional(t *testing.T) {
	w := newWorld(t)
	unchanged := make(chan struct{}, 1000)
	w.breaks("/status/0", func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == `"v1"` {
			unchanged <- struct{}{}
			rw.WriteHeader(http.StatusNotModified)
			return
		}
		rw.Header().Set("ETag", `"v1"`)
		says("application/statuslist+jwt", w.statusList(nil, nil))(rw, r)
	})
	v := w.verifier(t, fastLists)
	token := w.jwt(w.listed(w.claims(), 7))
	if got := reasonOf(t, v, token); got != "" {
		t.Fatal(got)
	}
	<-unchanged
	<-unchanged
	for range 20 {
		w.advance(10 * time.Second)
		if got := reasonOf(t, v, token); got != "" {
			t.Error(got)
		}
	}
}

// A list of every width is read as the draft says.
func TestStatusListWidths(t *testing.T) {
	// The draft's example of one bit ("Status List Token"): 16 statuses in two bytes.
	oneBit := []byte{0xb9, 0xa3}
	statuses := []int{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1}
	w := newWorld(t)
	w.breaks("/status/0", func(rw http.ResponseWriter, r *http.Request) {
		says("application/statuslist+jwt", w.statusList(func(c map[string]any) {
			c["status_list"] = map[string]any{"bits": 1, "lst": "eNrbuRgAAhcBXQ"}
		}, nil))(rw, r)
	})
	v := w.verifier(t)
	for i, value := range statuses {
		want := map[int]keyauth.Reason{0: "", 1: keyauth.KeyRevoked}[value]
		if got := reasonOf(t, v, w.jwt(w.listed(w.claims(), i))); got != want {
			t.Errorf("index %d: got %q, want %q (%08b)", i, got, want, oneBit)
		}
	}
}

// A list from before the one held, which a cache may still have, does not bring an
// ended key back; once the one held has ended it is better than none.
func TestOldStatusListIsRefused(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, fastLists)
	token := func() string { return w.jwt(w.listed(w.claims(), 7)) }
	old := func() http.HandlerFunc {
		w.setStatus(7, 0)
		defer w.setStatus(7, 1)
		now := w.now().Unix()
		return says("application/statuslist+jwt", w.statusList(func(c map[string]any) { c["iat"], c["exp"] = now-16, now+300 }, nil))
	}
	w.setStatus(7, 1)
	if got := reasonOf(t, v, token()); got != keyauth.KeyRevoked {
		t.Fatal(got)
	}
	w.breaks("/status/0", old())
	n := w.count("/status/0")
	eventually(t, "the older list is shown", func() bool { return w.count("/status/0") > n+3 })
	if got := reasonOf(t, v, token()); got != keyauth.KeyRevoked {
		t.Errorf("with an older list: %q", got)
	}
	w.advance(2 * time.Minute)
	eventually(t, "any list is better than none", func() bool { return reasonOf(t, v, token()) == "" })
}

// Without a place in a list a token is good to its end; with StatusList.Off so is
// one that has a place.
func TestStatusListOff(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, func(c *keyauth.Config) { c.StatusList.Off = true })
	w.setStatus(7, 2)
	if got := reasonOf(t, v, w.jwt(w.listed(w.claims(), 7))); got != "" {
		t.Errorf("off: %q", got)
	}
	if got := reasonOf(t, w.verifier(t), w.jwt(w.claims())); got != "" {
		t.Errorf("no place: %q", got)
	}
	if n := w.count("/status/0"); n != 0 {
		t.Errorf("%d fetches of the list", n)
	}
}

// A list that nobody asks for any more is fetched no longer.
func TestIdleListIsForgotten(t *testing.T) {
	w := newWorld(t)
	var polls int
	v := w.verifier(t, fastLists)
	token := w.jwt(w.listed(w.claims(), 7))
	if got := reasonOf(t, v, token); got != "" {
		t.Fatal(got)
	}
	w.advance(16 * time.Minute)
	eventually(t, "no more polls", func() bool {
		before := polls
		<-time.After(60 * time.Millisecond)
		polls = w.count("/status/0")
		return polls == before
	})
	w.setStatus(7, 2)
	c := w.listed(w.claims(), 7)
	if got := reasonOf(t, v, w.jwt(c)); got != keyauth.KeyDisabled {
		t.Errorf("asked again: %q", got)
	}
}

// Errors tell their kind and their cause.
func TestErrorKinds(t *testing.T) {
	w := newWorld(t)
	w.breaks("/status/0", status(500))
	v := w.verifier(t)
	_, err := v.Verify(t.Context(), w.jwt(w.listed(w.claims(), 7)))
	if !errors.Is(err, keyauth.ErrUnavailable) || errors.Is(err, keyauth.ErrInvalidToken) {
		t.Errorf("got %v", err)
	}
	_, err = v.Verify(t.Context(), "a.b.c")
	if !errors.Is(err, keyauth.ErrInvalidToken) || errors.Is(err, keyauth.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
