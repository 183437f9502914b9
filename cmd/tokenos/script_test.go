package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client"
	"github.com/tokenos/tokenos/client/tokensource"
)

// enrol makes a key with a public key at the server of the scripts, and sets
// $KEY_ID to its id: enrol OWNER JWK
func enrol(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: enrol OWNER JWK")
	}
	api, err := client.New(client.Config{BaseURL: ts.Getenv("API"), Token: client.StaticToken(ts.Getenv("TOKEN"))})
	ts.Check(err)
	var jwk apikey.JWK
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &jwk))
	made, err := api.Create(context.Background(), apikey.CreateParams{Name: "script", Owner: args[0], Scopes: []string{"orders:read"},
		AuthMethod: apikey.PrivateKeyJWT, PublicKeys: []apikey.PublicKeyInput{{JWK: jwk}}})
	ts.Check(err)
	ts.Setenv("KEY_ID", made.Key.ID)
}

// sign writes a client assertion of $KEY_ID for $TOKEN_URL that lives ten minutes,
// signed with a PEM: sign PEM FILE CLAIM=VALUE... Numbers of exp, iat and nbf are
// seconds from now, and a claim without a value is left out.
func sign(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sign PEM FILE CLAIM=VALUE...")
	}
	key, err := tokensource.ParsePEM([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	public, err := registered(key.Signer.Public(), "")
	ts.Check(err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(public.Alg), Key: cryptosigner.Opaque(key.Signer)},
		(&jose.SignerOptions{}).WithHeader("kid", public.KID))
	ts.Check(err)
	now := time.Now().Unix()
	claims := map[string]any{"iss": ts.Getenv("KEY_ID"), "sub": ts.Getenv("KEY_ID"), "aud": ts.Getenv("TOKEN_URL"), "jti": rand.Text(), "exp": now + 600}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case value == "":
			delete(claims, name)
		case err == nil:
			claims[name] = now + n
		default:
			claims[name] = value
		}
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text+"\n"), 0o600))
}

// buys shows an assertion to Hydra and wants its answer: buys STATUS FILE
func buys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: buys STATUS FILE")
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion": {strings.TrimSpace(ts.ReadFile(args[1]))},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, ts.Getenv("TOKEN_URL"), strings.NewReader(form.Encode()))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	ts.Check(err)
	if strconv.Itoa(resp.StatusCode) != args[0] {
		ts.Fatalf("Hydra answers %d %s, want %s", resp.StatusCode, said, args[0])
	}
}
