package hydra

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// signingKeys is Hydra's set of keys for JWT access tokens. The newest signs from
// its first moment on, and all are in the public JWKS.
const signingKeys = "/admin/keys/hydra.jwt.access-token"

const maxSigningKeys = 100

// SigningKeys implements [apikey.Clients]. Hydra makes a key by itself when it
// needs one; to list them makes none. Its admin API shows the private halves to
// everybody who reaches it: nothing here reads them.
func (h *Hydra) SigningKeys(ctx context.Context) ([]apikey.SigningKey, error) {
	var out []apikey.SigningKey
	err := h.exchange(ctx, &call{operation: "list signing keys", manner: repeatable}, func(ctx context.Context) (*http.Response, error) {
		resp, err := h.raw(ctx, http.MethodGet, signingKeys, nil)
		if resp != nil && resp.StatusCode == http.StatusNotFound {
			if said := answerOf(resp).Error; said == saysNoSet || said == saysUnknown {
				return resp, nil
			}
		}
		if err == nil {
			out, err = publicHalves(resp)
		}
		return resp, err
	})
	return out, err
}

// saysNoSet is what v2.3.0 says of a set of keys that does not exist, in other
// words than of a client.
const saysNoSet = "Not Found"

// publicHalves reads what is public of the keys and forgets the answer.
func publicHalves(resp *http.Response) ([]apikey.SigningKey, error) {
	body, err := bodyOf(resp)
	forget(resp)
	defer clear(body)
	var set struct {
		Keys []struct {
			KID string `json:"kid"`
			Alg string `json:"alg"`
			Crv string `json:"crv"`
			N   string `json:"n"`
		} `json:"keys"`
	}
	if err != nil || json.Unmarshal(body, &set) != nil || len(set.Keys) > maxSigningKeys {
		return nil, &strange{"it is no set of keys"}
	}
	var out []apikey.SigningKey
	for i, k := range set.Keys {
		key := apikey.SigningKey{KID: plain(k.KID), Alg: plain(k.Alg), Bits: curveBits[k.Crv], CreatedAt: madeAt(k.KID), Signs: i == 0}
		if n, err := base64.RawURLEncoding.DecodeString(k.N); err == nil && len(n) > 0 {
			key.Bits = new(big.Int).SetBytes(n).BitLen()
		}
		if i > 0 {
			key.ReplacedAt = out[i-1].CreatedAt
		}
		out = append(out, key)
	}
	return out, nil
}

var curveBits = map[string]int{"P-256": 256, "P-384": 384, "P-521": 521, "Ed25519": 256}

// forget leaves nothing of an answer that holds private keys.
func forget(resp *http.Response) {
	if resp != nil {
		resp.Body = io.NopCloser(strings.NewReader(""))
	}
}

// kidTime is the time in a kid of ours.
const kidTime = "20060102T150405Z"

var (
	ourKID  = regexp.MustCompile(`^tokenos-([0-9]{8}T[0-9]{6}Z)-[a-z0-9]{1,32}$`)
	safeKID = regexp.MustCompile(`^[A-Za-z0-9_.~:-]{1,128}$`)
)

// NewSigningKeyID is a kid that tells when its key was made, in whole seconds.
// random keeps two of one second apart: 1 to 32 of a-z and 0-9.
func NewSigningKeyID(at time.Time, random string) string {
	return "tokenos-" + at.UTC().Format(kidTime) + "-" + random
}

// madeAt is when a key was made, by its kid; nil: it does not tell.
func madeAt(kid string) *time.Time {
	found := ourKID.FindStringSubmatch(kid)
	if found == nil {
		return nil
	}
	at, err := time.Parse(kidTime, found[1])
	if err != nil {
		return nil
	}
	return &at
}

// CreateSigningKey has Hydra make a key, which signs every JWT from then on.
// Hydra has ES256, ES384, ES512, RS256 (4096 bits) and others. The answer holds
// the private key and is not read. It is not repeated: [apikey.ErrOutcomeUnknown]
// if the key may be there. [apikey.ErrClientExists]: the kid is taken.
func (h *Hydra) CreateSigningKey(ctx context.Context, kid, alg string) error {
	k := &call{operation: "make a signing key", manner: once}
	if !safeKID.MatchString(kid) {
		return failure(k, apikey.ErrInternal, errors.New("the kid cannot be addressed"))
	}
	body, err := json.Marshal(map[string]string{"kid": kid, "alg": alg, "use": "sig"})
	if err != nil {
		return failure(k, apikey.ErrInternal, err)
	}
	return h.exchange(ctx, k, func(ctx context.Context) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.admin+signingKeys, strings.NewReader(string(body)))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json")
		req.Header.Set("User-Agent", userAgent)
		resp, err := h.http.Do(req)
		if err != nil {
			return resp, err
		}
		if resp.StatusCode < 300 {
			forget(resp)
		}
		if resp.StatusCode != http.StatusCreated {
			return resp, errors.New(resp.Status)
		}
		return resp, nil
	})
}

// DeleteSigningKey takes a key out of Hydra and its JWKS at once: tokens that it
// signed no longer verify. Hydra answers the same for one that it does not have.
func (h *Hydra) DeleteSigningKey(ctx context.Context, kid string) error {
	k := &call{operation: "delete a signing key", manner: repeatable}
	if !safeKID.MatchString(kid) || kid == "." || kid == ".." {
		return failure(k, apikey.ErrInternal, errors.New("the kid cannot be addressed"))
	}
	return h.exchange(ctx, k, func(ctx context.Context) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodDelete, h.admin+signingKeys+"/"+url.PathEscape(kid), nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("User-Agent", userAgent)
		resp, err := h.http.Do(req)
		if err == nil && resp.StatusCode >= 300 {
			err = fmt.Errorf("answer %d", resp.StatusCode)
		}
		return resp, noContent(resp, err)
	})
}
