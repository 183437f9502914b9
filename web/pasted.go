package web

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/apikey"
)

// maxPasted bounds the public keys in one form; the API takes no more.
const maxPasted = 10

var (
	errPrivatePasted = errors.New("this is a private key: it has now been sent to a server and must be treated as burnt; make a new key pair and paste its public half")
	errNotPasted     = errors.New("this is neither a JWK, nor a JWKS, nor a public key in PEM form")
	errManyPasted    = errors.New("there are more than 10 public keys in it")
)

// pasted reads public keys as people have them: a JWK or JWKS (RFC 7517), or PEM
// blocks with a SubjectPublicKeyInfo (RFC 7468 section 13). Its errors repeat
// nothing of the text; what is wrong with a key itself, the API says.
func pasted(text string) ([]apikey.PublicKeyInput, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return nil, nil
	case strings.Contains(text, "PRIVATE KEY"):
		return nil, errPrivatePasted
	case strings.HasPrefix(text, "-----BEGIN"):
		return pastedPEM([]byte(text))
	}
	var all struct {
		Keys []apikey.JWK `json:"keys"`
	}
	if json.Unmarshal([]byte(text), &all) != nil {
		return nil, errNotPasted
	}
	if all.Keys == nil {
		var one apikey.JWK
		if json.Unmarshal([]byte(text), &one) != nil || one == nil {
			return nil, errNotPasted
		}
		all.Keys = []apikey.JWK{one}
	}
	return inputs(all.Keys)
}

func pastedPEM(text []byte) ([]apikey.PublicKeyInput, error) {
	var keys []apikey.JWK
	for len(keys) <= maxPasted {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		public, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errNotPasted
		}
		raw, err := jose.JSONWebKey{Key: public}.MarshalJSON()
		if err != nil {
			return nil, errNotPasted
		}
		var k apikey.JWK
		if err := json.Unmarshal(raw, &k); err != nil {
			return nil, errNotPasted
		}
		keys = append(keys, k)
	}
	return inputs(keys)
}

func inputs(keys []apikey.JWK) (out []apikey.PublicKeyInput, err error) {
	if len(keys) == 0 {
		return nil, errNotPasted
	}
	if len(keys) > maxPasted {
		return nil, errManyPasted
	}
	for _, k := range keys {
		if k["d"] != nil || k["k"] != nil {
			return nil, errPrivatePasted
		}
		out = append(out, apikey.PublicKeyInput{JWK: k})
	}
	return out, nil
}

// takePublicKeys reads the field of pasted keys. What holds a private key is not
// shown again.
func (f *form) takePublicKeys() []apikey.PublicKeyInput {
	keys, err := pasted(f.Get(publicKeyField))
	if err != nil {
		f.wrong = append(f.wrong, wrongField{publicKeyField, sentence(err.Error())})
	}
	if errors.Is(err, errPrivatePasted) {
		f.Del(publicKeyField)
	}
	return keys
}

const publicKeyField = "public_key"
