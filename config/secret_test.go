package config

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func mustRead(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A secret prints as [redacted] by every way to print, alone, in structs, behind
// pointers, in lists and in unexported fields.
func TestSecretIsNotPrinted(t *testing.T) {
	s := NewSecret(goodSecret)
	hidden := struct {
		Exported Secret
		inside   Secret
		list     []Secret
		pointer  *Secret
		any      any
	}{s, s, []Secret{s}, &s, s}
	var out strings.Builder
	for _, verb := range strings.Split("v +v #v s q x X d o b t p c U e T w", " ") {
		for _, v := range []any{s, &s, hidden, &hidden, []Secret{s}, map[string]Secret{"k": s}, Config{Secret: s}, fmt.Errorf("wrapped: %v", s)} {
			fmt.Fprintf(&out, "%"+verb+"\n", v)
		}
	}
	fmt.Fprint(&out, s, s.String())
	fmt.Fprintln(&out, &s, hidden)
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		for _, v := range []any{s, &s, map[string]any{"k": s}, Config{Secret: s, PreviousSecrets: []Secret{s}}} {
			text, err := marshal(v)
			if err != nil {
				t.Errorf("marshal %T: %v", v, err)
			}
			out.Write(text)
		}
	}
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("x", "secret", s, "pointer", &s, "struct", hidden, "config", Config{Secret: s})
	}
	if strings.Contains(out.String(), goodSecret) || strings.Contains(strings.ToLower(out.String()), hex.EncodeToString([]byte(goodSecret))) {
		t.Errorf("the secret is printed:\n%s", out.String())
	}
	for verb, want := range map[string]string{"%v": redacted, "%x": redacted, "%#v": redacted, "%d": redacted} {
		if got := fmt.Sprintf(verb, s); got != want {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	if text, _ := json.Marshal(s); string(text) != `"[redacted]"` {
		t.Errorf("JSON is %s", text)
	}
	if got := fmt.Sprintf("%v|%s", Secret{}, NewSecret("")); got != "|" {
		t.Errorf("empty secrets print %q", got)
	}
}

// A secret keeps its value for who asks, and is compared by value.
func TestSecretValue(t *testing.T) {
	var zero, empty, s Secret
	if err := s.UnmarshalText([]byte(goodSecret)); err != nil {
		t.Fatal(err)
	}
	empty = NewSecret("")
	if s.Reveal() != goodSecret || zero.Reveal() != "" || !zero.IsEmpty() || !empty.IsEmpty() || s.IsEmpty() {
		t.Error("a secret is not what was put in")
	}
	if !s.Equal(NewSecret(goodSecret)) || s.Equal(NewSecret(otherSecret)) || !zero.Equal(empty) {
		t.Error("secrets are not compared by value")
	}
}

// What people type instead of a secret is refused; what a generator makes is
// not, in 10,000 tries of each common form.
func TestWeakness(t *testing.T) {
	for _, s := range []string{
		strings.Repeat("a", 32), strings.Repeat("ab", 16), strings.Repeat("abcdefgh", 4), strings.Repeat("Kx7!pQ2z", 4) + "Kx",
		"abcdefghijklmnopqrstuvwxyz0123456789", "9876543210ZYXWVUTSRQPONMLKJIHGFE", "ChangeMe-9f8e7d6c5b4a3f2e1d0c9b8a", "my-super-Password-1234567890-xyz",
		"tokenos-example-secret-1a2b3c4d5e", "q8ZrT3vLw0XkPn7cYb2MhJd5q8ZrT3vLw0XkPn7cYb2MhJd5", "00000000000000000000000012345678",
	} {
		if weakness(s) == "" {
			t.Errorf("%q is taken", s)
		}
	}
	for range 10_000 {
		raw := make([]byte, 32)
		_, _ = rand.Read(raw)
		for _, s := range []string{base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), hex.EncodeToString(raw)} {
			if why := weakness(s); why != "" {
				t.Fatalf("%q is refused: %s", s, why)
			}
		}
	}
}

// Nothing that prints, warns or fails holds a secret, through a whole load.
func TestNothingLeaks(t *testing.T) {
	cfg, err := loadEnv(goodEnv("PREVIOUS_SECRETS=" + otherSecret))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, format := range []string{"yaml", "json"} {
		for _, sources := range []bool{false, true} {
			if err := cfg.Print(&out, format, sources); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		fmt.Fprintf(&out, verb, cfg)
		fmt.Fprintf(&out, verb, *cfg)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("start", "config", cfg)
	for _, secret := range []string{goodSecret, otherSecret, ledgerPass} {
		if strings.Contains(out.String(), secret) || strings.Contains(out.String(), hex.EncodeToString([]byte(secret))) {
			t.Errorf("%q is printed", secret)
		}
	}
}
