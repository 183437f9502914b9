package config

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a string that prints as "[redacted]" under every verb of fmt, in
// JSON, YAML and slog, and as a member of a struct; the empty one prints as "".
// [Secret.Reveal] is the only way to the value, so that a search for it lists
// every place a secret leaves this package. The zero value is empty.
type Secret struct {
	// A pointer, because fmt does not ask the methods of a value that it finds
	// in an unexported field: a plain string would be printed there.
	s *string
}

// NewSecret hides s.
func NewSecret(s string) Secret { return Secret{s: &s} }

// Reveal returns the value.
func (s Secret) Reveal() string {
	if s.s == nil {
		return ""
	}
	return *s.s
}

// IsEmpty reports whether there is no value.
func (s Secret) IsEmpty() bool { return s.s == nil || *s.s == "" }

// Equal reports whether both hold the same value, in a time that does not
// depend on where they differ.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// String returns "[redacted]", or "" for the empty secret.
func (s Secret) String() string {
	if s.IsEmpty() {
		return ""
	}
	return redacted
}

// Format prints what String returns, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue makes slog print what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns what String returns; JSON and YAML use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the value.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
