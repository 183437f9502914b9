package apikey

import "time"

// RotationMode is how a rotation changes the credential.
type RotationMode string

const (
	// RotationInPlace gives the same key another credential; the one before it
	// ends at once, and so do its tokens.
	RotationInPlace RotationMode = "in_place"
	// RotationOverlap gives the same key more public keys; those before them end
	// at the deadline. Only from private_key_jwt to itself, in one algorithm.
	RotationOverlap RotationMode = "overlap"
	// RotationSuccessor makes another key with the new credential; the one before
	// it ends at the deadline, and its tokens with it.
	RotationSuccessor RotationMode = "successor"
)

const defaultGracePeriod = Duration(24 * time.Hour)

// RotateParams ask for a rotation. Zero members take their defaults.
type RotateParams struct {
	GracePeriod *Duration        `json:"grace_period,omitempty" doc:"how long the credential before it works on: 0s to 30d, default 24h; 0s ends it at once and keeps the id" example:"24h"`
	Force       bool             `json:"force,omitempty" doc:"end an older rotation's credential first, instead of 409 rotation_pending"`
	AuthMethod  AuthMethod       `json:"auth_method,omitempty" enum:"client_secret_basic,client_secret_post,private_key_jwt" doc:"of the new credential; default: as it is"`
	PublicKeys  []PublicKeyInput `json:"public_keys,omitempty" maxItems:"10" doc:"the new credential of private_key_jwt: 1 to 10, one algorithm"`
	DryRun      bool             `json:"dry_run,omitempty" doc:"answer what it would do and change nothing"`

	IdempotencyKey string `json:"-"`
}

// Rotation is what a rotation did. The secret is zero for private_key_jwt.
type Rotation struct {
	Key            Key          `json:"key" doc:"the key to use from now on: the same, or its successor"`
	Mode           RotationMode `json:"mode" enum:"in_place,overlap,successor"`
	PreviousEndsAt *time.Time   `json:"previous_ends_at" doc:"when the credential before it stops working; null: there was none"`
	Proof
	Impact
	Secret Secret `json:"-"`
}

// Proof says whether Hydra was seen to take the new credential.
type Proof struct {
	VerifiedAt *time.Time `json:"verified_at" doc:"when Hydra was seen to take the new credential; null: it was not"`
	Unverified string     `json:"unverified,omitempty" doc:"why verified_at is null"`
}

const (
	onlyTheHolder = "only the holder of the private key can prove it"
	noAnswer      = "Hydra's public API did not answer"
	secretRefused = "Hydra refuses the new secret: rotate again"
	answerLost    = "the answer to the first request was lost"
)

// clientID is the client that the change writes at Hydra.
func (c Change) clientID() string {
	if c.Successor != nil {
		return c.Successor.ID
	}
	return c.KeyID
}

// makesClient reports whether the client comes to be with the change.
func (c Change) makesClient() bool { return c.Action == ActionCreate || c.Successor != nil }

// rotationMode reads from a rotation how it was done.
func rotationMode(before Record, c Change) RotationMode {
	switch {
	case c.Successor != nil:
		return RotationSuccessor
	case c.Target.AuthMethod == PrivateKeyJWT && before.AuthMethod == PrivateKeyJWT && keepsPublicKey(before.Definition, c.Target):
		return RotationOverlap
	}
	return RotationInPlace
}

// keepsPublicKey reports whether a public key of before is still in after.
func keepsPublicKey(before, after Definition) bool {
	for _, p := range after.PublicKeys {
		if hasPublicKey(before, p.KID) {
			return true
		}
	}
	return false
}

func hasPublicKey(d Definition, kid string) bool {
	for _, p := range d.PublicKeys {
		if p.KID == kid {
			return true
		}
	}
	return false
}

// rotatesAtOnce reports whether the change ends a credential of a client that
// lives on, so that its tokens must be ended as well.
func rotatesAtOnce(before Record, c Change) bool {
	return c.Action == ActionLoseCredential || c.Action == ActionRotate && rotationMode(before, c) == RotationInPlace
}

// rotated shows a rotation: r is the key to use from now on.
func (s *Service) rotated(c carriage, r Record, others []Other) Rotation {
	now := s.now()
	out := Rotation{Key: r.Key(now), Mode: rotationMode(c.before, c.change), Proof: Proof{Unverified: answerLost}, Impact: Impact{Others: others}}
	if c.proof != nil {
		out.Proof = *c.proof
	}
	lifetime := time.Duration(c.before.Token.Lifetime)
	var introspected, offline time.Time
	switch out.Mode {
	case RotationInPlace:
		out.PreviousEndsAt = &c.change.At
		introspected = now.Add(sweepAfter)
		offline = introspected
		if c.before.Token.Format == JWT {
			offline = later(offline, now.Add(lifetime))
		}
	case RotationSuccessor:
		out.PreviousEndsAt = c.change.Target.end()
		introspected = out.PreviousEndsAt.Add(sweepAfter)
		offline = introspected
		if c.before.Token.Format == JWT {
			offline = later(offline, out.PreviousEndsAt.Add(lifetime))
		}
	case RotationOverlap:
		if out.PreviousEndsAt = r.previousEndsAt(now); out.PreviousEndsAt == nil {
			return out // every public key before it had ended
		}
		introspected = later(out.PreviousEndsAt.Add(lifetime), c.before.TokensEndBy) // Hydra does not tell tokens of one client apart
		offline = introspected
	}
	offline = later(offline, c.before.TokensEndBy)
	out.AccessEndsAt = &AccessEnds{Introspected: &introspected, Offline: &offline}
	return out
}
