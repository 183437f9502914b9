package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tokenos/tokenos/apikey"
	"github.com/tokenos/tokenos/scan"
)

// scanned runs tokenos scan on what stdin has.
func scanned(ctx context.Context, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	var out, words bytes.Buffer
	code = program{stdin: stdin, stdout: &out, stderr: &words}.run(ctx, append([]string{"scan"}, args...))
	return code, out.String(), words.String()
}

// Interrupted, a scan ends although nobody types anything.
func TestScanInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	terminal, line := io.Pipe()
	t.Cleanup(func() { _ = line.Close() })
	go func() {
		_, _ = line.Write([]byte("one line\n")) // and no more
		cancel()
	}()
	if code, stdout, stderr := scanned(ctx, terminal, "-"); code != exitInterrupted || stdout != "" || stderr != "error: interrupted before it was done\n" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// Of very many files that cannot be read a hundred are named; of very many
// findings ten thousand are told; and that is said.
func TestScanTellsInBounds(t *testing.T) {
	t.Chdir(t.TempDir())
	secret := apikey.GenerateSecret().Reveal()
	args := []string{"-"}
	for n := range maxUnread + 2 {
		args = append(args, fmt.Sprintf("nowhere%d", n))
	}
	code, stdout, stderr := scanned(t.Context(), strings.NewReader("nothing"), args...)
	if code != exitUsage || stdout != "" || strings.Count(stderr, "not read: nowhere") != maxUnread || !strings.Contains(stderr, "not read: 2 more\n") {
		t.Errorf("exit code %d, stdout %q, stderr %s", code, stdout, stderr)
	}
	code, stdout, stderr = scanned(t.Context(), strings.NewReader(strings.Repeat(secret+"\n", scan.MaxFindings+1)), "-")
	if code != exitFailed || len(lines(stdout)) != 1+scan.MaxFindings || strings.Contains(stdout, secret) {
		t.Errorf("exit code %d, %d lines", code, len(lines(stdout)))
	}
	const want = "only the first 10000 findings are told; there may be more\nerror: found in 10000 places: 1 secret\n"
	if !strings.HasPrefix(stderr, want) {
		t.Errorf("stderr %s", stderr)
	}
}
