package apikey

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// codes are "pointer code" of everything a validation has found, sorted.
func codes(v *validation) []string {
	out := []string{}
	for _, f := range v.fields {
		out = append(out, f.Pointer+" "+f.Code)
	}
	slices.Sort(out)
	return out
}

// want compares what was found with the codes wanted, all of them.
func want(t *testing.T, name string, v *validation, wanted ...string) {
	t.Helper()
	slices.Sort(wanted)
	if diff := cmp.Diff(append([]string{}, wanted...), codes(v)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// A name is one line of plain text of 1 to 100 characters, kept in NFC without
// space around it (security catalogue, 7 and 8).
func TestNames(t *testing.T) {
	for _, c := range []struct{ in, kept, code string }{
		{"billing worker", "billing worker", ""},
		{"  billing\t ", "billing", ""},
		{"e\u0301te\u0301", "été", ""},
		{"été", "été", ""},
		{"<img src=x onerror=fetch('//e')>", "<img src=x onerror=fetch('//e')>", ""},
		{"=cmd|'/c calc'!A0", "=cmd|'/c calc'!A0", ""},
		{"'; drop table keys --", "'; drop table keys --", ""},
		{"{{7*7}} javascript:alert(1)", "{{7*7}} javascript:alert(1)", ""},
		{"请求 🔑 مفتاح", "请求 🔑 مفتاح", ""},
		{strings.Repeat("é", 100), strings.Repeat("é", 100), ""},
		{strings.Repeat("e\u0301", 100), strings.Repeat("é", 100), ""},
		{strings.Repeat("🔑", 100), strings.Repeat("🔑", 100), ""},
		{" " + strings.Repeat("a", 100) + " ", strings.Repeat("a", 100), ""},
		{strings.Repeat("a", 101), strings.Repeat("a", 101), "too_long"},
		{strings.Repeat("a", 1<<20), strings.Repeat("a", 1<<20), "too_long"},
		{"", "", "required"},
		{" \t\n\u00a0\u3000", "", "required"},
		{"a\x00b", "", "invalid_text"},
		{"a\r\nSet-Cookie: x", "", "invalid_text"},
		{"a\nb", "", "invalid_text"},
		{"a\tb", "", "invalid_text"},
		{"\x1b[2J", "", "invalid_text"},
		{"a\x7f", "", "invalid_text"},
		{"a\u0085b", "", "invalid_text"},
		{"a\u202eb", "", "invalid_text"},
		{"a\u2066b", "", "invalid_text"},
		{"\u200b", "", "invalid_text"},
		{"a\u200db", "", "invalid_text"},
		{"a\u00adb", "", "invalid_text"},
		{"\ufeffa", "", "invalid_text"},
		{"a\u2028b", "", "invalid_text"},
		{"a\u2029b", "", "invalid_text"},
		{"a\U000e0041", "", "invalid_text"},
		{"a\ue000", "", "invalid_text"},
		{"a\ufffdb", "", "invalid_text"}, // what a decoder makes of a lone surrogate
		{"a\xffb", "", "invalid_text"},
		{"a\xed\xa0\x80b", "", "invalid_text"}, // a surrogate as bytes
		{"a\xc0\x80b", "", "invalid_text"},     // NUL, overlong
	} {
		v := &validation{}
		kept := v.text("#/name", c.in, 1, 100, "")
		var wanted []string
		if c.code != "" {
			wanted = []string{"#/name " + c.code}
		}
		want(t, fmt.Sprintf("%.40q", c.in), v, wanted...)
		if kept != c.kept {
			t.Errorf("%.40q is kept as %.40q", c.in, kept)
		}
	}
}

// A description may be empty and have several lines, but nothing else that a
// name may not have.
func TestDescriptions(t *testing.T) {
	for in, code := range map[string]string{"": "", "two\nlines": "", strings.Repeat("é", 500): "", strings.Repeat("a", 501): "too_long", "a\rb": "invalid_text", "a\x00": "invalid_text"} {
		v := &validation{}
		v.text("#/description", in, 0, limits.DescriptionLength, "\n")
		if got := strings.Join(codes(v), " "); got != strings.TrimSpace(strings.TrimSuffix("#/description "+code, "#/description ")) {
			t.Errorf("%.20q: %q, want %q", in, got, code)
		}
	}
	if limits.DescriptionLength != maxDescription {
		t.Error("the limit that is told and the one that is kept differ")
	}
}

// Labels have a plain name of 1 to 63 characters and a value of up to 255.
func TestLabels(t *testing.T) {
	full := map[string]string{}
	for i := range 32 {
		full[fmt.Sprintf("l%d", i)] = "v"
	}
	over := maps.Clone(full)
	over["one-more"] = "v"
	for _, c := range []struct {
		name   string
		in     map[string]string
		wanted []string
	}{
		{"none", nil, nil},
		{"plain", map[string]string{"team": "payments", "a.b/c-d_e": "", strings.Repeat("n", 63): strings.Repeat("é", 255), "9": "x"}, nil},
		{"thirty-two", full, nil},
		{"thirty-three", over, []string{"#/labels too_many"}},
		{"empty name", map[string]string{"": "v"}, []string{"#/labels invalid_label"}},
		{"long name", map[string]string{strings.Repeat("n", 64): "v"}, []string{"#/labels invalid_label"}},
		{"space, dot first, colon, letters of others", map[string]string{"a b": "v", ".a": "v", "a:b": "v", "é": "v", "a\n": "v"},
			[]string{"#/labels invalid_label", "#/labels invalid_label", "#/labels invalid_label", "#/labels invalid_label", "#/labels invalid_label"}},
		{"long value", map[string]string{"a/b": strings.Repeat("v", 256)}, []string{"#/labels/a~1b too_long"}},
		{"value of several lines, with bidi", map[string]string{"a": "v\nw", "b": "\u202e"}, []string{"#/labels/a invalid_text", "#/labels/b invalid_text"}},
	} {
		v := &validation{}
		out := v.labels(c.in)
		want(t, c.name, v, c.wanted...)
		if len(c.wanted) == 0 && !maps.Equal(out, c.in) {
			t.Errorf("%s: kept as %v", c.name, out)
		}
	}
	v := &validation{}
	v.labels(map[string]string{"z": "\x00", "a": "\x00", "m": "\x00"})
	if got := []string{v.fields[0].Pointer, v.fields[1].Pointer, v.fields[2].Pointer}; !slices.IsSorted(got) {
		t.Errorf("what is wrong comes in the order %v, want always the same", got)
	}
}

// Scopes follow RFC 6749 section 3.3, without what Hydra would read as more
// than one or as everything.
func TestScopes(t *testing.T) {
	every := "" // character that a scope may have
	for r := '!'; r <= '~'; r++ {
		if !strings.ContainsRune(`"\*|`, r) {
			every += string(r)
		}
	}
	hundred := []string{}
	for i := range 100 {
		hundred = append(hundred, fmt.Sprintf("s%03d", i))
	}
	for _, c := range []struct {
		name     string
		in, kept []string
		wanted   []string
	}{
		{"sorted, each once", []string{"b", "a", "b", "A"}, []string{"A", "a", "b"}, nil},
		{"every character", []string{every, "orders:read", "https://a.example/x?y#z"}, []string{every, "https://a.example/x?y#z", "orders:read"}, nil},
		{"the longest", []string{strings.Repeat("s", 128)}, []string{strings.Repeat("s", 128)}, nil},
		{"a hundred", hundred, hundred, nil},
		{"one more", append(slices.Clone(hundred), "x"), nil, []string{"#/scopes too_many"}},
		{"none", nil, nil, []string{"#/scopes required"}},
		{"wildcards", []string{"*", "orders.*", "a"}, nil, []string{"#/scopes/0 invalid_scope", "#/scopes/1 invalid_scope"}},
		{"what Hydra splits", []string{"a|admin", "|"}, nil, []string{"#/scopes/0 invalid_scope", "#/scopes/1 invalid_scope"}},
		{"not a token", []string{"", " ", "a b", "a\tb", "a\nb", "a\x00", `a"`, `a\`, "é", "\x7f", "\xff", strings.Repeat("s", 129)}, nil, []string{
			"#/scopes/0 invalid_scope", "#/scopes/1 invalid_scope", "#/scopes/2 invalid_scope", "#/scopes/3 invalid_scope", "#/scopes/4 invalid_scope", "#/scopes/5 invalid_scope",
			"#/scopes/6 invalid_scope", "#/scopes/7 invalid_scope", "#/scopes/8 invalid_scope", "#/scopes/9 invalid_scope", "#/scopes/10 invalid_scope", "#/scopes/11 invalid_scope"}},
	} {
		v, before := &validation{}, slices.Clone(c.in)
		out := v.scopes("#/scopes", c.in)
		want(t, c.name, v, c.wanted...)
		if len(c.wanted) == 0 && !slices.Equal(out, c.kept) {
			t.Errorf("%s: kept as %q", c.name, out)
		}
		if !slices.Equal(c.in, before) {
			t.Errorf("%s: the caller's list was changed", c.name)
		}
	}
}

// Audiences are absolute URIs that Hydra compares as a whole; none reaches the
// product's own API.
func TestAudiences(t *testing.T) {
	good := []string{"http://127.0.0.1:8080", "https://[::1]/x", "https://a.example/%7Ex/", "https://api.example.com", "https://api.example.com/v1", "spiffe://trust.example/orders",
		"https://a.example/tokenos", "tokenosx://a/b"}
	slices.Sort(good)
	v := &validation{}
	if got := v.audiences("#/audiences", append(slices.Clone(good), good[0])); !slices.Equal(got, good) {
		t.Errorf("kept as %q", got)
	}
	want(t, "good ones", v)
	for in, code := range map[string]string{
		"tokenos": "reserved", "tokenos/": "reserved", "tokenos/v1": "reserved", "tokenos:x": "reserved", "tokenos://x": "reserved",
		"TOKENOS": "invalid_audience", "/tokenos": "invalid_audience", " tokenos": "invalid_audience", "": "invalid_audience", "api": "invalid_audience",
		"//api.example.com": "invalid_audience", "api.example.com": "invalid_audience", "https://": "invalid_audience", "https:///path": "invalid_audience", "https://:443": "invalid_audience",
		"https:a.example": "invalid_audience", "mailto:a@a.example": "invalid_audience",
		"urn:example:orders":                            "invalid_audience", // Hydra would grant every urn:
		"https://a.example?tenant=1":                    "invalid_audience", // Hydra would grant every query
		"https://a.example?":                            "invalid_audience",
		"https://a.example#f":                           "invalid_audience",
		"https://a.example#":                            "invalid_audience",
		"https://u@a.example":                           "invalid_audience",
		"https://u:canary-p@a.example":                  "invalid_audience",
		"https://a.example/|tokenos":                    "invalid_audience", // Hydra would split it
		"https://a.example/a b":                         "invalid_audience",
		"https://a.example/\n":                          "invalid_audience",
		"https://a.example/\x00":                        "invalid_audience",
		"https://a.example/é":                           "invalid_audience",
		"https://a.example/%zz":                         "invalid_audience",
		"https://a.example:x":                           "invalid_audience",
		"https://a.example/" + strings.Repeat("x", 512): "invalid_audience",
		`https://a.example/<b>`:                         "invalid_audience",
	} {
		v := &validation{}
		v.audiences("#/audiences", []string{"https://a.example", in})
		want(t, fmt.Sprintf("%.40q", in), v, "#/audiences/1 "+code)
	}
	v = &validation{}
	v.audiences("#/audiences", slices.Repeat([]string{"https://a.example"}, 21))
	want(t, "twenty-one", v, "#/audiences too_many")
	v = &validation{}
	v.audiences("#/audiences", []string{"https://a.example/" + strings.Repeat("x", 512-len("https://a.example/"))})
	want(t, "the longest", v)
}
