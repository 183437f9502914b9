package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A cluster ends with its test process, also when that is killed by SIGKILL and
// could not run a line.
func TestKilledProcess(t *testing.T) {
	if _, err := find(t.Context()); err != nil {
		giveUp(t, err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.CommandContext(t.Context(), program)
	victim.Env = append(os.Environ(), sacrificeVariable+"=1")
	victim.Stderr = os.Stderr
	said, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	var folder string
	if _, err := fmt.Sscan(line, &pid, &folder); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if gone(pid) {
		t.Fatal("the server had ended before its test process was killed")
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	victim.Wait() //nolint:errcheck // it was killed
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := until(ctx, func() bool { return gone(pid) }); err != nil {
		t.Errorf("the server outlived its test process: %v", err)
	}
}
