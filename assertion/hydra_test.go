package assertion_test

import (
	"crypto"
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/assertion"
	"github.com/tokenos/tokenos/internal/hydratest"
)

func TestMain(m *testing.M) { os.Exit(hydratest.Main(m)) }

// world is a Hydra with keys of every kind.
type world struct {
	chance   *mrand.Rand
	tokenURL string
	subjects []*subject // the first of them, ordinary many, have nothing wrong with them
	ordinary int
	used     string // a jti that was used
	odd      map[any]crypto.Signer
}

// stranger is a private key for the algorithm that nobody registered.
func (w *world) stranger(alg any) crypto.Signer {
	if w.odd[alg] == nil {
		name, _ := alg.(string)
		w.odd[alg] = newKey(name)
	}
	return w.odd[alg]
}

func newWorld(t *testing.T) *world {
	h := hydratest.Shared(t)
	seed := mrand.Uint64()
	t.Logf("seed %d", seed)
	w := &world{chance: mrand.New(mrand.NewPCG(seed, 2)), tokenURL: h.TokenURL(), odd: map[any]crypto.Signer{}}
	past := time.Now().Add(-time.Hour)
	secret, disabled, expired, revoked, half, over := newSubject("ES256", 1), newSubject("ES256", 1), newSubject("ES256", 1), newSubject("ES256", 1), newSubject("ES256", 2), newSubject("ES256", 1)
	secret.key.AuthMethod, disabled.key.Status, expired.key.Status, revoked.key.Status = apikey.ClientSecretBasic, apikey.StatusDisabled, apikey.StatusExpired, apikey.StatusRevoked
	half.key.PublicKeys[0].ExpiresAt, over.key.PublicKeys[0].ExpiresAt = &past, &past
	for range 3 {
		w.subjects = append(w.subjects, newSubject("ES256", 1), newSubject("ES256", 2))
	}
	w.subjects = append(w.subjects, newSubject("ES256", 3), newSubject("ES384", 1), newSubject("ES512", 1), newSubject("RS256", 1), newSubject("PS256", 2), newSubject("RS512", 1))
	w.ordinary = len(w.subjects)
	w.subjects = append(w.subjects, secret, disabled, expired, revoked, half, over)
	for _, s := range w.subjects {
		s.register(t, h.AdminURL())
	}
	first := newDraft(w.subjects[0], w.tokenURL)
	w.used = first.claims["jti"].(string)
	if a := w.buy(t, first.token(), ""); a.status != http.StatusOK {
		t.Fatalf("a good assertion: %+v", a)
	}
	return w
}

// named is the key that TokenOS has by that id; one that it does not have is as good
// as revoked.
func (w *world) named(id string) *apikey.Key {
	for _, s := range w.subjects {
		if s.key.ID == id {
			return &s.key
		}
	}
	return &apikey.Key{Status: apikey.StatusRevoked}
}

type answer struct {
	status            int
	code, description string
}

// buy shows Hydra the assertion.
func (w *world) buy(t *testing.T, token, id string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {token}}
	if id != "" {
		form.Set("client_id", id)
	}
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, w.tokenURL, strings.NewReader(form.Encode())))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var said struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, said.Code, said.Description}
}

// hints are what Hydra says of each check that fails. Where several read alike it
// does not tell them apart.
var hints = map[string]*regexp.Regexp{
	"form": regexp.MustCompile(`Unable to verify the integrity|parameter must be set`), "claims": regexp.MustCompile(`Unable to verify the integrity`),
	"client_id": regexp.MustCompile(`'sub' from the client_assertion JSON Web Token is undefined|unsupported authentication method\).$`),
	"key":       regexp.MustCompile(`only supports client authentication method 'client_secret_basic'|unsupported authentication method\).$`),
	"alg":       regexp.MustCompile(`uses signing algorithm`), "kid": regexp.MustCompile(`which could not be found|does not contain any key`),
	"signature": regexp.MustCompile(`Unable to verify the integrity`), "exp": regexp.MustCompile(`unrecognizable|Unable to type assert the expiry time`),
	"iat": regexp.MustCompile(`unrecognizable`), "nbf": regexp.MustCompile(`unrecognizable`), "iss": regexp.MustCompile(`Claim 'iss'`), "sub": regexp.MustCompile(`Claim 'sub'`),
	"jti": regexp.MustCompile(`Claim 'jti' from 'client_assertion' must be set`), "aud": regexp.MustCompile(`Claim 'audience'`), "status": regexp.MustCompile(`not allowed to use authorization grant`),
}

// late are the checks that Hydra makes after that of the jti.
func late(r assertion.Report) bool {
	return r.Verdict == assertion.Accepted || slices.Contains([]string{"aud", "status"}, r.Because) || r.Because == "exp" && strings.HasPrefix(r.Answer, "401")
}

// Whatever is done to an assertion, the verdict is Hydra's, and where Hydra tells
// its reason it is the same one.
func TestExplainAsHydra(t *testing.T) {
	w := newWorld(t)
	seen := map[string]int{}
	for i := range 700 {
		d := newDraft(w.subjects[w.chance.IntN(len(w.subjects))], w.tokenURL)
		if i < len(mutations)*4 { // each one alone, on a key with which nothing is wrong
			d = newDraft(w.subjects[w.chance.IntN(w.ordinary)], w.tokenURL)
			mutations[i/4](w, d)
		} else {
			for range w.chance.IntN(4) {
				mutations[w.chance.IntN(len(mutations))](w, d)
			}
		}
		w.compare(t, d, seen)
		if t.Failed() {
			break
		}
	}
	t.Logf("reasons: %v", seen)
	for name := range hints {
		if seen[name] < 3 {
			t.Errorf("%s was the reason %d times only", name, seen[name])
		}
	}
	if seen[""] < 100 || seen["jti_unused"] < 3 {
		t.Errorf("%d good ones and %d used ones only", seen[""], seen["jti_unused"])
	}
}

// compare shows one assertion to both.
func (w *world) compare(t *testing.T, d *draft, seen map[string]int) {
	t.Helper()
	token := d.token()
	o := assertion.Options{ClientID: d.form, TokenURL: w.tokenURL, Now: time.Now()}
	o.Key = w.named(assertion.ClientID(token, o))
	got, said := assertion.Explain(token, o), w.buy(t, token, d.form)
	explained := func() string { return fmt.Sprintf("\n%s\nof %s\nHydra says %+v", text(got), token, said) }
	if d.replayed && said.code == "jti_known" && late(got) {
		seen["jti_unused"]++
		return
	}
	if (said.status == http.StatusOK) != (got.Verdict == assertion.Accepted) || got.Verdict == assertion.Undecided {
		t.Errorf("the verdict differs: %s", explained())
		return
	}
	seen[got.Because]++
	if got.Verdict == assertion.Refused {
		if answer := fmt.Sprintf("%d %s", said.status, said.code); !strings.Contains(got.Answer, answer) || !hints[got.Because].MatchString(said.description) {
			t.Errorf("the reason differs: %s", explained())
		}
	}
	// Whoever knows less may not say the opposite.
	offline := assertion.Explain(token, assertion.Options{ClientID: d.form, Now: o.Now})
	o.PublicKeys, o.Key = o.Key.PublicKeys, nil
	unkept := assertion.Explain(token, o)
	for _, r := range []assertion.Report{offline, unkept} {
		if r.Verdict == assertion.Refused && said.status == http.StatusOK {
			t.Errorf("refused by who knows less: %s%s", text(r), explained())
		}
	}
	if offline.Verdict == assertion.Accepted || said.status == http.StatusOK && unkept.Verdict != assertion.Accepted {
		t.Errorf("offline %s, with the public keys %s: %s", offline.Verdict, unkept.Verdict, explained())
	}
}

// text is a report for a failure's message.
func text(r assertion.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s)\n", r.Verdict, r.Because, r.Answer)
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "  %-8s %-11s %s\n", c.Result, c.Name, c.Seen)
	}
	return b.String()
}
