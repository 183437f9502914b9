package assertion_test

import (
	"crypto"
	"encoding/json"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/assertion"
)

const tokenURL = "https://auth.example.com/oauth2/token"

// at is a draft that is good at a fixed time.
func at(s *subject, now time.Time) *draft {
	d := newDraft(s, tokenURL)
	d.claims["exp"] = now.Add(time.Minute).Unix()
	return d
}

// Each failed check says what was seen, what was expected and what to do; and all
// of them are told at once.
func TestExplainSays(t *testing.T) {
	s := newSubject("ES256", 2)
	first, second := s.key.PublicKeys[0].KID, s.key.PublicKeys[1].KID
	id := `"` + s.key.ID + `"`
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ended := now.Add(-24 * time.Hour)
	for _, c := range []struct {
		name   string
		change func(*draft, *assertion.Options)
		want   []assertion.Check
	}{
		{"late", func(d *draft, _ *assertion.Options) { d.claims["exp"] = now.Unix() - 1 }, []assertion.Check{{Name: "exp", Seen: "2026-11-26T11:59:59Z (1 second ago)", Expected: "a time to come; Hydra has no leeway",
			Fix: "let it end a minute from now, in seconds since 1970, and set this machine's clock by NTP"}}},
		{"early", func(d *draft, _ *assertion.Options) { d.claims["iat"], d.claims["nbf"] = now.Unix()+1, now.UnixMilli() }, []assertion.Check{
			{Name: "iat", Seen: "2026-11-26T12:00:01Z (in 1 second)", Expected: "absent, or a time that has come; Hydra has no leeway", Fix: "leave iat out, or set this machine's clock by NTP: a second ahead of Hydra's is too much"},
			{Name: "nbf", Seen: "1795694400000, which as seconds since 1970 is no date of ours", Expected: "absent, or a time that has come; Hydra has no leeway", Fix: "leave nbf out, or set this machine's clock by NTP: a second ahead of Hydra's is too much"}}},
		{"issuer as audience", func(d *draft, _ *assertion.Options) { d.claims["aud"] = []string{"https://auth.example.com"} }, []assertion.Check{{Name: "aud", Seen: `["https://auth.example.com"]`, Expected: tokenURL,
			Fix: "set aud to the token URL: many libraries send the issuer, and another name of the host or a slash at the end is not the same"}}},
		{"others' words", func(d *draft, o *assertion.Options) { d.claims["iss"], o.ClientID = "\x1b]0;x\a\u202e", s.key.ID }, []assertion.Check{{Name: "iss", Seen: `"\x1b]0;x\a\u202e"`, Expected: id,
			Fix: "set iss and sub to the key's id, and send no other client_id in the form"}}},
		{"no kid", func(d *draft, _ *assertion.Options) { delete(d.header, "kid") }, []assertion.Check{{Name: "signature", Seen: "is not by " + first, Expected: "made with the private key that goes with the public key",
			Fix: "set kid to " + second + ", whose private key signed this"}}},
		{"kid of one's own", func(d *draft, _ *assertion.Options) { d.header["kid"] = "mine" }, []assertion.Check{{Name: "kid", Seen: `"mine", which none of the key's public keys is called`, Expected: `"` + first + `" or "` + second + `"`,
			Fix: "set kid to " + second + ", whose private key signed this"}}},
		{"ended public key", func(_ *draft, o *assertion.Options) {
			k := s.key
			k.PublicKeys = slices.Clone(k.PublicKeys)
			k.PublicKeys[1].ExpiresAt = &ended
			o.Key = &k
		}, []assertion.Check{{Name: "kid", Seen: `"` + second + `", a public key that ended at 2026-11-25T12:00:00Z (24 hours ago)`, Expected: `"` + first + `"`, Fix: "sign with the private key of one that has not ended"}}},
		{"shared secret", func(d *draft, _ *assertion.Options) { d.header["alg"] = "HS256" }, []assertion.Check{{Name: "alg", Seen: `"HS256"`, Expected: "ES256", Fix: "sign with the private key: Hydra takes no shared secret (client_secret_jwt)"}}},
		{"another algorithm", func(d *draft, _ *assertion.Options) { d.header["alg"] = "PS256" }, []assertion.Check{{Name: "alg", Seen: "PS256", Expected: "ES256", Fix: "have the library sign with ES256, or register a public key for PS256 in a rotation"}}},
		{"nothing", func(d *draft, _ *assertion.Options) { d.payload = "{}" }, []assertion.Check{
			{Name: "client_id", Seen: "no sub that is a text, or an empty one, and no client_id in the form", Expected: "the key's id, as sub or in the form", Fix: "set sub to the key's id"},
			{Name: "exp", Seen: "absent", Expected: "a time to come; Hydra has no leeway", Fix: "let it end a minute from now, in seconds since 1970, and set this machine's clock by NTP"},
			{Name: "iss", Seen: "absent", Expected: "the key's id", Fix: "set iss to the key's id"}, {Name: "sub", Seen: "absent", Expected: "the key's id", Fix: "set sub to the key's id"},
			{Name: "jti", Seen: "absent", Expected: "a text that is new for each request", Fix: "set jti to a random text, a new one for each request"},
			{Name: "aud", Seen: "absent", Expected: tokenURL, Fix: "set aud to the token URL: many libraries send the issuer, and another name of the host or a slash at the end is not the same"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := at(s, now)
			o := assertion.Options{TokenURL: tokenURL, Key: &s.key, Now: now}
			c.change(d, &o)
			r := assertion.Explain(d.token(), o)
			var got []assertion.Check
			for _, check := range r.Checks {
				if check.Result == assertion.Failed {
					check.Result = ""
					got = append(got, check)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" || r.Verdict != assertion.Refused || r.Because != c.want[0].Name {
				t.Errorf("%s because of %s (-want +got):\n%s", r.Verdict, r.Because, diff)
			}
		})
	}
}

// What is not known is unknown, and the verdict is open until all is known that
// decides.
func TestExplainUndecided(t *testing.T) {
	s, now := newSubject("RS256", 1), time.Unix(1795694400, 0)
	token := at(s, now).token()
	unknowns := func(o assertion.Options) (assertion.Verdict, []string) {
		o.Now = now
		r := assertion.Explain(token, o)
		var names []string
		for _, c := range r.Checks {
			if c.Result == assertion.Unknown {
				names = append(names, c.Name)
			}
		}
		return r.Verdict, names
	}
	for _, c := range []struct {
		name string
		o    assertion.Options
		want assertion.Verdict
		not  []string
	}{
		{"nothing", assertion.Options{}, assertion.Undecided, []string{"key", "alg", "kid", "signature", "jti_unused", "aud", "status"}},
		{"token URL", assertion.Options{TokenURL: tokenURL}, assertion.Undecided, []string{"key", "alg", "kid", "signature", "jti_unused", "status"}},
		{"public keys", assertion.Options{PublicKeys: s.key.PublicKeys}, assertion.Undecided, []string{"key", "jti_unused", "aud", "status"}},
		{"both", assertion.Options{TokenURL: tokenURL, PublicKeys: s.key.PublicKeys}, assertion.Accepted, []string{"key", "jti_unused", "status"}},
		{"all", assertion.Options{TokenURL: tokenURL, Key: &s.key}, assertion.Accepted, []string{"jti_unused"}},
	} {
		verdict, not := unknowns(c.o)
		if diff := cmp.Diff(c.not, not); diff != "" || verdict != c.want {
			t.Errorf("%s: %s, want %s; unknown (-want +got):\n%s", c.name, verdict, c.want, diff)
		}
	}
	if got := assertion.ClientID(token, assertion.Options{}); got != s.key.ID {
		t.Errorf("the key's id is %q", got)
	}
}

// What people send by mistake is called by its name and not repeated.
func TestExplainMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"": "nothing", " \n": "nothing", "tos_NotAtTheRightPlace": "a client secret, not a JWT", "ory_at_NotAtTheRightPlace.x": "a token of Hydra, not a JWT",
		"-----BEGIN PRIVATE KEY-----\nNotAtTheRightPlace\n": "a key in PEM, not a JWT signed with it", "grant_type=x&client_assertion=NotAtTheRightPlace": "a whole form, not its client_assertion alone",
		"NotAtTheRightPlace": "1 parts", "a.b.c.d.e": "five parts: it is encrypted", "a+.b.c": "part 1 of 3 is not base64url", "e30.b/.c": "part 2 of 3 is not base64url",
		"bm8.e30.AA": "the first part (header) is not a JSON object with a text as alg", strings.Repeat("a", 64<<10+1): "65537 bytes",
	} {
		r := assertion.Explain(text, assertion.Options{})
		if got := r.Named("form"); r.Because != "form" || got.Result != assertion.Failed || got.Seen != want {
			t.Errorf("%.40q: because of %s, sees %q, want %q", text, r.Because, got.Seen, want)
		}
		if out, err := json.Marshal(r); err != nil || strings.Contains(string(out), "NotAtTheRightPlace") {
			t.Errorf("%.40q: repeats what was given: %s (%v)", text, out, err)
		}
	}
	r := assertion.Explain(`{"protected":"e30","payload":"e30","signature":"AA"}`, assertion.Options{TokenURL: tokenURL})
	if r.Verdict != assertion.Undecided || r.Named("form").Result != assertion.Unknown {
		t.Errorf("a JWS in JSON: %s", text(r))
	}
}

// Whatever is read, every check has an answer in printable ASCII of bounded length,
// the verdict follows from them, and nothing of the signature is told.
func FuzzExplain(f *testing.F) {
	s := newSubject("ES256", 2)
	w := &world{chance: mrand.New(mrand.NewPCG(1, 1)), tokenURL: tokenURL, subjects: []*subject{s}, odd: map[any]crypto.Signer{}}
	for _, change := range mutations {
		d := at(s, time.Now())
		change(w, d)
		f.Add(d.token(), d.form, true)
	}
	f.Add(at(s, time.Now()).token(), s.key.ID, false)
	f.Add(b64([]byte(`{"alg":"none","kid":"\u001b"}`))+"."+b64([]byte(`{"exp":1e400,"aud":{"a":[[[]]]}}`))+".", "x", true)
	f.Fuzz(func(t *testing.T, token, id string, known bool) {
		o := assertion.Options{ClientID: id, TokenURL: tokenURL}
		if known {
			o.Key = &s.key
		}
		r := assertion.Explain(token, o)
		failed := false
		for _, c := range r.Checks {
			failed = failed || c.Result == assertion.Failed
			all := c.Seen + c.Expected + c.Fix
			if c.Seen == "" || c.Expected == "" || len(all) > 4<<10 || strings.ContainsFunc(all, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%+q", c)
			}
			if (c.Fix != "") != (c.Result == assertion.Failed) {
				t.Fatalf("result and fix do not go together: %+v", c)
			}
		}
		if failed != (r.Verdict == assertion.Refused) || failed != (r.Answer != "") || failed != (r.Named(r.Because).Result == assertion.Failed) || len(r.Checks) != 16 {
			t.Fatalf("%s", text(r))
		}
		if known && r.Verdict == assertion.Accepted && r.Named("signature").Result != assertion.OK {
			t.Fatalf("accepted without a signature: %s", text(r))
		}
	})
}
