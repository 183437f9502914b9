package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/assertion"
	"github.com/tokenos/tokenos/keyauth"
)

// jwtOf is an unsigned JWT with these claims and a good header.
func jwtOf(claims string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"k","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".AA"
}

// A good token of a key has no warning, and each thing that is odd has its own.
func TestInspectWarns(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	good := map[string]string{"iss": `"https://auth.example.com"`, "client_id": `"k"`, "sub": `"k"`, "aud": `["https://api.example.com"]`, "scp": `["a"]`,
		"iat": "1799999990", "nbf": "1799999990.5", "exp": "1.8000001e9", "status": `{"status_list":{}}`}
	for _, c := range []struct {
		name, claim, value, want string // an empty value leaves the claim out
	}{
		{"good", "", "", ""}, {"text for audience", "aud", `"a"`, ""}, {"scopes as text", "scp", `"a b"`, ""}, {"clock a bit ahead", "iat", "1800000010", ""},
		{"ID token", "nonce", `"n"`, "not_access"}, {"expired", "exp", "1800000000", "expired"}, {"no end", "exp", "", "expired"}, {"end as text", "exp", `"1800000100"`, "expired"}, {"no date", "exp", "1e300", "expired"},
		{"key expired", "key_expires_at", `"2027-01-15T07:59:59Z"`, "expired"}, {"early", "nbf", "1800000031", "not_yet_valid"}, {"issued later", "iat", "1800000031", "not_yet_valid"},
		{"long", "iat", "1700000000", "long_lived"}, {"no issuer", "iss", "", "no_issuer"}, {"plain HTTP", "iss", `"http://auth.example.com"`, "no_issuer"},
		{"no audience", "aud", "", "no_audience"}, {"empty audience", "aud", "[]", "no_audience"}, {"empty text", "aud", `""`, "no_audience"}, {"number", "aud", "[7]", "no_audience"},
		{"no scope", "scp", "[]", "no_scope"}, {"person", "sub", `"ana"`, "not_a_key"}, {"no client", "client_id", "", "not_a_key"}, {"bound", "cnf", "{}", "bound"}, {"no status", "status", "", "no_status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var members []string
			for name, value := range good {
				if name != c.claim {
					members = append(members, strconv.Quote(name)+":"+value)
				}
			}
			if c.value != "" {
				members = append(members, strconv.Quote(c.claim)+":"+c.value)
			}
			seen, err := inspect(jwtOf("{"+strings.Join(members, ",")+"}"), now)
			if err != nil {
				t.Fatal(err)
			}
			var codes []string
			for _, w := range seen.Warnings {
				codes = append(codes, w.Code)
			}
			if got := strings.Join(codes, " "); got != c.want {
				t.Errorf("warns of %q, want %q", got, c.want)
			}
		})
	}
	seen, err := inspect(jwtOf(`{"iss":"k","sub":"k","aud":"a","exp":1800000100}`), now)
	if err != nil || seen.Warnings[0].Code != "not_access" || !strings.Contains(seen.Warnings[0].Detail, "tokenos assertion explain") {
		t.Errorf("a client assertion: %+v, %v", seen, err)
	}
	seen, err = inspect("ory_rt_abc.def", now)
	if err != nil || seen.Format != "opaque" || len(seen.Warnings) != 1 {
		t.Errorf("a refresh token: %+v, %v", seen, err)
	}
}

// Times are told with how far they are.
func TestWhen(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for d, want := range map[time.Duration]string{0: "now", time.Second: "in 1s", -15 * time.Minute: "15m ago", 3*time.Hour + 5*time.Second: "in 3h", -50 * time.Hour: "2d ago"} {
		if got := when(now.Add(d), now); !strings.HasSuffix(got, " ("+want+")") {
			t.Errorf("%s: %s, want (%s)", d, got, want)
		}
	}
}

// What is no JWT is refused; numbers are shown as they are written, and nothing
// does anything to a terminal.
func TestInspectReads(t *testing.T) {
	for text, want := range map[string]string{
		jwtOf("[]"): "part 2", jwtOf("null"): "part 2", jwtOf(`{"a":1,"a":2}`): "part 2", jwtOf("{} {}"): "part 2", "!.e30.AA": "part 1", "a.b.c": "part 1", "a.b.c.d": "no access token",
		"a b": "no access token", strings.Repeat("a", maxSmall+1): "longer than 64 KiB", "tos_x": "client secret",
	} {
		seen, err := inspect(text, time.Now())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %+v, %v, want %q", text, seen, err, want)
		}
	}
	seen, err := inspect(jwtOf(`{"n":12345678901234567890,"\u001b[2J\n":["\u202e",{"a":null}],"b":true,"e":1.8e+09}`), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range formats {
		var b bytes.Buffer
		if err := (&printing{format: format}).print(&b, shown{seen, seen.names(), seen.grid()}); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(b.String(), func(r rune) bool { return unsafeRune(r) }) {
			t.Errorf("%s: %q", format, b.String())
		}
		if format != "name" && !regexp.MustCompile(`n"?:? +12345678901234567890`).MatchString(b.String()) {
			t.Errorf("%s: the number is another: %s", format, b.String())
		}
	}
}

// Each reason for which keyauth refuses a token is explained, with the next step.
func TestReasonsAreExplained(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../keyauth/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	atRequests := []keyauth.Reason{keyauth.MissingToken, keyauth.InClear}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Reason" {
			return true
		}
		seen++
		text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		why, explained := reasons[keyauth.Reason(text)]
		if explained == slices.Contains(atRequests, keyauth.Reason(text)) || explained && (why.detail == "" || why.fix == "") {
			t.Errorf("%s: %+v", text, why)
		}
		return true
	})
	if seen != len(reasons)+len(atRequests) {
		t.Errorf("keyauth has %d reasons, %d are explained", seen, len(reasons))
	}
}

// A token that cannot be checked now is neither valid nor refused.
func TestJudged(t *testing.T) {
	out, err := judged(keyauth.Identity{}, &keyauth.Error{Kind: keyauth.ErrUnavailable, Reason: keyauth.NoJWKS})
	if out.Result != "unavailable" || out.Reason != "jwks" || codeOf(err) != exitUnavailable {
		t.Errorf("%+v, %v", out, err)
	}
	out, err = judged(keyauth.Identity{KeyID: "k"}, &keyauth.Error{Kind: keyauth.ErrInvalidToken, Reason: keyauth.Expired})
	if diff := cmp.Diff(verified{Result: "refused", Reason: "expired", Detail: "it has expired", Fix: "buy a new one"}, out); diff != "" || codeOf(err) != exitFailed {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := judged(keyauth.Identity{}, errors.New("other")); err == nil {
		t.Error("an unknown failure is none")
	}
}

// docs/assertions.md tells of each check, in Hydra's order.
func TestAssertionsDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/assertions.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` | "); ok && strings.HasPrefix(line, "| `") {
			got = append(got, name)
		}
	}
	for _, c := range assertion.Explain("", assertion.Options{}).Checks {
		want = append(want, c.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checks (-made +documented):\n%s", diff)
	}
}
