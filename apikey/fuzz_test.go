package apikey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/text/unicode/norm"
)

// Every JSON object is either refused with a place, a code and a word, or taken
// as a key that go-jose reads and that is taken again unchanged.
func FuzzParsePublicKey(f *testing.F) {
	const ec = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"`
	const n = `0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw`
	for _, seed := range []string{
		`{}`, `null`, `{` + ec + `}`, `{` + ec + `,"alg":"ES256","use":"sig","kid":"a","ext":true,"key_ops":["verify"]}`, `{` + ec + `,"d":"AA"}`, `{` + ec + `,"use":"enc"}`,
		`{` + ec + `,"crv":"P-384"}`, `{` + ec + `,"crv":["P-256"]}`, `{` + ec + `,"x":1}`, `{"kty":"RSA","n":"` + n + `","e":"AQAB"}`, `{"kty":"RSA","n":"` + n + `","e":"AQAB","alg":"PS512"}`,
		`{"kty":"RSA","n":"` + n + `","e":"AQAAAAAAAQAB"}`, `{"kty":"RSA","n":"AA` + n + `AA","e":"Aw"}`, `{"kty":"RSA","n":"","e":""}`, `{"kty":"OKP","crv":"Ed25519","x":"AA"}`, `{"kty":"oct","k":"AA"}`,
		`{"kty":{"a":[1,2]},"alg":{},"use":[]}`, `{"kty":"EC","crv":"P-521","x":"","y":""}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var in JWK
		if json.Unmarshal(raw, &in) != nil {
			return
		}
		key, fault := ParsePublicKey(in, "#/jwk")
		if fault != nil {
			if fault.Code == "" || fault.Detail == "" || !strings.HasPrefix(fault.Pointer, "#/jwk") || key.JWK != nil {
				t.Fatalf("refused without a word: %+v", fault)
			}
			return
		}
		for m := range key.JWK {
			if !slices.Contains([]string{"kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"}, m) {
				t.Fatalf("the member %q is registered", m)
			}
		}
		again, fault := ParsePublicKey(key.JWK, "#")
		if fault != nil || !reflect.DeepEqual(again, key) {
			t.Fatalf("sent again it is %+v, %+v", again, fault)
		}
		registered, err := json.Marshal(key.JWK)
		if err != nil {
			t.Fatal(err)
		}
		var read jose.JSONWebKey
		if err := read.UnmarshalJSON(registered); err != nil || !read.Valid() || !read.IsPublic() || read.KeyID != key.KID || read.Algorithm != key.Alg || read.Use != "sig" {
			t.Fatalf("go-jose reads %+v, %v", read, err)
		}
	})
}

// Scopes that are taken come out sorted and each once, are tokens of RFC 6749,
// and can be joined and split again by the separators of OAuth and of Hydra.
func FuzzScopes(f *testing.F) {
	for _, seed := range []string{"", "orders:read", "b,a,b", "*", "a.*", "a|b", `"`, `\`, "é", "a b", "\x00", ",", strings.Repeat("s", 128), strings.Repeat("s", 129), strings.Repeat("s,", 101)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := strings.Split(text, ",")
		v := &validation{}
		out := v.scopes("#/scopes", in)
		if v.err() != nil {
			return
		}
		if len(out) == 0 || len(out) > 100 || !slices.IsSorted(out) || len(slices.Compact(slices.Clone(out))) != len(out) {
			t.Fatalf("taken as %q", out)
		}
		for _, s := range in {
			if !slices.Contains(out, s) {
				t.Fatalf("%q is lost", s)
			}
			if s == "" || len(s) > 128 || strings.ContainsAny(s, " \"\\*|") || strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' }) {
				t.Fatalf("%q is taken", s)
			}
		}
		if !slices.Equal(strings.Fields(strings.Join(out, " ")), out) || !slices.Equal(strings.Split(strings.Join(out, "|"), "|"), out) {
			t.Fatalf("%q cannot be joined and split again", out)
		}
		if again := v.scopes("#", out); v.err() != nil || !slices.Equal(again, out) {
			t.Fatalf("taken again as %q, %v", again, v.err())
		}
	})
}

// Text that is taken has no control or format character, is in NFC, trimmed,
// within its bounds, and is taken again unchanged.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", " a ", "billing worker", "e\u0301", "\u202e", "\u200b", "a\x00", "\x1b[0m", "\xff", "\ufffd", "\ue000", "\u2028", " \u0301", "\u1e9b\u0323", "🔑", "\u0340", "\u2000x\u2001", "ꮀ", "İı", "ΣΊΣΥΦΟΣ", strings.Repeat("é", 101)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		v := &validation{}
		out := v.text("#/name", in, 1, 100, "")
		if err := v.err(); err != nil {
			if len(v.fields) != 1 || v.fields[0].Pointer != "#/name" || v.fields[0].Code == "" {
				t.Fatalf("refused with %+v", v.fields)
			}
			return
		}
		if n := utf8.RuneCountInString(out); n < 1 || n > 100 || !utf8.ValidString(out) || !norm.NFC.IsNormalString(out) || strings.TrimSpace(out) != out {
			t.Fatalf("%q is taken as %q", in, out)
		}
		if i := strings.IndexFunc(out, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }); i >= 0 {
			t.Fatalf("%q has a control or format character at %d", out, i)
		}
		if again := v.text("#/name", out, 1, 100, ""); v.err() != nil || again != out {
			t.Fatalf("%q is taken again as %q, %v", out, again, v.err())
		}
		d := Definition{Name: out}
		for _, w := range SearchWords(out) {
			if !slices.ContainsFunc(SearchTerms(d), func(term string) bool { return strings.HasPrefix(term, w) }) {
				t.Fatalf("%q is not found by its own word %q among %q", out, w, SearchTerms(d))
			}
		}
		for _, w := range SearchTerms(d) {
			if !utf8.ValidString(w) || len(w) == 0 || len(w) > maxWordLength || !slices.Equal(SearchTerms(Definition{Name: w}), []string{w}) {
				t.Fatalf("the term %q of %q is not its own term", w, out)
			}
		}
	})
}

// No text is taken as a cursor but one that was given out; every place comes
// back from its cursor, and only under its own binding.
func FuzzCursor(f *testing.F) {
	d := lister(f, firstSecret, secondSecret).derive
	f.Add("", "", int64(0), "", "")
	f.Add(d.cursor(here, "list"), "list", int64(1), "name", "key_live_x")
	f.Add(base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, 40)), "list", NoExpiry, "<>&", strings.Repeat("x", 128))
	f.Add("!!!!\n", `{"P":{}}`, int64(-1), "\u2028é\"", "~")
	f.Fuzz(func(t *testing.T, made, binding string, number int64, text, id string) {
		if p, ok := d.position(made, binding); ok && d.cursor(p, binding) != made {
			t.Fatalf("%q is taken as %+v", made, p)
		}
		if !utf8.ValidString(text) || !utf8.ValidString(id) || len(text) > 100 || len(id) > 128 {
			return // the ledger holds valid text only
		}
		place := Position{Number: number, Text: text, ID: id}
		cursor := d.cursor(place, binding)
		got, ok := d.position(cursor, binding)
		if fits := len(cursor) <= base64.RawURLEncoding.EncodedLen(1024); ok != fits || ok && got != place {
			t.Fatalf("%+v comes back as %+v, %v", place, got, ok)
		}
		if _, ok := d.position(cursor, binding+"x"); ok {
			t.Fatal("a cursor is taken under another binding")
		}
	})
}

// An id with the right checksum is one we could have made, and no change of one
// character keeps it right; whatever is an id is safe in a path.
func FuzzID(f *testing.F) {
	for _, seed := range []string{"", ".", "..", "key_live_", "key_live_00000000000000000000000000", NewID(Live, noon), NewID(Test, noon), "a/b", "%2e", "\x00", "key_live_zzzzzzzzzzzzzzzzzzzzzzzzzz", "é"} {
		f.Add(seed, uint8(3), uint8(1))
	}
	f.Fuzz(func(t *testing.T, id string, at, by uint8) {
		if ValidID(id) && (id == "" || len(id) > 128 || id == "." || id == ".." || strings.ContainsAny(id, "/%\\?#;\x00 \n")) {
			t.Fatalf("%q is an id", id)
		}
		if !OwnID(id) {
			return
		}
		if !ValidID(id) || len(id) != 35 || !strings.HasPrefix(id, "key_live_") && !strings.HasPrefix(id, "key_test_") {
			t.Fatalf("%q is our own", id)
		}
		b := []byte(id)
		i := 9 + int(at)%26
		b[i] = crockford[(strings.IndexByte(crockford, b[i])+1+int(by)%31)%32]
		if OwnID(string(b)) {
			t.Fatalf("%s and %s are both our own", id, b)
		}
	})
}

// A duration that is read is written in a form that is read as the same.
func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"15m", "90d", "1h30m", "0", "-5m", "1.5h", "65535d", "65536d", "d", "", "1d12h", "9223372036854775807ns", "-9223372036854775808ns", "1µs", "1_0d", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		d, err := ParseDuration(in)
		if err != nil {
			if d != 0 || len(in) > 12 && strings.Contains(err.Error(), in) {
				t.Fatalf("%q gives %v, %v", in, d, err)
			}
			return
		}
		again, err := ParseDuration(d.String())
		if err != nil || again != d {
			t.Fatalf("%q is written as %s and read as %v, %v", in, d, again, err)
		}
		if strings.HasSuffix(in, "d") && (d < 0 || time.Duration(d)%(24*time.Hour) != 0) {
			t.Fatalf("%q is read as %s", in, d)
		}
	})
}
