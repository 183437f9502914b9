//go:build unix

package hydradev

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() { roles["guardian"] = playGuardian }

// playGuardian starts a sleeping child under the guard alone, as on systems
// without a parent-death signal, prints its process id, and waits to be killed.
func playGuardian() int {
	cmd := exec.Command("/bin/sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if _, err := guard(cmd.Process.Pid); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(cmd.Process.Pid)
	select {}
}

// play runs this test binary in a role and returns it with its first line.
func play(t *testing.T, role string, env ...string) (*exec.Cmd, []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), envRole+"="+role), env...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the %s said nothing: %v", role, err)
	}
	return cmd, strings.Fields(line)
}

// killHard kills cmd as kill -9 does and reaps it.
func killHard(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("a killed process ended well")
	}
}

// gone reports whether no process pid runs any more. One that nobody has reaped
// yet is gone.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err == nil {
		_, rest, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
	}
	return syscall.Kill(pid, 0) != nil
}

// Hydra does not outlive a parent that is killed by kill -9, and its data folder
// is usable at once.
func TestHydraDiesWithItsParent(t *testing.T) {
	dir := t.TempDir()
	parent, said := play(t, "parent", "HYDRADEV_TEST_DIR="+dir)
	pid, err := strconv.Atoi(said[0])
	if err != nil {
		t.Fatal(err)
	}
	if up, err := probe(t.Context(), said[1]); err != nil || !up {
		t.Fatalf("Hydra of the parent: ready %v, %v", up, err)
	}
	killHard(t, parent)
	eventually(t, "Hydra is gone", func() bool { return gone(pid) })
	start(t, Config{Dir: dir})
}

// Where the kernel sends no parent-death signal, the guard kills the child of a
// parent that was killed by kill -9.
func TestGuardKillsTheOrphan(t *testing.T) {
	guardian, said := play(t, "guardian")
	pid, err := strconv.Atoi(said[0])
	if err != nil {
		t.Fatal(err)
	}
	if gone(pid) {
		t.Fatal("the guarded process did not live at all")
	}
	killHard(t, guardian)
	eventually(t, "the orphan is gone", func() bool { return gone(pid) })
}

// A guard that was released leaves the process alone.
func TestReleasedGuardDoesNothing(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	release, err := guard(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	release() // returns when the guard has ended
	if gone(cmd.Process.Pid) {
		t.Error("the guard killed the process although it was released")
	}
	killHard(t, cmd)
}

// eventually polls until ok is true, at most 20 s.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if ok() {
			return
		}
		<-time.After(5 * time.Millisecond)
	}
	t.Fatalf("within 20 s it did not become true that %s", what)
}
