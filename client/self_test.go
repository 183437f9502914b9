package client_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
)

func unsigned(claims string) apikey.Secret {
	b := base64.RawURLEncoding
	return apikey.NewSecret(b.EncodeToString([]byte(`{"alg":"ES256"}`)) + "." + b.EncodeToString([]byte(claims)) + "." + b.EncodeToString([]byte("x")))
}

var (
	shownToken  = apikey.HolderCredential{Token: apikey.NewSecret("ory_at_of.the-key")}
	shownBasic  = apikey.HolderCredential{Own: apikey.Credential{Method: apikey.ClientSecretBasic, ID: keyID, Secret: apikey.NewSecret("s:e+c%r t")}}
	shownForm   = apikey.HolderCredential{Own: apikey.Credential{Method: apikey.ClientSecretPost, ID: keyID, Secret: apikey.NewSecret("s:e+c%r t")}}
	shownSigned = apikey.HolderCredential{Own: apikey.Credential{Method: apikey.PrivateKeyJWT,
		Assertion: unsigned(`{"iss":"` + keyID + `","sub":"` + keyID + `","jti":"1","exp":9999999999}`)}}
)

// A holder's call shows its own credential, never the client's token. What may
// be made twice is tried again; an assertion is used up by the first time, and
// after the first revoke the credential may be gone.
func TestHolderCalls(t *testing.T) {
	var calls atomic.Int64
	var last atomic.Pointer[http.Request]
	c := of(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_ = r.ParseForm()
		last.Store(r)
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"code":"unavailable"}`))
	}), func(c *client.Config) { c.Retries = 1 })
	for name, test := range map[string]struct {
		shown  apikey.HolderCredential
		method string
		reads  int64
	}{
		"token": {shownToken, "GET", 2}, "basic": {shownBasic, "GET", 2}, "form": {shownForm, "POST", 2}, "assertion": {shownSigned, "POST", 1},
	} {
		for _, revoke := range []bool{false, true} {
			calls.Store(0)
			_, err := c.Self(t.Context(), test.shown)
			want, method := test.reads, test.method
			if revoke {
				calls.Store(0)
				err, want, method = c.RevokeSelf(t.Context(), test.shown, apikey.RevokeSelfParams{Reason: apikey.Superseded}), 1, "POST"
			}
			r := last.Load()
			if !errors.Is(err, apikey.ErrUnavailable) || calls.Load() != want || r.Method != method {
				t.Errorf("%s, revoke %v: %v after %d calls by %s, want %d by %s", name, revoke, err, calls.Load(), r.Method, want, method)
			}
			if (r.PostForm.Get("reason") == "superseded") != revoke {
				t.Errorf("%s, revoke %v: reason %q", name, revoke, r.PostForm.Get("reason"))
			}
			shows(t, name, r)
		}
	}
}

// shows wants the request to carry the credential as its way has it, and
// nothing else.
func shows(t *testing.T, name string, r *http.Request) {
	t.Helper()
	id, secret, basic := r.BasicAuth()
	got := fmt.Sprint(r.Header.Get("Authorization") == "Bearer ory_at_of.the-key", basic, id, secret, " ", r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"),
		" ", r.PostForm.Get("client_assertion") == shownSigned.Own.Assertion.Reveal())
	want := map[string]string{
		"token": "true false    false", "basic": "false true" + keyID + "s%3Ae%2Bc%25r+t   false",
		"form": "false false  " + keyID + "s:e+c%r t false", "assertion": "false false   true",
	}[name]
	if strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") || strings.Contains(r.Header.Get("Authorization"), token) || r.URL.RawQuery != "" {
		t.Errorf("%s: shows %q, want %q", name, got, want)
	}
}

// A revoke whose answer is lost is pending: the key may have ended. A read is not.
func TestHolderLostAnswer(t *testing.T) {
	c := of(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), func(c *client.Config) { c.Retries = -1 })
	for _, shown := range []apikey.HolderCredential{shownToken, shownBasic, shownForm, shownSigned} {
		_, read := c.Self(t.Context(), shown)
		for what, err := range map[string]error{"read": read, "revoke": c.RevokeSelf(t.Context(), shown, apikey.RevokeSelfParams{})} {
			e, ok := errors.AsType[*apikey.Error](err)
			if !ok || e.Kind != apikey.ErrUnavailable || e.Pending != (what == "revoke") {
				t.Errorf("%s: %v", what, err)
			}
			for _, private := range []string{"ory_at_of", "s:e+c", "s%3Ae", shownSigned.Own.Assertion.Reveal()} {
				if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), private) {
					t.Errorf("%s tells what was shown: %v", what, err)
				}
			}
		}
	}
}

// What no key can have is not sent anywhere.
func TestHolderImpossible(t *testing.T) {
	c := of(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s", r.Method, r.URL.Path) }), nil)
	both := shownBasic
	both.Token = shownToken.Token
	for name, shown := range map[string]apikey.HolderCredential{
		"nothing": {}, "both": both, "dots": {Own: apikey.Credential{Method: apikey.ClientSecretBasic, ID: "..", Secret: apikey.NewSecret("x")}},
		"a mistyped secret":  {Own: apikey.Credential{Method: apikey.ClientSecretBasic, ID: keyID, Secret: apikey.NewSecret(secret)}},
		"no assertion":       {Own: apikey.Credential{Method: apikey.PrivateKeyJWT, ID: keyID}},
		"another's":          {Own: apikey.Credential{Method: apikey.PrivateKeyJWT, ID: "x", Assertion: shownSigned.Own.Assertion}},
		"without an end":     {Own: apikey.Credential{Method: apikey.PrivateKeyJWT, Assertion: unsigned(`{"iss":"a","sub":"a","jti":"1"}`)}},
		"of a longest kind":  {Own: apikey.Credential{Method: apikey.PrivateKeyJWT, Assertion: unsigned(strings.Repeat(" ", 8<<10) + `{}`)}},
		"claims that are []": {Own: apikey.Credential{Method: apikey.PrivateKeyJWT, Assertion: unsigned(`[]`)}},
	} {
		_, err := c.Self(t.Context(), shown)
		again := c.RevokeSelf(t.Context(), shown, apikey.RevokeSelfParams{})
		if !errors.Is(err, apikey.ErrUnauthenticated) || !errors.Is(again, apikey.ErrUnauthenticated) {
			t.Errorf("%s: %v, %v", name, err, again)
		}
	}
}
