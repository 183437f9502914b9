package tokensource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	assertionLife = time.Minute
	minRSABits    = 2048     // what TokenOS registers, RFC 7518 section 3.3
	maxKeyText    = 64 << 10 // bytes of a PEM or JWK
)

// PrivateKey signs the assertions of private_key_jwt. It prints as "[credential]".
type PrivateKey struct {
	// Signer has an ECDSA key on P-256, P-384 or P-521, or an RSA key of 2048 bits
	// or more. It may live in an HSM. [ParsePEM] and [ParseJWK] make one of text.
	Signer crypto.Signer `json:"-"`
	// KID names the public key to Hydra. Empty means its RFC 7638 thumbprint, by
	// which TokenOS registers every public key, whatever kid it came with.
	KID string
	// Algorithm is the alg with which the public key was registered: RS256, RS384,
	// RS512, PS256, PS384 or PS512 for RSA. Empty means RS256, or the only one that
	// goes with an ECDSA key, as in TokenOS.
	Algorithm string
}

// ParsePEM reads a private key from PEM: PKCS #8, or the older forms of openssl
// for EC (RFC 5915) and RSA (PKCS #1). Encrypted keys are not read. The errors
// hold nothing of the text.
func ParsePEM(text []byte) (PrivateKey, error) {
	if len(text) > maxKeyText {
		return PrivateKey{}, fmt.Errorf("tokensource: the PEM is longer than %d bytes", maxKeyText)
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return PrivateKey{}, errors.New("tokensource: there is no private key in PEM")
		}
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return PrivateKey{}, errors.New("tokensource: the private key is encrypted: decrypt it with openssl pkey, or keep it in an HSM")
		default:
			continue // such as the parameters that openssl ecparam writes first
		}
		if err != nil {
			return PrivateKey{}, errors.New("tokensource: the private key in PEM cannot be read")
		}
		return asPrivateKey(key, "")
	}
}

// ParseJWK reads a private key from a JSON Web Key (RFC 7517). Its alg becomes
// Algorithm; its kid is not used, because TokenOS gives public keys its own. The
// errors hold nothing of the text.
func ParseJWK(text []byte) (PrivateKey, error) {
	if len(text) > maxKeyText {
		return PrivateKey{}, fmt.Errorf("tokensource: the JWK is longer than %d bytes", maxKeyText)
	}
	var key jose.JSONWebKey
	if key.UnmarshalJSON(text) != nil || !key.Valid() {
		return PrivateKey{}, errors.New("tokensource: this is not a JSON Web Key of a kind that Hydra takes")
	}
	if key.IsPublic() {
		return PrivateKey{}, errors.New("tokensource: this is a public key; the private one signs")
	}
	return asPrivateKey(key.Key, key.Algorithm)
}

func asPrivateKey(key any, algorithm string) (PrivateKey, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return PrivateKey{}, errors.New("tokensource: this key does not sign")
	}
	out := PrivateKey{Signer: signer, Algorithm: algorithm}
	_, err := out.algorithm()
	if err != nil {
		return PrivateKey{}, err
	}
	return out, nil
}

var rsaAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}

// algorithm is the key's algorithm: as named, else by its kind.
func (k PrivateKey) algorithm() (jose.SignatureAlgorithm, error) {
	var allowed []jose.SignatureAlgorithm
	switch public := k.Signer.Public().(type) {
	case *ecdsa.PublicKey:
		switch public.Curve.Params().BitSize {
		case 256:
			allowed = []jose.SignatureAlgorithm{jose.ES256}
		case 384:
			allowed = []jose.SignatureAlgorithm{jose.ES384}
		case 521:
			allowed = []jose.SignatureAlgorithm{jose.ES512}
		}
	case *rsa.PublicKey:
		if public.N.BitLen() < minRSABits {
			return "", fmt.Errorf("tokensource: the RSA key has fewer than %d bits", minRSABits)
		}
		allowed = rsaAlgorithms
	}
	switch {
	case len(allowed) == 0:
		return "", errors.New("tokensource: the private key must be ECDSA on P-256, P-384 or P-521, or RSA: Hydra verifies no other")
	case k.Algorithm == "":
		return allowed[0], nil
	case !slices.Contains(allowed, jose.SignatureAlgorithm(k.Algorithm)):
		return "", errors.New("tokensource: Algorithm does not go with the private key")
	}
	return jose.SignatureAlgorithm(k.Algorithm), nil
}

// kid is the name of the public key.
func (k PrivateKey) kid() (string, error) {
	if k.KID != "" {
		return k.KID, nil
	}
	sum, err := (&jose.JSONWebKey{Key: k.Signer.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", errors.New("tokensource: the public key has no thumbprint")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// signer makes what signs assertions (RFC 7523 section 3). An assertion says
// neither iat nor nbf: Hydra has no leeway and answers 500 to a clock that is one
// second ahead of its own. Its jti is new each time, because Hydra takes none
// twice.
func (k PrivateKey) signer() (func(id, audience string, now time.Time) (string, error), error) {
	if k.Signer == nil {
		return nil, errors.New("tokensource: PrivateKey.Signer is required")
	}
	algorithm, err := k.algorithm()
	if err != nil {
		return nil, err
	}
	kid, err := k.kid()
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: cryptosigner.Opaque(k.Signer)},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid))
	if err != nil {
		return nil, errors.New("tokensource: the private key cannot sign")
	}
	return func(id, audience string, now time.Time) (string, error) {
		return jwt.Signed(signer).Claims(jwt.Claims{
			Issuer: id, Subject: id, Audience: jwt.Audience{audience},
			ID: rand.Text(), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
		}).Serialize()
	}, nil
}

// Format prints "[credential]" whatever the verb.
func (k PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue shows which key it is and nothing else.
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }
