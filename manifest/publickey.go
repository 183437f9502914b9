package manifest

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.yaml.in/yaml/v3"

	"github.com/tokenos/tokenos/apikey"
)

// publicKeys reads the public keys of a private_key_jwt key: each a JWK, a PEM or
// a file with either. They are checked later, with the document.
func (f *file) publicKeys(at string, n *yaml.Node) []apikey.PublicKey {
	out := []apikey.PublicKey{}
	f.list(at, n, func(at string, n *yaml.Node) { out = append(out, f.publicKey(at, n)) })
	return out
}

func (f *file) publicKey(at string, n *yaml.Node) (out apikey.PublicKey) {
	given, alg := 0, ""
	take := func(read func(string, *yaml.Node) apikey.JWK) reader {
		return func(at string, n *yaml.Node) {
			given++
			out.JWK = read(at, n)
		}
	}
	f.members(at, n, map[string]reader{
		"jwk":        take(f.jwk),
		"pem":        take(func(at string, n *yaml.Node) apikey.JWK { return f.keyText(at, []byte(f.text(at, n))) }),
		"file":       take(f.keyFile),
		"alg":        func(at string, n *yaml.Node) { alg = f.text(at, n) },
		"expires_at": func(at string, n *yaml.Node) { out.ExpiresAt = f.moment(at, n, "") },
	})
	if given != 1 && n.Kind == yaml.MappingNode {
		f.at(at, "must have one of jwk, pem and file", "")
	}
	if alg != "" && out.JWK != nil {
		out.JWK["alg"] = alg
	}
	return out
}

// jwk reads a JWK that is written as YAML, or as JSON text.
func (f *file) jwk(at string, n *yaml.Node) apikey.JWK {
	if n.Kind == yaml.ScalarNode {
		return f.keyText(at, []byte(f.text(at, n)))
	}
	out := apikey.JWK{}
	f.each(at, n, func(_ string, name, value *yaml.Node) {
		if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!str" {
			out[name.Value] = value.Value
			return
		}
		out[name.Value] = nil // apikey says what is wrong with it
	})
	return f.public(at, out)
}

// keyFile reads a file with a public key.
func (f *file) keyFile(at string, n *yaml.Node) apikey.JWK {
	path := f.text(at, n)
	if path == "" {
		return nil
	}
	if f.Open == nil {
		f.at(at, "no file can be named here", "write the public key itself, as pem or jwk")
		return nil
	}
	text, err := f.Open(path)
	switch {
	case err != nil:
		f.at(at, "the file cannot be read: "+err.Error(), "it is looked for beside this one")
		return nil
	case len(text) > maxKeyFile:
		f.at(at, "the file is too long for a public key", "")
		return nil
	}
	return f.keyText(at, text)
}

// keyText reads a public key as PEM or JSON. The words of the libraries are not
// repeated: they may tell of a private key.
func (f *file) keyText(at string, text []byte) apikey.JWK {
	text = bytes.TrimSpace(text)
	if bytes.HasPrefix(text, []byte("{")) {
		var out apikey.JWK
		if json.Unmarshal(text, &out) != nil {
			f.at(at, "is not a JSON Web Key", "")
			return nil
		}
		return f.public(at, out)
	}
	key, err := publicPEM(text)
	if err != nil {
		f.at(at, err.Error(), "openssl pkey -in KEY -pubout writes the public half as PEM")
		return nil
	}
	return key
}

// public keeps a private key out of what is sent. Its file may be read by others,
// and holds it for ever if it is under version control.
func (f *file) public(at string, key apikey.JWK) apikey.JWK {
	for _, member := range []string{"d", "k"} {
		if _, private := key[member]; private {
			f.at(at, "is a private key, which belongs in no document", "make a new key pair, because this one may be known, and write its public half")
			return nil
		}
	}
	return key
}

func publicPEM(text []byte) (apikey.JWK, error) {
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		return nil, errors.New("is a private key: only its public half is registered")
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, errors.New("is neither PEM nor a JSON Web Key")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, errors.New("has more than one key")
	}
	var key any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return nil, errors.New("is PEM, but not of a public key")
	}
	if err != nil {
		return nil, errors.New("is not a readable public key")
	}
	raw, err := jose.JSONWebKey{Key: key}.MarshalJSON()
	if err != nil {
		return nil, errors.New("is a public key of a kind that is not used")
	}
	var out apikey.JWK
	return out, json.Unmarshal(raw, &out)
}

// until is a moment of a public key, for people.
func until(t *time.Time) string {
	if t == nil {
		return "until the key ends"
	}
	return "until " + t.UTC().Format(time.RFC3339)
}
