package apikey_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/tokenos/tokenos/apikey"
)

// canary is no real secret; it must not be seen in anything printed.
const canary = "tos_CANARYcanaryCANARYcanaryCANARYcanaryCANARYcanaryCANAR"

// leaks reports whether s shows the canary, whole, in part, or in another
// writing of its bytes.
func leaks(s string) bool {
	lower := strings.ToLower(s)
	for _, shown := range []string{canary[4:12], fmt.Sprintf("%x", canary[:6]), fmt.Sprintf("% x", canary[:6]), strings.Trim(fmt.Sprint([]byte(canary[:6])), "[]")} {
		if strings.Contains(lower, strings.ToLower(shown)) {
			return true
		}
	}
	return false
}

type holder struct {
	Name   string
	Secret apikey.Secret
	inner  apikey.Secret
	ptr    *apikey.Secret
}

// holders are all the ways a secret can sit in a value. A secret in an exported
// place prints as [secret]; in an unexported field, where no method can be
// called, as an address.
func holders() map[string]any {
	s := apikey.NewSecret(canary)
	return map[string]any{
		"value": s, "pointer": &s, "slice": []apikey.Secret{s}, "array": [1]apikey.Secret{s},
		"map value": map[string]apikey.Secret{"k": s}, "map key": map[apikey.Secret]int{s: 1}, "any": []any{s},
		"struct": holder{Secret: s, inner: s, ptr: &s}, "pointer to struct": &holder{Secret: s, inner: s, ptr: &s},
		"unexported": struct{ s apikey.Secret }{s}, "unexported slice": struct{ s []apikey.Secret }{[]apikey.Secret{s}},
		"unexported any": struct{ s any }{s}, "unexported map": struct{ m map[string]apikey.Secret }{map[string]apikey.Secret{"k": s}},
		"issued": apikey.Issued{Secret: s}, "write": apikey.ClientWrite{Secret: s},
		"config": apikey.Config{ServerSecrets: []apikey.Secret{s}},
	}
}

// No verb of fmt shows a secret, wherever it sits.
func TestSecretUnderEveryVerb(t *testing.T) {
	for where, v := range holders() {
		for verb := '!'; verb <= '~'; verb++ {
			for _, flags := range []string{"", "+", "#", " ", "-", "0", "# ", "80", ".3", "+.90"} {
				form := "%" + flags + string(verb)
				if out := fmt.Sprintf(form, v); leaks(out) {
					t.Errorf("%s under %s shows the secret", where, form)
				}
			}
		}
	}
}

// A secret itself prints as [secret] under every verb that formats a value.
func TestSecretPrintsAsSecret(t *testing.T) {
	s := apikey.NewSecret(canary)
	for _, form := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%c", "%U", "%e", "%b", "%o", "%60s", "%.2s"} {
		for _, v := range []any{s, apikey.Secret{}} {
			if got := fmt.Sprintf(form, v); got != "[secret]" {
				t.Errorf("%s gives %q, want [secret]", form, got)
			}
		}
	}
	for got, where := range map[string]string{fmt.Sprint(s): "Sprint", s.String(): "String", s.GoString(): "GoString", fmt.Sprintln(s): "Sprintln"} {
		if strings.TrimSpace(got) != "[secret]" {
			t.Errorf("%s gives %q, want [secret]", where, got)
		}
	}
	if got := fmt.Sprintf("%+v", holder{Secret: s}); !strings.Contains(got, "Secret:[secret]") {
		t.Errorf("a struct prints its secret as %s", got)
	}
}

// No JSON encoder shows a secret: where one can be encoded it is "[secret]".
func TestSecretInJSON(t *testing.T) {
	encoders := map[string]func(any) ([]byte, error){
		"encoding/json":      json.Marshal,
		"go-json-experiment": func(v any) ([]byte, error) { return jsonv2.Marshal(v) },
	}
	for name, marshal := range encoders {
		for where, v := range holders() {
			out, err := marshal(v) // some cannot be encoded: then the error must be silent too
			if leaks(string(out)) || err != nil && leaks(err.Error()) {
				t.Errorf("%s shows the secret in %s", name, where)
			}
		}
		out, err := marshal(holder{Secret: apikey.NewSecret(canary)})
		if err != nil || string(out) != `{"Name":"","Secret":"[secret]"}` {
			t.Errorf("%s gives %s, %v", name, out, err)
		}
	}
}

// No slog handler shows a secret, as a value, in a group, or in anything logged.
func TestSecretInLogs(t *testing.T) {
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(h)
		s := apikey.NewSecret(canary)
		out.Reset()
		log.Info("made", "secret", s)
		if !strings.Contains(out.String(), "[secret]") {
			t.Errorf("%T writes %s", h, &out)
		}
		for where, v := range holders() {
			log.With("with", v).WithGroup("group").Error("failed", "where", where, "value", v, slog.Group("inner", "again", v), "error", fmt.Errorf("%v %+v", v, v))
		}
		if leaks(out.String()) {
			t.Errorf("%T shows the secret", h)
		}
	}
}

// An error made of a secret, wrapped or joined, does not show it.
func TestSecretInErrors(t *testing.T) {
	for where, v := range holders() {
		err := fmt.Errorf("hydra: create: %w", errors.Join(fmt.Errorf("with %v", v), fmt.Errorf("with %q %#v", v, v)))
		err = &apikey.Error{Kind: apikey.ErrInternal, Cause: err}
		if leaks(err.Error()) || leaks(fmt.Sprintf("%v %+v %#v", err, err, err)) {
			t.Errorf("an error shows the secret in %s", where)
		}
	}
}

// A program that panics with a secret, or with something that holds one, does
// not print it, nor does the trace.
func TestSecretInPanic(t *testing.T) {
	const name = "APIKEY_TEST_PANIC"
	if where := os.Getenv(name); where != "" {
		v := holders()[where]
		if where == "error" {
			v = fmt.Errorf("made %v", apikey.NewSecret(canary))
		}
		panicWith(v, apikey.NewSecret(canary))
	}
	for _, where := range []string{"value", "pointer", "slice", "struct", "pointer to struct", "unexported", "issued", "error"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSecretInPanic$")
		cmd.Env = append(os.Environ(), name+"="+where, "GOTRACEBACK=all")
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("panicWith")) {
			t.Fatalf("the child did not panic with %s: %v\n%s", where, err, out)
		}
		if leaks(string(out)) {
			t.Errorf("a panic with %s shows the secret", where)
		}
		if (where == "value" || where == "error") && !bytes.Contains(out, []byte("[secret]")) {
			t.Errorf("a panic with %s does not say [secret]:\n%s", where, out)
		}
	}
}

//go:noinline
func panicWith(v any, s apikey.Secret) {
	if !s.IsZero() {
		panic(v)
	}
}

// Reveal gives the secret back, the zero Secret is none, and Equal compares by
// value.
func TestSecretValue(t *testing.T) {
	s, same, other := apikey.NewSecret(canary), apikey.NewSecret(canary), apikey.NewSecret(canary+"x")
	var none apikey.Secret
	if s.Reveal() != canary || s.IsZero() {
		t.Error("a secret does not come back")
	}
	if none.Reveal() != "" || !none.IsZero() || !apikey.NewSecret("").IsZero() {
		t.Error("the zero Secret is not empty")
	}
	if !s.Equal(same) || s.Equal(other) || s.Equal(none) || none.Equal(s) || !none.Equal(apikey.Secret{}) {
		t.Error("Equal does not compare by value")
	}
}
