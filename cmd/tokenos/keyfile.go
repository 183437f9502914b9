package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/tokenos/tokenos/apikey"
)

const (
	maxKeyFile = 64 << 10 // bytes of a PEM, JWK or JWKS
	maxKeys    = 100      // in one file
)

// registered is a public key as the API takes and registers it; with an empty alg
// as RS256, or by its curve.
func registered(public crypto.PublicKey, alg string) (apikey.PublicKey, error) {
	text, err := jose.JSONWebKey{Key: public}.MarshalJSON()
	if err != nil {
		return apikey.PublicKey{}, errors.New("keys of this kind cannot be used: make an EC key on P-256 (ES256)")
	}
	members := apikey.JWK{}
	if err := json.Unmarshal(text, &members); err != nil {
		return apikey.PublicKey{}, err
	}
	if alg != "" {
		members["alg"] = alg
	}
	return register(members)
}

// register checks a JWK as the API does.
func register(members apikey.JWK) (apikey.PublicKey, error) {
	key, fault := apikey.ParsePublicKey(members, "")
	if fault != nil {
		return key, withHint(errors.New(strings.TrimPrefix(strings.TrimPrefix(fault.Pointer, "/")+": "+fault.Detail, ": ")), fault.Fix)
	}
	return key, nil
}

// readPublicKey reads a public or private key, and returns the public JWK that the
// API takes, with kid, use and alg. The text, up to 64 KiB, is PEM with one key or
// certificate, a JWK, or a JWKS in which one key can be used. Nothing private is
// kept, and the errors hold nothing of the text.
func readPublicKey(r io.Reader) (apikey.JWK, error) {
	text, err := readLimited(r, maxKeyFile)
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))) // a byte order mark, as Windows writes it
	switch {
	case bytes.HasPrefix(text, []byte("{")):
		return publicOfJSON(text)
	case bytes.Contains(text, []byte("-----BEGIN ")):
		return publicOfPEM(text)
	case len(text) == 0:
		return nil, errors.New("there is nothing to read")
	case bytes.HasPrefix(text, []byte("ssh-")), bytes.HasPrefix(text, []byte("ecdsa-sha2-")):
		return nil, withHint(errors.New("this is a key of OpenSSH"), "ssh-keygen -e -m PKCS8 -f FILE writes it as PEM")
	}
	return nil, withHint(errors.New("this is neither PEM nor JSON"), "openssl pkey -inform DER -pubout makes PEM of DER")
}

// readLimited reads all of a short text.
func readLimited(r io.Reader, limit int) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", cause(err))
	}
	if len(text) > limit {
		return nil, fmt.Errorf("it is longer than %d KiB", limit>>10)
	}
	return text, nil
}

// cause is a failure at a file without the path, which the caller says, if at all.
func cause(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// publicOfJSON reads a JWK, or a JWKS (RFC 7517 section 5): keys in it that cannot
// be used, such as those for encryption, are passed over.
func publicOfJSON(text []byte) (apikey.JWK, error) {
	members := apikey.JWK{}
	if json.Unmarshal(text, &members) != nil {
		return nil, errors.New("this is not a JSON object")
	}
	list, isSet := members["keys"].([]any)
	if !isSet {
		key, err := register(publicMembers(members))
		return key.JWK, err
	}
	if len(list) == 0 || len(list) > maxKeys {
		return nil, fmt.Errorf("the set has %d keys, not from 1 to %d", len(list), maxKeys)
	}
	var found keysFound
	for _, item := range list {
		one, _ := item.(map[string]any)
		found.add(register(publicMembers(one)))
	}
	return found.only()
}

// publicMembers leaves of a JWK what makes up its public half and says what it is
// for, so that private members, certificates and names of others stay behind.
func publicMembers(in apikey.JWK) apikey.JWK {
	out := apikey.JWK{}
	for _, m := range []string{"kty", "crv", "x", "y", "n", "e", "use", "alg"} {
		if v, found := in[m]; found {
			out[m] = v
		}
	}
	return out
}

// keysFound are the different keys in one file.
type keysFound struct {
	keys   map[string]apikey.JWK // by kid
	refuse error                 // why the last one that cannot be used cannot
}

func (f *keysFound) add(key apikey.PublicKey, err error) {
	if err != nil {
		f.refuse = err
		return
	}
	if f.keys == nil {
		f.keys = map[string]apikey.JWK{}
	}
	f.keys[key.KID] = key.JWK
}

func (f *keysFound) only() (apikey.JWK, error) {
	if len(f.keys) > 1 {
		return nil, withHint(fmt.Errorf("there are %d keys, and which is meant is not clear", len(f.keys)), "give a file with one key")
	}
	for _, key := range f.keys {
		return key, nil
	}
	return nil, f.refuse
}

// The labels of PEM (RFC 7468, and those of openssl before it).
const (
	pemPrivate = "PRIVATE KEY"
	pemPublic  = "PUBLIC KEY"
)

// publicOfPEM reads the one key in a PEM. A private key may stand beside its own
// certificate, but a chain of certificates is refused, because only its first is
// meant.
func publicOfPEM(text []byte) (apikey.JWK, error) {
	var found keysFound
	for n := 0; ; {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		public, err := publicOfBlock(block)
		switch n++; {
		case err != nil:
			return nil, err
		case n > maxKeys:
			return nil, fmt.Errorf("there are more than %d blocks in this PEM", maxKeys)
		case public == nil:
			continue
		}
		key, err := registered(public, "")
		if err != nil {
			return nil, err
		}
		found.add(key, nil)
	}
	if len(found.keys) == 0 {
		return nil, errors.New("there is no key and no certificate in this PEM that can be read")
	}
	return found.only()
}

// publicOfBlock is the public key in a block, nil for what holds none, such as the
// parameters that openssl ecparam writes first.
func publicOfBlock(block *pem.Block) (crypto.PublicKey, error) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, withHint(errors.New("the private key is encrypted"), "openssl pkey -in FILE -pubout writes its public half")
	}
	var key any
	var err error
	switch block.Type {
	case pemPublic:
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case pemPrivate:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = c.PublicKey
		}
	case "OPENSSH PRIVATE KEY":
		return nil, withHint(errors.New("this is a private key of OpenSSH"), "ssh-keygen -p -m PKCS8 -f FILE writes it as PEM of PKCS #8")
	default:
		return nil, nil
	}
	if err != nil { // whose words may tell of the key
		return nil, errors.New("what this PEM holds cannot be read")
	}
	if private, ok := key.(interface{ Public() crypto.PublicKey }); ok {
		return private.Public(), nil
	}
	return key, nil
}

// writePrivateFile makes a file that only this user can read, whatever the umask
// is, and brings it to the disk. It never touches one that is there, and leaves
// none behind that is not whole.
func writePrivateFile(path string, content []byte) error {
	f, err := newPrivateFile(path)
	if err != nil {
		return err
	}
	if err := fill(f, content); err != nil {
		os.Remove(path)
		return fmt.Errorf("%q cannot be written: %w", path, cause(err))
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil { // some file systems cannot, and none must
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// fill writes a file and closes it in any case.
func fill(f *os.File, content []byte) error {
	err := f.Chmod(0o600) // a umask may have taken even the owner's rights
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
