package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// What a terminal minds is escaped in every form, and JSON and YAML read back what
// was written.
func TestPrintIsSafe(t *testing.T) {
	want := map[string]any{"name": "\x1b[2J \u009b \u202e \u2028 \U000e0041 \x7f \n é 漢", "\u200f\x07": []any{"\ufeff", "plain"}}
	for _, format := range formats {
		var b bytes.Buffer
		var g grid
		for name := range want {
			g.add(name, want["name"].(string))
		}
		if err := (&printing{format: format}).print(&b, shown{want, []string{want["name"].(string)}, g}); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(b.String(), unsafeRune) || !strings.Contains(b.String(), "漢") {
			t.Errorf("%s: %q", format, b.String())
		}
		got := map[string]any{}
		var err error
		switch format {
		case "json":
			err = json.Unmarshal(b.Bytes(), &got)
		case "yaml":
			err = yaml.Unmarshal(b.Bytes(), &got)
		default:
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-written +read):\n%s", format, err, diff)
		}
	}
}
