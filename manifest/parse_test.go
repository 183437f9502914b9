package manifest_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/manifest"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

const (
	publicPEM = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE3Og7scVqOW7v5xJsC8GDKChXWV8I
5Nz1VcB85vLyNfgMFk3EY6kMw993r4zoCfhKydNNRwYRYmZ6dDPMR84oSw==
-----END PUBLIC KEY-----
`
	publicJWK = `{"kty":"EC","crv":"P-256","x":"UFycQAr5i9NmPsFleQG-tJhZSFXtQakPPZrcUjj7WqM","y":"k1YFO86CeXNsYUWFruFx4DcRNdVxxYw4cMzsDKnNZiA"}`
)

// files are what documents of the tests may name.
var files = map[string]string{
	"pub.pem": publicPEM, "pub.jwk": publicJWK, "long.pem": strings.Repeat("x", 1<<20),
	"private.pem": "-----BEGIN PRIVATE KEY-----\nVALUE\n-----END PRIVATE KEY-----\n",
}

func source(name, text string) manifest.Source {
	return manifest.Source{Name: name, Text: []byte(text), Open: func(path string) ([]byte, error) {
		text, found := files[path]
		if !found {
			return nil, errors.New("no such file")
		}
		return []byte(text), nil
	}}
}

func parse(t *testing.T, text string) []manifest.Document {
	t.Helper()
	docs, err := manifest.Parse([]manifest.Source{source("F", text)}, now)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return docs
}

// A document with every member is read into the form that keys have.
func TestParse(t *testing.T) {
	docs := parse(t, `# a comment
---
---
id: key_live_01k9x2mc4q8r7s5t3v1w0y9z8a
name: "  billing worker "
owner: acme
environment: test
description: |
  two
  lines
labels: {team: billing, managed-by: hand}
auth_method: private_key_jwt
scopes: [orders:write, orders:read, orders:read]
audiences: [https://b.example.com, https://a.example.com]
token:
  format: jwt
  lifetime: 1h
expires_at: 2027-01-31T01:00:00+01:00
status: disabled
public_keys:
  - file: pub.pem
    expires_at: 2026-12-01T00:00:00Z
  - jwk: `+publicJWK+`
---
{"name": "plain", "owner": "acme", "scopes": ["a"], "expires_at": "never"}
`)
	if len(docs) != 2 {
		t.Fatalf("%d documents, want 2", len(docs))
	}
	var kids []string
	for i := range docs[0].PublicKeys {
		kids = append(kids, docs[0].PublicKeys[i].KID+" "+docs[0].PublicKeys[i].Alg)
	}
	if len(kids) != 2 || !strings.HasSuffix(kids[0], " ES256") || kids[0] == kids[1] {
		t.Errorf("public keys %q", kids)
	}
	if at := docs[0].PublicKeys[0].ExpiresAt; at == nil || !at.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the first public key ends at %v", at)
	}
	docs[0].PublicKeys = nil
	want := []manifest.Document{{
		File: "F", Line: 4, ID: "key_live_01k9x2mc4q8r7s5t3v1w0y9z8a", Name: "billing worker", Owner: "acme", Environment: apikey.Test,
		Description: new("two\nlines"), Labels: map[string]string{"team": "billing", "managed-by": "hand"}, AuthMethod: apikey.PrivateKeyJWT,
		Scopes: []string{"orders:read", "orders:write"}, Audiences: []string{"https://a.example.com", "https://b.example.com"},
		Token:     apikey.TokenParams{Format: apikey.JWT, Lifetime: new(apikey.Duration(time.Hour))},
		ExpiresAt: apikey.SetTo(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)), Status: apikey.StatusDisabled,
	}, {
		File: "F", Line: 25, Name: "plain", Owner: "acme", Environment: apikey.Live, Scopes: []string{"a"}, ExpiresAt: apikey.Null[time.Time](),
	}}
	if diff := cmp.Diff(want, docs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What has ended by itself is no mistake, or a file would break with time.
func TestParsePast(t *testing.T) {
	docs := parse(t, "name: a\nowner: o\nscopes: [s]\nauth_method: private_key_jwt\nexpires_at: 2020-01-01T00:00:00Z\npublic_keys: [{file: pub.jwk, expires_at: 2020-01-01T00:00:00Z}]\n")
	if len(docs) != 1 || docs[0].ExpiresAt.Value.Year() != 2020 || docs[0].PublicKeys[0].KID == "" {
		t.Errorf("read as %+v", docs)
	}
}

// refusals are documents with all that is said about them; F is the file. What
// they have as VALUE is never repeated.
var refusals = []struct {
	name, text string
	want       []string
}{
	{"unknown", "nmae: VALUE\nowner: o\nscopes: [s]", []string{"F:1: nmae is not known; did you mean name?"}},
	{"unknown, unlike any", "name: a\nzzzz: VALUE", []string{"F:2: zzzz is not known; there are audiences, auth_method, description, environment, expires_at, id, labels, name, owner, public_keys, scopes, status, token"}},
	{"unknown below", "token: {lifetim: VALUE}", []string{"F:1: token.lifetim is not known; did you mean lifetime?"}},
	{"secret as name", "tos_VALUE-VALUE: x", []string{"F:1: a member is not known"}},
	{"secret", "client_secret: tos_VALUE", []string{"F:1: client_secret is not a member here: a secret never stands in a document"}},
	{"other words", "kind: management\nexpires: 90d", []string{"F:1: kind is not a member here: management keys", "F:2: expires is not a member here: expires_at"}},
	{"nothing given", "description: x", []string{"F:1: name is required", "F:1: scopes at least one scope is required", "F:1: owner is required"}},
	{"all at once", "name: a\nowner: o\nscopes: ['VALUE*', b, \"VALUE|\"]\naudiences: [VALUE]\n---\nname: b\nowner: \"\"\nscopes: []", []string{
		"F:3: scopes.0 wildcards are not scopes; name each scope", "F:3: scopes.2 a scope cannot contain |",
		"F:4: audiences.0 an audience is an absolute URI", "F:7: owner is required", "F:8: scopes at least one scope is required"}},
	{"lines of lists", "name: a\nowner: o\nscopes:\n  - a\n  - \"VALUE*\"", []string{"F:5: scopes.1 wildcards"}},
	{"numbers", "name: 12\nowner: true\nscopes: [1]\nlabels: {v: 1.0}", []string{"F:1: name must be text; put it in quotes", "F:2: owner must be text", "F:3: scopes.0 must be text", "F:4: labels a label's value must be text"}},
	{"no value", "name:\nowner: o\nscopes: ~", []string{"F:1: name has no value", "F:3: scopes has no value"}},
	{"twice", "name: a\nname: VALUE\nlabels: {a: b, a: VALUE}\nowner: o\nscopes: [s]", []string{"F:2: name is given twice", "F:3: a is given twice"}},
	{"no mapping", "- VALUE", []string{"F:1: must be a mapping"}},
	{"text alone", "VALUE", []string{"F:1: must be a mapping"}},
	{"name that is a list", "? [VALUE]\n: x\nname: n\nowner: o\nscopes: [s]", []string{"F:1: has a member whose name is not text"}},
	{"anchor", "name: &x VALUE\nowner: *x", []string{"F:1: anchors, aliases, merge keys and tags are not supported"}},
	{"merge", "<<: {name: VALUE}", []string{"F:1: anchors, aliases"}},
	{"tag", "name: !!binary VALUE", []string{"F:1: anchors, aliases, merge keys and tags"}},
	{"unknown anchor", "name: *VALUE", []string{"F: cannot be read as YAML from here on: a value that begins with * must stand in quotes"}},
	{"not YAML", "name: a\nowner: [VALUE\n", []string{"F:1: cannot be read as YAML from here on"}},
	{"good, then not YAML", "name: a\nowner: o\nscopes: [s]\n---\n\t: VALUE", []string{"F:5: cannot be read as YAML from here on"}},
	{"id", "id: VALUE/VALUE\nname: a\nowner: o\nscopes: [s]", []string{"F:1: id is not the id of a key"}},
	{"durations", "expires_at: 90d\ntoken: {lifetime: VALUE}\nstatus: revoked\nname: n\nowner: o\nscopes: [s]", []string{"F:1: expires_at must be a moment such as 2027-01-31T00:00:00Z or never", "F:2: token.lifetime must be a duration", "F:3: status must be active or disabled"}},
	{"words", "name: a\nowner: o\nscopes: [s]\nenvironment: VALUE\nauth_method: VALUE\ntoken: {format: VALUE}", []string{"F:4: environment must be live or test", "F:5: auth_method must be", "F:6: token.format must be opaque or jwt"}},
	{"label", "name: a\nowner: o\nscopes: [s]\nlabels:\n  ok: ok\n  \"bad name\": VALUE", []string{"F:4: labels a label's name has"}},
	{"keys of a secret", "name: a\nowner: o\nscopes: [s]\npublic_keys: [{file: pub.pem}]", []string{"F:4: public_keys public keys go with private_key_jwt only"}},
	{"no public key", "name: a\nowner: o\nscopes: [s]\nauth_method: private_key_jwt\npublic_keys: []", []string{"F:5: public_keys private_key_jwt needs at least one public key"}},
	{"private keys", "public_keys:\n- file: private.pem\n- jwk: {kty: EC, d: VALUE}\n- jwk: '{\"kty\":\"oct\",\"k\":\"VALUE\"}'\nname: n\nowner: o\nscopes: [s]\nauth_method: private_key_jwt", []string{
		"F:2: public_keys.0.file is a private key: only its public half is registered", "F:3: public_keys.1.jwk is a private key", "F:4: public_keys.2.jwk is a private key"}},
	{"bad public keys", "public_keys:\n- file: VALUE\n- file: long.pem\n- pem: VALUE\n- jwk: '{VALUE'\n- {}\n- {pem: a, file: pub.pem}\nname: n\nowner: o\nscopes: [s]\nauth_method: private_key_jwt", []string{
		"F:2: public_keys.0.file the file cannot be read: no such file", "F:3: public_keys.1.file the file is too long", "F:4: public_keys.2.pem is neither PEM",
		"F:5: public_keys.3.jwk is not a JSON Web Key", "F:6: public_keys.4 must have one of jwk, pem and file", "F:7: public_keys.5.pem is neither PEM", "F:7: public_keys.5 must have one"}},
	{"weak public key", "name: a\nowner: o\nscopes: [s]\nauth_method: private_key_jwt\npublic_keys: [{jwk: {kty: OKP, crv: Ed25519, x: VALUE}}]", []string{"F:5: public_keys.0.jwk.kty EdDSA keys cannot be used"}},
	{"same public key", "name: a\nowner: o\nscopes: [s]\nauth_method: private_key_jwt\npublic_keys:\n- file: pub.pem\n- file: pub.pem", []string{"F:7: public_keys.1.jwk this public key is already registered here"}},
	{"same name", "name: a\nowner: o\nscopes: [s]\n---\nname: a\nowner: o\nscopes: [t]", []string{"F:5: is about the same key as F:1"}},
	{"same id", "id: x\nname: a\nowner: o\nscopes: [s]\n---\nid: x\nname: b\nowner: o\nscopes: [t]", []string{"F:6: is about the same key as F:1"}},
}

func TestParseRefuses(t *testing.T) {
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			docs, err := manifest.Parse([]manifest.Source{source("F", c.text)}, now)
			wrong, ok := errors.AsType[*manifest.Error](err)
			if !ok || docs != nil {
				t.Fatalf("%v, %v", docs, err)
			}
			var got []string
			for i, p := range wrong.Problems {
				line := p.String()
				if strings.Contains(line, "VALUE") {
					t.Errorf("repeats a value: %s", line)
				}
				if i < len(c.want) && strings.HasPrefix(line, c.want[i]) {
					line = c.want[i]
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Names that are the same in two files are told apart by id alone.
func TestParseFiles(t *testing.T) {
	text := "name: a\nowner: o\nscopes: [s]\n"
	_, err := manifest.Parse([]manifest.Source{source("one", text), source("two", text)}, now)
	if err == nil || err.Error() != "two:1: is about the same key as one:1; leave one of them out, or tell them apart by id" {
		t.Errorf("%v", err)
	}
	docs, err := manifest.Parse([]manifest.Source{source("one", text), source("two", "id: x\n"+text), source("three", "id: y\n"+text)}, now)
	if err != nil || len(docs) != 3 {
		t.Errorf("%v, %v", docs, err)
	}
	_, err = manifest.Parse([]manifest.Source{{Name: "F", Text: []byte(text + "auth_method: private_key_jwt\npublic_keys: [{file: pub.pem}]")}}, now)
	if err == nil || !strings.Contains(err.Error(), "no file can be named here") {
		t.Errorf("%v", err)
	}
}

// Texts, documents and problems are bounded.
func TestParseBounds(t *testing.T) {
	long := manifest.Source{Name: "F", Text: make([]byte, manifest.MaxBytes+1)}
	if _, err := manifest.Parse([]manifest.Source{long}, now); err == nil || err.Error() != "F: makes more than 16 MiB together; apply fewer files at once" {
		t.Errorf("%v", err)
	}
	var many strings.Builder
	for i := range manifest.MaxDocuments + 2 {
		fmt.Fprintf(&many, "---\n{name: n%d, owner: o, scopes: [s]}\n", i)
	}
	_, err := manifest.Parse([]manifest.Source{source("F", many.String())}, now)
	if want := "F:20002: is one document too many: 10000 at once are enough; apply fewer files at once"; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	_, err = manifest.Parse([]manifest.Source{source("F", "name: a\nowner: o\nscopes: [s]\n---\n# long\n["+strings.Repeat("x,", 64<<10))}, now)
	if want := "F:6: has a document of more than 128 KiB"; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	_, err = manifest.Parse([]manifest.Source{source("F", strings.Repeat("---\nx: y\n", 150))}, now)
	if wrong, ok := errors.AsType[*manifest.Error](err); !ok || len(wrong.Problems) != 100 || wrong.More != 50 || !strings.HasSuffix(err.Error(), "\nand 50 more") {
		t.Errorf("%v", err)
	}
}

// A few hundred bytes that are 9^9 values if aliases are followed are not followed.
func TestParseBomb(t *testing.T) {
	text := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		text += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	if _, err := manifest.Parse([]manifest.Source{source("F", text)}, now); err == nil || !strings.Contains(err.Error(), "F:1: anchors, aliases") {
		t.Errorf("%v", err)
	}
}

// The example in docs/keys-as-code.md is read, and says what it seems to.
func TestDocumentation(t *testing.T) {
	raw, err := os.ReadFile("../docs/keys-as-code.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), "<!-- keys -->\n```yaml\n")
	text, _, ended := strings.Cut(rest, "```\n<!-- /keys -->")
	if !found || !ended {
		t.Fatal("docs/keys-as-code.md has no example")
	}
	docs := parse(t, text)
	if len(docs) != 2 || len(docs[1].PublicKeys) != 2 || docs[1].PublicKeys[0].ExpiresAt == nil {
		t.Fatalf("read as %+v", docs)
	}
	d := docs[0]
	if d.Description == nil || d.Labels == nil || d.AuthMethod == "" || d.Audiences == nil || d.Token.Format == "" || d.Token.Lifetime == nil || !d.ExpiresAt.Set || d.Status == "" {
		t.Errorf("a member is not in the example: %+v", d)
	}
}
