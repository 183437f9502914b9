package apikey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// statusEpoch is how long a key signs status lists.
	statusEpoch = 30 * 24 * time.Hour
	// statusSlot is how long a list that says the same is not signed anew, and
	// statusSlack how much longer it is good than a verifier needs.
	statusSlot  = time.Minute
	statusSlack = 2 * time.Minute
)

// StatusListKeys are public keys as a JSON Web Key Set (RFC 7517 section 5).
type StatusListKeys struct {
	JWKS []byte
	ETag string // a strong one, with its quotes
}

// statusEpochAt counts epochs since 1970.
func statusEpochAt(now time.Time) int64 { return now.Unix() / int64(statusEpoch/time.Second) }

// statusKey is the key of an epoch under a server secret, the same in every
// process: the first 32 bytes of HKDF-SHA-256(server secret, epoch, attempt)
// that are a private key of P-256, which all but one in 2^32 are. Version 1.
func (d deriver) statusKey(secret string, epoch int64) (jose.JSONWebKey, error) {
	for attempt := 0; ; attempt++ {
		raw, err := hkdf.Key(sha256.New, d.secrets[secret], nil, fmt.Sprintf("tokenos status list key v1\x00%d\x00%d", epoch, attempt), 32)
		if err != nil {
			return jose.JSONWebKey{}, err
		}
		private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
		if err != nil {
			continue
		}
		key := jose.JSONWebKey{Key: private, Algorithm: string(jose.ES256), Use: "sig"}
		public := key.Public()
		thumbprint, err := public.Thumbprint(crypto.SHA256)
		key.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
		return key, err
	}
}

// statusKeysAt are the public keys of the epoch at now, of the one before, whose
// lists may still be about, and of the next, so that nobody comes upon a key it
// has not seen; under every server secret, because processes take over a new
// one one after the other.
func (d deriver) statusKeysAt(epoch int64) (StatusListKeys, error) {
	var set jose.JSONWebKeySet
	for _, secret := range d.order {
		for e := epoch - 1; e <= epoch+1; e++ {
			key, err := d.statusKey(secret, e)
			if err != nil {
				return StatusListKeys{}, err
			}
			set.Keys = append(set.Keys, key.Public())
		}
	}
	out, err := json.Marshal(set)
	sum := sha256.Sum256(out)
	return StatusListKeys{JWKS: out, ETag: fmt.Sprintf(`"%x"`, sum[:16])}, err
}

// statusClaims are those of draft-ietf-oauth-status-list section 5.1.
type statusClaims struct {
	Subject   string `json:"sub"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
	TTL       int64  `json:"ttl"`
	List      struct {
		Bits int    `json:"bits"`
		List string `json:"lst"`
	} `json:"status_list"`
}

// statusJWT signs a list. Those that say the same in the same slot differ in
// their signature and the second they were made in, and have one ETag.
func (d deriver) statusJWT(uri string, lst []byte, ttl time.Duration, now time.Time) (StatusList, error) {
	key, err := d.statusKey(d.current, statusEpochAt(now))
	if err != nil {
		return StatusList{}, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("statuslist+jwt"))
	if err != nil {
		return StatusList{}, err
	}
	claims := statusClaims{Subject: uri, IssuedAt: now.Unix(), ExpiresAt: now.Add(ttl + statusSlack).Unix(), TTL: int64(ttl / time.Second)}
	claims.List.Bits, claims.List.List = statusBits, base64.RawURLEncoding.EncodeToString(lst)
	signed, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return StatusList{}, err
	}
	tag := mac([]byte(key.KeyID), uri, claims.List.List, itoa(int(ttl/time.Second)), itoa(int(now.Unix()/int64(statusSlot/time.Second))))
	return StatusList{JWT: signed, ETag: fmt.Sprintf(`W/"%x"`, tag[:16]), TTL: ttl}, nil
}
