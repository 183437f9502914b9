package apikey

import (
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/big"
	"strings"
)

// Secret holds a client secret and prints as "[secret]" under every verb, in
// JSON, in slog and in a panic; only [Secret.Reveal] gives it out. The zero
// Secret is no secret.
type Secret struct{ s *string } // a pointer: fmt cannot call String through an unexported field

const redacted = "[secret]"

// NewSecret wraps s. An empty s is no secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{&s}
}

// Reveal returns the secret itself, "" for the zero Secret. Each call is a
// place where a secret leaves the program.
func (s Secret) Reveal() string {
	if s.s == nil {
		return ""
	}
	return *s.s
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.s == nil }

// Equal compares in constant time.
func (s Secret) Equal(o Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// Format prints "[secret]" whatever the verb, its flags and its width.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const (
	secretPrefix = "tos_"
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	secretBody   = 43 // base62 characters that hold 256 bits
	secretCheck  = 6  // base62 characters that hold a CRC-32
)

// GenerateSecret makes a client secret: "tos_", 256 random bits as 43 base62
// characters, and the base62 CRC-32/IEEE of what stands before, so that a
// scanner can tell a real one without a network (as GitHub documents for its
// tokens). All characters are URL-safe: Basic needs no encoding in practice.
func GenerateSecret() Secret {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand documentation)
	return secretFrom(b)
}

// secretFrom is version 1 of the step from 256 bits to a secret: their SHA-512,
// modulo 62^43. 2^256 is a little less than 62^43, so a plain change of base
// would hardly ever begin with y and never with z; of a number of 512 bits the
// remainder favours no character by more than one part in 2^255.
func secretFrom(bits [32]byte) Secret {
	wide := sha512.Sum512(bits[:])
	body := secretPrefix + toBase62(new(big.Int).SetBytes(wide[:]), secretBody)
	return NewSecret(body + checksum62(body))
}

// ValidSecret reports whether s has a secret's form and checksum.
func ValidSecret(s string) bool {
	body, ok := strings.CutPrefix(s, secretPrefix)
	if !ok || len(body) != secretBody+secretCheck || strings.Trim(body, base62) != "" {
		return false
	}
	cut := len(s) - secretCheck
	return s[cut:] == checksum62(s[:cut])
}

// hint is what may be shown of a secret: its last four characters, which are
// part of the checksum and so tell nothing of the random bits that matters.
func (s Secret) hint() string {
	v := s.Reveal()
	return "..." + v[len(v)-4:]
}

func checksum62(s string) string {
	return toBase62(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(s)))), secretCheck)
}

// toBase62 writes n modulo 62^width, and overwrites n.
func toBase62(n *big.Int, width int) string {
	out := make([]byte, width)
	radix, digit := big.NewInt(62), new(big.Int)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, radix, digit)
		out[i] = base62[digit.Int64()]
	}
	return string(out)
}
