package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenos/tokenos/apikey"
)

// rsaBits is the size of new RSA keys: 128 bits of strength (NIST SP 800-57 part 1,
// table 2).
const rsaBits = 3072

// keyPair is a new key pair. The private half leaves only by pem and jwk.
type keyPair struct {
	private crypto.Signer
	public  apikey.PublicKey // as it is registered
}

// generatePair makes a key pair for one of [apikey.Algorithms]; another is a
// usageError.
func generatePair(alg string) (*keyPair, error) {
	if !slices.Contains(apikey.Algorithms, alg) {
		err := errors.New("key pairs are made for " + strings.Join(apikey.Algorithms, ", "))
		if strings.HasPrefix(alg, "Ed") {
			err = withHint(err, "Hydra does not verify EdDSA; ES256 keys are as short")
		}
		return nil, usageError{err}
	}
	var private crypto.Signer
	var err error
	switch alg {
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	}
	if err != nil {
		return nil, fmt.Errorf("make a key pair: %w", err)
	}
	public, err := registered(private.Public(), alg)
	if err != nil {
		return nil, fmt.Errorf("make a key pair: %w", err)
	}
	return &keyPair{private, public}, nil
}

// pem is the private key as PEM of PKCS #8 (RFC 5958), which does not tell RS256
// from PS256.
func (k *keyPair) pem() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, errors.New("the private key cannot be written as PKCS #8")
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// jwk is the private key as a JWK (RFC 7517) with its kid and alg.
func (k *keyPair) jwk() ([]byte, error) {
	text, err := jose.JSONWebKey{Key: k.private, KeyID: k.public.KID, Algorithm: k.public.Alg, Use: "sig"}.MarshalJSON()
	if err != nil {
		return nil, errors.New("the private key cannot be written as a JWK")
	}
	return append(text, '\n'), nil
}
