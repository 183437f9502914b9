package web

import (
	"cmp"
	"time"

	"github.com/tokenos/tokenos/apikey"
)

// Role is what a person may do.
type Role string

// The roles, the strongest first.
const (
	RoleAdmin  Role = "admin"
	RoleEditor Role = "editor"
	RoleViewer Role = "viewer"
)

// Rights are what the role comes to; none for a role that there is not.
func (r Role) Rights() []apikey.Right {
	switch r {
	case RoleAdmin:
		return []apikey.Right{apikey.Admin}
	case RoleEditor:
		return []apikey.Right{apikey.KeysRead, apikey.KeysWrite, apikey.AuditRead}
	case RoleViewer:
		return []apikey.Right{apikey.KeysRead, apikey.AuditRead}
	}
	return nil
}

// Person is who is signed in. It is kept in the session and holds no secret.
type Person struct {
	Subject    string    `json:"sub"`
	Name       string    `json:"name,omitempty"`
	Role       Role      `json:"role"`
	Owners     []string  `json:"owners,omitempty"` // empty: all
	SignedInAt time.Time `json:"at"`
}

// Principal is the person as events name it.
func (p *Person) Principal() string { return "user:" + p.Subject }

// Shown is the person's name for people.
func (p *Person) Shown() string { return cmp.Or(p.Name, p.Subject) }

// May reports whether the person has the right.
func (p *Person) May(right apikey.Right) bool {
	return p != nil && apikey.Caller{Rights: p.Role.Rights()}.May(right)
}
