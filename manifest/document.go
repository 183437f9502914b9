package manifest

import (
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// Bounds of what is read.
const (
	MaxBytes     = 16 << 20 // of all texts together
	MaxDocuments = 10_000
	maxDocument  = 128 << 10 // bytes of one; the largest key there can be has about half
	maxProblems  = 100
	maxKeyFile   = 64 << 10 // of a file with a public key
)

// Document says how one key should be. A member that is absent is not looked
// after: it is as the server makes it, and later stays as it is.
type Document struct {
	File string // where it stands, for messages
	Line int

	ID          string // "": the key is found by owner, environment and name
	Name        string
	Owner       string
	Environment apikey.Environment
	Description *string           // nil: absent
	Labels      map[string]string // nil: absent
	AuthMethod  apikey.AuthMethod // "": absent
	Scopes      []string          // never empty
	Audiences   []string          // nil: absent
	Token       apikey.TokenParams
	ExpiresAt   apikey.Nullable[time.Time]
	Status      apikey.Status      // "": absent; active or disabled
	PublicKeys  []apikey.PublicKey // nil: absent; those that have ended by now too
}

// The label of keys that apply made. Only those are pruned.
const (
	ManagedBy  = "managed-by"
	ManagedTag = "tokenos-apply"
)

// creation asks for the key of the document.
func (d Document) creation(now time.Time) apikey.CreateParams {
	p := d.params()
	p.ExpiresAt = d.ExpiresAt
	for _, k := range d.PublicKeys {
		if live(k, now) {
			p.PublicKeys = append(p.PublicKeys, apikey.PublicKeyInput{JWK: k.JWK, ExpiresAt: k.ExpiresAt})
		}
	}
	p.Labels = map[string]string{ManagedBy: ManagedTag}
	for name, value := range d.Labels {
		p.Labels[name] = value
	}
	return p
}

// params are the members of a creation that do not depend on the time.
func (d Document) params() apikey.CreateParams {
	p := apikey.CreateParams{Name: d.Name, Owner: d.Owner, Environment: d.Environment, Labels: d.Labels,
		AuthMethod: d.AuthMethod, Scopes: d.Scopes, Audiences: d.Audiences}
	if d.Description != nil {
		p.Description = *d.Description
	}
	if d.Token != (apikey.TokenParams{}) {
		p.Token = &d.Token
	}
	return p
}

// live reports whether a public key may still authenticate.
func live(k apikey.PublicKey, now time.Time) bool {
	return k.ExpiresAt == nil || now.Before(*k.ExpiresAt)
}
