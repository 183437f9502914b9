//go:build unix

package hydradev

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// askToStop lets the process finish what it does.
func askToStop(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

// killTree kills the process and its group, which startTied made.
func killTree(p *os.Process) error {
	if err := syscall.Kill(-p.Pid, syscall.SIGKILL); err != nil {
		return p.Kill()
	}
	return nil
}

// guard kills the process group pid when this process ends without having called
// release, for systems whose kernel does not. A shell reads from a pipe that
// only we hold: our death ends the pipe, release writes a line first.
func guard(pid int) (release func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("guard process %d: %w", pid, err)
	}
	sh := exec.Command("/bin/sh", "-c", `read -r line || kill -s KILL -- "-$1"`, "sh", strconv.Itoa(pid))
	sh.Stdin = r
	sh.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = sh.Start()
	_ = r.Close() // the shell has its own
	if err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("guard process %d: %w", pid, err)
	}
	return func() {
		_, _ = w.WriteString("over\n")
		_ = w.Close()
		_ = sh.Wait()
	}, nil
}
