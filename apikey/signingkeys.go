package apikey

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// SigningKey is a key with which Hydra signs JWT access tokens, or did. Its private
// half stays in Hydra.
type SigningKey struct {
	KID   string `json:"kid" example:"tokenos-20261126T090000Z-k3vq7f2m"`
	Alg   string `json:"alg" example:"ES256"`
	Bits  int    `json:"bits" doc:"of the modulus or the curve; 0: of neither" example:"256"`
	Signs bool   `json:"signs" doc:"it signs new tokens; the others are published until they are retired"`
	// CreatedAt is told by the kids that `tokenos signing-keys rotate` makes, because
	// Hydra does not tell it. ReplacedAt is when the next newer key was made, and began
	// to sign.
	CreatedAt   *time.Time `json:"created_at" doc:"null: not known"`
	ReplacedAt  *time.Time `json:"replaced_at" doc:"null: not known, or it signs"`
	RetirableAt *time.Time `json:"retirable_at" doc:"when the last token of a key that it signed has ended; null: not known, or it signs"`
}

// signingMargin is for the time between making a kid and the key's first
// signature, and for clocks that differ.
const signingMargin = 5 * time.Minute

// Retirable is when the last token that the key signed has ended, if tokens live no
// longer than life. Nil: it still signs, or it is not known when it was replaced.
func (k SigningKey) Retirable(life time.Duration) *time.Time {
	if k.Signs || k.ReplacedAt == nil {
		return nil
	}
	at := k.ReplacedAt.Add(life + signingMargin)
	return &at
}

const (
	// signingTime bounds one question to Hydra, which is asked again if need be.
	signingTime = 15 * time.Second
	// signingFor is how long an answer serves: Hydra's holds every private key, so it
	// is not asked for more often than people need it.
	signingFor = 10 * time.Second
)

// SigningKeys implements [API].
func (s *Service) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	if err := s.allowUnbound(ctx, "the keys that sign for every owner"); err != nil {
		return nil, err
	}
	keys, err := s.signing.ask(ctx, s.cfg.Now(), s.clients.SigningKeys)
	if err != nil {
		return nil, unavailable("Hydra does not tell its signing keys now", err)
	}
	keys = slices.Clone(keys)
	for i := range keys {
		keys[i].RetirableAt = keys[i].Retirable(time.Duration(limits.TokenLifetimeMax))
	}
	return keys, nil
}

// signingYear is how long one key should sign at most: the shortest that NIST SP
// 800-57 part 1 rev. 5 section 5.3.6 names for a private signature key.
const signingYear = 365 * 24 * time.Hour

// ExamineSigningKeys is what doctor's check signing_keys says of the keys, newest
// first, without its name and why.
func ExamineSigningKeys(keys []SigningKey, now time.Time) Check {
	const rotate = "`tokenos signing-keys rotate`"
	if len(keys) == 0 {
		return Check{Result: CheckWarned, Seen: "there is none yet; Hydra would make an RSA key of 4096 bits for its first JWT", Fix: "`tokenos doctor --fix` makes an ES256 key"}
	}
	newest := keys[0]
	seen := fmt.Sprintf("%s signs with %d bits; %d published", newest.Alg, newest.Bits, len(keys))
	old := newest.CreatedAt != nil && now.Sub(*newest.CreatedAt) > signingYear
	switch newest.Alg {
	case "ES256", "ES384", "ES512":
		if old {
			return Check{Result: CheckWarned, Seen: seen + "; it has signed for more than a year", Fix: rotate}
		}
		return Check{Result: CheckPassed, Seen: seen}
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		if newest.Bits < 2048 {
			return Check{Result: CheckFailed, Seen: seen, Fix: rotate + ", then retire this one"}
		}
		return Check{Result: CheckWarned, Seen: seen + "; such tokens are three times as long as with ES256, and cost Hydra five times as much", Fix: rotate + ", once every verifier takes ES256"}
	}
	return Check{Result: CheckFailed, Seen: seen + "; verifiers do not take that", Fix: rotate}
}
