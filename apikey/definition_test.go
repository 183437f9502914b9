package apikey

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Tokens live whole seconds from a minute to a day, a quarter of an hour unless
// said otherwise (security catalogue, 14).
func TestTokenSettings(t *testing.T) {
	base := TokenSettings{Format: Opaque, Lifetime: defaultTokenLifetime}
	life := func(d time.Duration) *TokenParams { l := Duration(d); return &TokenParams{Lifetime: &l} }
	for _, c := range []struct {
		name  string
		in    *TokenParams
		kept  TokenSettings
		wrong []string
	}{
		{"absent", nil, base, nil},
		{"empty", &TokenParams{}, base, nil},
		{"jwt", &TokenParams{Format: JWT}, TokenSettings{JWT, defaultTokenLifetime}, nil},
		{"shortest", life(time.Minute), TokenSettings{Opaque, Duration(time.Minute)}, nil},
		{"longest", life(24 * time.Hour), TokenSettings{Opaque, Duration(24 * time.Hour)}, nil},
		{"zero", life(0), base, []string{"#/token/lifetime out_of_range"}},
		{"negative", life(-time.Minute), base, []string{"#/token/lifetime out_of_range"}},
		{"a nanosecond", life(1), base, []string{"#/token/lifetime out_of_range"}},
		{"59 s", life(59 * time.Second), base, []string{"#/token/lifetime out_of_range"}},
		{"a second too long", life(24*time.Hour + time.Second), base, []string{"#/token/lifetime out_of_range"}},
		{"ten years", life(87600 * time.Hour), base, []string{"#/token/lifetime out_of_range"}},
		{"half a second", life(90*time.Second + time.Second/2), base, []string{"#/token/lifetime out_of_range"}},
		{"another format", &TokenParams{Format: "JWT"}, base, []string{"#/token/format invalid"}},
	} {
		v := &validation{}
		kept := v.token(base, c.in)
		want(t, c.name, v, c.wrong...)
		if c.wrong == nil && kept != c.kept {
			t.Errorf("%s: kept as %+v", c.name, kept)
		}
	}
}

// A moment a caller sets lies in the future, in a year of four digits, and is
// kept as UTC, whole seconds (security catalogue, 13).
func TestFutureTimes(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		code string
	}{
		{noon.Add(time.Second), ""},
		{noon.Add(1500 * time.Millisecond), ""},
		{noon.In(time.FixedZone("west", -7*3600)).Add(time.Hour), ""},
		{time.Date(9999, 12, 31, 23, 59, 59, 999, time.UTC), ""},
		{noon, "past"},
		{noon.Add(999 * time.Millisecond), "past"},
		{noon.Add(-time.Second), "past"},
		{time.Time{}, "past"},
		{time.Unix(0, 0), "past"},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "out_of_range"},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("west", -3600)), "out_of_range"},
	} {
		v := &validation{}
		kept := v.future("#/expires_at", &c.at, noon)
		if got := strings.TrimPrefix(strings.Join(codes(v), ","), "#/expires_at "); got != c.code {
			t.Errorf("%v: %q, want %q", c.at, got, c.code)
		}
		if c.code == "" && (!kept.Equal(c.at.Truncate(time.Second)) || kept.Location() != time.UTC || kept.Nanosecond() != 0) {
			t.Errorf("%v is kept as %v", c.at, kept)
		}
	}
	v := &validation{}
	if v.future("#/expires_at", nil, noon) != nil || v.err() != nil {
		t.Error("never is not allowed")
	}
}

// An Idempotency-Key has 16 to 255 printable ASCII characters without space.
func TestIdempotencyKeyForm(t *testing.T) {
	for in, ok := range map[string]bool{
		"": true, strings.Repeat("k", 16): true, strings.Repeat("k", 255): true, "0b9d3a0e-6c1f-4a8e-9a35-1d6d4f7c2b11": true, "!~!~!~!~!~!~!~!~": true,
		"short": false, strings.Repeat("k", 15): false, strings.Repeat("k", 256): false, strings.Repeat("k", 15) + " ": false,
		strings.Repeat("k", 16) + "\n": false, strings.Repeat("é", 16): false, strings.Repeat("k", 16) + "\x7f": false,
	} {
		v := &validation{}
		if v.idempotencyKey(in); (v.err() == nil) != ok {
			t.Errorf("%.40q: %v", in, v.err())
		}
	}
}

// Everything that is wrong is told at once, each with its place and code, and
// none of what was sent is repeated.
func TestEverythingWrongAtOnce(t *testing.T) {
	const canary = "CANARY-canary"
	life := Duration(time.Second)
	past := noon.Add(-time.Hour)
	p := CreateParams{
		Name: canary + "\x00", Description: canary + strings.Repeat("x", 500), Owner: canary + "\u202e", Environment: canary,
		Labels: map[string]string{canary + " x": canary, "good": canary + "\x00"}, AuthMethod: PrivateKeyJWT,
		Scopes: []string{"good", canary + "*", canary + " "}, Audiences: []string{canary, "tokenos/" + canary},
		Token: &TokenParams{Format: canary, Lifetime: &life}, ExpiresAt: SetTo(past), Owners: []string{canary}, IdempotencyKey: canary,
		PublicKeys: []PublicKeyInput{
			{JWK: JWK{"kty": canary}}, {JWK: JWK{"kty": "EC", "d": canary}}, {},
			{JWK: JWK{"kty": "RSA", "n": canary, "e": canary}}, {JWK: JWK{"kty": "EC", "crv": canary, "x": canary, "y": canary}},
		},
	}
	_, err := define(p, Caller{Rights: []Right{KeysWrite}}, noon, Policies{})
	var invalid *InvalidError
	if !errors.As(err, &invalid) || !errors.Is(err, ErrInvalid) {
		t.Fatalf("define fails with %v, want an InvalidError", err)
	}
	want(t, "all", &validation{fields: invalid.Fields},
		"Idempotency-Key invalid", "#/name invalid_text", "#/description too_long", "#/owner invalid_text", "#/environment invalid",
		"#/labels invalid_label", "#/labels/good invalid_text", "#/scopes/1 invalid_scope", "#/scopes/2 invalid_scope",
		"#/audiences/0 invalid_audience", "#/audiences/1 reserved", "#/token/format invalid", "#/token/lifetime out_of_range", "#/expires_at past", "#/owners not_allowed",
		"#/public_keys/0/jwk/kty unsupported_key", "#/public_keys/1/jwk/d private_key", "#/public_keys/2/jwk required", "#/public_keys/3/jwk malformed_key", "#/public_keys/4/jwk malformed_key",
	)
	raw, jsonErr := json.Marshal(invalid)
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	if shown := err.Error() + string(raw) + fmt.Sprintf("%+v %#v", err, invalid.Fields); strings.Contains(strings.ToLower(shown), "canary") {
		t.Errorf("the error repeats what was sent: %s", shown)
	}
	for _, f := range invalid.Fields {
		if f.Detail == "" || f.Code == "" {
			t.Errorf("%+v does not say what is wrong", f)
		}
	}
}

// The public keys of one key are checked together: at most ten, one algorithm,
// none twice, none that has ended already.
func TestPublicKeysTogether(t *testing.T) {
	es256 := JWK{"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"} // RFC 7517 appendix A.1
	rs256 := JWK{"kty": "RSA", "e": "AQAB", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}
	ps256 := maps.Clone(rs256)
	ps256["alg"] = "PS256"
	past := noon
	one, _ := ParsePublicKey(es256, "")
	for _, c := range []struct {
		name   string
		have   []PublicKey
		in     []JWK
		end    *time.Time
		kept   int
		wanted []string
	}{
		{"one", nil, []JWK{es256}, nil, 1, nil},
		{"a second", []PublicKey{{KID: "other", Alg: "ES256"}}, []JWK{es256}, nil, 2, nil},
		{"twice", nil, []JWK{es256, es256}, nil, 0, []string{"#/1/jwk duplicate"}},
		{"registered already", []PublicKey{one}, []JWK{es256}, nil, 0, []string{"#/0/jwk duplicate"}},
		{"two algorithms", nil, []JWK{es256, rs256}, nil, 0, []string{"#/1/jwk alg_mismatch"}},
		{"one RSA key, two algorithms", nil, []JWK{rs256, ps256}, nil, 0, []string{"#/1/jwk alg_mismatch", "#/1/jwk duplicate"}},
		{"algorithm fixed by the first", []PublicKey{{KID: "other", Alg: "PS256"}}, []JWK{rs256}, nil, 0, []string{"#/0/jwk alg_mismatch"}},
		{"ended", nil, []JWK{es256}, &past, 0, []string{"#/0/expires_at past"}},
		{"bad ones do not fix the algorithm", nil, []JWK{{"kty": "OKP"}, es256}, nil, 0, []string{"#/0/jwk/kty unsupported_key"}},
		{"eleven", nil, slices.Repeat([]JWK{es256}, 11), nil, 0, []string{"#/public_keys too_many"}},
		{"an eleventh", slices.Repeat([]PublicKey{{KID: "other", Alg: "ES256"}}, 10), []JWK{es256}, nil, 0, []string{"#/jwk too_many"}},
	} {
		v := &validation{}
		var in []PublicKeyInput
		for _, jwk := range c.in {
			in = append(in, PublicKeyInput{JWK: jwk, ExpiresAt: c.end})
		}
		out := checkPublicKeys(v, c.have, in, func(i int) string { return "#/" + itoa(i) }, noon)
		want(t, c.name, v, c.wanted...)
		if len(c.wanted) == 0 && (len(out) != c.kept || !out[c.kept-1].CreatedAt.Equal(noon)) {
			t.Errorf("%s: kept as %+v", c.name, out)
		}
	}
}

// The defaults of a new key are those of the documentation.
func TestDefaults(t *testing.T) {
	d, err := define(CreateParams{Name: " worker ", Scopes: []string{"b", "a"}}, Caller{Principal: "key:x", Rights: []Right{KeysWrite}, Owners: []string{"acme"}}, noon, Policies{})
	if err != nil {
		t.Fatal(err)
	}
	id := d.ID
	if !OwnID(id) || !strings.HasPrefix(id, "key_live_") {
		t.Errorf("id %s", id)
	}
	wanted := Definition{ID: id, RootID: id, Kind: KindAPI, Name: "worker", Owner: "acme", Environment: Live, Labels: map[string]string{}, AuthMethod: ClientSecretBasic,
		Scopes: []string{"a", "b"}, Token: TokenSettings{Opaque, Duration(15 * time.Minute)}, CreatedAt: noon, CreatedBy: "key:x"}
	if diff := cmp.Diff(wanted, d); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if DefaultLimits() != limits {
		t.Error("the limits that are told are not those that are kept")
	}
}
