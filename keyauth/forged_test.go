package keyauth_test

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/keyauth"
)

// forgery is a token that must not be good for anything.
type forgery struct {
	name, token string
	why         keyauth.Reason // "" for any
}

// Every forged or broken token is refused with 401 and the same words, whatever is
// wrong with it, and none makes the verifier call anybody.
func TestForgedTokens(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	good := w.jwt(w.claims())
	if rec := ask(t, v, bearer(good)); rec.Code != http.StatusOK {
		t.Fatalf("the good token: %d %s", rec.Code, rec.Body)
	}
	all := forgeries(w, good, w.jwt(w.claims()))
	if len(all) < 200 {
		t.Errorf("%d forgeries only", len(all))
	}
	seen := map[string]bool{}
	answer := ask(t, v, "Bearer a.b.c").Body.String()
	fetched := w.count("/.well-known/jwks.json")
	for _, f := range all {
		if seen[f.name] || f.token == good {
			t.Errorf("%s: the name is taken, or the token good", f.name)
		}
		seen[f.name] = true
		rec := ask(t, v, "Bearer "+f.token)
		if rec.Code != http.StatusUnauthorized || rec.Body.String() != answer || !strings.Contains(rec.Header().Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%s: got %d %s", f.name, rec.Code, rec.Body)
		}
		if got := reasonOf(t, v, f.token); f.why != "" && got != f.why {
			t.Errorf("%s: refused for %q, want %q", f.name, got, f.why)
		}
	}
	if n := w.count("/.well-known/jwks.json") - fetched; n != 0 {
		t.Errorf("%d fetches of keys", n)
	}
	t.Logf("%d forgeries", len(all))
	if rec := ask(t, v, bearer(good)); rec.Code != http.StatusOK {
		t.Errorf("the good token afterwards: %d", rec.Code)
	}
}

func forgeries(w *world, good, other string) []forgery {
	payload := string(must(json.Marshal(w.claims())))
	var all []forgery
	for _, some := range [][]forgery{unsigned(payload), confused(payload), foreign(w, payload), headers(payload), mangled(good, other),
		signaturesOf(payload), encodings(good, payload), claimForgeries(w), texts(payload), audiences(w), issuers(w)} {
		all = append(all, some...)
	}
	return all
}

// unsigned are tokens that say of themselves that nobody need sign them.
func unsigned(payload string) (all []forgery) {
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", " none", "none ", "null", "ＮＯＮＥ", "no\\u006ee", "none\\u0000"} {
		h := `{"alg":"` + alg + `","kid":"es","typ":"JWT"}`
		all = append(all, forgery{"alg " + alg + " without signature", b64(h) + "." + b64(payload) + ".", keyauth.Malformed},
			forgery{"alg " + alg + " with a signature", es256(h, payload, esKey), keyauth.BadAlgorithm})
	}
	return all
}

// confused are tokens signed with a secret that everybody has: the public key, in
// each form in which a library may keep it.
func confused(payload string) (all []forgery) {
	der := must(x509.MarshalPKIXPublicKey(rsKey().Public()))
	ecDER := must(x509.MarshalPKIXPublicKey(esKey.Public()))
	secrets := map[string][]byte{
		"RSA DER": der, "EC DER": ecDER, "RSA PKCS1": x509.MarshalPKCS1PublicKey(&rsKey().PublicKey),
		"RSA PEM":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"RSA PEM cut": []byte(strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))),
		"EC PEM":      pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: ecDER}),
		"RSA JWK":     must(json.Marshal(jose.JSONWebKey{Key: rsKey().Public(), KeyID: "rs", Algorithm: "RS256", Use: "sig"})),
		"EC JWK":      must(json.Marshal(jose.JSONWebKey{Key: esKey.Public(), KeyID: "es", Algorithm: "ES256", Use: "sig"})),
		"RSA modulus": rsKey().N.Bytes(), "nothing": {},
	}
	for alg, h := range map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New} {
		for name, secret := range secrets {
			kid := "es"
			if strings.HasPrefix(name, "RSA") {
				kid = "rs"
			}
			input := b64(`{"alg":"`+alg+`","kid":"`+kid+`","typ":"JWT"}`) + "." + b64(payload)
			mac := hmac.New(h, secret)
			mac.Write([]byte(input))
			all = append(all, forgery{alg + " by the " + name, input + "." + b64(string(mac.Sum(nil))), keyauth.BadAlgorithm})
		}
	}
	return all
}

// foreign are tokens signed by somebody else's key, or the right key under another
// name or algorithm.
func foreign(w *world, payload string) (all []forgery) {
	for _, kid := range []string{"", " ", "../es", "/dev/null", "es' OR '1'='1", "es\\u0000", "ES", "es ", "e\u0455", strings.Repeat("k", 129), "https://evil.example/jwks.json", "|cat /etc/passwd"} {
		all = append(all, forgery{"foreign key as kid " + kid, es256(`{"alg":"ES256","kid":"`+kid+`","typ":"JWT"}`, payload, esOther), ""})
	}
	return append(all,
		forgery{"foreign key as es", es256(header, payload, esOther), keyauth.BadSignature},
		forgery{"ES256 by a key of RSA", es256(`{"alg":"ES256","kid":"rs","typ":"JWT"}`, payload, esKey), keyauth.UnknownKey},
		forgery{"RS256 by a key of EC", rs256(`{"alg":"RS256","kid":"es","typ":"JWT"}`, payload, rsKey()), keyauth.UnknownKey},
		forgery{"key of the status list", es256(header, payload, listKey), keyauth.BadSignature},
		forgery{"status list as access token", w.statusList(nil, nil), keyauth.BadHeader},
		forgery{"kid of a status list", es256(`{"alg":"ES256","kid":"list","typ":"JWT"}`, payload, listKey), keyauth.UnknownKey},
		forgery{"RS384 not allowed", rs256(`{"alg":"RS384","kid":"rs","typ":"JWT"}`, payload, rsKey()), keyauth.BadAlgorithm},
		forgery{"PS256 not allowed", rs256(`{"alg":"PS256","kid":"rs","typ":"JWT"}`, payload, rsKey()), keyauth.BadAlgorithm},
		forgery{"EdDSA", es256(`{"alg":"EdDSA","kid":"es","typ":"JWT"}`, payload, esKey), keyauth.BadAlgorithm},
		forgery{"es256 in small letters", es256(`{"alg":"es256","kid":"es","typ":"JWT"}`, payload, esKey), keyauth.BadAlgorithm},
		forgery{"ES256K", es256(`{"alg":"ES256K","kid":"es","typ":"JWT"}`, payload, esKey), keyauth.BadAlgorithm},
	)
}

// headers are tokens with a right signature over a header that asks for more.
func headers(payload string) (all []forgery) {
	jwk := string(must(json.Marshal(jose.JSONWebKey{Key: esOther.Public(), KeyID: "es", Algorithm: "ES256", Use: "sig"})))
	for name, member := range map[string]string{
		"jwk": `"jwk":` + jwk, "jku": `"jku":"https://evil.example/jwks.json"`, "x5u": `"x5u":"https://evil.example/cert"`, "x5c": `"x5c":["MIIB"]`,
		"x5t": `"x5t":"AAAA"`, "x5t#S256": `"x5t#S256":"AAAA"`, "crit": `"crit":["exp"],"exp":1`, "crit empty": `"crit":[]`, "crit b64": `"crit":["b64"],"b64":false`,
		"b64 false": `"b64":false`, "b64 true": `"b64":true`, "cty": `"cty":"JWT"`, "zip": `"zip":"DEF"`, "enc": `"enc":"A128GCM"`, "nonce": `"nonce":"x"`, "url": `"url":"x"`,
		"alg twice": `"alg":"ES256"`, "alg twice, none": `"alg":"none"`, "kid twice": `"kid":"es"`, "typ twice": `"typ":"JWT"`, "alg escaped twice": `"\u0061lg":"none"`, "Alg": `"Alg":"none"`, "KID": `"KID":"rs"`, "epk": `"epk":{}`,
		"nested": `"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20), "p2c": `"p2c":2147483647`,
	} {
		h := header[:len(header)-1] + "," + member + "}"
		all = append(all, forgery{"header with " + name, es256(h, payload, esKey), ""}, forgery{"foreign key, header with " + name, es256(h, payload, esOther), ""})
	}
	for name, h := range map[string]string{
		"no alg": `{"kid":"es","typ":"JWT"}`, "no kid": `{"alg":"ES256","typ":"JWT"}`, "no typ": `{"alg":"ES256","kid":"es"}`, "empty": `{}`, "null": `null`, "list": `[]`, "string": `"ES256"`, "number": `1`,
		"nothing": ``, "not JSON": `alg=ES256`, "half": `{"alg":"ES256"`, "two": header + header, "trailing comma": `{"alg":"ES256","kid":"es","typ":"JWT",}`, "comment": header + `//`,
		"alg is a list": `{"alg":["ES256"],"kid":"es","typ":"JWT"}`, "alg is null": `{"alg":null,"kid":"es","typ":"JWT"}`, "alg is a number": `{"alg":256,"kid":"es","typ":"JWT"}`, "kid is a number": `{"alg":"ES256","kid":1,"typ":"JWT"}`, "kid is null": `{"alg":"ES256","kid":null,"typ":"JWT"}`,
		"kid is an object": `{"alg":"ES256","kid":{"es":1},"typ":"JWT"}`, "typ is a list": `{"alg":"ES256","kid":"es","typ":["JWT"]}`, "ID token": `{"alg":"ES256","kid":"es","typ":"id_token+jwt"}`, "logout token": `{"alg":"ES256","kid":"es","typ":"logout+jwt"}`,
		"DPoP proof": `{"alg":"ES256","kid":"es","typ":"dpop+jwt"}`, "status list": `{"alg":"ES256","kid":"es","typ":"statuslist+jwt"}`, "not UTF-8": "{\"alg\":\"ES256\",\"kid\":\"es\xff\",\"typ\":\"JWT\"}", "BOM": "\ufeff" + header, "NUL behind": header + "\x00",
	} {
		all = append(all, forgery{"header is " + name, es256(h, payload, esKey), ""})
	}
	return all
}

// mangled are good tokens that lost something on the way, or got it from another.
func mangled(good, other string) []forgery {
	p, q := strings.Split(good, "."), strings.Split(other, ".")
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	flip := func(s string, i int) string {
		b := must(base64.RawURLEncoding.DecodeString(s))
		b[i] ^= 1
		return b64(string(b))
	}
	all := []forgery{
		{"empty", "", keyauth.Malformed}, {"dot", ".", ""}, {"two dots", "..", ""}, {"three dots", "...", ""}, {"twenty thousand dots", strings.Repeat(".", 20_000), keyauth.Malformed},
		{"no header", join("", p[1], p[2]), keyauth.Malformed}, {"no payload", join(p[0], "", p[2]), keyauth.Malformed}, {"no signature", join(p[0], p[1], ""), keyauth.Malformed}, {"two parts", join(p[0], p[1]), ""}, {"one part", p[0], ""},
		{"four parts", good + ".e30", keyauth.Malformed}, {"trailing dot", good + ".", keyauth.Malformed}, {"leading dot", "." + good, keyauth.Malformed}, {"five parts", join(p[0], p[1], p[2], p[1], p[2]), keyauth.Malformed},
		{"trailing space", good + " ", keyauth.Malformed}, {"trailing tab", good + "\t", keyauth.Malformed}, {"trailing line break", good + "\n", keyauth.Malformed}, {"space within", good[:20] + " " + good[20:], keyauth.Malformed}, {"line break within", good[:20] + "\n" + good[20:], keyauth.Malformed},
		{"NUL", good + "\x00", keyauth.Malformed}, {"percent", good + "%20", keyauth.Malformed}, {"quotes", `"` + good + `"`, keyauth.Malformed}, {"comma", good + "," + good, keyauth.Malformed}, {"semicolon", good + ";", keyauth.Malformed}, {"Bearer twice", "Bearer " + good, keyauth.Malformed},
		{"header and payload swapped", join(p[1], p[0], p[2]), ""}, {"payload and signature swapped", join(p[0], p[2], p[1]), ""}, {"turned round", join(p[2], p[1], p[0]), ""},
		{"payload of another", join(p[0], q[1], p[2]), keyauth.BadSignature}, {"signature of another", join(p[0], p[1], q[2]), keyauth.BadSignature}, {"header flipped", join(flip(p[0], 2), p[1], p[2]), ""},
		{"signature flipped at the start", join(p[0], p[1], flip(p[2], 0)), keyauth.BadSignature}, {"signature flipped at the end", join(p[0], p[1], flip(p[2], 63)), keyauth.BadSignature},
		{"JWE compact", join(b64(`{"alg":"RSA-OAEP","enc":"A128GCM","kid":"rs"}`), "AAAA", "AAAA", "AAAA", "AAAA"), keyauth.Malformed}, {"JWE dir", join(b64(`{"alg":"dir","enc":"A128GCM"}`), "", "AAAA", "AAAA", "AAAA"), keyauth.Malformed},
		{"JWS JSON", `{"payload":"` + p[1] + `","signatures":[{"protected":"` + p[0] + `","signature":"` + p[2] + `"}]}`, keyauth.Malformed},
		{"JWS flattened", `{"payload":"` + p[1] + `","protected":"` + p[0] + `","signature":"` + p[2] + `"}`, keyauth.Malformed},
		{"huge", strings.Repeat("A", 9_000), keyauth.Malformed}, {"huge JWT", join(p[0], strings.Repeat("A", 9_000), p[2]), keyauth.Malformed}, {"million", strings.Repeat("a.", 500_000), keyauth.Malformed},
		{"umlaut", "ä" + good, keyauth.Malformed}, {"cyrillic e", strings.Replace(good, "e", "\u0435", 1), keyauth.Malformed}, {"tilde", good + "~", ""}, {"pad only", "====", keyauth.Malformed},
	}
	for _, cut := range []int{1, 2, 3, 10, 40, 86} {
		all = append(all, forgery{fmt.Sprintf("%d characters short", cut), good[:len(good)-cut], ""}, forgery{fmt.Sprintf("without the first %d", cut), good[cut:], ""})
	}
	return all
}

// signaturesOf are the ways in which ECDSA signatures have been faked.
func signaturesOf(payload string) (all []forgery) {
	input := b64(header) + "." + b64(payload)
	order := esKey.Params().N
	right := es256Signature(input, esKey)
	r, s := new(big.Int).SetBytes(right[:32]), new(big.Int).SetBytes(right[32:])
	fixed := func(r, s *big.Int) string {
		return string(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	zero, one := new(big.Int), big.NewInt(1)
	der := must(asn1.Marshal(struct{ R, S *big.Int }{r, s}))
	for name, signature := range map[string]string{
		"DER": string(der), "DER by the library": string(must(ecdsa.SignASN1(rand.Reader, esKey, sum(input)))), "zero r and s": fixed(zero, zero), "zero r": fixed(zero, s), "zero s": fixed(r, zero), "ones": fixed(one, one),
		"r is the order": fixed(order, s), "s is the order": fixed(r, order), "both are the order": fixed(order, order), "r and s swapped": fixed(s, r), "order minus one": fixed(new(big.Int).Sub(order, one), new(big.Int).Sub(order, one)),
		"a byte more": string(right) + "\x00", "a byte less": string(right[:63]), "a byte before": "\x00" + string(right), "half": string(right[:32]), "twice": string(right) + string(right), "one byte": "\x00", "64 of 0xff": strings.Repeat("\xff", 64), "hex": fmt.Sprintf("%x", right), "96 bytes": string(right) + strings.Repeat("\x00", 32), "HMAC": string(mac(input)),
	} {
		all = append(all, forgery{"signature is " + name, input + "." + b64(signature), keyauth.BadSignature})
	}
	rsInput := b64(`{"alg":"RS256","kid":"rs","typ":"JWT"}`) + "." + b64(payload)
	for name, signature := range map[string]string{"zeros": strings.Repeat("\x00", 256), "one": strings.Repeat("\x00", 255) + "\x01", "the modulus": string(rsKey().N.Bytes()), "short": strings.Repeat("\x01", 255), "long": strings.Repeat("\x01", 257), "ECDSA's": string(right)} {
		all = append(all, forgery{"RSA signature is " + name, rsInput + "." + b64(signature), keyauth.BadSignature})
	}
	return all
}

func sum(input string) []byte { s := sha256.Sum256([]byte(input)); return s[:] }

func mac(input string) []byte {
	m := hmac.New(sha256.New, []byte("secret"))
	m.Write([]byte(input))
	return m.Sum(nil)
}

// encodings are second forms of a good token: one token must have one form, or
// what is kept by it (a cache, a deny list) can be got round.
func encodings(good, payload string) []forgery {
	p := strings.Split(good, ".")
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	last := p[2][len(p[2])-1]
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	next := alphabet[strings.IndexByte(alphabet, last)|1]
	if next == last {
		next = alphabet[strings.IndexByte(alphabet, last)^1]
	}
	std := base64.StdEncoding.EncodeToString
	return []forgery{
		{"signature padded", good + "==", keyauth.Malformed}, {"header padded", join(p[0]+"=", p[1], p[2]), keyauth.Malformed}, {"payload padded", join(p[0], p[1]+"=", p[2]), keyauth.Malformed},
		{"bits behind the last byte", join(p[0], p[1], p[2][:len(p[2])-1]+string(next)), keyauth.Malformed},
		{"standard base64", join(std([]byte(header)), std([]byte(payload)), std(must(base64.RawURLEncoding.DecodeString(p[2])))), ""},
		{"plus and slash", join(p[0], p[1], strings.NewReplacer("-", "+", "_", "/").Replace(p[2])+"+/"), keyauth.Malformed},
		{"encoded twice", join(b64(p[0]), b64(p[1]), b64(p[2])), ""}, {"whole token encoded", b64(good) + ".a.b", ""},
		{"signature with a character more", good + "A", keyauth.BadSignature},
		{"header not encoded", join(`{"alg":"ES256"}`, p[1], p[2]), keyauth.Malformed},
	}
}

// texts are payloads with a right signature that are not one strict JSON object.
func texts(payload string) (all []forgery) {
	inner := payload[1 : len(payload)-1]
	for name, text := range map[string]string{
		"null": `null`, "list": `[` + payload + `]`, "string": `"x"`, "number": `1`, "true": `true`, "two objects": payload + payload, "trailing word": payload + "x", "trailing NUL": payload + "\x00", "half": payload[:len(payload)-1], "trailing comma": `{` + inner + `,}`, "single quotes": strings.ReplaceAll(payload, `"`, `'`),
		"BOM": "\ufeff" + payload, "UTF-16": strings.Join(strings.Split(payload, ""), "\x00"), "not UTF-8": `{"x":"` + "\xc3\x28" + `",` + inner + `}`, "control character": `{"x":"` + "\x01" + `",` + inner + `}`, "not JSON": "exp=9999999999", "NaN": `{"x":NaN,` + inner + `}`, "hex": `{"x":0x10,` + inner + `}`, "comment": `{/**/` + inner + `}`, "leading zero": `{"x":01,` + inner + `}`, "number beyond all": `{"x":1e999,` + inner + `}`,
		"nested lists": `{"x":` + strings.Repeat("[", 2500) + strings.Repeat("]", 2500) + `,` + inner + `}`, "nested objects": `{"x":` + strings.Repeat(`{"a":`, 700) + `1` + strings.Repeat("}", 700) + `,` + inner + `}`, "nested a bit too deep": `{"x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `,` + inner + `}`,
		"aud twice": `{"aud":"https://other.example",` + inner + `}`, "aud twice, ours last": `{` + inner + `,"aud":"` + api + `"}`, "exp twice": `{"exp":1,` + inner + `}`, "exp twice, last": `{` + inner + `,"exp":9999999999}`, "client_id twice": `{` + inner + `,"client_id":"` + keyID + `"}`, "owner twice": `{"owner":"evil",` + inner + `}`, "scp twice": `{` + inner + `,"scp":["admin"]}`, "escaped name twice": `{"\u006fwner":"evil",` + inner + `}`, "iss twice": `{"iss":"https://evil.example",` + inner + `}`,
		"unknown member twice": `{"x":1,"x":2,` + inner + `}`, "member of a member twice": `{"x":{"a":1,"a":2},` + inner + `}`, "member of an element twice": `{"x":[{"a":1,"a":2}],` + inner + `}`, "member of ext twice": `{"ext":{"owner":"a","owner":"b"},` + inner + `}`,
	} {
		all = append(all, forgery{"payload is " + name, es256(header, text, esKey), ""})
	}
	return all
}

// wrong are values of every type; each claim refuses those that are not its own.
var wrong = map[string]any{"null": nil, "true": true, "zero": 0, "minus one": -1, "string": "x", "empty string": "", "object": map[string]any{"a": 1}, "empty list": []any{}, "list of numbers": []any{1}, "list of null": []any{nil}, "list of lists": []any{[]any{api}}, "big number": 1e300, "NUL": "\x00", "line break": "a\nb", "half a character": json.RawMessage(`"\ud800"`), "long": strings.Repeat("x", 1100)}

// takes are the wrong values that a claim does accept, because they are not wrong.
var takes = map[string][]string{
	"jti": {"string"}, "root_id": {"string"}, "owner": {"string"}, "env": {"string"}, "scp": {"empty list"},
}

// claimForgeries are tokens whose one claim is of a wrong type or value, or
// missing.
func claimForgeries(w *world) (all []forgery) {
	with := func(name string, edit func(map[string]any)) {
		c := w.claims()
		edit(c)
		all = append(all, forgery{name, w.jwt(c), ""})
	}
	for _, claim := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "client_id", "scp", "jti", "root_id", "owner", "env", "key_expires_at", "status"} {
		for name, value := range wrong {
			if !contains(takes[claim], name) {
				with(claim+" is "+name, func(c map[string]any) { c[claim] = value })
			}
		}
	}
	for _, claim := range []string{"iss", "sub", "aud", "exp", "iat", "client_id", "scp"} {
		with("without "+claim, func(c map[string]any) { delete(c, claim) })
		with("with "+strings.ToUpper(claim), func(c map[string]any) { v := c[claim]; delete(c, claim); c[strings.ToUpper(claim)] = v })
	}
	now := w.now().Unix()
	for name, edit := range map[string]map[string]any{
		"expired": {"exp": now - 31, "iat": now - 900}, "exp as a string": {"exp": fmt.Sprint(now + 900)}, "exp in milliseconds": {"exp": (now + 900) * 1000}, "exp before iat": {"exp": now + 10, "iat": now + 20}, "not yet valid": {"nbf": now + 90}, "issued in the future": {"iat": now + 90}, "exp at the beginning": {"exp": 0.5},
		"bound to a certificate": {"cnf": map[string]any{"x5t#S256": "x"}}, "bound to nothing": {"cnf": nil}, "a person's": {"sub": "ana"}, "another client's": {"client_id": "key_live_other"},
		"key expired": {"key_expires_at": "2001-01-01T00:00:00Z"}, "key expires at a number": {"key_expires_at": now + 900}, "key expires at a day": {"key_expires_at": "2099-01-01"}, "key expires at no time": {"key_expires_at": "0001-01-01T00:00:00Z"},
		"scopes differ": {"scope": "orders:read admin"}, "scope is a list": {"scope": []string{"orders:read"}}, "scp is a string": {"scp": "orders:read"}, "a scope with a space": {"scp": []string{"orders:read admin"}}, "a scope with a quote": {"scp": []string{`a"b`}}, "scope with two spaces": {"scp": []string{"a"}, "scope": "a  b"}, "an empty scope": {"scp": []string{""}}, "a thousand scopes": {"scp": strings.Split(strings.Repeat("a ", 1000), " ")},
		"status without list": {"status": map[string]any{}}, "status list elsewhere": {"status": place(0, "https://evil.example/status/0")}, "status list of a neighbour": {"status": place(0, w.URL+"/status/../v1/keys")}, "status list with a query": {"status": place(0, w.URL+"/status/0?x=1")}, "status list of no number": {"status": place(0, w.URL+"/status/")}, "status list on another port": {"status": place(0, strings.Replace(w.URL, ":", ":1", 2)+"/status/0")},
		"status list of the cloud": {"status": place(0, "http://169.254.169.254/latest/meta-data")}, "status list by user": {"status": place(0, strings.Replace(w.URL, "http://", "http://a@", 1)+"/status/0")}, "status index below zero": {"status": place(-1, w.URL+"/status/0")}, "status index of a million": {"status": place(1_000_000, w.URL+"/status/0")}, "status index and a half": {"status": place(1.5, w.URL+"/status/0")}, "status index a string": {"status": place("1", w.URL+"/status/0")}, "status list a file": {"status": place(0, "file:///etc/passwd")},
	} {
		with("claims: "+name, func(c map[string]any) { maps.Copy(c, edit) })
	}
	// Hydra's ID tokens come from the same set of keys.
	all = append(all, forgery{"an ID token", w.jwt(map[string]any{"iss": w.URL, "sub": "ana", "aud": []string{api}, "exp": now + 900, "iat": now, "auth_time": now, "nonce": "n", "at_hash": "x", "sid": "s"}), keyauth.BadClaims},
		forgery{"an assertion of a client", w.jwt(map[string]any{"iss": keyID, "sub": keyID, "aud": api, "exp": now + 900, "iat": now, "jti": "j"}), keyauth.BadClaims},
		forgery{"all under ext", w.jwt(map[string]any{"iss": w.URL, "exp": now + 900, "iat": now, "ext": w.claims()}), keyauth.BadClaims},
		forgery{"client and scopes under ext", w.jwt(map[string]any{"iss": w.URL, "sub": keyID, "aud": []string{api}, "exp": now + 900, "iat": now, "ext": map[string]any{"client_id": keyID, "scp": []string{"orders:read"}}}), keyauth.BadClaims},
		forgery{"audience under ext", w.jwt(map[string]any{"iss": w.URL, "sub": keyID, "client_id": keyID, "scp": []string{"orders:read"}, "aud": []string{}, "exp": now + 900, "iat": now, "ext": map[string]any{"aud": []string{api}}}), keyauth.BadAudience})
	return all
}

func place(index any, uri string) any {
	return map[string]any{"status_list": map[string]any{"idx": index, "uri": uri}}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// audiences are almost ours.
func audiences(w *world) (all []forgery) {
	for _, aud := range []any{
		"https://other.example", api + "/", api + "/orders", api + ":443", strings.ToUpper(api), "http://api.example.com", "api.example.com", "//api.example.com", " " + api, api + " ", api + ".evil.example", api + "#", api + "?", "https://api.example.com@evil.example", "https://evil.example/" + api,
		"https://api.example.co", "*", "https://*.example.com", api + "|https://other.example", api + "\u200b", "https://\u0430pi.example.com", []string{}, []string{"https://other.example", api + "/"}, []string{api[:10], api[10:]}, []string{api + " https://other.example"}, keyID, map[string]any{api: true},
	} {
		c := w.claims()
		c["aud"] = aud
		all = append(all, forgery{fmt.Sprintf("audience %v", aud), w.jwt(c), ""})
	}
	return all
}

// issuers are almost ours.
func issuers(w *world) (all []forgery) {
	for _, iss := range []string{
		"https://evil.example", w.URL + "/", w.URL + "/x", w.URL + ".evil.example", strings.ToUpper(w.URL), strings.Replace(w.URL, "http://", "https://", 1), w.URL + "#", w.URL + "?", w.URL + " ", " " + w.URL, w.URL + "\\", strings.Replace(w.URL, "http://", "http://a@", 1), w.URL + "@evil.example", strings.TrimPrefix(w.URL, "http:"),
		strings.Replace(w.URL, "127.0.0.1", "localhost", 1), w.URL[:len(w.URL)-1], w.URL + "0", w.URL + "\u200b", w.URL + "/..", w.URL + "%2f",
	} {
		c := w.claims()
		c["iss"] = iss
		all = append(all, forgery{"issuer " + iss, w.jwt(c), ""})
	}
	return all
}

// No error and no log line repeats what the token says.
func TestErrorsRepeatNothing(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t)
	for _, token := range []string{
		"p0ison", "p0ison.p0ison.p0ison", es256(`{"alg":"p0ison","kid":"es","typ":"JWT"}`, `{}`, esKey), es256(`{"alg":"ES256","kid":"p0ison","typ":"JWT"}`, string(must(json.Marshal(w.claims()))), esKey),
		es256(header, `{"p0ison":1,"p0ison":2}`, esKey), w.jwt(map[string]any{"iss": "p0ison"}),
	} {
		_, err := v.Verify(t.Context(), token)
		if err == nil || strings.Contains(err.Error(), "p0ison") {
			t.Errorf("got %v", err)
		}
	}
	if diff := cmp.Diff(0, w.count("/p0ison")); diff != "" {
		t.Error(diff)
	}
}
