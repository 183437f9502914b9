package snippets_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/snippets"
)

// Every snippet buys a token that Hydra knows, with exactly the scope and the
// audience that it names, by each method and each algorithm.
func TestSnippetsBuyTokens(t *testing.T) {
	const plain = "tos_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"
	cases := []client{
		{method: "client_secret_basic", secret: plain, scope: "orders:read orders:write", audience: "https://api.example.com https://b.example.com/v1"},
		{method: "client_secret_post", secret: plain, scope: "orders:read", audience: "https://api.example.com"},
		// What a secret made elsewhere and a strange scope may hold.
		{method: "client_secret_basic", secret: `s~k-Ab.c+1/2=3:4%20&x"'\$é`, scope: "it's$(id)`id`!{%}", audience: "https://api.example.com/it's&$(id);"},
		{method: "client_secret_post", secret: `s~k-Ab.c+1/2=3:4%20&x"'\$é`, scope: "@it's$(id)`id`!{%}", audience: ""},
		{method: "client_secret_basic", secret: plain, scope: "orders:read", audience: ""},
	}
	for _, alg := range []string{"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		cases = append(cases, client{method: "private_key_jwt", alg: alg, scope: "orders:read", audience: "https://api.example.com"})
	}
	cases = append(cases, client{method: "private_key_jwt", alg: "ES256", scope: "it's$(id)`id`", audience: ""})
	for _, lang := range snippets.Languages {
		for i, c := range cases {
			t.Run(string(lang)+"/"+strconv.Itoa(i)+" "+c.method+" "+c.alg, func(t *testing.T) { // not at once: on SQLite Hydra answers 500 to some who write together
				r := newRunner(t, lang, c.method)
				text := render(t, lang, c.register(t))
				out, errOut, err := r.run(t, text, c.environment()...)
				if err != nil {
					t.Fatalf("%v\n%s%s\n%s", err, out, errOut, text)
				}
				want := token{Active: true, ClientID: c.id, Scope: c.scope, Aud: append([]string{}, strings.Fields(c.audience)...)}
				if diff := cmp.Diff(want, introspect(t, r.token(t, out))); diff != "" {
					t.Errorf("token (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// Without its secret or key file a snippet stops and names the variable.
func TestSecretMissing(t *testing.T) {
	for _, lang := range snippets.Languages {
		for method, variable := range map[string]string{"client_secret_basic": "TOKENOS_CLIENT_SECRET", "client_secret_post": "TOKENOS_CLIENT_SECRET", "private_key_jwt": "TOKENOS_PRIVATE_KEY_FILE"} {
			t.Run(string(lang)+"/"+method, func(t *testing.T) {
				t.Parallel()
				_, errOut, err := newRunner(t, lang, method).run(t, render(t, lang, params(method)))
				if err == nil || !strings.Contains(errOut, variable) {
					t.Errorf("got %v, %q; want a failure that names %s", err, errOut, variable)
				}
			})
		}
	}
}

// When Hydra refuses, the snippet fails and shows Hydra's reason, not the secret.
func TestRefusalIsShown(t *testing.T) {
	for _, lang := range snippets.Languages {
		t.Run(string(lang), func(t *testing.T) {
			t.Parallel()
			c := client{method: "client_secret_basic", secret: "tos_right-secret", scope: "orders:read"}
			r := newRunner(t, lang, c.method)
			text := render(t, lang, c.register(t))
			out, errOut, err := r.run(t, text, "TOKENOS_CLIENT_SECRET=tos_wrong-secret")
			if all := out + errOut; err == nil || !strings.Contains(all, "invalid_client") || strings.Contains(all, "tos_wrong-secret") {
				t.Errorf("got %v, %q; want a failure with invalid_client", err, all)
			}
		})
	}
}

// The curl snippets give the secret to curl through a pipe: arguments are
// visible to everybody on the machine.
func TestCurlKeepsSecretOutOfArguments(t *testing.T) {
	dir := t.TempDir()
	fake := "#!/bin/sh\nprintf '%s\\n' \"$@\" > '" + dir + "/args'\ncat > '" + dir + "/stdin'\n"
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]string{
		"client_secret_basic": `user = "%6b%65%79%5f`,
		"client_secret_post":  "tos_hidden",
	} {
		r := newRunner(t, snippets.Curl, method)
		_, errOut, err := r.run(t, render(t, snippets.Curl, params(method)), "TOKENOS_CLIENT_SECRET=tos_hidden", "PATH="+dir+":"+os.Getenv("PATH"))
		if err != nil {
			t.Fatalf("%s: %v %s", method, err, errOut)
		}
		args, stdin := read(t, dir+"/args"), read(t, dir+"/stdin")
		if strings.Contains(args, "hidden") || strings.Contains(args, "%68%69%64") || !strings.HasPrefix(stdin, want) {
			t.Errorf("%s: curl got arguments %q and input %q", method, args, stdin)
		}
	}
}

// Numbers of a signature that happen to be short are filled up with zeros: one
// signature in 128 has one.
func TestCurlFillsUpShortNumbers(t *testing.T) {
	r := newRunner(t, snippets.Curl, "private_key_jwt")
	_, rest, _ := strings.Cut(render(t, snippets.Curl, params("private_key_jwt")), "raw() {")
	body, _, found := strings.Cut(rest, "\n}\n")
	if !found {
		t.Fatal("the snippet has no function raw")
	}
	for der, want := range map[string]string{
		"3007020101020200ff": strings.Repeat("00", 31) + "01" + strings.Repeat("00", 31) + "ff",
		"3045022100" + strings.Repeat("f1", 32) + "0220" + strings.Repeat("0a", 32): strings.Repeat("f1", 32) + strings.Repeat("0a", 32),
	} {
		in, err := hex.DecodeString(der)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "der")
		if err := os.WriteFile(file, in, 0o600); err != nil {
			t.Fatal(err)
		}
		out, errOut, err := r.run(t, "raw() {"+body+"\n}\nraw < \"$DER\"\n", "DER="+file)
		if got := hex.EncodeToString([]byte(out)); err != nil || got != want {
			t.Errorf("%s: got %s, %v %s; want %s", der, got, err, errOut, want)
		}
	}
}

// The README's way to make a key pair yields a private key file that the
// snippets read and a public JWK, without a private member, that Hydra takes.
func TestREADMEMakesKeyPair(t *testing.T) {
	newRunner(t, snippets.JavaScript, "client_secret_basic")
	r := newRunner(t, snippets.Curl, "private_key_jwt")
	_, rest, _ := strings.Cut(read(t, filepath.Join("..", "README.md")), "<!-- run key pair -->\n```sh\n")
	text, _, found := strings.Cut(rest, "```\n<!-- /run -->")
	if !found {
		t.Fatal("the README has no block that makes a key pair")
	}
	r.Dir = t.TempDir()
	if _, errOut, err := r.run(t, text); err != nil {
		t.Fatalf("%v: %s", err, errOut)
	}
	var public jose.JSONWebKey
	if err := public.UnmarshalJSON([]byte(read(t, filepath.Join(r.Dir, "public.jwk")))); err != nil {
		t.Fatal(err)
	}
	if !public.IsPublic() {
		t.Error("public.jwk holds the private key")
	}
	public.KeyID, public.Use = "kid-1", "sig"
	c := client{method: "private_key_jwt", alg: "ES256", scope: "orders:read", keyFile: filepath.Join(r.Dir, "key.pem"), publicKey: &public}
	out, errOut, err := r.run(t, render(t, snippets.Curl, c.register(t)), c.environment()...)
	if err != nil {
		t.Fatalf("%v: %s%s", err, out, errOut)
	}
	if got := introspect(t, r.token(t, out)); !got.Active || got.ClientID != c.id {
		t.Errorf("got %+v, want an active token of %s", got, c.id)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// environment is what the snippet finds its credential in.
func (c *client) environment() []string {
	if c.method == "private_key_jwt" {
		return []string{"TOKENOS_PRIVATE_KEY_FILE=" + c.keyFile}
	}
	return []string{"TOKENOS_CLIENT_SECRET=" + c.secret}
}

// token finds the access token in what a snippet prints: curl shows Hydra's
// answer, the others the token.
func (r runner) token(t *testing.T, out string) string {
	t.Helper()
	if r.lang != snippets.Curl {
		return strings.TrimSpace(out)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
	return answer.AccessToken
}
