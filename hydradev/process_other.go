//go:build unix && !linux

package hydradev

import (
	"os/exec"
	"syscall"
)

// startTied starts cmd in a process group of its own (Ctrl-C in a terminal then
// reaches us alone) under a guard that kills it when we die.
func startTied(cmd *exec.Cmd) (release func(), err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	release, err = guard(cmd.Process.Pid)
	if err != nil {
		_ = killTree(cmd.Process)
		_ = cmd.Wait()
		return nil, err
	}
	return release, nil
}
