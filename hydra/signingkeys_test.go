package hydra_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/hydra"
	"github.com/tokenos/tokenos/hydradev"
	"github.com/tokenos/tokenos/internal/hydratest"
)

// signedWith is the kid of a JWT that Hydra issues now.
func signedWith(t *testing.T, s *hydradev.Server, w apikey.ClientWrite) (kid, alg string) {
	t.Helper()
	token := hydratest.MustBuy(t, hydratest.Purchase{TokenURL: s.TokenURL(), ID: w.Definition.ID, Secret: w.Secret.Reveal()})
	var header struct{ KID, Alg string }
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil || json.Unmarshal(raw, &header) != nil {
		t.Fatalf("no JWT: %v", err)
	}
	return header.KID, header.Alg
}

// The newest key signs at once, older ones stay published and keep their place,
// and a deleted one is gone from the JWKS. Times come from the kids.
func TestSigningKeys(t *testing.T) {
	t.Parallel()
	s := hydratest.New(t, hydradev.Config{})
	h := probing(t, s, s.PublicURL())
	w := newWrite()
	w.Definition.Token.Format = apikey.JWT
	create(t, h, w)
	first := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	then := first.Add(time.Hour)
	want := []apikey.SigningKey{{KID: hydradev.SigningKeyID, Alg: "ES256", Bits: 256, Signs: true}}
	for i, c := range []struct {
		alg  string
		bits int
		at   time.Time
	}{{"ES384", 384, first}, {"ES512", 521, then}, {"RS256", 4096, then}, {"ES256", 256, then}} {
		kid := hydra.NewSigningKeyID(c.at, "n"+string(rune('0'+i)))
		if err := h.CreateSigningKey(t.Context(), kid, c.alg); err != nil {
			t.Fatal(err)
		}
		want[0].Signs, want[0].ReplacedAt = false, &c.at
		want = append([]apikey.SigningKey{{KID: kid, Alg: c.alg, Bits: c.bits, CreatedAt: &c.at, Signs: true}}, want...)
		if got, err := h.SigningKeys(t.Context()); err != nil || cmp.Diff(want, got) != "" {
			t.Fatalf("%v (-want +got):\n%s", err, cmp.Diff(want, got))
		}
		if gotKID, gotAlg := signedWith(t, s, w); gotKID != kid || gotAlg != c.alg {
			t.Errorf("Hydra signs with %s, %s; want %s, %s", gotKID, gotAlg, kid, c.alg)
		}
	}
	if err := h.CreateSigningKey(t.Context(), want[0].KID, "ES256"); !errors.Is(err, apikey.ErrClientExists) {
		t.Errorf("a kid twice: %v", err)
	}
	if err := h.CreateSigningKey(t.Context(), "x", "none"); !errors.Is(err, apikey.ErrNotSent) {
		t.Errorf("no algorithm of Hydra's: %v", err)
	}
	for _, kid := range []string{want[2].KID, "nobody-has-it"} {
		if err := h.DeleteSigningKey(t.Context(), kid); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	for _, kid := range []string{"", "..", "a/b", "a b"} {
		if h.DeleteSigningKey(t.Context(), kid) == nil {
			t.Errorf("%q can be addressed", kid)
		}
	}
	gone := want[2].KID
	want = append(want[:2:2], want[3:]...)
	if got, err := h.SigningKeys(t.Context()); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("after a delete: %v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.PublicURL()+"/.well-known/jwks.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	published := do(t, req).text
	for _, k := range want {
		if !strings.Contains(published, k.KID) {
			t.Errorf("%s is not published", k.KID)
		}
	}
	if strings.Contains(published, gone) {
		t.Errorf("%s is published still", gone)
	}
}

// A Hydra without keys has none, and says so without making one.
func TestNoSigningKeys(t *testing.T) {
	t.Parallel()
	s := hydratest.New(t, hydradev.Config{})
	h := probing(t, s, s.PublicURL())
	if err := h.DeleteSigningKey(t.Context(), hydradev.SigningKeyID); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := h.SigningKeys(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("got %v, %v", got, err)
		}
	}
	proxy := hydratest.NewProxy(t, s.AdminURL())
	lost, err := hydra.New(hydra.Config{AdminURL: proxy.URL(), Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lost.Close)
	if err := h.CreateSigningKey(t.Context(), "made-again", "ES256"); err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]hydratest.Fault{"half an answer": hydratest.GarbageJSON(), "a page": hydratest.GarbageHTML(), "failed after it": hydratest.StatusAfter(http.StatusInternalServerError)} {
		proxy.Inject(fault.Times(1))
		if keys, err := lost.SigningKeys(t.Context()); !errors.Is(err, apikey.ErrUnavailable) || keys != nil || strings.Contains(err.Error(), "kty") {
			t.Errorf("%s: %v, %v", name, keys, err)
		}
	}
	proxy.Refuse()
	if _, err := lost.SigningKeys(t.Context()); !errors.Is(err, apikey.ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
}
