package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/client/tokensource"
)

// Each kind of algorithm has its key pair. Both forms of the private key are read
// by client/tokensource, and the public half made of them is the one that was shown
// and that the API takes.
func TestGeneratePair(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "ES512", "RS256", "PS512"} { // RSA keys take a second each
		t.Run(alg, func(t *testing.T) {
			pair, err := generatePair(alg)
			if err != nil {
				t.Fatal(err)
			}
			if key, ok := pair.private.(*rsa.PrivateKey); ok && key.N.BitLen() != 3072 {
				t.Errorf("an RSA key of %d bits", key.N.BitLen())
			}
			inPEM, err := pair.pem()
			if err != nil {
				t.Fatal(err)
			}
			inJWK, err := pair.jwk()
			if err != nil {
				t.Fatal(err)
			}
			fromPEM, err := tokensource.ParsePEM(inPEM)
			if err != nil {
				t.Fatal(err)
			}
			fromJWK, err := tokensource.ParseJWK(inJWK)
			if err != nil || fromJWK.Algorithm != alg {
				t.Fatalf("algorithm %q, %v", fromJWK.Algorithm, err)
			}
			for form, text := range map[string][]byte{"PEM": inPEM, "JWK": inJWK} {
				read, err := readPublicKey(bytes.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				if form == "PEM" {
					read["alg"] = alg // which it does not say
				}
				if diff := cmp.Diff(pair.public.JWK, read); diff != "" {
					t.Errorf("of the %s (-shown +read):\n%s", form, diff)
				}
			}
			for form, signer := range map[string]crypto.Signer{"PEM": fromPEM.Signer, "JWK": fromJWK.Signer} {
				if !pair.private.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.Public()) {
					t.Errorf("the %s holds another key", form)
				}
			}
		})
	}
	for _, alg := range []string{"EdDSA", "Ed25519", "HS256", "none", "es256", ""} {
		if pair, err := generatePair(alg); err == nil {
			t.Errorf("%q makes %v", alg, pair.public)
		}
	}
}

// testKey is a new key on P-256.
func testKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// block is one block of PEM.
func block(label string, der []byte, err error) string {
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// certificateOf is a certificate for the key, in PEM.
func certificateOf(key crypto.Signer) string {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{}, &x509.Certificate{}, key.Public(), key)
	return block("CERTIFICATE", der, err)
}

// The one public key is read from all that openssl and others write, and nothing
// private stays.
func TestReadPublicKey(t *testing.T) {
	ec := testKey(t)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return block("PRIVATE KEY", der, err)
	}
	pkix := func(key any) string { der, err := x509.MarshalPKIXPublicKey(key); return block("PUBLIC KEY", der, err) }
	jwk := func(key any) string {
		text, err := jose.JSONWebKey{Key: key, KeyID: "mine"}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	older := block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}, nil) + block("EC PRIVATE KEY", sec1, err)
	for name, c := range map[string]struct {
		text string
		key  crypto.Signer
	}{
		"EC PKCS #8": {pkcs8(ec), ec}, "EC public": {pkix(ec.Public()), ec}, "EC older": {older, ec}, "EC certificate": {certificateOf(ec), ec},
		"EC JWK": {jwk(ec), ec}, "EC public JWK": {jwk(ec.Public()), ec},
		"RSA PKCS #8": {pkcs8(rs), rs}, "RSA public": {pkix(rs.Public()), rs}, "RSA PKCS #1": {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rs), nil), rs},
		"RSA PKCS #1 public": {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rs.PublicKey), nil), rs}, "RSA JWK": {jwk(rs), rs},
		"key and its certificate": {pkcs8(ec) + certificateOf(ec), ec}, "words around": {"Bag Attributes\n" + pkcs8(ec) + "bye", ec}, "Windows": {"\xef\xbb\xbf" + strings.ReplaceAll(pkix(ec.Public()), "\n", "\r\n"), ec},
		"set of one": {`{"keys":[` + jwk(ec) + `]}`, ec}, "set with others": {`{"keys":[{"kty":"oct","k":"AA"},7,` + jwk(rs.Public()) + `]}`, rs}, "set with it twice": {`{"keys":[` + jwk(ec) + `,` + jwk(ec.Public()) + `]}`, ec},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readPublicKey(strings.NewReader(c.text))
			if err != nil {
				t.Fatal(err)
			}
			want, err := registered(c.key.Public(), "")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.JWK, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// What cannot be read, cannot be used or is not one key is refused with its
// reason, without a word of what was given.
func TestReadPublicKeyRefuses(t *testing.T) {
	ec, other := testKey(t), testKey(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkix := func(key crypto.Signer) string {
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		return block("PUBLIC KEY", der, err)
	}
	one, err := registered(ec.Public(), "")
	if err != nil {
		t.Fatal(err)
	}
	member := func(name string, value any) string {
		changed := apikey.JWK{}
		for k, v := range one.JWK {
			changed[k] = v
		}
		changed[name] = value
		text, err := json.Marshal(changed)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	second, err := jose.JSONWebKey{Key: other.Public()}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing": {" \n", "there is nothing to read"}, "secret": {"tos_NotAtTheRightPlace", "neither PEM nor JSON"}, "DER": {"0\x82\x01\x0a", "neither PEM nor JSON"},
		"long": {strings.Repeat(" ", maxKeyFile) + "{}", "longer than 64 KiB"}, "OpenSSH": {"ssh-ed25519 AAAAC3Nz me", "key of OpenSSH"}, "OpenSSH private": {block("OPENSSH PRIVATE KEY", []byte("x"), nil), "private key of OpenSSH"},
		"encrypted": {block("ENCRYPTED PRIVATE KEY", []byte("x"), nil), "is encrypted"}, "encrypted as before": {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "is encrypted"},
		"no key": {block("X509 CRL", []byte("x"), nil), "no key and no certificate"}, "broken PEM": {"-----BEGIN PUBLIC KEY-----\nAAAA", "no key and no certificate"}, "broken DER": {block("PRIVATE KEY", []byte("NotAtTheRightPlace"), nil), "cannot be read"},
		"broken certificate": {block("CERTIFICATE", []byte("x"), nil), "cannot be read"},
		"two keys":           {pkix(ec) + pkix(other), "there are 2 keys"}, "chain": {certificateOf(ec) + certificateOf(other), "there are 2 keys"}, "many blocks": {strings.Repeat(block("X", nil, nil), maxKeys+1), "more than 100"},
		"weak": {pkix(weak), "2048 to 4096 bits"}, "P-224": {pkix(p224), "keys of this kind"},
		"JSON": {"{", "not a JSON object"}, "member twice": {`{"kty":"EC","kty":"RSA"}`, "not a JSON object"}, "trailing": {member("x5t", "y") + "{}", "not a JSON object"}, "no JWK": {`{"a":1}`, "a public key is required"}, "symmetric": {`{"kty":"oct","k":"NotAtTheRightPlace"}`, "kty: must be EC or RSA"},
		"EdDSA": {`{"kty":"OKP","crv":"Ed25519","x":"GZ9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE"}`, "EdDSA keys cannot be used"}, "encryption": {member("use", "enc"), "use: the key is not meant for signatures"},
		"algorithm": {member("alg", "RS256"), "alg: this algorithm"}, "not on the curve": {member("x", one.JWK["y"]), "not a readable public key"}, "number": {member("x", 7), "not a readable public key"},
		"set of none": {`{"keys":[]}`, "the set has 0 keys"}, "set of many": {`{"keys":[` + strings.Repeat("1,", maxKeys) + `1]}`, "the set has 101 keys"}, "set of two": {`{"keys":[` + member("kid", "a") + "," + string(second) + `]}`, "there are 2 keys"},
		"set without a usable one": {`{"keys":[{"kty":"oct","k":"NotAtTheRightPlace"}]}`, "kty: must be EC or RSA"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readPublicKey(strings.NewReader(c.text))
			if err == nil || got != nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, %v, want %q", got, err, c.want)
			}
			if strings.Contains(err.Error(), "NotAtTheRightPlace") {
				t.Errorf("repeats what was given: %v", err)
			}
		})
	}
	if _, err := readPublicKey(iotest.ErrReader(fs.ErrPermission)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unreadable: %v", err)
	}
}

// A private file is whole and for its user alone, or not there; what is there is
// left alone.
func TestWritePrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := writePrivateFile(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	err := writePrivateFile(path, []byte("second"))
	if err == nil || !strings.Contains(err.Error(), "exists, and is not overwritten") {
		t.Errorf("a second time: %v", err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "first" {
		t.Errorf("holds %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := writePrivateFile(filepath.Join(path, "key.pem"), nil); err == nil || strings.Count(err.Error(), path) != 1 {
		t.Errorf("in a file: %v", err)
	}
	for _, there := range []string{"/dev/full", t.TempDir()} {
		if err := writePrivateFile(there, []byte("x")); err == nil || !strings.Contains(err.Error(), "exists, and is not overwritten") {
			t.Errorf("%s: %v", there, err)
		}
	}
}

// A full disk leaves no half of a private key behind, and no public key without
// one is shown.
func TestPrivateKeyOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	// In a mount namespace of its own, which needs no root. A folder takes a page,
	// and so does the file that fills the rest.
	const script = `mount -t tmpfs -o size=8k tokenos "$0" && cd "$0" && { head -c 8192 /dev/zero >ballast 2>/dev/null; : >room || exit 9; tokenos jwk generate --private-key-out key.pem; echo "exit code $?"; ls; }`
	if out, err := exec.CommandContext(t.Context(), "unshare", "-rm", "sh", "-c", `mount -t tmpfs -o size=8k tokenos "$0"`, dir).CombinedOutput(); err != nil {
		t.Logf("no disk of one's own here: %v %s", err, out)
		return
	}
	out, err := exec.CommandContext(t.Context(), "unshare", "-rm", "sh", "-c", script, dir).CombinedOutput()
	want := "error: the private key: \"key.pem\" cannot be written: no space left on device\nexit code 1\nballast\nroom\n"
	if err != nil || string(out) != want {
		t.Errorf("says %s (%v), want %s", out, err, want)
	}
}

// A public key that cannot be shown is told, and the private one is kept.
func TestPublicKeyNotShown(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Logf("no device that is full: %v", err)
		return
	}
	defer full.Close() //nolint:errcheck // nothing was written
	path, said := filepath.Join(t.TempDir(), "key.pem"), &bytes.Buffer{}
	p := program{stdout: full, stderr: said}
	if code := p.run(t.Context(), []string{"jwk", "generate", "--private-key-out", path}); code != exitFailed || !strings.Contains(said.String(), "hint: the private key is written") {
		t.Errorf("exit code %d, says %s", code, said)
	}
	if _, err := tokensource.ParsePEM(must(os.ReadFile(path))); err != nil {
		t.Error(err)
	}
}

// Arguments that look like credentials are told from names of files.
func TestLooksSecret(t *testing.T) {
	long := strings.Repeat("aA1_-", 5)
	for _, s := range []string{"eyJhbGciOiJFUzI1NiJ9.e30.AA", " Bearer x", "ory_at_abc.def", "ory_ac_x", "tos_" + strings.Repeat("aB3", 16), "-----BEGIN PRIVATE KEY-----", `{"kty":"EC"}`, long + "." + long + "." + long, "\n{}"} {
		if !looksSecret(s) {
			t.Errorf("%q passes for the name of a file", s)
		}
	}
	for _, s := range []string{"key.pem", "-", "/run/secrets/tokenos-assertion.jwt", "./eyJ.jwt", "key_live_01k9x2mc4q8r7s5t3v1w0y9z8a.pem", "a.b.c", "orders.prod.2026-11-26.jwt"} {
		if looksSecret(s) {
			t.Errorf("%q passes for a credential", s)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Whatever is read, only public members come out, as the API takes them again.
func FuzzReadPublicKey(f *testing.F) {
	pair := must(generatePair("ES256"))
	for _, text := range [][]byte{must(pair.pem()), must(pair.jwk()), []byte(`{"keys":[{"kty":"RSA"}]}`), []byte("ssh-rsa AAAA"), []byte(certificateOf(pair.private))} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := readPublicKey(bytes.NewReader(text))
		if err != nil {
			if key != nil {
				t.Fatalf("both %v and %v", key, err)
			}
			return
		}
		again, fault := apikey.ParsePublicKey(key, "")
		if fault != nil || !cmp.Equal(key, again.JWK) {
			t.Fatalf("%v becomes %v, %v", key, again.JWK, fault)
		}
		for name := range key {
			if !slices.Contains([]string{"kty", "kid", "use", "alg", "crv", "x", "y", "n", "e"}, name) {
				t.Fatalf("has the member %s", name)
			}
		}
	})
}
