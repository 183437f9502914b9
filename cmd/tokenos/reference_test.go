package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

const referenceFile = "../../docs/reference.md"

// The reference of the command line is what the commands say of themselves.
// -update writes it anew.
func TestReference(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Reference of the command line\n\nGenerated from the program (`go test ./cmd/tokenos -run TestReference -update`); `tokenos COMMAND --help` says the same.\n\n")
	root := program{stdout: io.Discard, stderr: io.Discard}.root()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	describe(t, &b, root)
	if *update {
		if err := os.WriteFile(referenceFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s is not what the commands say; run with -update (-file +program):\n%s", referenceFile, diff)
	}
}

// describe writes the command, and those below it that are no groups of others
// or the shells' own.
func describe(t *testing.T, b *bytes.Buffer, c *cobra.Command) {
	t.Helper()
	if !c.IsAvailableCommand() || c.Name() == "help" {
		return
	}
	c.DisableAutoGenTag = true
	var one bytes.Buffer
	if err := doc.GenMarkdownCustom(c, &one, func(file string) string {
		return "#" + strings.ReplaceAll(strings.TrimSuffix(file, ".md"), "_", "-")
	}); err != nil {
		t.Fatal(err)
	}
	b.WriteString(strings.TrimSpace(one.String()) + "\n\n")
	for _, sub := range c.Commands() {
		describe(t, b, sub)
	}
}
