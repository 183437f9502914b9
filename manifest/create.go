package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"path/filepath"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// params ask for the key of a document. The Idempotency-Key tells of the file's
// name, of what is asked for, and of the keys that had the same name before: the
// same document makes another key once the one before it was revoked. Without
// those, the answer of that time would be repeated, with a key that has ended.
func (p *planner) params(d *Document, made *apikey.Key) *apikey.CreateParams {
	out := d.creation(p.now)
	before := []string{}
	for _, k := range p.byName[nameOf(*d)] {
		if made == nil || k.RootID != made.RootID {
			before = append(before, k.ID)
		}
	}
	raw, err := json.Marshal([]any{path.Base(filepath.ToSlash(d.File)), out, before})
	if err != nil { // a JWK was read from text, so it can be written
		return &out
	}
	sum := sha256.Sum256(raw)
	out.IdempotencyKey = "apply-" + hex.EncodeToString(sum[:])
	return &out
}

// creation plans a key that there is not yet.
func (c Change) creation(now time.Time) Change {
	d := c.Document
	limits := apikey.DefaultLimits()
	switch {
	case d.ExpiresAt.Value != nil && !d.ExpiresAt.Value.After(now):
		return c.refuse("expires_at is over, and there is no such key yet", "write a later moment, or never")
	case d.AuthMethod == apikey.PrivateKeyJWT && len(c.Params.PublicKeys) == 0:
		return c.refuse("private_key_jwt needs a public key that has not ended, and there is no such key yet", "write one in public_keys")
	case len(c.Params.Labels) > limits.Labels:
		return c.refuse("has as many labels as there may be, and apply adds one to the keys that it makes", "remove one, or write managed-by yourself")
	}
	c.Action = Create
	c.Members = given(*d, c.Params.Labels, now)
	if d.Status == apikey.StatusDisabled {
		c.Status = apikey.StatusDisabled
	}
	return c
}
