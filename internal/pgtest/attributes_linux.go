package pgtest

import "syscall"

// attributes are those of a process that runs as owner (nil: as ourselves), away
// from the terminal's Ctrl-C, and that shuts down at once when the test process
// dies however it dies.
func attributes(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
