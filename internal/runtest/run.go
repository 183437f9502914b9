package runtest

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Run writes the files, by name, to a new folder and runs main, which is one of
// them, with variables added to the environment. err is that of [exec.Cmd.Run].
func (i Interpreter) Run(t testing.TB, files map[string]string, main string, env ...string) (stdout, stderr string, err error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if i.modules != "" {
		if err := os.Symlink(i.modules, filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(i.runTime, 3*time.Minute))
	defer cancel()
	cmd := exec.CommandContext(ctx, i.Command[0], append(i.Command[1:len(i.Command):len(i.Command)], filepath.Join(dir, main))...)
	cmd.Dir = dir
	if i.Dir != "" {
		cmd.Dir = i.Dir
	}
	cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	cmd.Env = append(cmd.Env, env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}
